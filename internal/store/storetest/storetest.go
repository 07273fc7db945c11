// Package storetest is the suite that every store passes.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// Reopen opens the store that the test is about; called again after Close, it
// opens the same one with what it has kept.
type Reopen func() (store.Store, error)

// Run holds a store to the contract. fresh makes an empty one.
func Run(t *testing.T, fresh func(*testing.T) Reopen) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Reopen){
		"every record comes back after reopening": everyRecord,
		"put replaces the record with that key":   putReplaces,
		"delete removes just that key":            deleteIsExact,
		"deleting a session removes all of it":    deleteSession,
		"a queue comes back in order":             queueOrder,
		"operations of a batch apply in order":    batchOrder,
		"load stops at the first error":           loadStops,
		"a page has bounds":                       pageBounds,
		"a page sees what has been applied":       pageIsFresh,
		"messages on the way are in no page":      pageWithoutReleased,
		"a page that is not full is the last":     pageIsFull,
		"a cancelled batch changes nothing":       cancelled,
		"a large queue":                           largeQueue,
		"what has no session is ignored":          withoutSession,
		"places below the first are ignored":      belowFirst,
		"a session put anew begins at its place":  beginsAnew,
		"what is kept is there by its key":        keptByKey,
		"what is kept goes with the session":      keptWithSession,
		"what is kept is part of its batch":       keptInBatch,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func msg(topic, payload string) *message.Message {
	return &message.Message{
		Topic: topic, Payload: []byte(payload), Properties: []byte{1, 1}, QoS: 2, Retain: true,
		Published: when, Expires: when.Add(time.Hour), Publisher: "p", Owner: "o",
	}
}

// records is one of each kind for a client.
func records(client string) []store.Record {
	return []store.Record{
		store.Session{ClientID: client, Owner: "ana", Expiry: store.Never, Ended: when, First: 1, Sent: 1},
		store.Subscription{ClientID: client, Filter: "$share/g/a/#", QoS: 2, RetainAsPublished: true, RetainHandling: 1, ID: 268435455},
		store.Queued{ClientID: client, Seq: 1, Message: msg("a/b", "one"), QoS: 1, Retain: true, SubscriptionIDs: []uint32{1, 7}, Share: "g/a/#"},
		store.Released{ClientID: client, Seq: 2},
		store.Received{ClientID: client, PacketID: 65535},
		store.Kept{ClientID: client, Key: "k", Data: []byte("of " + client)},
		store.Retained{Message: msg("r/"+client, "kept")},
		store.Will{ClientID: client, Message: msg("w", "gone"), Delay: time.Minute, Due: when, ExpiryInterval: time.Second},
	}
}

// Fill puts one record of each kind for client, except a retained message.
func Fill(t *testing.T, s store.Store, client string) {
	t.Helper()
	var batch []store.Op
	for _, r := range records(client) {
		if _, ok := r.(store.Retained); !ok {
			batch = append(batch, store.Op{Record: r})
		}
	}
	apply(t, s, batch...)
}

func open(t testing.TB, r Reopen) store.Store {
	t.Helper()
	s, err := r()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func apply(t testing.TB, s store.Store, batch ...store.Op) {
	t.Helper()
	if err := s.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func puts(rs ...store.Record) []store.Op {
	var batch []store.Op
	for _, r := range rs {
		batch = append(batch, store.Op{Kind: store.Put, Record: r})
	}
	return batch
}

// load returns what the store holds, with the messages of a queue in place of
// its backlog, in the order of Seq, and what is kept behind what Load gives of its
// session.
func load(t testing.TB, s store.Store) []store.Record {
	t.Helper()
	var got []store.Record
	var last string // session
	err := s.Load(t.Context(), func(r store.Record) error {
		if client := ownerOf(r); client != last {
			got = append(got, kept(t, s, last)...)
			last = client
		}
		b, ok := r.(store.Backlog)
		if !ok {
			got = append(got, r)
			return nil
		}
		all := queue(t, s, b.ClientID)
		bytes := 0
		for _, q := range all {
			got = append(got, q)
			bytes += q.Message.Size()
		}
		if want := (store.Backlog{
			ClientID: b.ClientID, First: all[0].Seq, Last: all[len(all)-1].Seq, Messages: len(all), Bytes: bytes,
		}); b != want {
			t.Errorf("backlog %+v, the queue says %+v", b, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, kept(t, s, last)...)
	sortQueues(got)
	return got
}

// ownerOf is the client of the session that a record belongs to, "" for none.
func ownerOf(r store.Record) string {
	switch r := r.(type) {
	case store.Session:
		return r.ClientID
	case store.Subscription:
		return r.ClientID
	case store.Received:
		return r.ClientID
	case store.Backlog:
		return r.ClientID
	}
	client, _, _ := place(r)
	return client
}

// sortQueues brings the records of each queue into the order of Seq, whatever a
// store gives first.
func sortQueues(all []store.Record) {
	at := map[string][]int{}
	queues := map[string][]store.Record{}
	for i, r := range all {
		if client, _, ok := place(r); ok {
			at[client] = append(at[client], i)
			queues[client] = append(queues[client], r)
		}
	}
	for client, q := range queues {
		slices.SortFunc(q, func(a, b store.Record) int {
			_, sa, _ := place(a)
			_, sb, _ := place(b)
			return cmp.Compare(sa, sb)
		})
		for i, r := range q {
			all[at[client][i]] = r
		}
	}
}

// place is where a record stands in the queue of a client.
func place(r store.Record) (client string, seq uint64, ok bool) {
	switch r := r.(type) {
	case store.Queued:
		return r.ClientID, r.Seq, true
	case store.Released:
		return r.ClientID, r.Seq, true
	}
	return "", 0, false
}

// reload closes s and returns what the store holds after opening it again.
func reload(t testing.TB, s store.Store, r Reopen) []store.Record {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return load(t, open(t, r))
}

func everyRecord(t *testing.T, r Reopen) {
	s := open(t, r)
	want := records("c")
	apply(t, s, puts(want...)...)
	if diff := gocmp.Diff(want, reload(t, s, r)); diff != "" {
		t.Errorf("records changed (-put +loaded):\n%s", diff)
	}
}

func putReplaces(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, puts(records("c")...)...)
	want := []store.Record{
		store.Session{ClientID: "c", Owner: "eve"},
		store.Subscription{ClientID: "c", Filter: "$share/g/a/#", QoS: 1},
		store.Released{ClientID: "c", Seq: 1}, // takes the place of Queued with that Seq
		store.Released{ClientID: "c", Seq: 2},
		store.Received{ClientID: "c", PacketID: 65535},
		store.Kept{ClientID: "c", Key: "k", Data: []byte("new")},
		store.Retained{Message: msg("r/c", "new")},
		store.Will{ClientID: "c", Message: msg("w2", "")},
	}
	apply(t, s, puts(want...)...)
	if diff := gocmp.Diff(want, reload(t, s, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func deleteIsExact(t *testing.T, r Reopen) {
	s := open(t, r)
	keep := []store.Record{
		store.Session{ClientID: "c"},
		store.Subscription{ClientID: "c", Filter: "a"},
		store.Queued{ClientID: "c", Seq: 1, Message: msg("t", "")},
		store.Received{ClientID: "c", PacketID: 1},
		store.Kept{ClientID: "c", Key: "a", Data: []byte{1}},
		store.Retained{Message: msg("a", "")},
	}
	apply(t, s, puts(keep...)...)
	gone := []store.Record{
		store.Subscription{ClientID: "c", Filter: "b"},
		store.Queued{ClientID: "c", Seq: 2, Message: msg("t", "")},
		store.Received{ClientID: "c", PacketID: 2},
		store.Kept{ClientID: "c", Key: "ab", Data: []byte{1}},
		store.Kept{ClientID: "c", Key: "", Data: []byte{1}},
		store.Retained{Message: msg("a/b", "")},
		store.Will{ClientID: "c", Message: msg("w", "")},
		store.Session{ClientID: "d"},
	}
	apply(t, s, puts(gone...)...)
	var batch []store.Op
	for _, g := range gone {
		batch = append(batch, store.Op{Kind: store.Delete, Record: g})
	}
	batch = append(batch, batch...) // deleting twice is no error
	apply(t, s, batch...)
	for _, g := range []store.Record{ // of a session that is not there, each alone
		store.Subscription{ClientID: "d", Filter: "a"},
		store.Queued{ClientID: "d", Seq: 1},
		store.Released{ClientID: "d", Seq: 1},
		store.Received{ClientID: "d", PacketID: 1},
		store.Kept{ClientID: "d", Key: "a"},
	} {
		apply(t, s, store.Op{Kind: store.Delete, Record: g})
	}
	if diff := gocmp.Diff(keep, reload(t, s, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func deleteSession(t *testing.T, r Reopen) {
	s := open(t, r)
	Fill(t, s, "a")
	Fill(t, s, "a/b") // a neighbour whose name starts the same
	apply(t, s, store.Op{Kind: store.Delete, Record: store.Session{ClientID: "a"}})
	var want []store.Record
	for _, rec := range records("a/b") {
		if _, ok := rec.(store.Retained); !ok {
			want = append(want, rec)
		}
	}
	if diff := gocmp.Diff(want, reload(t, s, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func queueOrder(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c"}})
	for _, seq := range []uint64{300, 2, 70000, 1, 256} {
		apply(t, s, store.Op{Record: store.Queued{ClientID: "c", Seq: seq, Message: msg("t", "")}})
	}
	var got []uint64
	for _, rec := range reload(t, s, r) {
		if q, ok := rec.(store.Queued); ok {
			got = append(got, q.Seq)
		}
	}
	if diff := gocmp.Diff([]uint64{1, 2, 256, 300, 70000}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func batchOrder(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s,
		store.Op{Record: store.Session{ClientID: "c", Owner: "old"}},
		store.Op{Record: store.Subscription{ClientID: "c", Filter: "a"}},
		store.Op{Kind: store.Delete, Record: store.Session{ClientID: "c"}},
		store.Op{Record: store.Session{ClientID: "c", Owner: "new"}},
	)
	if diff := gocmp.Diff([]store.Record{store.Session{ClientID: "c", Owner: "new"}}, reload(t, s, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func loadStops(t *testing.T, r Reopen) {
	s := open(t, r)
	Fill(t, s, "c")
	stop := errors.New("enough")
	n := 0
	err := s.Load(t.Context(), func(store.Record) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("Load gave %v after %d records, want %v after 1", err, n, stop)
	}
}

func cancelled(t *testing.T, r Reopen) {
	s := open(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Apply(ctx, puts(records("c")...)); err == nil {
		t.Error("Apply with a cancelled context gave no error")
	}
	if got := reload(t, s, r); len(got) != 0 {
		t.Errorf("%d records of the refused batch are there", len(got))
	}
}

func largeQueue(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c"}})
	const n, step = 20000, 500
	for i := 1; i <= n; i += step {
		var batch []store.Op
		for seq := i; seq < i+step; seq++ {
			batch = append(batch, store.Op{Record: store.Queued{ClientID: "c", Seq: uint64(seq), Message: msg("t", fmt.Sprint(seq))}})
		}
		apply(t, s, batch...)
	}
	next := uint64(1)
	for _, rec := range reload(t, s, r) {
		q, ok := rec.(store.Queued)
		if !ok {
			continue
		}
		if q.Seq != next || string(q.Message.Payload) != fmt.Sprint(next) {
			t.Fatalf("entry %d is %d with payload %q", next, q.Seq, q.Message.Payload)
		}
		next++
	}
	if next != n+1 {
		t.Errorf("%d of %d entries came back", next-1, n)
	}
}

// Benchmark measures the way of a queued message: put, later delete.
func Benchmark(b *testing.B, fresh func(testing.TB) Reopen) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := open(b, fresh(b))
			apply(b, s, store.Op{Record: store.Session{ClientID: "c"}})
			m := msg("t", "0123456789")
			batch := make([]store.Op, 0, 2*size)
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				batch = batch[:0]
				for range size {
					batch = append(batch, store.Op{Record: store.Queued{ClientID: "c", Seq: seq, Message: m}})
					if seq >= 1000 {
						batch = append(batch, store.Op{Kind: store.Delete, Record: store.Queued{ClientID: "c", Seq: seq - 1000}})
					}
					seq++
				}
				if err := s.Apply(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
