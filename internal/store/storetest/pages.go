package storetest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/store"
)

// queue reads a whole queue, page by page.
func queue(t testing.TB, s store.Store, client string) []store.Queued {
	t.Helper()
	all := page(t, s, client, 0, math.MaxUint64)
	for n := len(all); n > 0; {
		more := page(t, s, client, all[len(all)-1].Seq, math.MaxUint64)
		all, n = append(all, more...), len(more)
	}
	return all
}

func page(t testing.TB, s store.Store, client string, after, through uint64) []store.Queued {
	t.Helper()
	p, err := s.Queue(t.Context(), client, after, through)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pageBounds(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c"}}, store.Op{Record: store.Session{ClientID: "d"}})
	var batch []store.Op
	for i := range store.PageMessages + 10 {
		batch = append(batch, store.Op{Record: store.Queued{ClientID: "c", Seq: uint64(10 * (i + 1)), Message: msg("t", "")}})
	}
	for i := range 3 {
		big := msg("t", strings.Repeat("x", store.PageBytes*2/3))
		batch = append(batch, store.Op{Record: store.Queued{ClientID: "d", Seq: uint64(i + 1), Message: big}})
	}
	apply(t, s, batch...)
	for _, c := range []struct {
		client         string
		after, through uint64
		first          uint64
		n              int
	}{
		{"c", 0, math.MaxUint64, 10, store.PageMessages},
		{"c", 10 * store.PageMessages, math.MaxUint64, 10*store.PageMessages + 10, 10},
		{"c", 10, 40, 20, 3},
		{"c", 14, 15, 0, 0},
		{"c", math.MaxUint64, math.MaxUint64, 0, 0},
		{"d", 0, math.MaxUint64, 1, 2},
		{"d", 2, 3, 3, 1},
		{"nobody", 0, math.MaxUint64, 0, 0},
	} {
		p := page(t, s, c.client, c.after, c.through)
		if len(p) != c.n || c.n > 0 && p[0].Seq != c.first {
			t.Errorf("%q from %d through %d: %d messages, want %d from %d on", c.client, c.after, c.through, len(p), c.n, c.first)
		}
	}
}

func pageIsFresh(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c"}})
	for seq := range uint64(50) {
		put := store.Queued{ClientID: "c", Seq: seq + 2, Message: msg("t", fmt.Sprint(seq)), QoS: 1, SubscriptionIDs: []uint32{3}}
		apply(t, s, store.Op{Record: put})
		if diff := cmp.Diff([]store.Queued{put}, page(t, s, "c", seq+1, math.MaxUint64)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	apply(t, s, store.Op{Kind: store.Delete, Record: store.Session{ClientID: "c"}}, store.Op{Record: store.Session{ClientID: "c"}})
	if p := page(t, s, "c", 0, math.MaxUint64); len(p) > 0 {
		t.Errorf("the queue of a session that has been removed: %+v", p)
	}
}

func pageWithoutReleased(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c"}})
	for seq := range uint64(4) {
		apply(t, s, store.Op{Record: store.Queued{ClientID: "c", Seq: seq + 1, Message: msg("t", "")}})
	}
	apply(t, s,
		store.Op{Record: store.Released{ClientID: "c", Seq: 1}},
		store.Op{Kind: store.Delete, Record: store.Queued{ClientID: "c", Seq: 3}},
	)
	var got []uint64
	for _, q := range page(t, s, "c", 0, math.MaxUint64) {
		got = append(got, q.Seq)
	}
	if diff := cmp.Diff([]uint64{2, 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A page that is not full is the last, whatever lies between.
func pageIsFull(t *testing.T, r Reopen) {
	s := open(t, r)
	apply(t, s, store.Op{Record: store.Session{ClientID: "c"}})
	var queued, released []store.Op
	for i := range uint64(3 * store.PageMessages) {
		queued = append(queued, store.Op{Record: store.Queued{ClientID: "c", Seq: i + 1, Message: msg("t", "")}})
		if i%2 == 0 {
			released = append(released, store.Op{Record: store.Released{ClientID: "c", Seq: i + 1}})
		}
	}
	apply(t, s, queued...)
	apply(t, s, released...)
	p := page(t, s, "c", 0, math.MaxUint64)
	if len(p) != store.PageMessages {
		t.Fatalf("a page of %d messages with %d behind it", len(p), 3*store.PageMessages/2-len(p))
	}
	if rest := page(t, s, "c", p[len(p)-1].Seq, math.MaxUint64); len(rest) != store.PageMessages/2 {
		t.Errorf("%d messages behind the first page, want %d", len(rest), store.PageMessages/2)
	}
}
