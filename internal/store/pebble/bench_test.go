package pebble

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// telemetry makes messages whose payload of 200 bytes does not compress.
func telemetry(rng *rand.Rand) *message.Message {
	payload := make([]byte, 200)
	for i := range payload {
		payload[i] = byte(rng.Uint32())
	}
	return &message.Message{
		Topic: fmt.Sprintf("plant/%d/line/%d/temperature", rng.IntN(10), rng.IntN(100)), Payload: payload, QoS: 1,
		Published: time.Now(), Publisher: fmt.Sprintf("sensor-%04d", rng.IntN(10000)), Owner: "sensors",
	}
}

func openBench(b *testing.B, c Config) *Store {
	c.Dir = b.TempDir()
	s, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func queued(client string, seq uint64, m *message.Message) store.Op {
	return store.Op{Record: store.Queued{ClientID: client, Seq: seq, Message: m, QoS: 1}}
}

func removal(client string, seq uint64) store.Op {
	return store.Op{Kind: store.Delete, Record: store.Queued{ClientID: client, Seq: seq}}
}

// reportBytes gives the bytes that reached the disk for each of n messages,
// what waits in memory to be flushed included.
func reportBytes(b *testing.B, s *Store, n int) {
	if err := s.settle(); err != nil {
		b.Fatal(err)
	}
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	for m := s.db.Metrics(); m.Compact.NumInProgress > 0; m = s.db.Metrics() {
		time.Sleep(time.Millisecond)
	}
	m := s.db.Metrics()
	b.ReportMetric(float64(written(m))/float64(n), "B/msg")
	b.ReportMetric(float64(m.WAL.BytesWritten)/float64(n), "log-B/msg")
}

// BenchmarkWriters has 64 publishers, each with a queue whose client
// acknowledges 16 messages later.
func BenchmarkWriters(b *testing.B) {
	for _, d := range []Durability{Sync, Interval, Memory} {
		b.Run(d.String(), func(b *testing.B) {
			s := openBench(b, Config{Durability: d})
			const writers = 64
			var wait sync.WaitGroup
			var next atomic.Int64
			took := make([][]time.Duration, writers)
			b.ResetTimer()
			for w := range writers {
				wait.Go(func() {
					client := fmt.Sprint("c", w)
					_ = s.Apply(b.Context(), []store.Op{{Record: store.Session{ClientID: client}}})
					m := telemetry(rand.New(rand.NewPCG(1, uint64(w))))
					for seq := uint64(1); next.Add(1) <= int64(b.N); seq++ {
						start := time.Now()
						if err := s.Apply(b.Context(), []store.Op{queued(client, seq, m)}); err != nil {
							b.Error(err)
							return
						}
						took[w] = append(took[w], time.Since(start))
						if seq > 16 {
							_ = s.Apply(b.Context(), []store.Op{removal(client, seq-16)})
						}
					}
				})
			}
			wait.Wait()
			b.StopTimer()
			all := slices.Concat(took...)
			slices.Sort(all)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(all[len(all)*99/100])/1e6, "p99-ms")
			reportBytes(b, s, b.N)
		})
	}
}

// BenchmarkOffline stores messages for clients that are away, then removes them
// as the clients come back. It is about B/msg.
func BenchmarkOffline(b *testing.B) {
	for _, clients := range []int{1, 10, 1000} {
		for _, depth := range []int{100_000, 1_000_000} {
			b.Run(fmt.Sprintf("clients=%d/depth=%d", clients, depth), func(b *testing.B) {
				for b.Loop() {
					s := openBench(b, Config{Durability: Memory})
					rng := rand.New(rand.NewPCG(1, 2))
					fill(b, s, rng, clients, depth)
					drain(b, s, clients)
					reportBytes(b, s, depth)
				}
			})
		}
	}
}

func fill(b *testing.B, s *Store, rng *rand.Rand, clients, depth int) {
	var batch []store.Op
	for i := range depth {
		client := fmt.Sprint("c", rng.IntN(clients))
		if i < clients {
			client = fmt.Sprint("c", i)
			batch = append(batch, store.Op{Record: store.Session{ClientID: client}})
		}
		batch = append(batch, queued(client, uint64(i+1), telemetry(rng)))
		if len(batch) >= 64 || i == depth-1 {
			if err := s.Apply(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

func drain(b *testing.B, s *Store, clients int) {
	for c := range clients {
		client, after := fmt.Sprint("c", c), uint64(0)
		for {
			page, err := s.Queue(b.Context(), client, after, math.MaxUint64)
			if err != nil {
				b.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			var batch []store.Op
			for _, q := range page {
				batch = append(batch, removal(client, q.Seq))
			}
			if err := s.Apply(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			after = page[len(page)-1].Seq
		}
	}
}

// BenchmarkOpen opens and loads a store with 1,000,000 queued messages.
func BenchmarkOpen(b *testing.B) {
	for _, clients := range []int{1, 1000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			dir := b.TempDir()
			s, err := Open(Config{Dir: dir, Durability: Memory})
			if err != nil {
				b.Fatal(err)
			}
			fill(b, s, rand.New(rand.NewPCG(1, 2)), clients, 1_000_000)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				s, err := Open(Config{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				if err := s.Load(b.Context(), func(r store.Record) error {
					if log, ok := r.(store.Backlog); ok {
						n += log.Messages
					}
					return nil
				}); err != nil || n != 1_000_000 {
					b.Fatal(n, err)
				}
				b.StopTimer()
				b.ReportMetric(residentMiB(b), "RSS-MiB")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func residentMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(status), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * float64(os.Getpagesize()) / (1 << 20)
}

// BenchmarkFanOut queues one message for 1000 clients that are away.
func BenchmarkFanOut(b *testing.B) {
	s := openBench(b, Config{})
	const clients = 1000
	var batch []store.Op
	for c := range clients {
		batch = append(batch, store.Op{Record: store.Session{ClientID: fmt.Sprint("c", c)}})
	}
	if err := s.Apply(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	rng, seq, start := rand.New(rand.NewPCG(1, 2)), uint64(0), written(s.db.Metrics())
	for b.Loop() {
		batch, seq = batch[:0], seq+1
		m := telemetry(rng)
		for c := range clients {
			batch = append(batch, queued(fmt.Sprint("c", c), seq, m))
		}
		if err := s.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(written(s.db.Metrics())-start)/float64(seq), "B/publish")
}
