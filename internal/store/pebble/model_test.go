package pebble

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// writer does to two sessions of its own what a broker does, batch by batch,
// and remembers what it was told.
type writer struct {
	name    string
	rng     *rand.Rand
	seq     uint64
	live    []uint64
	batches [][]store.Op
	began   atomic.Int64 // batches handed over
	acked   atomic.Int64 // batches that Apply has taken
}

func newWriter(name string, seed uint64) *writer {
	return &writer{name: name, rng: rand.New(rand.NewPCG(seed, 7)), batches: make([][]store.Op, 0, maxBatches)}
}

// maxBatches keeps a test short, and batches where they are while they are read.
const maxBatches = 3000

// clients are the two sessions of the writer.
func (w *writer) clients() []string { return []string{w.name + "/1", w.name + "/2"} }

// run applies batches until the store gives an error or stop says so.
func (w *writer) run(s *Store, stop func() bool) error {
	for !stop() && len(w.batches) < maxBatches {
		b := w.next()
		w.batches = append(w.batches, b)
		w.began.Add(1)
		if err := s.Apply(context.Background(), b); err != nil {
			return err
		}
		w.acked.Add(1)
	}
	return nil
}

// next makes up a batch.
func (w *writer) next() []store.Op {
	c := w.clients()
	if len(w.batches) == 0 || w.rng.IntN(100) == 0 { // wipe and begin again
		w.live = nil
		var b []store.Op
		for _, client := range c {
			b = append(
				b, store.Op{Kind: store.Delete, Record: store.Session{ClientID: client}},
				store.Op{Record: store.Session{ClientID: client, Owner: fmt.Sprint(len(w.batches))}},
			)
		}
		return b
	}
	switch n := w.rng.IntN(23); {
	case n < 8: // published to one or both
		w.seq += 1 + uint64(w.rng.IntN(3))
		m := w.message()
		w.live = append(w.live, w.seq)
		b := []store.Op{queued(c[0], w.seq, m)}
		if w.rng.IntN(2) == 0 {
			b = append(b, queued(c[1], w.seq, m))
		}
		return append(b, store.Op{Record: store.Received{ClientID: c[0], PacketID: uint16(w.seq % 8)}})
	case n < 14 && len(w.live) > 1: // acknowledged, and the first only at times
		i := w.rng.IntN(min(len(w.live), 4))
		if i == 0 && w.rng.IntN(4) > 0 {
			i = 1
		}
		seq := w.live[i]
		w.live = slices.Delete(w.live, i, i+1)
		return []store.Op{removal(c[0], seq), removal(c[1], seq)}
	case n < 16 && len(w.live) > 0:
		return []store.Op{{Record: store.Released{ClientID: c[0], Seq: w.live[w.rng.IntN(len(w.live))]}}}
	case n < 17 && len(w.live) > 0:
		return []store.Op{{Kind: store.Delete, Record: store.Released{ClientID: c[0], Seq: w.live[w.rng.IntN(len(w.live))]}}}
	case n < 18:
		return []store.Op{{Kind: store.Delete, Record: store.Received{ClientID: c[0], PacketID: uint16(w.rng.IntN(8))}}}
	case n < 19:
		return []store.Op{{Record: store.Subscription{ClientID: c[1], Filter: fmt.Sprint("f/", w.rng.IntN(5)), QoS: uint8(w.rng.IntN(3))}}}
	case n < 20:
		return []store.Op{{Kind: store.Delete, Record: store.Subscription{ClientID: c[1], Filter: fmt.Sprint("f/", w.rng.IntN(5))}}}
	default: // kept, and forgotten
		return []store.Op{
			{Record: store.Kept{ClientID: c[0], Key: fmt.Sprint("k", w.rng.IntN(5)), Data: fmt.Append(nil, len(w.batches))}},
			{Kind: store.Delete, Record: store.Kept{ClientID: c[0], Key: fmt.Sprint("k", w.rng.IntN(5))}},
			{Record: store.Kept{ClientID: c[1], Key: "both", Data: fmt.Append(nil, len(w.batches))}},
		}
	}
}

