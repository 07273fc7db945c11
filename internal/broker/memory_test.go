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
func sleepers(b *testing.B, br *Broker, n int) {
	for i := range n {
		o := durable(fmt.Sprintf("sn-%07d", i))
		o.Window = session.Window{ReceiveMaximum: 1}
		l, _, err := br.Attach(context.Background(), identity(""), o, &sink{})
		if err != nil {
			b.Fatal(err)
		}
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
