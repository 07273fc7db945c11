//go:build unix

package interop

import (
	"fmt"
	"slices"
	"strings"
)

// The checker judges what clients with sessions have seen of a broker that is
// killed again and again. It knows no broker and no socket: a history goes in,
// violations come out.

// tick is a moment. Of two events, the one with the lower tick did not come
// after the other, whichever clients they happened at. 0 means never.
type tick uint64

// published is one message of a publisher, under the number that it gave it.
type published struct {
	Publisher, Topic string
	Seq              int
	QoS              byte
	Sent             tick // first
	Acked            tick // PUBACK or PUBCOMP
	Sends            int  // PUBLISH packets
	// Anew: sent again after PUBREC, or under another packet identifier. A
	// broker cannot know that it is the same message.
	Anew bool
}

// delivered is one message that a subscriber has received. What a receiver
// drops by the rules of QoS 2, because it knows the packet identifier, is none.
type delivered struct {
	Subscriber, Publisher, Topic string
	Seq                          int
	QoS                          byte
	Dup                          bool
	Connection                   int // of the subscriber, counted from 1
	At                           tick
	Damaged                      bool // not what the publisher has sent
}

// subscribed is the life of one subscription of a session. The filter is a
// topic or ends in "/#".
type subscribed struct {
	Subscriber, Filter string
	QoS                byte // granted
	Asked, Granted     tick // SUBSCRIBE, SUBACK
	Left, Gone         tick // UNSUBSCRIBE, UNSUBACK
}

// resumed is a connection to a session that has to be there.
type resumed struct {
	Client  string
	Present bool
	At      tick
}

// history is what the clients of a test have seen. Deliveries are in the order
// of each subscriber, the rest in any. It is complete: every subscriber has had
// the time to receive what was left.
type history struct {
	Published  []published
	Delivered  []delivered
	Subscribed []subscribed
	Resumed    []resumed
}

// messageKey names a message everywhere in a history.
type messageKey struct {
	publisher, topic string
	seq              int
}

func (k messageKey) String() string { return fmt.Sprintf("%s #%d of %s", k.topic, k.seq, k.publisher) }

func (p *published) key() messageKey { return messageKey{p.Publisher, p.Topic, p.Seq} }
func (d *delivered) key() messageKey { return messageKey{d.Publisher, d.Topic, d.Seq} }

// copies is how many messages a broker may rightly take p for. At QoS 1 each
// packet may have arrived.
func (p *published) copies() int {
	if p.QoS == 1 || p.Anew {
		return max(p.Sends, 1)
	}
	return 1
}

func (s *subscribed) covers(topic string) bool {
	if level, ok := strings.CutSuffix(s.Filter, "/#"); ok {
		return topic == level || strings.HasPrefix(topic, level+"/")
	}
	return s.Filter == topic
}

// mayReceive reports whether the broker may have seen p while there was s.
func (s *subscribed) mayReceive(p *published) bool {
	return s.covers(p.Topic) && (p.Acked == 0 || p.Acked > s.Asked) && (s.Gone == 0 || p.Sent < s.Gone)
}

// mustReceive reports whether the broker has acknowledged p, and not before
// there was s.
func (s *subscribed) mustReceive(p *published) bool {
	return s.covers(p.Topic) && p.Acked > 0 && s.Granted > 0 && s.Granted < p.Sent && (s.Left == 0 || p.Acked < s.Left)
}

// violations lists what a broker that loses nothing may not have done, a line
// for each.
func (h *history) violations() []string {
	c := &checking{
		messages:      make(map[messageKey]*published),
		subscriptions: make(map[string][]*subscribed),
		arrived:       make(map[arrival][]delivered),
	}
	for i := range h.Published {
		c.messages[h.Published[i].key()] = &h.Published[i]
	}
	for i := range h.Subscribed {
		s := &h.Subscribed[i]
		c.subscriptions[s.Subscriber] = append(c.subscriptions[s.Subscriber], s)
	}
	for _, r := range h.Resumed {
		if !r.Present {
			c.wrong("session lost", "%s came back at %d and its session was not there", r.Client, r.At)
		}
	}
	for _, d := range h.Delivered {
		if c.origin(&d) {
			at := arrival{d.Subscriber, d.key()}
			c.arrived[at] = append(c.arrived[at], d)
		}
	}
	c.repeats()
	c.order(h.Delivered)
	c.owed()
	slices.Sort(c.found)
	return c.found
}

// arrival is a message at a subscriber.
type arrival struct {
	subscriber string
	messageKey
}

