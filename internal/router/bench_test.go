package router

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

const million = 1_000_000

// sub stands for what a broker keeps per subscription; only the pointer to it
// lies in the tree.
type sub struct{ _ int }

// population is a million subscriptions, fanout of them for each topic.
type population struct {
	filters []string
	subs    []sub
	topics  []string
}

func populate(n, fanout int, filter, topic string) *population {
	p := &population{subs: make([]sub, n)}
	for i := range n {
		if k := i / fanout; i%fanout == 0 {
			p.filters = append(p.filters, fmt.Sprintf(filter, k/1000, k%1000))
			p.topics = append(p.topics, fmt.Sprintf(topic, k/1000, k%1000))
		} else {
			p.filters = append(p.filters, p.filters[i-1])
		}
	}
	return p
}

func (p *population) insert(t *Tree[*sub]) {
	for i := range p.subs {
		t.Insert(p.filters[i], &p.subs[i])
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The populations. Bytes per subscription leave out the filter strings, which
// the tree shares with whoever inserted them.
var populations = []struct {
	name          string
	fanout        int
	filter, topic string
}{
	{"fanout=1", 1, "site/%d/device/%d/cmd", "site/%d/device/%d/cmd"},
	{"fanout=1,wild", 1, "site/%d/device/%d/+/#", "site/%d/device/%d/cmd/set"},
	{"fanout=1,flat", 1, "device-%04d%03d/cmd", "device-%04d%03d/cmd"},
	{"fanout=100", 100, "site/%d/device/%d/cmd", "site/%d/device/%d/cmd"},
	{"fanout=10k", 10_000, "site/%d/device/%d/cmd", "site/%d/device/%d/cmd"},
}

func BenchmarkInsert(b *testing.B) {
	for _, c := range populations {
		b.Run("subs=1M/"+c.name, func(b *testing.B) {
			p := populate(million, c.fanout, c.filter, c.topic)
			var bytes uint64
			b.ReportAllocs()
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
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/sub")
			b.ReportMetric(float64(bytes)/million, "B/sub")
			runtime.KeepAlive(p)
		})
	}
}

func BenchmarkRemove(b *testing.B) {
	for _, c := range populations {
		b.Run("subs=1M/"+c.name, func(b *testing.B) {
			p := populate(million, c.fanout, c.filter, c.topic)
			for b.Loop() {
				b.StopTimer()
				tree := new(Tree[*sub])
				p.insert(tree)
				runtime.GC()
				b.StartTimer()
				for i := range p.subs {
					j := i * 7919 % million // not in the order of insertion
					if !tree.Remove(p.filters[j], &p.subs[j]) {
						b.Fatal(p.filters[j])
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/sub")
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, c := range populations {
		b.Run("subs=1M/"+c.name, func(b *testing.B) {
			p := populate(million, c.fanout, c.filter, c.topic)
			tree := new(Tree[*sub])
			p.insert(tree)
			dst := make([]*sub, 0, c.fanout)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % len(p.topics)
				if dst = tree.Match(dst[:0], p.topics[i]); len(dst) != c.fanout {
					b.Fatalf("%d matches for %s", len(dst), p.topics[i])
				}
			}
		})
	}
}

func BenchmarkMatchNothing(b *testing.B) {
	p := populate(million, 1, populations[0].filter, populations[0].topic)
	tree := new(Tree[*sub])
	p.insert(tree)
	b.ReportAllocs()
	for b.Loop() {
		if got := tree.Match(nil, "site/7/device/none/cmd"); got != nil {
			b.Fatal(got)
		}
	}
}

// BenchmarkContention matches on every core while one goroutine subscribes and
// unsubscribes without a pause.
func BenchmarkContention(b *testing.B) {
	for _, writer := range []bool{false, true} {
		b.Run(fmt.Sprintf("subs=100k/writer=%v", writer), func(b *testing.B) {
			p := populate(100_000, 1, populations[0].filter, populations[0].topic)
			tree := new(Tree[*sub])
			p.insert(tree)
			var stop atomic.Bool
			var writes int
			done := make(chan struct{})
			go func() {
				defer close(done)
				for writer && !stop.Load() {
					i := writes % len(p.subs)
					tree.Insert("site/x/"+p.filters[i], &p.subs[i])
					tree.Remove("site/x/"+p.filters[i], &p.subs[i])
					writes += 2
				}
			}()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				dst := make([]*sub, 0, 8)
				for i := 0; pb.Next(); i++ {
					if dst = tree.Match(dst[:0], p.topics[i*7919%len(p.topics)]); len(dst) != 1 {
						b.Error(len(dst))
					}
				}
			})
			b.StopTimer()
			stop.Store(true)
			<-done
			b.ReportMetric(float64(writes)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

// BenchmarkWildcardBomb publishes to a topic of 60 levels when 100,000 clients
// hold a filter of wildcards.
func BenchmarkWildcardBomb(b *testing.B) {
	const clients = 100_000
	topic := "a"
	for range 59 {
		topic += "/a"
	}
	tree := new(Tree[*sub])
	subs := make([]sub, clients)
	for i := range subs {
		tree.Insert("+/+/+/+/+/#", &subs[i])
	}
	dst := make([]*sub, 0, clients)
	b.ReportAllocs()
	for b.Loop() {
		if dst = tree.Match(dst[:0], topic); len(dst) != clients {
			b.Fatal(len(dst))
		}
	}
}

func BenchmarkNames(b *testing.B) {
	p := populate(million, 1, "", "site/%d/device/%d/state")
	names := new(Names[*sub])
	before := heap()
	for i, topic := range p.topics {
		names.Set(topic, &p.subs[i])
	}
	bytes := float64(heap()-before) / million
	b.Run("names=1M/set", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			names.Set(p.topics[i*7919%million], &p.subs[i%million])
		}
		b.ReportMetric(bytes, "B/name")
	})
	for _, c := range []struct {
		filter string
		want   int
	}{{"site/7/device/7/state", 1}, {"site/7/+/7/#", 1}, {"site/7/#", 1000}, {"site/+/device/7/+", 1000}} {
		b.Run(fmt.Sprintf("names=1M/match=%s", c.filter), func(b *testing.B) {
			dst := make([]*sub, 0, c.want)
			b.ReportAllocs()
			for b.Loop() {
				if dst = names.Match(dst[:0], c.filter); len(dst) != c.want {
					b.Fatal(len(dst))
				}
			}
		})
	}
}
