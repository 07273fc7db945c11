package mem

import (
	"testing"

	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Reopen {
		s := New()
		return func() (store.Store, error) { return s, nil }
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(testing.TB) storetest.Reopen {
		s := New()
		return func() (store.Store, error) { return s, nil }
	})
}

func TestNothingIsLeftOfDeletedSessions(t *testing.T) {
	s := New()
	storetest.Fill(t, s, "gone")
	if err := s.Apply(t.Context(), []store.Op{
		{Kind: store.Delete, Record: store.Session{ClientID: "gone"}},
		{Kind: store.Delete, Record: store.Queued{ClientID: "gone", Seq: 1}},
		{Kind: store.Put, Record: store.Queued{ClientID: "late", Seq: 1}},
		{Kind: store.Delete, Record: store.Queued{ClientID: "late", Seq: 1}},
	}); err != nil {
		t.Fatal(err)
	}
	if len(s.sessions) != 0 || len(s.wills) != 0 {
		t.Errorf("%d sessions and %d wills left", len(s.sessions), len(s.wills))
	}
}