func (w *writer) message() *message.Message {
	return &message.Message{Topic: "t/" + w.name, Payload: fmt.Appendf(nil, "%d %s", w.seq, strings.Repeat("x", w.rng.IntN(300))), QoS: 1}
}

// state is what a store may hold of a writer: what must be there, by kind and
// key, and removed entries that a crash may bring back.
type state struct{ must, may map[string]store.Record }

// key tells records apart; Queued and Released share one.
func key(r store.Record) string {
	switch r := r.(type) {
	case store.Session:
		return r.ClientID + " session"
	case store.Subscription:
		return r.ClientID + " subscription " + r.Filter
	case store.Queued:
		return fmt.Sprintf("%s queue %d", r.ClientID, r.Seq)
	case store.Released:
		return fmt.Sprintf("%s queue %d", r.ClientID, r.Seq)
	case store.Received:
		return fmt.Sprintf("%s received %d", r.ClientID, r.PacketID)
	case store.Kept:
		return fmt.Sprintf("%s kept %s", r.ClientID, r.Key)
	}
	panic(fmt.Sprintf("%T", r))
}

func (st state) apply(batch []store.Op) {
	for _, op := range batch {
		k := key(op.Record)
		if op.Kind == store.Put {
			st.must[k] = op.Record
			delete(st.may, k)
			continue
		}
		switch r := op.Record.(type) {
		case store.Session:
			gone := func(k string, _ store.Record) bool { return strings.HasPrefix(k, r.ClientID+" ") }
			maps.DeleteFunc(st.must, gone)
			maps.DeleteFunc(st.may, gone)
		case store.Queued:
			if old, ok := st.must[k]; ok {
				st.may[k] = old
			}
		}
		delete(st.must, k)
	}
}

// diff says how got differs from what may be there.
func (st state) diff(got map[string]store.Record) string {
	rest := maps.Clone(got)
	for k, r := range st.may {
		if _, must := st.must[k]; !must && rest[k] != nil && cmp.Equal(rest[k], r) {
			delete(rest, k)
		}
	}
	return cmp.Diff(st.must, rest)
}

// records loads everything, queues included, in place of their backlogs, and what
// is kept.
func records(t *testing.T, s *Store) map[string]store.Record {
	t.Helper()
	got := map[string]store.Record{}
	if err := s.Load(t.Context(), func(r store.Record) error {
		log, ok := r.(store.Backlog)
		if !ok {
			got[key(r)] = r
			if o, ok := r.(store.Session); ok {
				kept, err := s.Kept(t.Context(), o.ClientID)
				for k, data := range kept {
					k := store.Kept{ClientID: o.ClientID, Key: k, Data: data}
					got[key(k)] = k
				}
				return err
			}
			return nil
		}
		n, last := 0, uint64(0)
		for {
			page, err := s.Queue(t.Context(), log.ClientID, last, math.MaxUint64)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, q := range page {
				if q.Seq <= last {
					t.Errorf("%s: %d after %d", log.ClientID, q.Seq, last)
				}
				got[key(q)], last = q, q.Seq
				n++
			}
		}
		if n != log.Messages || last != log.Last {
			t.Errorf("%d messages to %d, want %+v", n, last, log)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// verify compares what a store holds of w with the state after a number of
// batches between least and most.
func (w *writer) verify(t *testing.T, got map[string]store.Record, least, most int64) {
	t.Helper()
	own := map[string]store.Record{}
	for k, r := range got {
		if strings.HasPrefix(k, w.name+"/") {
			own[k] = r
		}
	}
	st := state{map[string]store.Record{}, map[string]store.Record{}}
	for _, b := range w.batches[:least] {
		st.apply(b)
	}
	diff := st.diff(own)
	for n := least; diff != "" && n < most; n++ {
		st.apply(w.batches[n])
		if st.diff(own) == "" {
			return
		}
	}
	if diff != "" {
		t.Errorf("%s after %d to %d batches (-want +got):\n%s", w.name, least, most, diff)
	}
}
