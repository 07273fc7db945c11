package broker

import (
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// full reports whether the store takes no more messages.
func (b *Broker) full() bool {
	s, ok := b.cfg.Store.(store.Bounded)
	return ok && s.Room().Full
}

// checkRoom refuses a message that would have to be stored while the store is
// full, before anybody has received it. QoS 0 is never stored, unless it is
// retained.
func (b *Broker) checkRoom(v message.View, bt *batch) error {
	if !b.full() {
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
