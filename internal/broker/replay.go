package broker

import (
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// replay is the rest of what a subscription has asked for: retained messages
// that have not been sent yet. Only the first replay of a session is looked up,
// so that a client with many overlapping subscriptions that reads nothing costs
// one list.
type replay struct {
	sub    *subscription
	until  uint64 // retained when it was asked for; what came later was delivered live
	listed bool   // left has been looked up
	left   []*retained
}

// list looks up what is retained.
func (rp *replay) list(b *Broker) {
	rp.listed = true
	rp.left = slices.DeleteFunc(b.retained.Match(nil, rp.sub.topic()), func(r *retained) bool { return r.seq > rp.until })
}

// pumpReplay sends retained messages while the client takes them; they wait
// here, not in the queue, so that a large answer displaces nothing and needs
// no memory but the list. A message that has been replaced meanwhile is left
// out: the new one has been delivered as a live message. Called with mu held.
func (s *Session) pumpReplay(now time.Time, bt *batch) {
	for len(s.replay) > 0 && s.online.Load() && !s.out.Blocked() && !s.full {
		rp := &s.replay[0]
		if !rp.listed {
			rp.list(s.b)
		}
		if len(rp.left) == 0 {
			s.replay[0] = replay{}
			s.replay = s.replay[1:]
			continue
		}
		r := rp.left[0]
		qos := min(r.message.QoS, rp.sub.qos)
		waiting, inflight := s.out.Len()
		if qos > 0 && (waiting > 0 || inflight+len(s.storing) >= s.link.window.ReceiveMaximum) {
			return // goes on with the next acknowledgement, or when what is being stored has been
		}
		if qos > 0 && s.durable() && s.b.Full() {
			s.awaitRoom()
			return // goes on when there is room
		}
		if s.stillRetained(r, now) && !s.replayOne(r, rp.sub, qos, bt) {
			if s.full = s.link.unpaced; !s.full {
				s.out.Block()
			}
			return
		}
		rp.left[0] = nil
		rp.left = rp.left[1:]
	}
	if len(s.replay) == 0 {
		s.replay = nil
	}
}

// stillRetained reports whether r may still be sent as a retained message.
func (s *Session) stillRetained(r *retained, now time.Time) bool {
	m := r.message
	if cur, ok := s.b.retained.Get(m.Topic); !ok || cur != r || m.Expired(now) {
		return false
	}
	if !s.mayReceive(m.Topic) {
		s.b.stats.dropped(session.DropNotAllowed)
		return false
	}
	return true
}

// replayOne sends or queues a retained message. Where a live QoS 0 message
// would be dropped because the client is slow, it returns false.
func (s *Session) replayOne(r *retained, sub *subscription, qos uint8, bt *batch) bool {
	d := message.Delivery{Message: r.message, QoS: qos, Retain: true, SubscriptionIDs: sub.ids()}
	if qos > 0 {
		s.enqueue(d, bt)
		return true
	}
	if fits := s.link.window.Fits; fits != nil && !fits(&d) {
		s.b.stats.dropped(session.DropTooLarge)
		return true
	}
	return s.send(&session.Action{Delivery: d}, bt)
}

// requestRetained notes that sub asks for retained messages. Those that it has
// asked for before are sent once. // [MQTT-3.3.1-9..11]
//
// Nothing is looked up before Ready, so that a client that asks many times for
// everything at once costs one list.
func (l *Link) requestRetained(sub *subscription) {
	s := l.s
	rp := replay{sub: sub, until: l.s.b.kept.seq.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropReplay(sub)
	if s.link == l {
		s.replay = append(s.replay, rp)
	}
}

// listFirst looks up what the first replay sends, outside the lock: it may take
// long.
func (l *Link) listFirst() {
	s := l.s
	s.mu.Lock()
	if s.link != l || len(s.replay) == 0 || s.replay[0].listed {
		s.mu.Unlock()
		return
	}
	rp := s.replay[0]
	s.mu.Unlock()
	rp.list(l.s.b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == l && len(s.replay) > 0 && s.replay[0].sub == rp.sub && !s.replay[0].listed {
		s.replay[0] = rp
	}
}

// dropReplay forgets what sub has asked for. Called with mu held.
func (s *Session) dropReplay(sub *subscription) {
	s.replay = slices.DeleteFunc(s.replay, func(rp replay) bool { return rp.sub == sub })
}
