package client

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

// Publish implements API.
func (c *Client) Publish(ctx context.Context, m Message, done func(Outcome)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.validMessage(&m); err != nil {
		return err
	}
	err := c.life.Await(ctx, func() bool {
		if c.life.Over() || !c.life.started {
			return true
		}
		l := c.life.link
		return l != nil && !l.stopped && len(l.out.buf) <= c.o.MaxPendingBytes &&
			(m.QoS == 0 || len(c.backlog) == 0 && len(c.flights) < c.window(l))
	})
	if err != nil {
		return err
	}
	if c.life.Over() || !c.life.started {
		return c.closedError()
	}
	if m.QoS == 0 {
		return c.publish0(&m, done)
	}
	return c.publish12(m, done)
}

// publish0 hands a QoS 0 message to the writer. c.mu is held.
func (c *Client) publish0(m *Message, done func(Outcome)) error {
	l := c.life.link
	start := len(l.out.buf)
	if err := c.encode(l, m, 0, false); err != nil {
		return err
	}
	l.out.written = append(l.out.written, pendingWrite{start, len(l.out.buf), 1, done})
	l.unproven = true
	c.unsettled++
	return nil
}

// publish12 enters a QoS 1 or 2 message in the ledger and sends it. c.mu is held.
func (c *Client) publish12(m Message, done func(Outcome)) error {
	id := c.newID(c.life.link)
	if id == 0 {
		return errNoID
	}
	if err := c.encode(c.life.link, &m, id, false); err != nil {
		return err
	}
	m.Payload = slices.Clone(m.Payload)
	m.Properties = slices.Clone(m.Properties)
	c.nextSeq++
	c.flights[id] = &flight{id: id, seq: c.nextSeq, m: m, done: done, sends: 1}
	c.unsettled++
	return nil
}

// closedError says that and why the client takes nothing. c.mu is held.
func (c *Client) closedError() error {
	if err := c.life.err; err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return ErrClosed
}

// validMessage checks what holds on any connection. c.mu is held.
func (c *Client) validMessage(m *Message) error {
	if m.Topic != c.topic || c.topicText == nil {
		if err := router.ValidateName(m.Topic); err != nil {
			return err
		}
		if !utf8.ValidString(m.Topic) { // [MQTT-3.3.2-1]
			return fmt.Errorf("publish: topic name %q is not UTF-8", m.Topic)
		}
		c.topic, c.topicText = m.Topic, []byte(m.Topic)
	}
	if m.QoS > 2 {
		return fmt.Errorf("publish: QoS %d", m.QoS)
	}
	if len(m.Properties) == 0 {
		return nil
	}
	if c.o.Version != mqtt.V5 {
		return fmt.Errorf("publish: properties need MQTT 5.0")
	}
	if m.Properties.Has(mqtt.PropSubscriptionIdentifier) { // [MQTT-3.3.4-6]
		return fmt.Errorf("publish: a client sends no subscription identifier")
	}
	return m.Properties.Validate(mqtt.In(mqtt.TypePublish), &mqtt.Options{Version: mqtt.V5})
}

// encode appends PUBLISH to the link, with id at QoS 1 and 2. c.mu is held.
func (c *Client) encode(l *link, m *Message, id uint16, dup bool) error {
	if l.stopped || l.goodbye {
		return ErrConnectionLost
	}
	p := mqtt.Publish{
		Dup: dup, QoS: m.QoS, Retain: m.Retain, Topic: c.topicText,
		PacketID: id, Properties: m.Properties, Payload: m.Payload,
	}
	if m.Topic != c.topic {
		p.Topic = []byte(m.Topic)
	}
	alias := uint16(0)
	if len(m.Properties) > 0 {
		alias, _ = m.Properties.Uint16(mqtt.PropTopicAlias)
	}
	if alias != 0 && c.o.AliasTopics && l.outAliases[alias] == m.Topic {
		p.Topic = nil // MQTT-3.3.2.3.4
	}
	if err := l.limits.publish(&p, alias, p.Size(c.o.Version)); err != nil {
		return err
	}
	start := len(l.out.buf)
	buf, err := p.Append(l.out.buf, c.o.Version)
	if err != nil {
		return err
	}
	l.out.buf = buf
	if alias != 0 {
		l.outAliases[alias] = m.Topic
	}
	l.sent(start)
	return nil
}

// PublishWait implements API.
func (c *Client) PublishWait(ctx context.Context, m Message) (Outcome, error) {
	return PublishWait(ctx, c, m)
}

// PublishWait is API.PublishWait, made of c.Publish.
func PublishWait(ctx context.Context, c API, m Message) (Outcome, error) {
	result := make(chan Outcome, 1)
	if err := c.Publish(ctx, m, func(o Outcome) { result <- o }); err != nil {
		return Outcome{}, err
	}
	select {
	case o := <-result:
		return o, nil
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
}

// Flush implements API.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life.Await(ctx, func() bool { return c.unsettled == 0 })
}