// checking is the state of one look at a history.
type checking struct {
	messages      map[messageKey]*published
	subscriptions map[string][]*subscribed // by subscriber
	arrived       map[arrival][]delivered
	found         []string
}

func (c *checking) wrong(rule, format string, args ...any) {
	c.found = append(c.found, rule+": "+fmt.Sprintf(format, args...))
}

// origin: what is delivered has been published, as it is, at a time when the
// subscriber may have been subscribed, and has the lower QoS of both. False
// means that the rest of the rules has nothing to say about it.
func (c *checking) origin(d *delivered) bool {
	p := c.messages[d.key()]
	switch {
	case p == nil:
		c.wrong("invented", "%s received %s, which nobody has published", d.Subscriber, d.key())
		return false
	case p.Sent > d.At:
		c.wrong("invented", "%s received %s at %d, before it was sent at %d", d.Subscriber, d.key(), d.At, p.Sent)
		return false
	case d.Damaged:
		c.wrong("damaged", "%s received %s with another payload", d.Subscriber, d.key())
	}
	var granted []byte
	for _, s := range c.subscriptions[d.Subscriber] {
		if s.mayReceive(p) {
			granted = append(granted, s.QoS)
		}
	}
	switch {
	case granted == nil:
		c.wrong("not subscribed", "%s received %s, sent at %d and acknowledged at %d, without a subscription",
			d.Subscriber, d.key(), p.Sent, p.Acked)
	case !slices.ContainsFunc(granted, func(g byte) bool { return min(g, p.QoS) == d.QoS }):
		c.wrong("quality", "%s received %s at QoS %d; published at %d, subscribed at %d",
			d.Subscriber, d.key(), d.QoS, p.QoS, granted)
	}
	return true
}

// repeats: at QoS 2 there are none. At QoS 1 they say so, unless the publisher
// has repeated itself. // [MQTT-4.3.3] [MQTT-3.3.1-1]
func (c *checking) repeats() {
	for at, all := range c.arrived {
		p := c.messages[at.messageKey]
		fresh := 0
		for _, d := range all {
			if !d.Dup {
				fresh++
			}
		}
		switch {
		case all[0].QoS == 2 && len(all) > p.copies():
			c.wrong("twice", "%s received %s %d times at QoS 2, at %d and at %d", at.subscriber, at.messageKey, len(all), all[0].At, all[1].At)
		case fresh > p.copies():
			c.wrong("unmarked repeat", "%s received %s %d times without DUP; it was sent %d times", at.subscriber, at.messageKey, fresh, p.Sends)
		}
	}
}

// stream is what has an order: one topic of one publisher at one subscriber.
type stream struct{ subscriber, publisher, topic string }

// order: first deliveries are in the publisher's order, and so are the repeats
// at the beginning of a connection and what follows them. // [MQTT-4.6.0-1..6]
func (c *checking) order(all []delivered) {
	type last struct{ first, seq, connection int }
	streams := make(map[stream]*last)
	seen := make(map[arrival]bool)
	for i := range all {
		d := &all[i]
		p := c.messages[d.key()]
		if p == nil {
			continue
		}
		at := stream{d.Subscriber, d.Publisher, d.Topic}
		l := streams[at]
		if l == nil {
			l = &last{first: -1, seq: -1}
			streams[at] = l
		}
		if key := (arrival{d.Subscriber, d.key()}); !seen[key] {
			seen[key] = true
			if d.Seq < l.first {
				c.wrong("order", "%s received %s after #%d, at %d", d.Subscriber, d.key(), l.first, d.At)
			}
			l.first = max(l.first, d.Seq)
		}
		if p.copies() > 1 {
			continue // the second copy has its own place
		}
		if d.Connection == l.connection && d.Seq <= l.seq {
			c.wrong("order of repeats", "%s received %s again after #%d on one connection, at %d", d.Subscriber, d.key(), l.seq, d.At)
		}
		l.seq, l.connection = d.Seq, d.Connection
	}
}

// owed: what was acknowledged has come to everybody who was subscribed.
func (c *checking) owed() {
	for _, p := range c.messages {
		for subscriber, all := range c.subscriptions {
			must := slices.ContainsFunc(all, func(s *subscribed) bool { return s.mustReceive(p) })
			if must && len(c.arrived[arrival{subscriber, p.key()}]) == 0 {
				c.wrong("lost", "%s never received %s, QoS %d, sent at %d and acknowledged at %d", subscriber, p.key(), p.QoS, p.Sent, p.Acked)
			}
		}
	}
}
