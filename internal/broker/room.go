package broker

import (
	"context"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// Full reports whether the store takes no more messages. What gateways keep they
// should not let grow then.
func (b *Broker) Full() bool {
	s, ok := b.cfg.Store.(store.Bounded)
	return ok && s.Room().Full
}

// checkRoom refuses a message that would have to be stored while the store is
// full, before anybody has received it. QoS 0 is never stored, unless it is
// retained.
func (b *Broker) checkRoom(v message.View, bt *batch) error {
	if !b.Full() {
		return nil
	}
	if v.Retain && len(v.Payload) > 0 {
		return ErrFull
	}
	if v.QoS == 0 {
		return nil
	}
	bt.matches = b.subs.MatchBytes(bt.matches[:0], v.Topic)
	for _, sub := range bt.matches {
		// Which member of a group would get it, and whether that is durable, is
		// not known yet.
		if sub.group != nil || sub.qos > 0 && sub.s.durable() {
			return ErrFull
		}
	}
	return nil
}

// hungry are the sessions whose replay waits for room. New durable sessions are
// refused meanwhile, so there are never more than there were.
type hungry struct {
	mu       sync.Mutex
	sessions []*Session
	timer    timer // set while there are any
}

const (
	// feedPeriod is the time between two looks for room.
	feedPeriod = time.Second
	// feedOps is how much of the replays goes into one batch, but for the last
	// session's.
	feedOps = 256
)

// awaitRoom has the replay go on when there is room. Called with mu held.
func (s *Session) awaitRoom() {
	if s.awaiting {
		return
	}
	s.awaiting = true
	h := &s.b.hungry
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions = append(h.sessions, s)
	if len(h.sessions) == 1 {
		s.b.timers.set(&h.timer, time.Now().Add(feedPeriod))
	}
}

// feed lets replays go on if there is room again, or looks again later. Those
// that find none left wait anew.
func (b *Broker) feed(now time.Time) {
	h := &b.hungry
	h.mu.Lock()
	if b.Full() {
		b.timers.set(&h.timer, now.Add(feedPeriod))
		h.mu.Unlock()
		return
	}
	sessions := h.sessions
	h.sessions = nil
	h.mu.Unlock()
	for len(sessions) > 0 {
		var bt batch
		var links []*Link
		for len(sessions) > 0 && len(bt.ops) < feedOps {
			s := sessions[0]
			sessions = sessions[1:]
			s.mu.Lock()
			s.awaiting = false
			if s.link != nil {
				links = append(links, s.link)
				s.pumpReplay(now, &bt)
			}
			s.mu.Unlock()
		}
		if _, err := b.commit(context.Background(), &bt, nil); err != nil {
			for _, l := range links {
				l.settle(err)
			}
		}
	}
}
