package broker

import (
	"fmt"
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
