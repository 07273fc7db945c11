package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
)

// mortal is a store that takes so many batches and then no more, as if the
// process had ended there.
type mortal struct {
	*mem.Store
	mu   sync.Mutex
	left int
	died bool
}

// Apply implements store.Store.
func (m *mortal) Apply(ctx context.Context, batch []store.Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left == 0 {
		m.died = true
		return errDisk
	}
	m.left--
	return m.Store.Apply(ctx, batch)
}

// ledger is what the store has of wills: those that have been published to a
// watcher who is away, and the one that c has.
func ledger(t testing.TB, s store.Store) (published []string, will string) {
	t.Helper()
	err := s.Load(context.Background(), func(r store.Record) error {
		switch r := r.(type) {
		case store.Will:
			will = string(r.Message.Payload)
		case store.Backlog:
			page, err := s.Queue(context.Background(), r.ClientID, r.First-1, r.Last)
			for _, q := range page {
				published = append(published, string(q.Message.Payload))
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return published, will
}

// lives has a client come and go with wills, each with something kept that says
// which it is, until the store takes no more.
func lives(t testing.TB, b *Broker, delay time.Duration) {
	ctx := context.Background()
	begin := func(will string, clean bool) *Link {
		o := withWill(durable("c"), will, delay)
		o.CleanStart = clean
		l, _, err := b.Attach(ctx, auth.Identity{}, o, &client{t: t, b: b, room: never})
		if err != nil {
			return nil
		}
		l.Start()
		l.Keep("s", []byte(will))
		if l.Commit(ctx) != nil {
			return nil
		}
		return l
	}
	l := begin("1", false)
	if l == nil {
		return
	}
	if err := l.SetWill(&Will{Message: view("will=2", 1), Delay: delay}); err != nil {
		t.Error(err)
	}
	l.Keep("s", []byte("2"))
	if l.Commit(ctx) != nil {
		return
	}
	if l = begin("3", false); l == nil { // takes over
		return
	}
	l.Detach(Farewell{Abnormal: true})
	time.Sleep(2 * delay)
	if l = begin("4", true); l == nil {
		return
	}
	l.Detach(Farewell{})
	begin("5", false)
}

// afterLife restores the session or does not, and lets the broker run.
func afterLife(t testing.TB, b *Broker, restores bool) {
	if restores {
		for _, id := range b.Interrupted("") {
			l, resumed, err := b.Restore(context.Background(), id, identity, durable(id), &client{t: t, b: b, room: never})
			if err != nil {
				continue // nothing is kept
			}
			kept := string(resumed.Kept["s"])
			switch _, will := ledger(t, b.cfg.Store); kept + will {
			case "11", "22", "33", "44", "55":
			case "23", "45": // the will comes first, with Attach
			case "2": // a take-over has published it
			default:
				t.Errorf("%q is kept with the will %q", kept, will)
			}
			l.Start()
			defer l.Detach(Farewell{Abnormal: true})
		}
	}
	run(t, b)
	time.Sleep(time.Minute)
}

// A will that is stored when the process ends is published once, wherever that is
// and however often, whether its session is restored or not.
func TestWillsOutliveCrashesAnywhere(t *testing.T) {
	for _, delay := range []time.Duration{0, 10 * time.Second} {
		for _, restores := range []bool{false, true} {
			t.Run(fmt.Sprintf("delay=%v/restored=%v", delay, restores), func(t *testing.T) {
				points := 0
				for first, died := 0, true; died; first++ {
					for second, again := 0, true; again; second++ {
						synctest.Test(t, func(t *testing.T) { died, again = crashTwice(t, first, second, delay, restores) })
						points++
					}
				}
				if points < 20 {
					t.Errorf("%d points", points)
				}
			})
		}
	}
}

// crashTwice ends the process after so many batches, and the next one, too.
func crashTwice(t *testing.T, first, second int, delay time.Duration, restores bool) (died, again bool) {
	disk := mem.New()
	begin := func(batches int) (*Broker, *mortal) {
		m := &mortal{Store: disk, left: batches}
		return idle(t, Config{Store: m, SysInterval: -1}), m
	}
	b, _ := begin(-1)
	w := attach(t, b, durable("w"))
	w.subscribe(Subscription{Filter: "will", QoS: 1})
	w.leave()

	b, m := begin(first)
	run(t, b)
	lives(t, b, delay)
	m.mu.Lock()
	m.left, died = 0, m.died
	m.mu.Unlock()
	published, will := ledger(t, disk)
	if will != "" {
		published = append(published, will)
	}

	b, m = begin(second)
	afterLife(t, b, restores)
	m.mu.Lock()
	m.left, again = 0, m.died
	m.mu.Unlock()

	b, _ = begin(-1)
	afterLife(t, b, restores)
	b, _ = begin(-1) // those that afterLife has restored have ended with it
	run(t, b)
	time.Sleep(time.Minute)
	got, left := ledger(t, disk)
	if !slices.Equal(got, published) || left != "" {
		t.Errorf("crashes after %d and %d: %s, and %q is left", first, second, cmp.Diff(published, got), left)
	}
	return died, again
}
