package broker

import (
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// reserved are the beginnings of topics that clients may not publish to:
// the server's own and those that only have a meaning in filters.
var reserved = [...]string{"$SYS/", "$CONTROL/", "$share/", "$queue/", "$exclusive/", "$delayed/"}

func isReserved(topic string) bool {
	if topic == "" || topic[0] != '$' {
		return false
	}
	for _, p := range reserved {
		if strings.HasPrefix(topic, p) || topic == p[:len(p)-1] {
			return true
		}
	}
	return false
}

func (b *Broker) mayPublish(id *auth.Identity, topic string) bool {
	return !isReserved(topic) && b.allowed(id, auth.Publish, topic)
}

// checkPublish is mayPublish without an allocation where nobody needs the
// topic as a string.
func (b *Broker) checkPublish(id *auth.Identity, topic []byte) error {
	if b.authz.Load() == nil && (len(topic) == 0 || topic[0] != '$') {
		return nil
	}
	if !b.mayPublish(id, string(topic)) {
		return ErrNotAuthorized
	}
	return nil
}

// pick is one receiver of a message, with what its subscriptions make of it.
type pick struct {
	s      *Session
	qos    uint8
	retain bool     // retain as published
	ids    []uint32 // subscription identifiers; shared, never changed
	share  string
}

// route delivers a message of the broker's own making, or of publisher.
func (b *Broker) route(m *message.Message, publisher *Session, bt *batch) (matched int) {
	bt.begin()
	bt.matches = b.subs.Match(bt.matches[:0], m.Topic)
	return b.routeMatches(m, publisher, bt)
}

// routeMatches delivers m once to every session among bt.matches: overlapping
// subscriptions make one copy with the highest QoS and all identifiers.
// // [MQTT-3.3.4-2] [MQTT-3.3.4-3]
func (b *Broker) routeMatches(m *message.Message, publisher *Session, bt *batch) int {
	bt.picks = bt.picks[:0]
	if len(bt.merged) > 0 {
		clear(bt.merged)
	}
	for _, sub := range bt.matches {
		if sub.group != nil {
			if sub = sub.group.pick(m); sub == nil {
				continue
			}
			bt.picks = append(bt.picks, pick{sub.s, sub.qos, sub.retainAsPublished, sub.ids(), sub.share()})
			continue
		}
		if sub.noLocal && sub.s == publisher {
			continue // [MQTT-3.8.3-3]
		}
		if len(bt.matches) > 1 && sub.s.several.Load() {
			if i, ok := bt.merged[sub.s]; ok {
				bt.picks[i].merge(sub)
				continue
			}
			if bt.merged == nil {
				bt.merged = map[*Session]int{}
			}
			bt.merged[sub.s] = len(bt.picks)
		}
		bt.picks = append(bt.picks, pick{s: sub.s, qos: sub.qos, retain: sub.retainAsPublished, ids: sub.ids()})
	}
	for i := range bt.picks {
		b.deliver(m, &bt.picks[i], m.Retain && bt.picks[i].retain, bt)
	}
	return len(bt.picks)
}

func (p *pick) merge(sub *subscription) {
	p.qos = max(p.qos, sub.qos)
	p.retain = p.retain || sub.retainAsPublished
	if len(p.ids) == 1 {
		p.ids = p.ids[:1:1] // the subscription's own; longer ones have been made here
	}
	p.ids = append(p.ids, sub.ids()...)
}

// deliver gives one message to one session. Called without locks.
func (b *Broker) deliver(m *message.Message, p *pick, retain bool, bt *batch) {
	s := p.s
	d := message.Delivery{
		Message: m, QoS: min(m.QoS, p.qos), Retain: retain,
		SubscriptionIDs: p.ids, Share: p.share,
	}
	s.mu.Lock()
	if s.ended.Load() { // meanwhile
		s.mu.Unlock()
		if d.Share != "" {
			b.redeliver(d, bt)
		}
		return
	}
	defer s.mu.Unlock()
	if !s.mayReceive(m.Topic) {
		b.stats.dropped(session.DropNotAllowed)
		return
	}
	if d.QoS > 0 && bt.sparing && s.durable() {
		if !s.online.Load() {
			b.stats.dropped(session.DropStoreFull)
			return
		}
		d.QoS = 0
	}
	if d.QoS == 0 {
		s.offerLocked(0, d, bt)
		return
	}
	s.enqueue(d, bt)
}

// mayReceive asks the authorizer for the session. Called with mu held.
func (s *Session) mayReceive(topic string) bool {
	return s.b.authz.Load() == nil || s.b.allowed(s.identity, auth.Receive, topic)
}

// enqueue offers a QoS 1 or 2 message: at once, or after it has been stored
// when the session is durable. Called with mu held.
func (s *Session) enqueue(d message.Delivery, bt *batch) {
	seq := s.out.Reserve()
	if !s.durable() {
		s.offerLocked(seq, d, bt)
		return
	}
	bt.op(store.Put, s.queued(seq, d))
	bt.offers = append(bt.offers, offer{s, seq, d})
	s.storing = append(s.storing, seq)
}

// offer gives the session a message that has been stored.
func (s *Session) offer(seq uint64, d message.Delivery, bt *batch) {
	s.mu.Lock()
	s.offered(seq)
	ended := s.ended.Load()
	if ended { // meanwhile: leave nothing behind in the store
		bt.op(store.Delete, store.Queued{ClientID: s.id, Seq: seq})
	}
	if !ended {
		s.offerLocked(seq, d, bt)
		s.pumpReplay(bt.begin(), bt)
	}
	s.mu.Unlock()
	switch {
	case !ended:
	case d.Share != "":
		s.b.redeliver(d, bt)
	default:
		s.b.stats.dropped(session.DropEnded)
	}
}

// abandon forgets a message that could not be stored.
func (s *Session) abandon(seq uint64, bt *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered(seq)
	s.run(s.out.Continue(bt.actions[:0]), bt)
}

// offered notes that a message is not being stored any more. Called with mu held.
func (s *Session) offered(seq uint64) {
	if i, ok := slices.BinarySearch(s.storing, seq); ok {
		s.storing = slices.Delete(s.storing, i, i+1)
	}
}

func (s *Session) offerLocked(seq uint64, d message.Delivery, bt *batch) {
	s.run(s.out.Offer(bt.begin(), seq, d, bt.actions[:0]), bt)
	bt.crowding.met(s)
}

// run carries out what the delivery state asks for. Called with mu held.
func (s *Session) run(actions []session.Action, bt *batch) {
	for i := 0; i < len(actions); i++ {
		a := &actions[i]
		switch a.Kind {
		case session.Send:
			switch {
			case a.Delivery.Release && s.durable():
				bt.op(store.Put, store.Released{ClientID: s.id, Seq: a.Seq})
				bt.sends = append(bt.sends, send{s.link, *a})
			case s.out.Blocked() || !s.send(a, bt): // after one refusal none may overtake
				actions = s.out.Refused(*a, actions)
			}
		case session.Done:
			s.b.stats.Completed.Add(1)
			s.unstore(a.Seq, bt)
		case session.Dropped:
			s.b.stats.dropped(a.Reason)
			s.unstore(a.Seq, bt)
		case session.Fetch:
			bt.fetches = append(bt.fetches, s)
		}
	}
	clear(actions)
	bt.actions = actions[:0]
	if cap(actions) > 64 {
		bt.actions = nil
	}
}

func (s *Session) unstore(seq uint64, bt *batch) {
	if seq != 0 && s.durable() {
		bt.op(store.Delete, store.Queued{ClientID: s.id, Seq: seq})
	}
}

// send hands a delivery to the receiver.
func (s *Session) send(a *session.Action, bt *batch) bool {
	if s.link == nil || !s.link.r.Deliver(&a.Delivery) {
		return false
	}
	if m := a.Delivery.Message; m != nil {
		s.b.stats.PublishSent.Add(1)
		s.b.stats.PublishBytesSent.Add(uint64(len(m.Payload)))
	}
	bt.touch(s.link)
	return true
}

// sendStored sends what has waited for the store, if the connection is still
// the same; the next one gets it by Resume.
func (s *Session) sendStored(p send, bt *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.l == nil || s.link != p.l {
		return
	}
	if s.out.Blocked() || !s.send(&p.a, bt) {
		s.run(s.out.Refused(p.a, bt.actions[:0]), bt)
	}
}
