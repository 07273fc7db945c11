package mqtt

import (
	"context"
	"errors"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
)

// handle works off one packet.
func (c *conn) handle(ctx context.Context, h mqtt.Header, body []byte) error {
	if c.version == 0 {
		return c.connect(ctx, h, body)
	}
	if h.Overlong {
		if err := h.Check(&c.opts); err != nil {
			return c.malformed(err)
		}
	}
	l := c.Link()
	if l == nil && h.Type != mqtt.TypeAuth && h.Type != mqtt.TypeDisconnect {
		return &gateway.End{Why: "protocol", Err: errors.New(h.Type.String() + " during authentication"), Mute: true} // [MQTT-3.1.2-30]
	}
	switch h.Type {
	case mqtt.TypePublish:
		p, err := mqtt.ParsePublish(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.publish(l, p)
	case mqtt.TypePuback:
		p, err := mqtt.ParsePuback(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.acked(l, session.Puback, p.PacketID)
	case mqtt.TypePubrec:
		p, err := mqtt.ParsePubrec(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.pubrec(l, p)
	case mqtt.TypePubrel:
		p, err := mqtt.ParsePubrel(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.pubrel(l, p)
	case mqtt.TypePubcomp:
		p, err := mqtt.ParsePubcomp(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.acked(l, session.Pubcomp, p.PacketID)
	case mqtt.TypeSubscribe:
		p, err := mqtt.ParseSubscribe(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.subscribe(l, p)
	case mqtt.TypeUnsubscribe:
		p, err := mqtt.ParseUnsubscribe(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.unsubscribe(l, p)
	case mqtt.TypePingreq:
		if _, err := mqtt.ParsePingreq(body, h.Flags, &c.opts); err != nil {
			return c.malformed(err)
		}
		c.answer(mqtt.Pingresp{}.Append(c.Answers(), c.version))
		return nil
	case mqtt.TypeDisconnect:
		p, err := mqtt.ParseDisconnect(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.disconnect(p)
	case mqtt.TypeAuth:
		p, err := mqtt.ParseAuth(body, h.Flags, &c.opts)
		if err != nil {
			return c.malformed(err)
		}
		return c.auth(ctx, p)
	case mqtt.TypeConnect:
		return c.protocolError(mqtt.ProtocolError, "second CONNECT") // [MQTT-3.1.0-2]
	default: // packets that only a server sends // [MQTT-4.13.1-1]
		return c.protocolError(mqtt.ProtocolError, "%s from a client", h.Type)
	}
}

// publish routes a message and acknowledges it.
func (c *conn) publish(l *broker.Link, p mqtt.Publish) error {
	v := message.View{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup, PacketID: p.PacketID}
	if len(p.Properties) > 0 {
		if err := c.publishProperties(&p, &v); err != nil {
			return err
		}
	}
	if err := router.ValidateName(v.Topic); err != nil {
		return c.malformed(err)
	}
	c.Charge(1)
	if p.QoS == 1 {
		c.qos1++
		if c.version == mqtt.V5 && c.qos1 > c.g.cfg.ReceiveMaximum {
			return c.protocolError(mqtt.ReceiveMaximumExceeded, "more than %d messages without acknowledgement", c.g.cfg.ReceiveMaximum) // [MQTT-3.3.4-9]
		}
	}
	matched, err := l.Publish(v)
	code := c.g.told(reasonOf(err))
	switch {
	case errors.Is(err, broker.ErrTakenOver), errors.Is(err, session.ErrReceiveMaximum):
		return ended(code, "protocol", err)
	case err != nil && p.QoS > 0 && c.version < mqtt.V5 && errors.Is(err, broker.ErrQuota):
		// No code for it: an acknowledgement would claim that it was kept.
		return &gateway.End{Why: "quota", Err: err, Mute: true}
	case err != nil:
		c.Refused("publish", string(v.Topic), err)
	case matched == 0:
		code = mqtt.NoMatchingSubscribers
	}
	switch p.QoS {
	case 1:
		c.answer(mqtt.Puback{PacketID: p.PacketID, Code: code}.Append(c.Answers(), c.version))
	case 2:
		c.answer(mqtt.Pubrec{PacketID: p.PacketID, Code: code}.Append(c.Answers(), c.version))
	}
	return nil
}

// publishProperties resolves the topic alias and takes out what belongs to
// this hop alone.
func (c *conn) publishProperties(p *mqtt.Publish, v *message.View) error {
	hop := false
	if alias, ok := p.Properties.Uint16(mqtt.PropTopicAlias); ok {
		hop = true
		if alias == 0 || int(alias) > c.g.cfg.TopicAliasMaximum {
			return c.protocolError(mqtt.TopicAliasInvalid, "topic alias %d, the maximum is %d", alias, c.g.cfg.TopicAliasMaximum) // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
		}
		if err := c.alias(int(alias), v); err != nil {
			return err
		}
	}
	if seconds, ok := p.Properties.Uint32(mqtt.PropMessageExpiryInterval); ok {
		hop = true
		v.Expiry, v.HasExpiry = seconds, true
	}
	v.Properties = p.Properties
	if hop {
		v.Properties = p.Properties.Without(mqtt.PropTopicAlias, mqtt.PropMessageExpiryInterval)
	}
	return nil
}

// alias defines or resolves a topic alias.
func (c *conn) alias(n int, v *message.View) error {
	if len(v.Topic) > 0 {
		if c.aliases == nil {
			c.aliases = make([][]byte, c.g.cfg.TopicAliasMaximum)
		}
		c.aliases[n-1] = append(c.aliases[n-1][:0], v.Topic...)
		return nil
	}
	if n > len(c.aliases) || len(c.aliases[n-1]) == 0 {
		return c.protocolError(mqtt.ProtocolError, "topic alias %d has not been set", n) // [MQTT-3.3.2-7]
	}
	v.Topic = c.aliases[n-1]
	return nil
}

// acked takes PUBACK and PUBCOMP.
func (c *conn) acked(l *broker.Link, kind session.Ack, id uint16) error {
	err := l.Acked(kind, id)
	if err == nil || errors.Is(err, session.ErrUnknownID) {
		return nil // late, or of a session that is gone: nothing to do
	}
	return ended(reasonOf(err), "protocol", err)
}

// pubrec takes the first answer to a QoS 2 delivery; PUBREL follows as a
// delivery of the session. // [MQTT-4.3.3-4]
func (c *conn) pubrec(l *broker.Link, p mqtt.Pubrec) error {
	kind := session.Pubrec
	if p.Code.IsError() {
		kind = session.PubrecError
	}
	err := l.Acked(kind, p.PacketID)
	switch {
	case errors.Is(err, session.ErrUnknownID) && kind == session.Pubrec:
		c.answer(mqtt.Pubrel{PacketID: p.PacketID, Code: mqtt.PacketIdentifierNotFound}.Append(c.Answers(), c.version))
	case errors.Is(err, session.ErrUnknownID), err == nil:
	default:
		return ended(reasonOf(err), "protocol", err)
	}
	return nil
}

// pubrel completes an inbound QoS 2 message. // [MQTT-4.3.3-11]
func (c *conn) pubrel(l *broker.Link, p mqtt.Pubrel) error {
	known, err := l.Release(p.PacketID)
	if err != nil {
		return ended(reasonOf(err), "protocol", err)
	}
	ack := mqtt.Pubcomp{PacketID: p.PacketID}
	if !known {
		ack.Code = mqtt.PacketIdentifierNotFound
	}
	c.answer(ack.Append(c.Answers(), c.version))
	return nil
}

func (c *conn) subscribe(l *broker.Link, p mqtt.Subscribe) error {
	id, _ := p.Properties.Varint(mqtt.PropSubscriptionIdentifier)
	wanted := make([]broker.Subscription, len(p.Filters))
	for i, f := range p.Filters {
		wanted[i] = broker.Subscription{
			Filter: f.Filter, QoS: f.QoS, NoLocal: f.NoLocal,
			RetainAsPublished: f.RetainAsPublished, RetainHandling: f.RetainHandling, ID: id,
		}
	}
	ack := mqtt.Suback{PacketID: p.PacketID, Codes: make([]mqtt.ReasonCode, len(wanted))} // [MQTT-3.8.4-5]
	for i, grant := range l.Subscribe(wanted) {
		ack.Codes[i] = mqtt.ReasonCode(grant.QoS)
		if grant.Err != nil {
			ack.Codes[i] = c.g.told(reasonOf(grant.Err))
			c.Refused("subscription", wanted[i].Filter, grant.Err)
		}
	}
	c.answer(ack.Append(c.Answers(), c.version))
	c.Ready()
	return nil
}

func (c *conn) unsubscribe(l *broker.Link, p mqtt.Unsubscribe) error {
	ack := mqtt.Unsuback{PacketID: p.PacketID, Codes: make([]mqtt.ReasonCode, len(p.Filters))} // [MQTT-3.10.4-5]
	for i, grant := range l.Unsubscribe(p.Filters) {
		ack.Codes[i] = reasonOf(grant.Err)
	}
	c.answer(ack.Append(c.Answers(), c.version))
	return nil
}

// disconnect takes the client's goodbye.
func (c *conn) disconnect(p mqtt.Disconnect) error {
	if v, ok := p.Properties.Uint32(mqtt.PropSessionExpiryInterval); ok {
		if c.session.expiry == 0 && v > 0 {
			return c.protocolError(mqtt.ProtocolError, "DISCONNECT raises the session expiry interval from 0") // [MQTT-3.14.2-2]
		}
		c.Farewell().Expiry, c.Farewell().HasExpiry = broker.Seconds(v), true
	}
	c.Farewell().Abnormal = p.Code != mqtt.NormalDisconnection // 0x04, or an error: with will
	c.Goodbye()
	return gateway.Bye
}
