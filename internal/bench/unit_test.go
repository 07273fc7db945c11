package bench

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestScheduleOfStepsAndRamps(t *testing.T) {
	s := newSchedule(time.Second, []Step{{2 * time.Second, 100, 100}, {2 * time.Second, 100, 300}}, 0)
	if want := int64(100 + 200 + 400); s.limit != want {
		t.Fatalf("%d messages, want %d", s.limit, want)
	}
	at := cursor{schedule: s}
	last := int64(-1)
	for k := range s.limit {
		due := at.due(k)
		if due <= last {
			t.Fatalf("message %d is due at %d, the one before at %d", k, due, last)
		}
		if n := s.count(due + 1000); n < k || n > k+1 {
			t.Fatalf("message %d is due at %d, and %d are due until then", k, due, n)
		}
		last = due
	}
	if at.due(s.limit) != never {
		t.Error("more messages than the schedule has")
	}
	for d, want := range map[time.Duration]float64{0: 100, 2 * time.Second: 100, 4 * time.Second: 200, 6 * time.Second: 0} {
		if got := s.rate(d); math.Abs(got-want) > 0.001 {
			t.Errorf("rate at %v: %v, want %v", d, got, want)
		}
	}
	if s := newSchedule(0, []Step{{time.Second, 0, 1000}}, 10); s.limit != 10 {
		t.Errorf("limit %d", s.limit)
	}
}

func TestStampsRoundTrip(t *testing.T) {
	now := time.Now().UnixNano()
	for _, size := range []int{MinPayload, 43, fullStamp, 1000} {
		for _, late := range []int64{0, 40_000, 3 * int64(time.Second), int64(time.Hour)} {
			b := noise(size, 1)
			in := stamp{run: 7, stream: 0xabcdef, seq: 123456, due: now, sent: now + late}
			in.put(b)
			var out stamp
			if v := out.parse(b, now+late+5e6); v != genuine {
				t.Fatalf("%d bytes: verdict %d", size, v)
			}
			tolerance := int64(0)
			if size < fullStamp {
				in.run, in.compact, tolerance = 0, true, stampUnit+late/1000
			}
			if abs(out.due-in.due) > tolerance || abs(out.sent-in.sent) > 2*tolerance {
				t.Errorf("%d bytes, %d late: due %d sent %d, want %d and %d", size, late, out.due, out.sent, in.due, in.sent)
			}
			in.due, in.sent = out.due, out.sent
			if in != out {
				t.Errorf("%d bytes: %+v, want %+v", size, out, in)
			}
			for i := range b { // every bit counts
				b[i] ^= 0x10
				if v := out.parse(b, now); v == genuine {
					t.Fatalf("%d bytes: byte %d changed, and nobody notices", size, i)
				}
				b[i] ^= 0x10
			}
		}
	}
	var s stamp
	if v := s.parse([]byte("short"), now); v != foreign {
		t.Errorf("verdict %d on a short payload", v)
	}
}

func abs(n int64) int64 { return max(n, -n) }

func TestTrackers(t *testing.T) {
	for _, wide := range []bool{false, true} {
		ts := trackers{wide: wide}
		tr := ts.of(3)
		for _, step := range []struct {
			seq  uint64
			want arrival
		}{{0, inOrder}, {1, inOrder}, {1, duplicate}, {4, inOrder}, {3, reordered}, {3, duplicate}, {2, reordered}, {10_000, inOrder}, {0, duplicate}} {
			if got := tr.see(step.seq); got != step.want {
				t.Errorf("wide %v: %d is %d, want %d", wide, step.seq, got, step.want)
			}
		}
		late := uint64(2)
		if wide {
			late = 0 // it is nobody's fault
		}
		if tr.got != 6 || tr.dups != 3 || tr.late != late {
			t.Errorf("wide %v: %+v", wide, tr)
		}
	}
}

// Members of a group that overtake each other by far have lost and repeated
// nothing.
func TestTrackerOfAGroup(t *testing.T) {
	ts := trackers{wide: true}
	tr := ts.of(1)
	const n = 200_000
	for seq := range uint64(n) {
		if seq%5 != 0 && tr.see(seq) != inOrder {
			t.Fatalf("%d is not in order", seq)
		}
	}
	for seq := uint64(0); seq < n; seq += 5 {
		if a := tr.see(seq); a != reordered && a != inOrder {
			t.Fatalf("%d is a %d", seq, a)
		}
	}
	if tr.got != n || tr.dups != 0 || tr.wide.low != n {
		t.Errorf("%d of %d, %d duplicates, all up to %d", tr.got, n, tr.dups, tr.wide.low)
	}
	for seq := range uint64(n) {
		if tr.see(seq) != duplicate {
			t.Fatalf("%d is no duplicate", seq)
		}
	}
	for id := range uint64(2000) { // gaps that are never filled do not fill the memory
		tr := ts.of(id)
		for _, seq := range []uint64{1, 1 << 20, 1 << 40, 1<<40 + 1, 1 << 40} {
			tr.see(seq)
		}
		if tr.dups != 1 && id != 1 {
			t.Fatalf("%+v", tr)
		}
	}
	if ts.words > wideRoom+2000*firstWide {
		t.Errorf("%d words", ts.words)
	}
}

