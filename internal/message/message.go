// Package message defines the application message that every part of the
// broker shares: codecs produce a View of it, the broker makes one immutable
// copy, and gateways receive Deliveries that point at that copy.
//
// A *Message is never changed after it has been published, so it may be read
// from any goroutine without a lock. The exception is a message at QoS 0 on its
// way to a receiver: it is lent for the time of the call. Properties stay in their MQTT 5.0 encoded
// form, because most of them are forwarded unchanged; front ends that know no
// properties leave them nil.
package message

import (
	"math"
	"time"
)

// Message is one application message. It is immutable.
type Message struct {
	Topic   string
	Payload []byte
	// Properties holds the encoded MQTT 5.0 properties that travel with the
	// message: payload format indicator, content type, response topic,
	// correlation data and user properties, in the publisher's order. Message
	// expiry interval, topic alias and subscription identifiers belong to one
	// network hop and are never in here.
	Properties []byte
	QoS        uint8
	Retain     bool      // as the publisher set it
	Published  time.Time // when the broker accepted it
	Expires    time.Time // zero: never
	Publisher  string    // client identifier; "" for the broker itself
	// Owner is the identity that published, so that rights can be checked
	// again whenever the message is delivered later. "" is anonymous.
	Owner string
}

// Size is what the message counts against byte quotas: its variable parts and
// a fixed allowance for the rest.
func (m *Message) Size() int {
	const overhead = 64
	return len(m.Topic) + len(m.Payload) + len(m.Properties) + overhead
}

// Expired reports whether the message expiry interval has passed. // [MQTT-3.3.2-5]
func (m *Message) Expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires)
}

// RemainingExpiry is the message expiry interval to forward, in seconds,
// rounded up so that a live message never carries 0. ok is false when the
// message does not expire. // [MQTT-3.3.2-6]
func (m *Message) RemainingExpiry(now time.Time) (seconds uint32, ok bool) {
	if m.Expires.IsZero() {
		return 0, false
	}
	left := m.Expires.Sub(now)
	if left <= 0 {
		return 0, true
	}
	return uint32(min((left+time.Second-1)/time.Second, math.MaxUint32)), true
}

// View is a message as it was read: every slice aliases the read buffer and is
// valid until the next read.
type View struct {
	Topic      []byte
	Payload    []byte
	Properties []byte // as in Message
	QoS        uint8
	Retain     bool
	Dup        bool
	PacketID   uint16
	Expiry     uint32 // message expiry interval in seconds, when HasExpiry
	HasExpiry  bool
}

// Copy makes the one copy of v that everybody shares afterwards; topic is that
// of v.
func (v View) Copy(topic string, now time.Time, publisher, owner string) *Message {
	// One allocation holds payload and properties; both are capped so that an
	// append to one can never reach the other.
	buf := make([]byte, len(v.Payload)+len(v.Properties))
	n := copy(buf, v.Payload)
	copy(buf[n:], v.Properties)
	v.Payload = buf[:n:n]
	v.Properties = buf[n:]
	m := &Message{}
	v.Lend(m, topic, now, publisher, owner)
	return m
}

// Lend makes m a message that is valid as long as v is: for one that nobody
// keeps.
func (v View) Lend(m *Message, topic string, now time.Time, publisher, owner string) {
	*m = Message{
		Topic:     topic,
		Payload:   v.Payload,
		QoS:       v.QoS,
		Retain:    v.Retain,
		Published: now,
		Publisher: publisher,
		Owner:     owner,
	}
	if len(v.Properties) > 0 {
		m.Properties = v.Properties
	}
	if v.HasExpiry {
		m.Expires = now.Add(time.Duration(v.Expiry) * time.Second)
	}
}

// Delivery is a message on its way to one receiver.
type Delivery struct {
	Message *Message
	// SubscriptionIDs lists the subscription identifiers of every
	// subscription that the message matched. // [MQTT-3.3.4-3]
	SubscriptionIDs []uint32
	PacketID        uint16 // 0 at QoS 0
	QoS             uint8  // min of publish and subscription
	Retain          bool   // the flag as the receiver shall see it
	Dup             bool   // a repeated attempt // [MQTT-3.3.1-1]
	// Release stands for the second half of a QoS 2 delivery: there is no
	// message any more, only PacketID to be released (PUBREL).
	Release bool
	// Share names the shared subscription ("group/filter") that it came by; ""
	// for none.
	Share string
}
