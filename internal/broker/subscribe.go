package broker

import (
	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/store"
)

// Subscription is a client's wish to receive what matches Filter.
type Subscription struct {
	Filter            string // $share/group/filter for a shared subscription
	QoS               uint8
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    uint8  // 0 always, 1 when the subscription is new, 2 never
	ID                uint32 // subscription identifier, 0 for none
}

// Grant is the answer to one subscription.
type Grant struct {
	QoS uint8
	// Err is nil, a *router.Invalid, ErrNotAuthorized, ErrQuota or ErrFull.
	Err error
}

// subscription is what the router maps filters to: one of a session, or a
// group that stands for its members. It is immutable; changed options make a
// new one.
type subscription struct {
	s                 *Session
	filter            string // as the client wrote it
	from              uint16 // where its topic begins, above 0 when shared
	qos               uint8
	noLocal           bool
	retainAsPublished bool
	retainHandling    uint8
	id                *[1]uint32 // subscription identifier, nil for none
	group             *group     // set on the group's own entry in the router
}

// topic is the filter without $share/group/.
func (sub *subscription) topic() string { return sub.filter[sub.from:] }

// share is "group/filter" of a shared subscription, "" of others.
func (sub *subscription) share() string {
	if sub.from == 0 {
		return ""
	}
	return sub.filter[len("$share/"):]
}

// ids are the subscription identifiers that go with a message.
func (sub *subscription) ids() []uint32 {
	if sub.id == nil {
		return nil
	}
	return sub.id[:]
}

func newSub(s *Session, w Subscription) (*subscription, error) {
	_, topic, _, err := router.SplitShared(w.Filter)
	if err != nil {
		return nil, err
	}
	if err := router.ValidateFilter(topic); err != nil {
		return nil, err
	}
	sub := &subscription{
		s: s, filter: w.Filter, from: uint16(len(w.Filter) - len(topic)), qos: w.QoS, noLocal: w.NoLocal,
		retainAsPublished: w.RetainAsPublished, retainHandling: w.RetainHandling,
	}
	if w.ID != 0 {
		sub.id = &[1]uint32{w.ID}
	}
	return sub, nil
}

// Subscribe adds subscriptions, one Grant for each in order. Retained messages
// follow when Ready is called, after the answer has been written.
func (l *Link) Subscribe(wanted []Subscription) []Grant {
	grants := make([]Grant, len(wanted))
	for i, w := range wanted {
		grants[i].QoS = w.QoS
		grants[i].Err = l.subscribe(w)
	}
	return grants
}

func (l *Link) subscribe(w Subscription) error {
	s := l.s
	b := s.b
	sub, err := newSub(s, w)
	if err != nil {
		return err
	}
	if !b.allowed(l.identity, auth.Subscribe, sub.topic()) { // shared ones too
		return ErrNotAuthorized
	}
	old, err := l.replace(sub)
	if err != nil {
		return err
	}
	if sub.share() == "" && (w.RetainHandling == 0 || w.RetainHandling == 1 && old == nil) {
		l.requestRetained(sub)
	}
	return nil
}

// replace puts sub in the place of the subscription with the same filter. The
// router changes under the session's lock, so that the end of the session finds
// all of them there.
func (l *Link) replace(sub *subscription) (old *subscription, err error) {
	s := l.s
	b := s.b
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l {
		return nil, ErrTakenOver
	}
	old = s.subs.get(sub.filter)
	switch {
	case old != nil:
	case s.subs.len() >= b.cfg.MaxSubscriptions:
		return nil, ErrQuota
	case s.durable() && b.Full():
		return nil, ErrFull
	}
	if s.subs.len() > 0 {
		s.several.Store(true)
	}
	s.subs.put(sub)
	s.shared = s.shared || sub.share() != ""
	// New before old: no message is missed, and one that meets both is
	// merged into one delivery. // [MQTT-3.8.4-3]
	b.addSub(sub)
	if old != nil {
		b.removeSub(old)
		for i := range s.replay { // what is owed still comes, by the new options
			if s.replay[i].sub == old {
				s.replay[i].sub = sub
			}
		}
	}
	if s.durable() {
		bt, _ := l.begin()
		bt.op(store.Put, sub.record())
	}
	return old, nil
}

// Ready lets retained messages follow the answer to a SUBSCRIBE.
func (l *Link) Ready() {
	s := l.s
	bt, now := l.begin()
	l.listFirst()
	s.mu.Lock()
	if s.link == l {
		s.pumpReplay(now, bt)
	}
	s.mu.Unlock()
}

// Unsubscribe removes subscriptions, one Grant for each in order; Err is nil,
// ErrNoSubscription or a *router.Invalid.
func (l *Link) Unsubscribe(filters []string) []Grant {
	grants := make([]Grant, len(filters))
	for i, f := range filters {
		grants[i].Err = l.unsubscribe(f)
	}
	return grants
}

func (l *Link) unsubscribe(filter string) error {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l {
		return ErrTakenOver
	}
	sub := s.subs.get(filter)
	if sub == nil {
		if _, err := newSub(s, Subscription{Filter: filter}); err != nil {
			return err
		}
		return ErrNoSubscription
	}
	s.subs.remove(filter)
	l.s.b.removeSub(sub)
	s.dropReplay(sub)
	if s.durable() {
		bt, _ := l.begin()
		bt.op(store.Delete, sub.record())
	}
	return nil
}

func (sub *subscription) record() store.Subscription {
	r := store.Subscription{
		ClientID: sub.s.id, Filter: sub.filter, QoS: sub.qos, NoLocal: sub.noLocal,
		RetainAsPublished: sub.retainAsPublished, RetainHandling: sub.retainHandling,
	}
	if sub.id != nil {
		r.ID = sub.id[0]
	}
	return r
}

func (b *Broker) addSub(sub *subscription) {
	b.stats.Subscriptions.Add(1)
	if sub.share() != "" {
		b.joinGroup(sub)
		return
	}
	b.subs.Insert(sub.topic(), sub)
}

func (b *Broker) removeSub(sub *subscription) {
	b.stats.Subscriptions.Add(-1)
	if sub.share() != "" {
		b.leaveGroup(sub)
		return
	}
	b.subs.Remove(sub.topic(), sub)
}
