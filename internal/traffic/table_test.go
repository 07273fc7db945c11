package traffic

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func live(topic, payload string) Message { return Message{Topic: topic, Payload: []byte(payload)} }

func topics(rows []Row) []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.Topic)
	}
	return all
}

func TestRatesAreRightFromTheFirstSeconds(t *testing.T) {
	table := New(start, Config{})
	const every = 100 * time.Millisecond
	for _, until := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute} {
		table = New(start, Config{})
		for now := every; now <= until; now += every {
			table.Observe(at(now), live("a", "12345"))
		}
		rows, totals := table.Rows(at(until), View{})
		if r := rows[0].Rate; math.Abs(r-10) > 0.5 {
			t.Errorf("after %s: %.2f messages a second, want 10", until, r)
		}
		if r := totals.ByteRate; math.Abs(r-50) > 2.5 {
			t.Errorf("after %s: %.2f bytes a second, want 50", until, r)
		}
	}
	rows, _ := table.Rows(at(2*time.Minute), View{})
	if rows[0].Rate > 0.001 {
		t.Errorf("silent for a minute: %.4f messages a second", rows[0].Rate)
	}
}

// A topic that begins late is not taken for one that was always there.
func TestALateTopicIsNotTakenForAFastOne(t *testing.T) {
	table := New(start, Config{})
	table.Observe(at(time.Minute), live("late", ""))
	rows, _ := table.Rows(at(time.Minute), View{})
	if r := rows[0].Rate; r > 0.21 {
		t.Errorf("one message in a minute: %.2f a second", r)
	}
}

func TestStoredMessagesAreNoTraffic(t *testing.T) {
	table := New(start, Config{})
	for i := range 100 {
		table.Observe(start, Message{Topic: fmt.Sprint("t", i), Payload: []byte("x"), Retain: true})
	}
	_, totals := table.Rows(start, View{})
	if totals.Rate != 0 || totals.Messages != 100 {
		t.Errorf("%v messages, rate %v", totals.Messages, totals.Rate)
	}
	// With Retain As Published the second of a topic is live.
	published := Message{Topic: "p", Payload: []byte("x"), Retain: true, AsPublished: true}
	table.Observe(start, published)
	table.Observe(at(time.Second), published)
	if rows, _ := table.Rows(at(time.Second), View{Search: "P"}); rows[0].Rate == 0 || !rows[0].Retained {
		t.Errorf("%+v", rows[0])
	}
	published.Payload = nil
	table.Observe(at(2*time.Second), published)
	if rows, _ := table.Rows(at(2*time.Second), View{Search: "p"}); rows[0].Retained {
		t.Error("an empty retained message takes the retained one away")
	}
}

func TestRowsAreSortedAndCut(t *testing.T) {
	table := New(start, Config{})
	for i := range 50 {
		topic := fmt.Sprintf("t/%02d", i)
		for range i + 1 {
			table.Observe(at(time.Duration(100-i)*time.Millisecond), live(topic, strings.Repeat("x", (i*7)%50)))
		}
	}
	now := at(time.Second)
	for _, tt := range []struct {
		v    View
		want []string
	}{
		{View{By: ByCount, Most: 3}, []string{"t/49", "t/48", "t/47"}},
		{View{By: ByCount, Most: 2, Skip: 3}, []string{"t/46", "t/45"}},
		{View{By: ByCount, Most: 2, Skip: 100}, nil},
		{View{By: ByCount, Most: 2, Reverse: true}, []string{"t/00", "t/01"}},
		{View{By: BySize, Most: 2}, []string{"t/07", "t/14"}},
		{View{By: ByAge, Most: 2}, []string{"t/00", "t/01"}},
		{View{By: ByTopic, Most: 2}, []string{"t/00", "t/01"}},
		{View{By: ByTopic, Most: 2, Reverse: true}, []string{"t/49", "t/48"}},
		{View{By: ByRate, Most: 1}, []string{"t/49"}},
		{View{By: ByTopic, Search: "T/3", Most: 2}, []string{"t/30", "t/31"}},
	} {
		rows, totals := table.Rows(now, tt.v)
		if diff := cmp.Diff(tt.want, topics(rows)); diff != "" {
			t.Errorf("%+v:\n%s", tt.v, diff)
		}
		if tt.v.Search != "" && totals.Matching != 10 || totals.Topics != 50 {
			t.Errorf("%+v: %d of %d match", tt.v, totals.Matching, totals.Topics)
		}
	}
	cut, _ := table.Rows(now, View{By: ByBytes, Most: 7})
	all, _ := table.Rows(now, View{By: ByBytes})
	if diff := cmp.Diff(topics(all[:7]), topics(cut)); diff != "" {
		t.Errorf("the best seven are not the first of all:\n%s", diff)
	}
}

