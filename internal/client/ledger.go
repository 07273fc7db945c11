package client

import (
	"cmp"
	"errors"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// flight is a QoS 1 or 2 message without outcome.
type flight struct {
	id        uint16
	seq       uint64 // order of publishing
	m         Message
	done      func(Outcome)
	queued    bool // to be sent on the current link, when the window allows
	released  bool // PUBREC has come: only PUBREL may follow // [MQTT-4.3.3-6]
	again     bool // the server's session has seen it: send with DUP // [MQTT-3.3.1-1]
	duplicate bool // Outcome.Duplicate
	sends     int
}

// carried is a QoS 0 message that a link took and did not write.
type carried struct {
	m     Message
	sends int
	done  func(Outcome)
}

// outcome is an outcome that remains to be reported.
type outcome struct {
	done func(Outcome)
	o    Outcome
}

// settle reports outcomes; c.mu is not held.
func (c *Client) settle(all []outcome) {
	for _, s := range all {
		if s.done != nil {
			s.done(s.o)
		}
	}
	if len(all) > 0 {
		c.settled(len(all))
	}
}

// land ends a flight and keeps the rest going. c.mu is held.
func (c *Client) land(f *flight, o Outcome) outcome {
	delete(c.flights, f.id)
	o.PacketID, o.Sends, o.Duplicate = f.id, f.sends, f.duplicate
	return outcome{f.done, o}
}

// window is how many flights the link may have. c.mu is held.
func (c *Client) window(l *link) int { return min(c.o.MaxInflight, l.limits.receiveMaximum) }

// resume puts on a new link all that the links before it could not settle, in
// the order of publishing. Where the server still has the session, messages
// keep their identifier and are marked DUP, and those it has received are
// released; where it has not, they are published anew: the server may then see
// a QoS 2 message twice, which the outcome tells. c.mu is held. What the new
// server does not accept is returned.
func (c *Client) resume(l *link, sessionPresent bool) (refused []outcome) {
	c.backlog = c.backlog[:0]
	order := make([]*flight, 0, len(c.flights))
	for _, f := range c.flights {
		order = append(order, f)
	}
	slices.SortFunc(order, func(a, b *flight) int { return cmp.Compare(a.seq, b.seq) })
	for _, f := range order {
		if sessionPresent && f.released {
			_ = l.append(mqtt.Pubrel{PacketID: f.id}) // [MQTT-4.4.0-1]
			continue
		}
		f.again = sessionPresent && f.sends > 0
		if f.sends > 0 && !sessionPresent && f.m.QoS == 2 {
			f.duplicate = true
		}
		f.released, f.queued = false, true
		c.backlog = append(c.backlog, f)
	}
	refused = c.pump(l)
	if l.stopped || l.goodbye {
		return refused
	}
	for _, w := range c.carried {
		start := len(l.out.buf)
		if err := c.encode(l, &w.m, 0, false); err != nil {
			refused = append(refused, outcome{w.done, Outcome{Kind: Refused, Sends: w.sends, Err: err}})
			continue
		}
		l.out.written = append(l.out.written, pendingWrite{start, len(l.out.buf), w.sends + 1, w.done})
		l.unproven = true
	}
	c.carried = nil
	return refused
}

// pump sends from the backlog what the window allows. What a link that ends
// cannot take waits for the next one. c.mu is held.
func (c *Client) pump(l *link) (refused []outcome) {
	for !l.stopped && !l.goodbye && len(c.backlog) > 0 && len(c.flights)-len(c.backlog) < c.window(l) {
		f := c.backlog[0]
		c.backlog = c.backlog[1:]
		f.queued = false
		if err := c.encode(l, &f.m, f.id, f.again); err != nil {
			refused = append(refused, c.land(f, Outcome{Kind: Refused, Err: err}))
			continue
		}
		f.sends++
	}
	return refused
}

// rescue keeps the QoS 0 messages that a dead link has not written. c.mu is held.
func (c *Client) rescue(l *link) {
	for _, b := range []*batch{&l.flying, &l.out} {
		for _, w := range b.written {
			header, body, _, err := mqtt.Frame(b.buf[w.start:w.end], 0)
			if err != nil {
				continue // cannot happen: encode wrote it
			}
			p, err := mqtt.ParsePublish(body, header.Flags, &mqtt.Options{Version: c.o.Version})
			if err != nil {
				continue
			}
			topic := string(p.Topic)
			if alias, ok := p.Properties.Uint16(mqtt.PropTopicAlias); ok && topic == "" {
				topic = l.outAliases[alias]
			}
			c.carried = append(c.carried, carried{
				m: Message{
					Topic: topic, Retain: p.Retain,
					Payload: slices.Clone(p.Payload), Properties: slices.Clone(p.Properties),
				},
				sends: w.sends - 1, // not this time
				done:  w.done,
			})
		}
		b.written = nil
	}
}

// abandon gives up all that has no outcome.
func (c *Client) abandon() {
	c.mu.Lock()
	reason := c.life.Reason()
	var lost []outcome
	give := func(done func(Outcome), o Outcome) {
		o.Kind, o.Err = Lost, reason
		lost = append(lost, outcome{done, o})
	}
	order := make([]*flight, 0, len(c.flights))
	for _, f := range c.flights {
		order = append(order, f)
	}
	slices.SortFunc(order, func(a, b *flight) int { return cmp.Compare(a.seq, b.seq) })
	for _, f := range order {
		give(f.done, Outcome{PacketID: f.id, Sends: f.sends, Duplicate: f.duplicate})
	}
	for _, w := range c.carried {
		give(w.done, Outcome{Sends: w.sends})
	}
	clear(c.flights)
	c.backlog, c.carried = nil, nil
	c.mu.Unlock()
	c.settle(lost)
}

// acknowledged takes PUBACK, PUBREC and PUBCOMP. Identifiers that are not, or
// no longer, in flight are left over from an earlier connection and ignored,
// but PUBREC is answered in any case, as the server waits for it.
func (c *Client) acknowledged(l *link, t mqtt.Type, id uint16, code mqtt.ReasonCode, props mqtt.Properties) {
	c.mu.Lock()
	f := c.flights[id]
	if f != nil && f.queued {
		f = nil // not sent on this link
	}
	var results []outcome
	switch {
	case t == mqtt.TypePubrec && f == nil:
		rel := mqtt.Pubrel{PacketID: id}
		if c.o.Version == mqtt.V5 {
			rel.Code = mqtt.PacketIdentifierNotFound
		}
		if !code.IsError() {
			_ = l.append(rel)
		}
	case f == nil:
	case t == mqtt.TypePubrec && f.m.QoS == 2 && !code.IsError(): // [MQTT-4.3.3-4]
		f.released = true
		_ = l.append(mqtt.Pubrel{PacketID: id})
	case t == mqtt.TypePuback && f.m.QoS == 1, t == mqtt.TypePubrec && f.m.QoS == 2:
		o := Outcome{Kind: Acknowledged, Code: code, Properties: slices.Clone(props)}
		if code.IsError() {
			o.Kind = Refused
		}
		results = append(results, c.land(f, o))
	case t == mqtt.TypePubcomp && f.released:
		// A code here can only be "packet identifier not found": the exchange
		// had been completed before a connection broke.
		results = append(results, c.land(f, Outcome{Kind: Acknowledged, Code: code, Properties: slices.Clone(props)}))
	}
	if len(results) > 0 {
		if len(c.backlog) > 0 && c.life.link == l {
			results = append(results, c.pump(l)...)
		}
		c.room.Broadcast()
	}
	c.mu.Unlock()
	c.settle(results)
}

// errNoID: requests that were never answered keep their identifiers.
var errNoID = errors.New("all packet identifiers are in use")

// newID returns an unused packet identifier, 0 when there is none. c.mu is held.
func (c *Client) newID(l *link) uint16 {
	for range 1 << 16 {
		c.nextID++
		_, flying := c.flights[c.nextID]
		_, asked := l.requests[c.nextID]
		if c.nextID != 0 && !flying && !asked {
			return c.nextID
		}
	}
	return 0
}
