package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// sequence checks that every publisher's numbers arrive in order and each once.
// Every few deliveries it refuses one.
type sequence struct {
	l       *Link
	mu      sync.Mutex
	next    map[string]int // by topic
	acks    []uint16
	calls   int
	refused bool
	wrong   []string
	arrived int
	wake    chan struct{}
}

// Deliver implements Receiver.
func (s *sequence) Deliver(d *message.Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if s.calls++; s.calls%7 == 0 {
		s.refused = true
		return false
	}
	var n int
	_, _ = fmt.Sscan(string(d.Message.Payload), &n)
	if want := s.next[d.Message.Topic]; n != want {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %d instead of %d", d.Message.Topic, n, want))
	}
	s.next[d.Message.Topic] = n + 1
	s.acks = append(s.acks, d.PacketID)
	s.arrived++
	return true
}

// Flush implements Receiver.
func (s *sequence) Flush() {}

// Close implements Receiver.
func (s *sequence) Close(Reason) {}

// answer acknowledges what has come, says that there is room, and returns how
// much has arrived so far.
func (s *sequence) answer(t *testing.T) int {
	s.mu.Lock()
	acks, refused, arrived := s.acks, s.refused, s.arrived
	s.acks, s.refused = nil, false
	s.mu.Unlock()
	for _, id := range acks {
		if err := s.l.Acked(session.Puback, id); err != nil {
			t.Errorf("acknowledgement of %d: %v", id, err)
		}
	}
	if len(acks) > 0 {
		if err := s.l.Commit(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if refused {
		s.l.Writable()
	}
	return arrived
}

// Order per topic and publisher. // [MQTT-4.6.0-5] [MQTT-4.6.0-6]
func TestOrderUnderConcurrency(t *testing.T) {
	const publishers, messages = 4, 1500
	b := idle(t, Config{Queue: session.Limits{MaxQueued: publishers * messages}})
	var subscribers []*sequence
	for i := range 4 {
		o := options(fmt.Sprint("s", i))
		if i%2 == 0 {
			o = durable(o.ClientID)
		}
		o.Window.ReceiveMaximum = 10
		s := &sequence{next: map[string]int{}, wake: make(chan struct{}, 1)}
		l, _, err := b.Attach(t.Context(), identity(""), o, s)
		if err != nil {
			t.Fatal(err)
		}
		s.l = l
		l.Start()
		l.Subscribe([]Subscription{{Filter: "#", QoS: 1}, {Filter: "p/+", QoS: 1}})
		if err := l.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		subscribers = append(subscribers, s)
	}
	var publishing, answering sync.WaitGroup
	for i := range publishers {
		p := attach(t, b, options(fmt.Sprint("p", i)))
		publishing.Go(func() {
			for n := range messages {
				if _, err := p.l.Publish(view(fmt.Sprintf("p/%d=%d", i, n), 1)); err != nil {
					t.Error(err)
				}
				if n%5 == 4 {
					p.commit()
				}
			}
			p.commit()
			p.leave()
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, s := range subscribers {
		answering.Go(func() {
			for s.answer(t) < publishers*messages {
				select {
				case <-s.wake:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	publishing.Wait()
	answering.Wait()
	for i, s := range subscribers {
		if len(s.wrong) > 0 {
			t.Errorf("subscriber %d: %d out of order, first %s", i, len(s.wrong), s.wrong[0])
		}
		for topic, n := range s.next {
			if n != messages {
				t.Errorf("subscriber %d: %d of %d on %s", i, n, messages, topic)
			}
		}
		if waiting, inflight := s.l.s.out.Len(); len(s.next) != publishers || waiting+inflight != 0 {
			t.Errorf("subscriber %d: %d topics, %d waiting, %d in flight", i, len(s.next), waiting, inflight)
		}
		s.l.Detach(Farewell{HasExpiry: true})
	}
	empty(t, b)
	wantRecords(t, b.cfg.Store)
}

// TestStress lets clients of all kinds come, go, take each other over, publish
// and subscribe, while rights change. Nothing may be left of them.
func TestStress(t *testing.T) {
	cfg := Config{SysInterval: 5 * time.Millisecond, Queue: session.Limits{MaxQueued: 20}, Authorizer: newRules()}
	b := start(t, cfg)
	const workers, rounds = 8, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range rounds {
				one(t, b, r)
			}
		})
	}
	wg.Wait()
	for i := range 5 {
		o := options(fmt.Sprint("c", i))
		o.CleanStart = true
		attach(t, b, o).leave()
	}
	for i := range 4 {
		attach(t, b, options("p")).publishRetained(fmt.Sprintf("t/%d=", i), 0, 0)
	}
	o := options("p")
	o.CleanStart = true
	attach(t, b, o).leave()
	empty(t, b)
	// Run may still be removing what has expired.
	poll(t, func() bool { return len(records(t, b.cfg.Store)) == 0 })
	if n, size := b.Retained(); n != 0 || size != 0 {
		t.Errorf("%d retained, %d bytes", n, size)
	}
	wantTimers(t, b, 0)
}

// one is the life of one connection.
func one(t *testing.T, b *Broker, r *rand.Rand) {
	o := options(fmt.Sprint("c", r.IntN(5)))
	o.CleanStart = r.IntN(3) == 0
	if r.IntN(2) == 0 {
		o.Expiry = []time.Duration{time.Millisecond, time.Hour, Never}[r.IntN(3)]
	}
	if r.IntN(2) == 0 {
		o.Will = &Will{Message: view(fmt.Sprintf("t/%d=will", r.IntN(4)), uint8(r.IntN(3))), Delay: time.Duration(r.IntN(3)) * time.Millisecond}
	}
	o.Window.ReceiveMaximum = 1 + r.IntN(5)
	c := attach(t, b, o)
	for range r.IntN(12) {
		switch r.IntN(9) {
		case 0:
			c.l.Subscribe([]Subscription{
				{Filter: fmt.Sprint("t/", r.IntN(4)), QoS: uint8(r.IntN(3))},
				{Filter: []string{"#", "t/+", "$share/g/t/#", "$share/h/t/1"}[r.IntN(4)], QoS: uint8(r.IntN(3)), ID: uint32(r.IntN(3))},
			})
			_ = c.l.Commit(context.Background())
			c.l.Ready()
		case 1:
			c.l.Unsubscribe([]string{"#", fmt.Sprint("t/", r.IntN(4)), "$share/g/t/#"})
		case 2:
			c.setFull(r.IntN(2) == 0)
		case 3:
			b.Reauthorize()
		case 4, 5:
			c.setFull(false)
			c.ack()
		case 6:
			c.l.Keep(fmt.Sprint("k", r.IntN(3)), []byte{1})
			c.l.Keep(fmt.Sprint("k", r.IntN(3)), nil)
			if err := c.l.SetWill(&Will{Message: view("t/1=changed", 1)}); err != nil && !errors.Is(err, ErrTakenOver) {
				t.Error(err)
			}
		default:
			v := view(fmt.Sprintf("t/%d=%d", r.IntN(4), r.IntN(100)), uint8(r.IntN(3)))
			v.PacketID, v.Retain = uint16(1+r.IntN(3)), r.IntN(4) == 0
			v.HasExpiry, v.Expiry = r.IntN(3) == 0, uint32(r.IntN(2))
			if _, err := c.l.Publish(v); err != nil && !errors.Is(err, ErrTakenOver) {
				t.Error(err)
			}
			if v.QoS == 2 && r.IntN(2) == 0 {
				_, _ = c.l.Release(v.PacketID)
			}
		}
		if err := c.l.Commit(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if r.IntN(4) > 0 {
		c.l.Detach(Farewell{Abnormal: r.IntN(2) == 0, HasExpiry: r.IntN(5) == 0})
	}
}
