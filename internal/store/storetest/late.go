package storetest

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// reopen compares what the store holds now, and after opening it again.
func reopen(t *testing.T, s store.Store, r Reopen, want ...store.Record) store.Store {
	t.Helper()
	if diff := cmp.Diff(want, load(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, r)
	if diff := cmp.Diff(want, load(t, s)); diff != "" {
		t.Errorf("after reopening (-want +got):\n%s", diff)
	}
	return s
}

func queued(client string, seq uint64, m *message.Message) store.Queued {
	return store.Queued{ClientID: client, Seq: seq, Message: m, QoS: 1}
}

// state is what belongs to a session, but for its record.
func state(client string) []store.Record {
	return []store.Record{
		store.Subscription{ClientID: client, Filter: "a"},
		queued(client, 5, msg("t", "late")),
		store.Released{ClientID: client, Seq: 6},
		store.Received{ClientID: client, PacketID: 7},
		store.Kept{ClientID: client, Key: "k", Data: []byte("late")},
	}
}

func withoutSession(t *testing.T, r Reopen) {
	s := open(t, r)
	for _, rec := range state("never") { // each alone, then all
		apply(t, s, puts(rec)...)
	}
	apply(t, s, puts(state("never")...)...)
	Fill(t, s, "gone")
	apply(t, s, append([]store.Op{{Kind: store.Delete, Record: store.Session{ClientID: "gone"}}}, puts(state("gone")...)...)...)
	if p := page(t, s, "gone", 0, math.MaxUint64); len(p) > 0 {
		t.Errorf("a queue without a session: %+v", p)
	}
	// Those who come later get nothing of it.
	next := []store.Record{store.Session{ClientID: "gone", Owner: "eve"}, store.Session{ClientID: "never", Owner: "eve"}}
	apply(t, s, puts(next...)...)
	reopen(t, s, r, next...)
}

func belowFirst(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, puts(store.Session{ClientID: "c", Owner: "ana", First: 10})...)
	old, shared := queued("c", 11, msg("t", "old")), msg("t", "shared")
	apply(t, s, puts(old)...)
	next := store.Session{ClientID: "c", Owner: "eve", First: 100}
	apply(t, s, store.Op{Kind: store.Delete, Record: next}, store.Op{Record: next})
	keep := []store.Record{next, queued("c", 100, shared), queued("c", 101, shared)}
	apply(t, s, puts(queued("c", 12, shared), store.Released{ClientID: "c", Seq: 99}, keep[1], keep[2])...)
	apply(t, s, puts(old)...)
	if diff := cmp.Diff([]store.Queued{keep[1].(store.Queued), keep[2].(store.Queued)}, page(t, s, "c", 0, math.MaxUint64)); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
	s = reopen(t, s, r, keep...) // which knows where the queue begins, too
	apply(t, s, puts(old)...)
	reopen(t, s, r, keep...)
}

func beginsAnew(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, puts(store.Session{ClientID: "c"}, store.Subscription{ClientID: "c", Filter: "a"})...)
	for seq := range uint64(20) {
		apply(t, s, puts(queued("c", seq+1, msg("t", "")))...)
	}
	apply(t, s, puts(store.Released{ClientID: "c", Seq: 3}, store.Released{ClientID: "c", Seq: 19})...)
	next := store.Session{ClientID: "c", First: 18}
	apply(t, s, puts(next)...)
	if p := page(t, s, "c", 0, math.MaxUint64); len(p) != 2 || p[0].Seq != 18 {
		t.Errorf("page: %+v", p)
	}
	reopen(t, s, r, next, store.Subscription{ClientID: "c", Filter: "a"},
		queued("c", 18, msg("t", "")), store.Released{ClientID: "c", Seq: 19}, queued("c", 20, msg("t", "")))
}