func TestTheSilentAreForgottenFirst(t *testing.T) {
	table := New(start, Config{Topics: 3})
	for i, topic := range []string{"a", "b", "c", "a", "d", "e"} {
		table.Observe(at(time.Duration(i)*time.Second), live(topic, "x"))
	}
	rows, totals := table.Rows(at(time.Minute), View{By: ByTopic})
	if diff := cmp.Diff([]string{"a", "d", "e"}, topics(rows)); diff != "" {
		t.Error(diff)
	}
	if totals.Forgotten != 2 || totals.ForgottenMessages != 2 || totals.Messages != 6 {
		t.Errorf("%+v", totals)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const most = 1 << 20
	table := New(start, Config{Bytes: most})
	for i := range 2000 {
		table.Observe(start, live(strings.Repeat("long/", 1000)+fmt.Sprint(i), strings.Repeat("x", 5000)))
	}
	if table.bytes > most || len(table.rows) < 150 {
		t.Errorf("%d bytes in %d rows", table.bytes, len(table.rows))
	}
	rows, _ := table.Rows(start, View{Most: 1})
	if len(rows[0].Value) != 256 || rows[0].Size != 5000 {
		t.Errorf("kept %d of %d bytes", len(rows[0].Value), rows[0].Size)
	}
	// What is forgotten is given back to the last byte.
	for e := table.ring.prev; e != &table.ring; e = table.ring.prev {
		table.forget(e)
	}
	if table.bytes != 0 || len(table.rows) != 0 {
		t.Errorf("%d bytes in %d rows are left", table.bytes, len(table.rows))
	}
}

// What the default bounds are worth.
func TestHundredThousandTopicsTakeLittleMemory(t *testing.T) {
	const n, most = 100_000, 48 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := New(start, Config{})
	for i := range n {
		table.Observe(start, live(fmt.Sprintf("site/%d/building/temperature", i), `{"v":21.25,"unit":"C"}`))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	took := int(after.HeapAlloc - before.HeapAlloc)
	t.Logf("%d bytes for each topic", took/n)
	if took > most || took > 2*table.bytes || took < table.bytes/2 {
		t.Errorf("%d topics take %d bytes, and are taken for %d", n, took, table.bytes)
	}
	runtime.KeepAlive(table)
}

func TestTopicsAreOneRowBelowTheDepth(t *testing.T) {
	table := New(start, Config{Depth: 2})
	for _, topic := range []string{"a", "a/b", "a/b/c", "a/b/d/e", "a/c/", "/x/y", "$SYS/broker/uptime"} {
		table.Observe(start, live(topic, "x"))
	}
	rows, _ := table.Rows(start, View{By: ByTopic})
	if diff := cmp.Diff([]string{"$SYS/broker/#", "/x/#", "a", "a/b", "a/b/#", "a/c/#"}, topics(rows)); diff != "" {
		t.Error(diff)
	}
	if rows[4].Messages != 2 {
		t.Errorf("%d messages below a/b", rows[4].Messages)
	}
}

func TestValuesAreKeptAndReplaced(t *testing.T) {
	table := New(start, Config{ValueBytes: 8})
	payload := []byte("0123456789")
	table.Observe(start, Message{Topic: "a", Payload: payload, QoS: 2})
	copy(payload, "xxxxxxxxxx") // belongs to the caller
	rows, _ := table.Rows(start, View{})
	if string(rows[0].Value) != "01234567" || rows[0].QoS != [3]uint64{0, 0, 1} {
		t.Errorf("%+v", rows[0])
	}
	table.Observe(start, Message{Topic: "a", Payload: payload, Value: []byte("decoded")})
	table.Observe(start, Message{Topic: "b"})
	rows, _ = table.Rows(start, View{By: ByTopic})
	if string(rows[0].Value) != "decoded" || rows[0].Size != 10 || len(rows[1].Value) != 0 {
		t.Errorf("%+v", rows)
	}
}

func TestKeysHaveNames(t *testing.T) {
	for _, name := range Keys() {
		if k, ok := ParseKey(name); !ok || k.String() != name {
			t.Errorf("%q is %s", name, k)
		}
	}
	if _, ok := ParseKey("weight"); ok {
		t.Error("there is no weight")
	}
}

func TestObserveAllocatesNothingForKnownTopics(t *testing.T) {
	table := New(start, Config{Depth: 3})
	m := live("a/b/c", "21.5")
	table.Observe(start, m)
	if n := testing.AllocsPerRun(100, func() { table.Observe(start, m) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("topics=%d", n), func(b *testing.B) {
			table := New(start, Config{})
			messages := make([]Message, n)
			for i := range messages {
				messages[i] = live(fmt.Sprintf("site/%d/device/%d/temperature", i%100, i), "21.5")
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				table.Observe(at(time.Duration(i)), messages[i%n])
				i++
			}
		})
	}
}

func BenchmarkRows(b *testing.B) {
	const n = 100_000
	table := New(start, Config{})
	for i := range n {
		table.Observe(at(time.Duration(i)*time.Microsecond), live(fmt.Sprintf("site/%d/device/%d/temperature", i%100, i), "21.5"))
	}
	for _, v := range []View{{Most: 50}, {Most: 50, By: ByTopic}, {Most: 50, Search: "device/77"}} {
		b.Run(fmt.Sprintf("topics=100000/by=%s/search=%t", v.By, v.Search != ""), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Rows(at(time.Second), v)
			}
		})
	}
}
