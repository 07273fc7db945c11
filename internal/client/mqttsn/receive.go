package mqttsn

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

var fromGateway = wire.Options{FromServer: true}

// Handle works off a datagram of the gateway, which events may alias. Errors
// say why it was dropped, and nothing follows then: a *wire.Malformed, or
// ErrUnexpected. They are nothing that the caller has to act on.
func (c *Core) Handle(now time.Time, datagram []byte, fx *Effects) error {
	b, err := c.unwrap(datagram)
	if err != nil {
		return err
	}
	h, body, n, err := wire.Frame(b, wire.Version12)
	switch {
	case errors.Is(err, wire.ErrShort):
		return &wire.Malformed{Message: h.Type, Clause: "SN-5.2.1", Reason: fmt.Sprintf("%d of %d bytes", len(b), n)}
	case err != nil:
		return err
	case n < len(b):
		return &wire.Malformed{Message: h.Type, Offset: n, Clause: "SN-5.2.1", Reason: fmt.Sprintf("%d bytes after the message", len(b)-n)}
	case c.state == StateDisconnected:
		return ErrUnexpected
	}
	if c.state == StateConnecting {
		return c.handleConnecting(now, h.Type, body, fx)
	}
	if c.state == StateAwake && h.Type != wire.TypePingresp {
		c.start(slotLink, now) // the gateway is not done
	}
	return c.handle(now, h.Type, body, fx)
}

// unwrap takes off the envelope of the forwarder.
func (c *Core) unwrap(b []byte) ([]byte, error) {
	if !c.cfg.Forwarded {
		return b, nil
	}
	h, body, n, err := wire.Frame(b, wire.Version12)
	if err != nil || h.Type != wire.TypeEncapsulated || h.Bytes > 2 {
		return nil, ErrUnexpected
	}
	e, err := wire.ParseEncapsulated(body, b[n:], &fromGateway)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(e.NodeID, c.cfg.NodeID) {
		return nil, ErrUnexpected
	}
	return e.Inner, nil
}

// handleConnecting answers prompts whenever they come: a gateway repeats them.
func (c *Core) handleConnecting(now time.Time, t wire.Type, body []byte, fx *Effects) error {
	switch {
	case t == wire.TypeConnack:
		m, err := wire.ParseConnack(body, &fromGateway)
		if err != nil {
			return err
		}
		if m.Code == wire.Accepted {
			c.connected(now, fx)
			return nil
		}
		c.rest()
		c.state = StateDisconnected
		fx.Events = append(fx.Events, Event{Kind: Refused, Code: m.Code})
		return nil
	case t == wire.TypeWillTopicReq && c.will != nil:
		if _, err := wire.ParseWillTopicReq(body, &fromGateway); err != nil {
			return err
		}
		send(c, now, fx, wire.WillTopic{QoS: c.will.QoS, Retain: c.will.Retain, Topic: c.will.Topic})
	case t == wire.TypeWillMsgReq && c.will != nil:
		if _, err := wire.ParseWillMsgReq(body, &fromGateway); err != nil {
			return err
		}
		send(c, now, fx, wire.WillMsg{Payload: c.will.Payload})
	default:
		return ErrUnexpected
	}
	c.slots[slotLink].due = now.Add(c.jittered(c.slots[slotLink].wait))
	return nil
}

// handle works off a message of a connection.
func (c *Core) handle(now time.Time, t wire.Type, body []byte, fx *Effects) error {
	switch t {
	case wire.TypePublish:
		return c.publish(now, body, fx)
	case wire.TypePuback:
		return with(wire.ParsePuback, body, func(m wire.Puback) error { return c.puback(now, m, fx) })
	case wire.TypePubrec:
		return with(wire.ParsePubrec, body, func(m wire.Pubrec) error { return c.pubrec(now, m.MsgID, fx) })
	case wire.TypePubrel:
		return with(wire.ParsePubrel, body, func(m wire.Pubrel) error { return c.pubrel(now, m.MsgID, fx) })
	case wire.TypePubcomp:
		return with(wire.ParsePubcomp, body, func(m wire.Pubcomp) error { return c.pubcomp(now, m.MsgID, fx) })
	case wire.TypeRegister:
		return c.register(now, body, fx)
	case wire.TypeRegack:
		return with(wire.ParseRegack, body, func(m wire.Regack) error { return c.regack(now, m, fx) })
	case wire.TypeSuback:
		return with(wire.ParseSuback, body, func(m wire.Suback) error { return c.suback(now, m, fx) })
	case wire.TypeUnsuback:
		return with(wire.ParseUnsuback, body, func(m wire.Unsuback) error { return c.unsuback(now, m, fx) })
	case wire.TypePingreq:
		return with(wire.ParsePingreq, body, func(wire.Pingreq) error { send(c, now, fx, wire.Pingresp{}); return nil })
	case wire.TypePingresp:
		return with(wire.ParsePingresp, body, func(wire.Pingresp) error { return c.pingresp(fx) })
	case wire.TypeDisconnect:
		return with(wire.ParseDisconnect, body, func(wire.Disconnect) error { return c.disconnect(fx) })
	case wire.TypeWillTopicResp:
		return with(wire.ParseWillTopicResp, body, func(m wire.WillTopicResp) error { return c.willTopicResp(m, fx) })
	case wire.TypeWillMsgResp:
		return with(wire.ParseWillMsgResp, body, func(m wire.WillMsgResp) error { return c.willMsgResp(m, fx) })
	}
	return ErrUnexpected
}

