package broker

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/store/pebble"
)

// stores open what they have closed.
var stores = map[string]func(*testing.B) (reopen func() store.Store){
	"mem": func(*testing.B) func() store.Store {
		s := mem.New()
		return func() store.Store { return s }
	},
	"pebble": func(b *testing.B) func() store.Store {
		dir := b.TempDir()
		return func() store.Store {
			s, err := pebble.Open(pebble.Config{Dir: dir, Durability: pebble.Memory})
			if err != nil {
				b.Fatal(err)
			}
			return s
		}
	},
}

// sleepers attaches n durable sessions with a subscription each.
func sleepers(b *testing.B, br *Broker, n int) (all []*sink) {
	for i := range n {
		o := durable(fmt.Sprintf("sn-%07d", i))
		o.Window = session.Window{ReceiveMaximum: 1}
		s := new(sink)
		l, _, err := br.Attach(context.Background(), identity(""), o, s)
		if err != nil {
			b.Fatal(err)
		}
		s.l, all = l, append(all, s)
		l.Start()
		l.Subscribe([]Subscription{{Filter: fmt.Sprintf("d/%07d/cmd", i), QoS: 1}})
		l.Keep("s", []byte("what the gateway has to know"))
		if err := l.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
		l.Ready()
		if err := l.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	return all
}

// BenchmarkIdleSessions reports what is on the heap for each durable session that
// has a connection, one subscription and nothing to do: names, a Receiver of 16
// bytes and the store's part included. Restored are those of the next start, in
// the time that is reported too.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 100_000
	for name, open := range stores {
		b.Run("store="+name, func(b *testing.B) {
			for b.Loop() {
				before, reopen := inUse(), open(b)
				st := reopen()
				br := idle(b, Config{Store: st})
				sleepers(b, br, n)
				b.ReportMetric(float64(inUse()-before)/n, "B/attached")
				runtime.KeepAlive(br)
				if err := st.Close(); err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				st = reopen()
				br = idle(b, Config{Store: st})
				for _, id := range br.Interrupted("sn-") {
					l, _, err := br.Restore(context.Background(), id, identity, options(id), &sink{})
					if err != nil {
						b.Fatal(err)
					}
					l.Start()
				}
				b.ReportMetric(time.Since(began).Seconds(), "s/start")
				b.ReportMetric(float64(inUse()-before)/n, "B/restored")
				runtime.KeepAlive(br)
				if err := st.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWaking is the time in which sessions that have each three messages
// waiting take them, one after the other.
func BenchmarkWaking(b *testing.B) {
	for name, open := range stores {
		for _, n := range []int{1000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("store=%s/sessions=%d", name, n), func(b *testing.B) {
				st := open(b)()
				br := idle(b, Config{Store: st})
				all := sleepers(b, br, n)
				p := publisher(b, br, "p")
				publish := func() {
					for i := range 3 * n {
						v := view(fmt.Sprintf("d/%07d/cmd=0123456789", i%n), 1)
						if _, err := p.Publish(v); err != nil {
							b.Fatal(err)
						}
						if i%100 == 99 {
							if err := p.Commit(context.Background()); err != nil {
								b.Fatal(err)
							}
						}
					}
				}
				for b.Loop() {
					b.StopTimer()
					publish()
					b.StartTimer()
					for range 3 {
						for _, s := range all {
							if err := s.l.Acked(session.Puback, s.id); err != nil {
								b.Fatal(err)
							}
							if err := s.l.Commit(context.Background()); err != nil {
								b.Fatal(err)
							}
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(3*n), "ns/message")
				if err := st.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
