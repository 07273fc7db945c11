package broker

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// The benchmarks of growth are the points of curves that
// internal/bench/growth prints.

func BenchmarkGrowthDelivery(b *testing.B) {
	for _, qos := range []uint8{0, 1} {
		for _, n := range []int{1, 10, 100, 1000, 10_000} {
			b.Run(fmt.Sprintf("qos=%d/subscribers=%d", qos, n), func(b *testing.B) {
				br := idle(b, Config{})
				p, to := publisher(b, br, "p"), fanout(b, br, n, "a/b/c", qos)
				v := view("a/b/c=0123456789012345678901234567890123456789", qos)
				for b.Loop() {
					publishAndAck(b, p, v, to)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
			})
		}
	}
}

// BenchmarkGrowthSubscriptions reports what a broker holds for each
// subscription, its filter included, where every session has a thousand.
func BenchmarkGrowthSubscriptions(b *testing.B) {
	const each = 1000
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("subs=%d", n), func(b *testing.B) {
			var bytes uint64
			for b.Loop() {
				b.StopTimer()
				br := idle(b, Config{})
				before := inUse()
				b.StartTimer()
				for i := range n / each {
					l, _, err := br.Attach(context.Background(), identity(""), options(fmt.Sprintf("s-%d", i)), &sink{})
					if err != nil {
						b.Fatal(err)
					}
					l.Start()
					for k := range each {
						l.Subscribe([]Subscription{{Filter: fmt.Sprintf("site/%d/device/%d/cmd", i, k)}})
					}
				}
				b.StopTimer()
				bytes = inUse() - before
				runtime.KeepAlive(br)
				b.StartTimer()
			}
			b.ReportMetric(float64(bytes)/float64(n), "B/sub")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sub")
		})
	}
}

// inUse is the size of the heap.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
