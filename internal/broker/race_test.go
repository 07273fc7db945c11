package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/message"
)

// counter is a receiver that counts by payload.
type counter struct {
	client
	seen map[string]int
}

// Deliver implements Receiver.
func (c *counter) Deliver(d *message.Delivery) bool {
	c.mu.Lock()
	c.seen[string(d.Message.Payload)]++
	c.mu.Unlock()
	return true
}

// [MQTT-3.3.4-2] [MQTT-3.8.4-3]
func TestChangingSubscriptionsNeitherLosesNorDoubles(t *testing.T) {
	b := idle(t, Config{})
	s := &counter{client: client{t: t, b: b}, seen: map[string]int{}}
	l, _, err := b.Attach(t.Context(), identity(""), options("s"), s)
	if err != nil {
		t.Fatal(err)
	}
	s.l = l
	l.Start()
	l.Subscribe([]Subscription{{Filter: "a"}})
	p := attach(t, b, options("p"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := uint32(0); ; i++ {
			select {
			case <-done:
				return
			default:
			}
			l.Subscribe([]Subscription{{Filter: "a", ID: i}, {Filter: "+"}})
			l.Unsubscribe([]string{"+"})
		}
	})
	const n = 20000
	for i := range n {
		p.publish(fmt.Sprintf("a=%d", i), 0, 1)
	}
	close(done)
	wg.Wait()
	if len(s.seen) != n {
		t.Errorf("%d of %d arrived", len(s.seen), n)
	}
	for payload, times := range s.seen {
		if times != 1 {
			t.Errorf("%s arrived %d times", payload, times)
		}
	}
	l.Detach(Farewell{})
	p.leave()
	empty(t, b)
}

func TestTakeoverWhileSubscribingLeavesNothingBehind(t *testing.T) {
	b := idle(t, Config{})
	const rounds, clients = 300, 4
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			for i := range rounds {
				o := options("same")
				o.CleanStart = (i+n)%2 == 0
				if n%2 == 0 {
					o = durable("same")
					o.CleanStart = i%3 == 0
				}
				l, _, err := b.Attach(context.Background(), identity(""), o, &client{t: t, b: b, room: never})
				if err != nil {
					t.Error(err)
					return
				}
				l.Start()
				for k := range 3 {
					for _, g := range l.Subscribe([]Subscription{{Filter: fmt.Sprintf("a/%d", k)}, {Filter: fmt.Sprintf("$share/g/b/%d", (k+n)%3)}}) {
						if g.Err != nil && !errors.Is(g.Err, ErrTakenOver) {
							t.Error(g.Err)
						}
					}
				}
				_ = l.Commit(context.Background())
				if i%5 == 0 {
					l.Detach(Farewell{Abnormal: true, HasExpiry: true})
				}
			}
		})
	}
	wg.Wait()
	o := options("same")
	o.CleanStart = true
	attach(t, b, o).leave()
	empty(t, b)
	if left := b.subs.Match(nil, "a/1"); len(left) > 0 || !slices.Equal(records(t, b.cfg.Store), nil) {
		t.Errorf("left: %d routes, stored %q", len(left), records(t, b.cfg.Store))
	}
}

// A retained message reaches a client that subscribes at the same moment, live
// or as the retained message.
func TestSubscribingWhileRetainedMessagesChangeMissesNothing(t *testing.T) {
	b := idle(t, Config{})
	p := attach(t, b, options("p"))
	for i := range 3000 {
		s := attach(t, b, options("s"))
		var wg sync.WaitGroup
		wg.Go(func() {
			v := view(fmt.Sprintf("a=%d", i), 0)
			v.Retain = true
			if _, err := p.l.Publish(v); err != nil {
				t.Error(err)
			}
			p.commit()
		})
		s.subscribe(Subscription{Filter: "a"})
		wg.Wait()
		got := s.received()
		if live, kept := fmt.Sprintf("a=%d", i), fmt.Sprintf("a=%d retain", i); !slices.Contains(got, live) && !slices.Contains(got, kept) {
			t.Fatalf("round %d: received %q", i, got)
		}
		s.leave()
	}
}
