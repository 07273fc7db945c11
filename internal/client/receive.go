package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Bounds of the topic names that a link remembers: how many, and their length.
const (
	maxNames     = 1024
	maxNameBytes = 256
)

// receive takes one packet from the server; it runs on the reader goroutine.
// An error ends the link.
func (l *link) receive(h mqtt.Header, body, packet []byte) error {
	c := l.c
	if c.o.OnPacket != nil {
		c.o.OnPacket(Received, packet)
	}
	if err := h.Check(&c.parse); err != nil {
		return err
	}
	l.urgent = l.urgent || h.Type != mqtt.TypePublish
	switch h.Type {
	case mqtt.TypePublish:
		p, err := mqtt.ParsePublish(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		return l.published(&p)
	case mqtt.TypePuback:
		a, err := mqtt.ParsePuback(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		c.acknowledged(l, h.Type, a.PacketID, a.Code, a.Properties)
	case mqtt.TypePubrec:
		a, err := mqtt.ParsePubrec(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		c.acknowledged(l, h.Type, a.PacketID, a.Code, a.Properties)
	case mqtt.TypePubcomp:
		a, err := mqtt.ParsePubcomp(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		c.acknowledged(l, h.Type, a.PacketID, a.Code, a.Properties)
	case mqtt.TypePubrel:
		a, err := mqtt.ParsePubrel(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		l.releasing(a.PacketID)
	case mqtt.TypeSuback:
		a, err := mqtt.ParseSuback(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		return c.answered(l, h.Type, a.PacketID, a.Codes)
	case mqtt.TypeUnsuback:
		a, err := mqtt.ParseUnsuback(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		return c.answered(l, h.Type, a.PacketID, a.Codes)
	case mqtt.TypeConnack:
		return l.accepted(body, h.Flags, packet)
	case mqtt.TypeDisconnect:
		if c.o.Version != mqtt.V5 {
			return unexpected(h.Type)
		}
		d, err := mqtt.ParseDisconnect(body, h.Flags, &c.parse)
		if err != nil {
			return err
		}
		return &DisconnectedError{Code: d.Code, Properties: slices.Clone(d.Properties)}
	case mqtt.TypePingresp:
		l.toLibrary.put(packet)
	case mqtt.TypeAuth:
		if c.o.Version != mqtt.V5 {
			return unexpected(h.Type)
		}
		l.toLibrary.put(packet)
	default:
		return unexpected(h.Type)
	}
	return nil
}

// premature is an error for what must not come before CONNACK. It looks at the
// type alone, because what another protocol sends may announce a length that
// never comes.
func (l *link) premature(t mqtt.Type) error {
	if l.connack.Load() != nil || t == mqtt.TypeConnack || t == mqtt.TypeAuth || t == mqtt.TypeDisconnect {
		return nil
	}
	return &mqtt.Malformed{ // [MQTT-3.2.0-1]
		Packet: t, Code: mqtt.ProtocolError, Clause: "MQTT-3.2.0-1", Reason: "the first packet is not CONNACK",
	}
}

func unexpected(t mqtt.Type) error {
	return &mqtt.Malformed{Packet: t, Code: mqtt.ProtocolError, Reason: "a server does not send this"}
}

// accepted takes CONNACK, gives it to the library, and holds the reader until
// the client has taken the link into use: what follows may be messages. A
// refusal ends the link and does not reach the library, which in 3.x would take
// a code that it does not know for success.
func (l *link) accepted(body []byte, flags uint8, packet []byte) error {
	if l.connack.Load() != nil {
		return &mqtt.Malformed{Packet: mqtt.TypeConnack, Code: mqtt.ProtocolError, Clause: "MQTT-3.2.0-2", Reason: "a second CONNACK"}
	}
	ack, err := mqtt.ParseConnack(body, flags, &l.c.parse)
	if err != nil && ack.Code == mqtt.Success {
		return err
	}
	// A refusal counts even with a code that the standard does not know.
	ack.Properties = slices.Clone(ack.Properties)
	l.limits = limitsOf(ack.Properties)
	l.connack.Store(&ack)
	if ack.Code != mqtt.Success {
		return &ConnectError{Version: l.c.o.Version, Code: ack.Code, Properties: ack.Properties}
	}
	l.toLibrary.put(packet)
	select {
	case <-l.ready:
	case <-l.dead:
	}
	return nil
}

// published takes a message from the server. The acknowledgement follows once
// OnMessage has returned.
func (l *link) published(p *mqtt.Publish) error {
	topic, err := l.topicOf(p)
	if err != nil {
		return err
	}
	c := l.c
	if !l.handed {
		l.handed = true
		l.handing.Store(true) // before halted is read: see Client.part
	}
	if c.halted.Load() {
		return nil
	}
	if p.QoS == 2 {
		isNew, err := c.inbound.Publish(p.PacketID, c.receiveMaximum)
		if err != nil {
			return &mqtt.Malformed{
				Packet: mqtt.TypePublish, Code: mqtt.ReceiveMaximumExceeded, Clause: "MQTT-3.3.4-9", Reason: err.Error(),
			}
		}
		if !isNew { // [MQTT-4.3.3-10]
			l.reply(mqtt.TypePubrec, p.PacketID, mqtt.Success)
			return nil
		}
	}
	if c.o.OnMessage != nil {
		c.o.OnMessage(Message{
			Topic: topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup,
			PacketID: p.PacketID, Properties: p.Properties,
		})
	}
	switch p.QoS {
	case 1:
		l.reply(mqtt.TypePuback, p.PacketID, mqtt.Success)
	case 2:
		l.reply(mqtt.TypePubrec, p.PacketID, mqtt.Success)
	}
	return nil
}

// releasing takes PUBREL.
func (l *link) releasing(id uint16) {
	code := mqtt.Success
	if known := l.c.inbound.Release(id); !known && l.c.o.Version == mqtt.V5 {
		code = mqtt.PacketIdentifierNotFound
	}
	l.reply(mqtt.TypePubcomp, id, code)
}

// reply is an acknowledgement to be sent.
type reply struct {
	kind mqtt.Type
	id   uint16
	code mqtt.ReasonCode
}

func (l *link) reply(kind mqtt.Type, id uint16, code mqtt.ReasonCode) {
	l.urgent = true
	l.replies = append(l.replies, reply{kind, id, code})
}

// caughtUp runs when the reader has worked off what a read brought. It reports
// whether that was nothing but messages that nobody waits for.
func (l *link) caughtUp() (atRest bool) {
	c := l.c
	if l.handed && c.o.OnIdle != nil {
		c.o.OnIdle()
	}
	atRest = l.handed && !l.urgent
	if len(l.replies) > 0 {
		l.sendReplies()
	}
	if l.handed {
		l.handing.Store(false)
		if c.halted.Load() {
			c.life.wake()
		}
	}
	l.handed, l.urgent = false, false
	return atRest
}

func (l *link) sendReplies() {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range l.replies {
		if l.stopped || l.goodbye {
			break // the server repeats what is not acknowledged
		}
		start := len(l.out.buf)
		var err error
		switch r.kind { // no interface value, which would allocate
		case mqtt.TypePuback:
			l.out.buf, err = mqtt.Puback{PacketID: r.id, Code: r.code}.Append(l.out.buf, c.o.Version)
		case mqtt.TypePubrec:
			l.out.buf, err = mqtt.Pubrec{PacketID: r.id, Code: r.code}.Append(l.out.buf, c.o.Version)
		case mqtt.TypePubcomp:
			l.out.buf, err = mqtt.Pubcomp{PacketID: r.id, Code: r.code}.Append(l.out.buf, c.o.Version)
		}
		if err == nil && c.o.OnPacket != nil {
			c.o.OnPacket(Sent, l.out.buf[start:])
		}
	}
	l.replies = l.replies[:0]
	l.flushNow()
}

// topicOf returns the topic name of p, by its alias if that is all it has.
func (l *link) topicOf(p *mqtt.Publish) (string, error) {
	topic, known := l.names[string(p.Topic)]
	if !known {
		topic = string(p.Topic)
		if len(l.names) >= maxNames {
			clear(l.names)
		}
		if len(topic) <= maxNameBytes {
			l.names[topic] = topic
		}
	}
	if len(p.Properties) == 0 {
		return topic, nil
	}
	alias, ok := p.Properties.Uint16(mqtt.PropTopicAlias)
	if !ok {
		return topic, nil
	}
	most, _ := l.c.o.Properties.Uint16(mqtt.PropTopicAliasMaximum)
	if topic == "" {
		topic = l.inAliases[alias]
	}
	if alias > most || topic == "" { // [MQTT-3.1.2-26]
		return "", &mqtt.Malformed{
			Packet: mqtt.TypePublish, Code: mqtt.TopicAliasInvalid, Clause: "MQTT-3.1.2-26",
			Reason: fmt.Sprintf("topic alias %d", alias),
		}
	}
	l.inAliases[alias] = topic
	return topic, nil
}

// authenticate answers an AUTH packet of the server.
func (c *Client) authenticate(code mqtt.ReasonCode, props mqtt.Properties) (mqtt.Properties, error) {
	if c.o.OnAuth == nil {
		return nil, errors.New("the server asks for enhanced authentication")
	}
	return c.o.OnAuth(code, props)
}
