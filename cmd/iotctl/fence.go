package main

// How it is known that no other retained message comes.
//
// A broker sends retained messages behind SUBACK, or before it, and says nowhere that
// they were all. So each SUBSCRIBE names one filter more, the last: a topic where
// surely something is retained, $SYS/broker/version. Brokers that answer a
// subscription in the order of its filters, as mosquitto and iotctl serve do, send
// that message behind all others: when it arrives, there is no other. It costs no
// round trip, and no time.
//
// Where the broker refuses that filter, or has nothing there, silence decides: after
// --grace without a message, counted from SUBACK and from each message, and one round
// trip more: what was sent before its answer has been read by then, however slow the
// network, this machine or who reads our output. Brokers that look retained messages up
// on the side (EMQX, HiveMQ) are of this kind. A loaded one may need longer.

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

// fetcher asks for retained messages.
type fetcher struct {
	*engine
	known bool // the fence has arrived once, so the broker is of that kind

	mu      sync.Mutex
	filters []string // asked for; nil: nothing is
	fences  int      // how many messages on the fence are still to come; 0: there is none
	take    func(*client.Message) (enough bool)
	moved   chan struct{} // something has arrived
	passed  chan struct{} // the fence has
	enough  chan struct{}
}

// newFetcher makes a client.
func newFetcher(s *settings, t *terminal) (*fetcher, error) {
	if !s.graceSet {
		s.grace = defaultGrace
	}
	switch s.fence {
	case "":
		s.fence = defaultFence
	case fenceNone:
		s.fence = ""
	}
	f := &fetcher{moved: make(chan struct{}, 1), passed: make(chan struct{}, 1), enough: make(chan struct{}, 1)}
	var err error
	f.engine, err = newEngine(s, t, f.receive, nil)
	return f, err
}

func (f *fetcher) receive(m client.Message) {
	if !m.Retain {
		return // live
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.filters == nil {
		return
	}
	ring(f.moved)
	if f.fences > 0 && m.Topic == f.s.fence {
		if f.fences--; f.fences == 0 {
			ring(f.passed)
			return
		}
	}
	for _, filter := range f.filters {
		if router.Match(filter, m.Topic) {
			if f.take(&m) {
				ring(f.enough)
			}
			return
		}
	}
}

// ring never blocks.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fetch gives take the retained messages that fit the filters, each of which may come
// several times where filters overlap, and returns when there are no more or take says
// that it has enough. What take is given is valid until it returns; it runs on the
// goroutine that reads the connection.
func (f *fetcher) fetch(ctx context.Context, filters []string, qos int, take func(*client.Message) (enough bool)) error {
	subs := make([]client.Subscription, 0, len(filters)+1)
	fences := 0
	for _, filter := range filters {
		subs = append(subs, client.Subscription{Filter: filter, QoS: uint8(qos)})
		if router.Match(filter, f.s.fence) {
			fences++
		}
	}
	f.mu.Lock()
	if f.fences = 0; f.s.fence != "" && !(len(filters) == 1 && filters[0] == f.s.fence) {
		subs = append(subs, client.Subscription{Filter: f.s.fence, QoS: uint8(qos)})
		f.fences = fences + 1
	}
	drain(f.moved)
	drain(f.passed)
	drain(f.enough)
	f.filters, f.take = filters, take
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.filters = nil
		f.mu.Unlock()
	}()
	codes, err := f.Subscribe(ctx, subs, f.s.properties["subscribe"])
	if err != nil {
		return f.failRequest(ctx, "subscribe", err)
	}
	for i, filter := range filters {
		if codes[i].IsError() {
			return fail(exitSubscriptionRefused, fmt.Errorf("subscription to %q refused: %s (0x%02x)", filter, codes[i].Name(mqtt.TypeSuback, f.s.version), uint8(codes[i])))
		}
	}
	return f.wait(ctx)
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// wait waits until the last message has come.
func (f *fetcher) wait(ctx context.Context) error {
	enough := f.enough
	if f.known {
		enough = nil // or its fence would be taken for that of the next
	}
	passed := f.passed
	timer := time.NewTimer(f.s.grace)
	defer timer.Stop()
	for {
		select {
		case <-passed:
			f.known = true
			if !f.s.graceSet {
				return nil
			}
			passed = nil
			timer.Reset(f.s.grace)
		case <-enough:
			return nil
		case <-f.moved:
			timer.Reset(f.s.grace)
		case <-timer.C:
			if err := f.roundTrip(ctx); err != nil {
				return err
			}
			if len(f.moved) == 0 && len(f.passed) == 0 {
				return nil
			}
			timer.Reset(f.s.grace)
		case <-ctx.Done():
			return failCause(ctx)
		case <-f.Done():
			return f.ended()
		}
	}
}

// roundTrip returns when all has been worked off that the broker has sent so far. It
// costs the fence, which has not come, or else the first filter.
func (f *fetcher) roundTrip(ctx context.Context) error {
	f.mu.Lock()
	filter := cmp.Or(f.s.fence, f.filters[0])
	f.mu.Unlock()
	if _, err := f.Unsubscribe(ctx, []string{filter}, f.s.properties["unsubscribe"]); err != nil {
		return f.failRequest(ctx, "unsubscribe", err)
	}
	return nil
}

// forget unsubscribes, so that later changes do not come.
func (f *fetcher) forget(ctx context.Context, filters []string) error {
	all := append([]string(nil), filters...)
	if f.s.fence != "" {
		all = append(all, f.s.fence)
	}
	if _, err := f.Unsubscribe(ctx, all, f.s.properties["unsubscribe"]); err != nil {
		return f.failRequest(ctx, "unsubscribe", err)
	}
	return nil
}