// with parses a body and goes on with the message.
func with[M any](parse func([]byte, *wire.Options) (M, error), body []byte, next func(M) error) error {
	m, err := parse(body, &fromGateway)
	if err != nil {
		return err
	}
	return next(m)
}

func (c *Core) pingresp(fx *Effects) error {
	switch {
	case c.state == StateAwake:
		c.fallAsleep(nil, fx)
	case c.state == StateActive && c.waits(slotLink):
		c.stop(slotLink)
	default:
		return ErrUnexpected
	}
	return nil
}

// disconnect is an answer to one of ours, or the end.
func (c *Core) disconnect(fx *Effects) error {
	switch c.state {
	case StateDozing:
		c.fallAsleep(nil, fx)
	case StateLeaving:
		c.rest()
		c.state = StateDisconnected
		fx.Events = append(fx.Events, Event{Kind: Disconnected})
	case StateActive, StateAwake:
		c.lost(ErrEnded, fx)
	default: // asleep: the answer once more
		return ErrUnexpected
	}
	return nil
}

// register notes a topic that the gateway is about to use.
func (c *Core) register(now time.Time, body []byte, fx *Effects) error {
	m, err := wire.ParseRegister(body, &fromGateway)
	answer := wire.Regack{TopicID: m.TopicID, MsgID: m.MsgID}
	if err != nil {
		if answer.Code = refusal(err); answer.Code == wire.Accepted || m.MsgID == 0 {
			return err
		}
		send(c, now, fx, answer)
		return nil
	}
	switch {
	case reserved(m.TopicID):
		answer.Code = wire.InvalidTopicID
	case wild(m.Topic):
		answer.Code = wire.NotSupported
	case !c.topics.learn(m.TopicID, m.Topic):
		answer.Code = wire.Congestion
	}
	send(c, now, fx, answer)
	return nil
}

// refusal is how a message that was read, but is illegal, is to be answered;
// Accepted for not at all.
func refusal(err error) wire.ReturnCode {
	if bad := (*wire.Malformed)(nil); errors.As(err, &bad) && bad.Class >= wire.Violation {
		return bad.Code
	}
	return wire.Accepted
}

// publish is a message for us, whatever sleep we believe to be in.
func (c *Core) publish(now time.Time, body []byte, fx *Effects) error {
	if c.halted {
		return ErrUnexpected
	}
	m, err := wire.ParsePublish(body, &fromGateway)
	if err != nil {
		code := refusal(err)
		if code == wire.Accepted {
			return err
		}
		send(c, now, fx, wire.Puback{TopicID: m.TopicID, MsgID: m.MsgID, Code: code})
		return nil
	}
	t, name, ok := c.topicOf(&m)
	if !ok {
		send(c, now, fx, wire.Puback{TopicID: m.TopicID, MsgID: m.MsgID, Code: wire.InvalidTopicID})
		return nil
	}
	if m.QoS == 2 && !c.receipt(now, &m, name) {
		send(c, now, fx, wire.Pubrec{MsgID: m.MsgID})
		return nil
	}
	fx.Events = append(fx.Events, Event{
		Kind: Message, Topic: t, Name: name, Payload: m.Payload,
		QoS: m.QoS, Retain: m.Retain, Dup: m.Dup, MsgID: m.MsgID,
	})
	switch m.QoS {
	case 1:
		send(c, now, fx, wire.Puback{TopicID: m.TopicID, MsgID: m.MsgID})
	case 2:
		send(c, now, fx, wire.Pubrec{MsgID: m.MsgID})
	}
	return nil
}

// topicOf is what a PUBLISH names.
func (c *Core) topicOf(m *wire.Publish) (t Topic, name string, ok bool) {
	switch m.Kind {
	case wire.PredefinedTopic:
		t = Predefined(m.TopicID)
		if name, ok = c.cfg.Names[m.TopicID]; !ok && c.cfg.Nameless {
			name, ok = t.String(), true
		}
		return t, name, ok
	case wire.ShortTopic:
		name = wire.ShortName(m.TopicID)
		return Short(name), name, !wild(name)
	}
	name, ok = c.topics.names[m.TopicID]
	return Named(name), name, ok
}

func (c *Core) pubrel(now time.Time, id uint16, fx *Effects) error {
	c.release(now, id)
	send(c, now, fx, wire.Pubcomp{MsgID: id})
	return nil
}
