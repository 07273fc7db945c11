package mqttsn

import (
	"fmt"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// Publication is a message to be published.
type Publication struct {
	Token   uint64 // comes back in Published
	Topic   Topic
	Payload []byte // may be reused at once
	QoS     int8   // from -1 to 2
	Retain  bool
}

// publication is one that waits, or is on its way.
type publication struct {
	Publication
	live     bool // there is one
	msgID    uint16
	sent     bool // on this connection
	released bool // PUBREC has come: PUBREL is on its way
	sends    int
	// attempts to have its topic registered after the gateway did not know it.
	attempts int
	// duplicate: at QoS 2 it may arrive twice.
	duplicate bool
}

// anew gives up what the gateway knows of the message.
func (p *publication) anew() {
	if p.live && p.QoS == 2 && p.sends > 0 {
		p.duplicate, p.released = true, false
	}
}

// maxAttempts bounds how often a gateway may say of a topic that it has just
// registered that there is no such.
const maxAttempts = 3

// Publish sends a message as soon as its turn comes; Published follows. At QoS -1
// it goes out at once, in whatever state. Errors: ErrTopic, ErrQoS, ErrTooLarge,
// ErrFull; then nothing follows.
func (c *Core) Publish(now time.Time, p Publication, fx *Effects) error {
	if err := c.fits(&p); err != nil {
		return err
	}
	if p.QoS == wire.QoSMinusOne {
		m := wire.Publish{QoS: p.QoS, Retain: p.Retain, Kind: p.Topic.Kind, TopicID: p.Topic.ID, Payload: p.Payload}
		switch p.Topic.Kind {
		case wire.NormalTopic:
			m.Name = []byte(p.Topic.Name)
		case wire.ShortTopic:
			m.TopicID, _ = wire.ShortID(p.Topic.Name)
		}
		send(c, now, fx, m)
		fx.Events = append(fx.Events, Event{Kind: Published, Token: p.Token, Outcome: Written, Sends: 1})
		return nil
	}
	if c.queue.len() >= c.cfg.MaxQueued {
		return ErrFull
	}
	if p.QoS == 0 && c.state == StateActive && c.held.IsZero() && c.queue.len() == 0 && c.flying.live == c.flying.sent {
		if id, ok := c.resolve(p.Topic); ok { // without a copy
			c.sendZero(now, &p, id, fx)
			return nil
		}
	}
	c.queue.push(p)
	c.pump(now, fx)
	return nil
}

// fits checks that p, and the REGISTER before it, can be sent.
func (c *Core) fits(p *Publication) error {
	if err := p.Topic.Check(false); err != nil {
		return err
	}
	size := wire.Publish{Payload: p.Payload}.Size()
	switch {
	case p.QoS < wire.QoSMinusOne || p.QoS > 2:
		return fmt.Errorf("%w: %d", ErrQoS, p.QoS)
	case p.Topic.Kind != wire.NormalTopic:
	case p.QoS == wire.QoSMinusOne && !c.cfg.NamedMinusOne:
		return fmt.Errorf("%w: at QoS -1 a topic is predefined or has a short name, and %q is neither", ErrTopic, p.Topic.Name)
	case p.QoS == wire.QoSMinusOne:
		size = wire.Publish{Name: []byte(p.Topic.Name), Payload: p.Payload}.Size()
	default:
		size = max(size, wire.Register{Topic: p.Topic.Name}.Size())
	}
	if most := c.cfg.MaxDatagram; size+c.cfg.envelope() > most {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size+c.cfg.envelope(), most)
	}
	return nil
}

// resolve is what stands for a topic in PUBLISH; false when it has to be
// registered first.
func (c *Core) resolve(t Topic) (id uint16, ok bool) {
	switch t.Kind {
	case wire.PredefinedTopic:
		return t.ID, true
	case wire.ShortTopic:
		return wire.ShortID(t.Name)
	}
	r := c.topics.ids[t.Name]
	return r.id, r.fresh
}

// pump sends what may be sent, in order.
func (c *Core) pump(now time.Time, fx *Effects) {
	for c.state == StateActive && c.held.IsZero() {
		if c.flying.live && !c.flying.sent {
			if !c.ready(now, c.flying.Topic, c.flying.released, fx) {
				return
			}
			c.sendFlying(now, fx)
			c.start(slotPublish, now)
		}
		if c.queue.len() == 0 {
			return
		}
		p := c.queue.first()
		if !c.ready(now, p.Topic, false, fx) {
			return
		}
		if p.QoS == 0 {
			id, _ := c.resolve(p.Topic)
			c.sendZero(now, &p.Publication, id, fx)
			c.queue.pop()
			continue
		}
		if c.flying.live {
			return
		}
		c.queue.take(&c.flying)
		c.flying.msgID = c.nextID()
	}
}

// ready reports whether a message to t can go out, and registers t otherwise.
func (c *Core) ready(now time.Time, t Topic, released bool, fx *Effects) bool {
	if released {
		return true // PUBREL speaks of no topic
	}
	if _, ok := c.resolve(t); ok {
		return true
	}
	if c.registering == "" {
		c.registering = t.Name
		c.registerID = c.nextID()
		send(c, now, fx, wire.Register{MsgID: c.registerID, Topic: t.Name})
		c.start(slotRegister, now)
	}
	return false
}

