package broker

import (
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// replayItem is a retained message that a new subscription has asked for.
type replayItem struct {
	r    *retained
	pick pick
}

// pumpReplay sends retained messages while the client takes them; they wait
// here, not in the queue, so that a large answer displaces nothing and needs
// no memory but the list. A message that has been replaced meanwhile is left
// out: the new one has been delivered as a live message. Called with mu held.
func (s *Session) pumpReplay(now time.Time, bt *batch) {
	for len(s.replay) > 0 && s.online.Load() && !s.out.Blocked() {
		it := &s.replay[0]
		qos := min(it.r.message.QoS, it.pick.qos)
		waiting, inflight := s.out.Len()
		if qos > 0 && (waiting > 0 || inflight+s.storing >= s.link.window.ReceiveMaximum) {
			return // goes on with the next acknowledgement, or when what is being stored has been
		}
		if s.stillRetained(it.r, now) && !s.replayOne(it, qos, bt) {
			s.out.Block()
			return
		}
		*it = replayItem{}
		s.replay = s.replay[1:]
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
	if s.b.authz.Load() != nil && !s.b.allowed(&s.identity, auth.Receive, m.Topic) {
		s.b.stats.dropped(session.DropNotAllowed)
		return false
	}
	return true
}

// replayOne sends or queues a retained message. Where a live QoS 0 message
// would be dropped because the client is slow, it returns false.
func (s *Session) replayOne(it *replayItem, qos uint8, bt *batch) bool {
	d := message.Delivery{Message: it.r.message, QoS: qos, Retain: true, SubscriptionIDs: it.pick.ids}
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
