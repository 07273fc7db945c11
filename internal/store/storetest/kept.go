package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/store"
)

// kept returns what is kept with the session of client, by key.
func kept(t testing.TB, s store.Store, client string) []store.Record {
	t.Helper()
	all, err := s.Kept(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	var rs []store.Record
	for _, key := range slices.Sorted(maps.Keys(all)) {
		rs = append(rs, store.Kept{ClientID: client, Key: key, Data: all[key]})
	}
	return rs
}

func keptByKey(t *testing.T, r Reopen) {
	s := open(t, r)
	want := []store.Record{
		store.Session{ClientID: "c"},
		store.Kept{ClientID: "c", Key: "", Data: []byte("no key")},
		store.Kept{ClientID: "c", Key: "\x00\xff", Data: []byte{}},
		store.Kept{ClientID: "c", Key: "a", Data: []byte{0, 0xff}},
		store.Kept{ClientID: "c", Key: "a/b", Data: []byte("more")},
		store.Kept{ClientID: "c", Key: strings.Repeat("long", 1<<12), Data: []byte(strings.Repeat("x", 1<<16))},
	}
	apply(t, s, puts(want...)...)
	if got := kept(t, s, "d"); len(got) > 0 {
		t.Errorf("of nobody: %+v", got)
	}
	// A session that is put again stays the same one.
	want[0] = store.Session{ClientID: "c", Owner: "ana"}
	apply(t, s, puts(want[0], store.Session{ClientID: "d"})...)
	s = reopen(t, s, r, append(want, store.Session{ClientID: "d"})...)
	want[3] = store.Kept{ClientID: "c", Key: "a", Data: []byte("another")}
	apply(t, s, store.Op{Record: want[3]}, store.Op{Kind: store.Delete, Record: want[4]})
	want = slices.Delete(want, 4, 5)
	reopen(t, s, r, append(want, store.Session{ClientID: "d"})...)
}

func keptWithSession(t *testing.T, r Reopen) {
	s := open(t, r)
	first := []store.Record{store.Session{ClientID: "c"}, store.Kept{ClientID: "c", Key: "k", Data: []byte("old")}}
	apply(t, s, puts(first...)...)
	s = reopen(t, s, r, first...)
	next := store.Session{ClientID: "c", Owner: "eve"}
	apply(t, s, store.Op{Kind: store.Delete, Record: next}, store.Op{Record: next})
	s = reopen(t, s, r, next)
	apply(t, s, puts(first[1])...)
	apply(t, s, store.Op{Kind: store.Delete, Record: next})
	s = reopen(t, s, r)
	apply(t, s, puts(next)...)
	reopen(t, s, r, next)
}

func keptInBatch(t *testing.T, r Reopen) {
	s := open(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch := puts(store.Session{ClientID: "c"}, store.Kept{ClientID: "c", Key: "k", Data: []byte("1")})
	if err := s.Apply(ctx, batch); err == nil {
		t.Error("Apply with a cancelled context gave no error")
	}
	if got := kept(t, s, "c"); len(got) > 0 {
		t.Errorf("of a batch that was refused: %+v", got)
	}
	if _, err := s.Kept(ctx, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("Kept with a cancelled context: %v", err)
	}
	apply(t, s, append(batch,
		store.Op{Kind: store.Delete, Record: store.Kept{ClientID: "c", Key: "k"}},
		store.Op{Record: store.Kept{ClientID: "c", Key: "l", Data: []byte("2")}},
		store.Op{Record: store.Kept{ClientID: "c", Key: "l", Data: []byte("3")}},
	)...)
	want := []store.Record{store.Kept{ClientID: "c", Key: "l", Data: []byte("3")}}
	if diff := cmp.Diff(want, kept(t, s, "c")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