func (c *Core) sendZero(now time.Time, p *Publication, id uint16, fx *Effects) {
	send(c, now, fx, wire.Publish{Retain: p.Retain, Kind: p.Topic.Kind, TopicID: id, Payload: p.Payload})
	fx.Events = append(fx.Events, Event{Kind: Published, Token: p.Token, Outcome: Written, Sends: 1})
}

// sendFlying sends what the state of the transaction asks for.
func (c *Core) sendFlying(now time.Time, fx *Effects) {
	p := &c.flying
	p.sent = true
	if p.released {
		send(c, now, fx, wire.Pubrel{MsgID: p.msgID})
		return
	}
	id, _ := c.resolve(p.Topic)
	send(c, now, fx, wire.Publish{
		Dup: p.sends > 0, QoS: p.QoS, Retain: p.Retain, Kind: p.Topic.Kind,
		TopicID: id, MsgID: p.msgID, Payload: p.Payload,
	})
	p.sends++
}

// settle says the final word on p.
func (c *Core) settle(fx *Effects, p *publication, o Outcome, code wire.ReturnCode) {
	fx.Events = append(fx.Events, Event{
		Kind: Published, Token: p.Token, Outcome: o, Code: code,
		Sends: p.sends, Duplicate: p.duplicate && o != Denied, QoS: p.QoS, MsgID: p.msgID,
	})
	p.live = false
}

// land ends the transaction that is on its way.
func (c *Core) land(now time.Time, o Outcome, code wire.ReturnCode, fx *Effects) {
	c.stop(slotPublish)
	c.settle(fx, &c.flying, o, code)
	c.pump(now, fx)
}

// puback is the answer to QoS 1, and the refusal of any QoS.
func (c *Core) puback(now time.Time, m wire.Puback, fx *Effects) error {
	p := &c.flying
	if m.MsgID == 0 {
		return c.rejected(m, fx)
	}
	if !p.live || p.msgID != m.MsgID || p.sends == 0 || p.released {
		return ErrUnexpected
	}
	switch {
	case m.Code == wire.Accepted && p.QoS == 1:
		c.land(now, Acknowledged, m.Code, fx)
	case m.Code == wire.Accepted:
		return ErrUnexpected
	case m.Code == wire.InvalidTopicID && p.Topic.Kind == wire.NormalTopic:
		id, known := c.resolve(p.Topic)
		if known && m.TopicID != 0 && m.TopicID != id || !p.sent { // about an earlier one
			return ErrUnexpected
		}
		if p.attempts++; p.attempts > maxAttempts {
			c.land(now, Denied, m.Code, fx)
			return nil
		}
		c.topics.forget(id)
		c.stop(slotPublish)
		p.sent = false
		c.pump(now, fx)
	case m.Code == wire.Congestion && c.cfg.Congestion > 0:
		c.stop(slotPublish)
		p.sent = false
		c.held = now.Add(c.cfg.Congestion)
	default:
		c.land(now, Denied, m.Code, fx)
	}
	return nil
}

// rejected is about a message of QoS 0, whose outcome was told before.
func (c *Core) rejected(m wire.Puback, fx *Effects) error {
	if m.Code == wire.Accepted {
		return ErrUnexpected
	}
	e := Event{Kind: Rejected, Code: m.Code, Topic: Topic{ID: m.TopicID, Name: c.topics.names[m.TopicID]}}
	if m.Code == wire.InvalidTopicID && e.Topic.Name != "" {
		c.topics.forget(m.TopicID)
	}
	fx.Events = append(fx.Events, e)
	return nil
}

func (c *Core) pubrec(now time.Time, id uint16, fx *Effects) error {
	p := &c.flying
	switch {
	case !p.live || p.msgID != id: // of a transaction that is over here
		send(c, now, fx, wire.Pubrel{MsgID: id})
		return nil
	case p.QoS != 2 || p.sends == 0:
		return ErrUnexpected
	}
	p.released = true
	c.sendFlying(now, fx)
	if c.state == StateActive {
		c.start(slotPublish, now)
	}
	return nil
}

func (c *Core) pubcomp(now time.Time, id uint16, fx *Effects) error {
	p := &c.flying
	if !p.live || p.msgID != id || !p.released {
		return ErrUnexpected
	}
	c.land(now, Acknowledged, wire.Accepted, fx)
	return nil
}

func (c *Core) regack(now time.Time, m wire.Regack, fx *Effects) error {
	if c.registering == "" || m.MsgID != c.registerID {
		return ErrUnexpected
	}
	name := c.registering
	if m.Code == wire.Accepted && (reserved(m.TopicID) || !c.topics.learn(m.TopicID, name)) {
		m.Code = wire.InvalidTopicID
	}
	c.registering = ""
	c.stop(slotRegister)
	switch {
	case m.Code == wire.Accepted:
		c.pump(now, fx)
	case m.Code == wire.Congestion && c.cfg.Congestion > 0:
		c.held = now.Add(c.cfg.Congestion)
	case c.flying.live && !c.flying.sent && c.flying.Topic == Named(name):
		c.land(now, Denied, m.Code, fx)
	case c.queue.len() > 0 && c.queue.first().Topic == Named(name):
		c.settle(fx, c.queue.first(), Denied, m.Code)
		c.queue.pop()
		c.pump(now, fx)
	default:
		c.pump(now, fx)
	}
	return nil
}
