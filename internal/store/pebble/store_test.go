package pebble

import (
	"testing"

	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Reopen {
		dir := t.TempDir()
		return func() (store.Store, error) { return Open(Config{Dir: dir}) }
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) storetest.Reopen {
		dir := t.TempDir()
		return func() (store.Store, error) { return Open(Config{Dir: dir}) }
	})
}