// What came to somebody else does not stand in for what is missing.
func TestAccountOfStrayMessages(t *testing.T) {
	streams := []*stream{{topic: "a", qos: 2, targets: 1}, {topic: "b", qos: 2, targets: 1}}
	for _, s := range streams {
		s.sent.Store(10)
	}
	var one, two trackers
	for i := range uint64(10) {
		one.of(0).see(i)
		if i < 6 {
			two.of(1).see(i)
		} else {
			one.of(1).see(i)
		}
	}
	got := account(streams, 0, []*trackers{&one, &two}).QoS[2]
	if want := (Tally{Sent: 20, Expected: 20, Received: 16, Lost: 4, Duplicated: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAccountNamesTheWorst(t *testing.T) {
	streams := []*stream{{topic: "a", qos: 1, targets: 2}, {topic: "b", qos: 2, targets: 1}, {topic: "c"}}
	for _, s := range streams {
		s.sent.Store(10)
	}
	var one, two trackers
	for i := range uint64(10) {
		one.of(0).see(i)
		one.of(1).see(i)
		if i != 4 {
			two.of(0).see(i)
		}
	}
	one.of(1).see(9)
	got := account(streams, 0, []*trackers{&one, &two})
	want := Account{
		QoS: [3]Tally{
			{Sent: 10},
			{Sent: 10, Expected: 20, Received: 19, Lost: 1},
			{Sent: 10, Expected: 10, Received: 10, Duplicated: 1},
		},
		Worst: []StreamTally{
			{Topic: "a", QoS: 1, Tally: Tally{Sent: 10, Expected: 20, Received: 19, Lost: 1}},
			{Topic: "b", QoS: 2, Tally: Tally{Sent: 10, Expected: 10, Received: 10, Duplicated: 1}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAssertions(t *testing.T) {
	h := NewHistogram()
	for i := range 1000 {
		h.Record(int64(i+1) * 1e6)
	}
	f := &Final{Measured: 2 * time.Second, Latency: map[string]*Histogram{"e2e": h}, MeasureIntervals: 2, Values: map[string]float64{"storm.recovery_seconds": 3}}
	f.Counters.Received = 4000
	f.Account.QoS[1] = Tally{Lost: 2}
	for text, want := range map[string]bool{
		"e2e.p99<1s": true, "e2e.p99 < 50ms": false, "e2e.p999<=1000ms": true, "e2e.p99.9<=1s": true, "e2e.max>=1s": true, "e2e.mean!=0s": true,
		"loss==0": false, "loss<=2": true, "rate>=2000": true, "limited<10%": true, "storm.recovery_seconds<4": true, "puback.p50<1s": false,
	} {
		a, err := ParseAssertion(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if v := a.judge(f); v.OK != want {
			t.Errorf("%s: %+v", text, v)
		}
	}
	for _, text := range []string{"", "e2e.p99", "e2e.p99<5", "loss==none", "los==0"} {
		if _, err := ParseAssertion(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// What nobody has counted is not zero.
func TestAssertionsAboutNothing(t *testing.T) {
	for _, text := range []string{"loss==0", "duplicates==0", "reordered<1", "limited<=0", "e2e.p99<1s", "storm.recovery_seconds<5"} {
		a, err := ParseAssertion(text)
		if err != nil {
			t.Fatal(err)
		}
		if v := a.judge(&Final{}); v.OK || !v.Missing {
			t.Errorf("%s: %+v", text, v)
		}
	}
}

func TestResultIsReadableWhenCutOff(t *testing.T) {
	var b bytes.Buffer
	w := NewResultWriter(&b)
	h := NewHistogram()
	h.Record(5e6)
	i := Interval{Stage: StageMeasure, At: 1, Duration: 2, Latency: map[string]*Histogram{"e2e": h}}
	for _, r := range []any{&Header{Plan: Plan{Scenario: "pair"}}, &i, &Event{Text: "x"}, &Interval{Stage: StageDrain}, &Final{Ended: "complete"}} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(5); err == nil {
		t.Error("5 is a record")
	}
	whole := b.Bytes()
	res, err := ReadResult(bytes.NewReader(whole))
	if err != nil || res.Final == nil || res.Final.Ended != "complete" || len(res.Intervals) != 2 || len(res.Events) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := res.Intervals[0].Latency["e2e"]; got.TotalCount() != 1 || got.Quantile(1) < 4990*time.Microsecond {
		t.Errorf("latency %v", got.Quantile(1))
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for n := first; n < len(whole); n++ {
		if _, err := ReadResult(bytes.NewReader(whole[:n])); err != nil {
			t.Fatalf("cut off after %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for _, text := range []string{"{}\n", "hello\n", `{"kind":"header","format":"other"}`} {
		if _, err := ReadResult(strings.NewReader(text)); !errors.Is(err, ErrNoResult) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadResult(strings.NewReader(`{"kind":"header","format":"iotctl-bench","version":99}`)); err == nil {
		t.Error("version 99 was read")
	}
}

func TestIdentities(t *testing.T) {
	want := []Identity{{ClientID: "a", Username: "u", Password: "p,q"}, {ClientID: "b"}}
	for _, text := range []string{
		"client_id,username,password\na,u,\"p,q\"\nb,,\n",
		`[{"client_id":"a","username":"u","password":"p,q"},{"client_id":"b"}]`,
		"{\"client_id\":\"a\",\"username\":\"u\",\"password\":\"p,q\"}\n{\"client_id\":\"b\"}\n",
	} {
		got, err := ReadIdentities(strings.NewReader(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{"", "client_id,user\na,b\n", "client_id\n", `[{"id":"a"}]`, "a,b\n\"", "[]"} {
		if _, err := ReadIdentities(strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestSourceAddressesAreSpread(t *testing.T) {
	if got := source(5, perSource); got != "" {
		t.Errorf("few connections come from %q", got)
	}
	seen := map[string]int{}
	for n := range 1_000_000 {
		seen[source(n, 1_000_000)]++
	}
	for a, n := range seen {
		if n > perSource || !strings.HasPrefix(a, "127.0.") {
			t.Errorf("%d from %q", n, a)
		}
	}
}

// steady is a client with one publisher, without a connection.
func steady(qos uint8) (*Client, *publisher) {
	s := &Session{clock: newClock(0), rec: newRecorder(1), plan: &Plan{Size: 64}}
	s.rec.from.Store(0)
	c := &Client{s: s, sh: s.rec.shard(), opts: mqtt.Options{Version: mqtt.V311, FromServer: true}, window: 100, sub: new(trackers)}
	f := &flow{s: s, qos: qos}
	f.until.Store(never)
	p := &publisher{c: c, f: f, streams: []int{0}, payload: noise(64, 1)}
	f.pubs = []*publisher{p}
	s.own = true
	s.streams = []*stream{{topic: "bench/1/0", name: []byte("bench/1/0"), qos: qos, targets: 1, pub: p}}
	s.live.Store(&s.scene)
	return c, p
}

func TestNothingIsAllocatedPerMessage(t *testing.T) {
	for qos := range uint8(3) {
		c, p := steady(qos)
		cycle := func() {
			if p.fill(c.s.now()) == 0 {
				t.Fatal("nothing was sent")
			}
			out := c.out
			b := out.b
			c.out = nil
			for len(b) > 0 {
				h, body, n, err := mqtt.Frame(b, 0)
				if err == nil {
					err = c.packet(h, body, c.s.now())
				}
				if err != nil {
					t.Fatal(err)
				}
				b = b[n:]
			}
			c.free = c.free[:0]
			for i := range c.slots {
				c.free = append(c.free, uint16(i))
			}
			if c.out != nil {
				c.release()
			}
			clear(c.held)
			out.b = out.b[:0]
			writeBuffers.Put(out)
		}
		cycle()
		if n := testing.AllocsPerRun(20, cycle); n > 2 { // of the pool, for hundreds of messages
			t.Errorf("QoS %d: %v allocations", qos, n)
		}
	}
}

// BenchmarkMessage is what a message costs the generator without the system
// calls: encoding, decoding and the account.
func BenchmarkMessage(b *testing.B) {
	c, p := steady(0)
	for n := 0; n < b.N; {
		n += p.fill(c.s.now())
		out := c.out.b
		for len(out) > 0 {
			h, body, size, _ := mqtt.Frame(out, 0)
			_ = c.packet(h, body, c.s.now())
			out = out[size:]
		}
		c.out.b = c.out.b[:0]
	}
	b.ReportAllocs()
}
