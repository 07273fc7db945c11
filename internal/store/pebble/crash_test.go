package pebble

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// smallTables makes a test flush and compact.
const smallTables = 64 << 10

// TestPowerCut takes images of the disk under eight writers, each as a power
// cut would leave it: what was not synced survives in part.
func TestPowerCut(t *testing.T) {
	rounds, cuts := 6, 10
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(round), 1))
			disk := vfs.NewCrashableMem()
			s, err := Open(Config{Dir: "data", fs: disk, memTable: smallTables})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			writers, wait := startWriters(t, s, 8, uint64(round), func() bool { return ctx.Err() != nil })
			type cut struct {
				image       *vfs.MemFS
				least, most []int64
			}
			var all []cut
			for range cuts {
				want := total(acked(writers)) + rng.Int64N(600)
				for total(acked(writers)) < want && total(acked(writers)) < 8*maxBatches {
					runtime.Gosched()
				}
				c := cut{least: acked(writers)}
				c.image = disk.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: []int{0, 30, 70}[rng.IntN(3)], RNG: rng,
				})
				c.most = began(writers)
				all = append(all, c)
			}
			cancel()
			wait()
			for _, c := range all {
				verifyImage(t, c.image, writers, c.least, c.most)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			verifyImage(t, disk.CrashClone(vfs.CrashCloneCfg{}), writers, acked(writers), began(writers))
		})
	}
}

func startWriters(t *testing.T, s *Store, n int, seed uint64, stop func() bool) ([]*writer, func()) {
	var all []*writer
	var wait sync.WaitGroup
	for i := range n {
		w := newWriter(fmt.Sprint("w", i), seed<<8+uint64(i))
		all = append(all, w)
		wait.Go(func() {
			if err := w.run(s, stop); err != nil && s.failure.cause() == nil {
				t.Error(err)
			}
		})
	}
	return all, wait.Wait
}

func acked(all []*writer) []int64 {
	var n []int64
	for _, w := range all {
		n = append(n, w.acked.Load())
	}
	return n
}

func began(all []*writer) []int64 {
	var n []int64
	for _, w := range all {
		n = append(n, w.began.Load())
	}
	return n
}

func total(counts []int64) (sum int64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// verifyImage checks a store, opens it and compares it with what its writers
// were told.
func verifyImage(t *testing.T, image *vfs.MemFS, all []*writer, least, most []int64) {
	t.Helper()
	c := Config{Dir: "data", fs: image, memTable: smallTables}
	report, err := check(t.Context(), c)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("check: %v, %v", report, err)
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	got := records(t, s)
	for i, w := range all {
		w.verify(t, got, least[i], most[i])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
