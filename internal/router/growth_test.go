package router

import (
	"fmt"
	"runtime"
	"testing"
)

// The benchmarks of growth are the points of curves that
// internal/bench/growth prints.

// growing are how many filters there are.
var growing = []int{10, 1000, 100_000, million}

func BenchmarkGrowthMatch(b *testing.B) {
	for _, c := range populations[:2] {
		for _, n := range growing {
			b.Run(fmt.Sprintf("%s/filters=%d", c.name, n), func(b *testing.B) {
				p := populate(n, 1, c.filter, c.topic)
				tree := new(Tree[*sub])
				p.insert(tree)
				dst := make([]*sub, 0, 1)
				i := 0
				for b.Loop() {
					i = (i + 7919) % n
					if dst = tree.Match(dst[:0], p.topics[i]); len(dst) != 1 {
						b.Fatalf("%d matches for %s", len(dst), p.topics[i])
					}
				}
			})
		}
	}
}

// BenchmarkGrowthMemory reports bytes per subscription without the filter
// strings, which the tree shares with whoever inserted them.
func BenchmarkGrowthMemory(b *testing.B) {
	for _, n := range growing[1:] {
		b.Run(fmt.Sprintf("filters=%d", n), func(b *testing.B) {
			p := populate(n, 1, populations[0].filter, populations[0].topic)
			var bytes uint64
			for b.Loop() {
				b.StopTimer()
				tree := new(Tree[*sub])
				before := heap()
				b.StartTimer()
				p.insert(tree)
				b.StopTimer()
				bytes = heap() - before
				runtime.KeepAlive(tree)
				b.StartTimer()
			}
			b.ReportMetric(float64(bytes)/float64(n), "B/sub")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sub")
			runtime.KeepAlive(p)
		})
	}
}
