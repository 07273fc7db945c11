package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

// request is SUBSCRIBE or, with topics, UNSUBSCRIBE.
type request struct {
	filters []Subscription
	topics  []string
	props   mqtt.Properties
}

func (r *request) packet(id uint16) mqtt.Packet {
	if r.topics != nil {
		return mqtt.Unsubscribe{PacketID: id, Properties: r.props, Filters: r.topics}
	}
	return mqtt.Subscribe{PacketID: id, Properties: r.props, Filters: r.filters}
}

// check compares the number of answers with that of the questions. UNSUBACK
// has none before 5.0.
func (r *request) check(a response, v mqtt.Version) error {
	switch {
	case r.topics == nil && len(a.codes) != len(r.filters): // [MQTT-3.8.4-6]
		return fmt.Errorf("SUBACK has %d codes for %d topic filters", len(a.codes), len(r.filters))
	case r.topics != nil && v == mqtt.V5 && len(a.codes) != len(r.topics): // [MQTT-3.11.3-2]
		return fmt.Errorf("UNSUBACK has %d codes for %d topic filters", len(a.codes), len(r.topics))
	}
	return nil
}

// response is SUBACK or UNSUBACK.
type response struct{ codes []mqtt.ReasonCode }

// question is a request that is under way.
type question struct {
	wants  mqtt.Type // SUBACK or UNSUBACK
	answer chan response
}

// Subscribe implements API.
func (c *Client) Subscribe(ctx context.Context, subs []Subscription, props mqtt.Properties) ([]mqtt.ReasonCode, error) {
	if len(subs) == 0 {
		return nil, errors.New("subscribe: no topic filter") // [MQTT-3.8.3-2]
	}
	for _, s := range subs {
		if err := validFilter(s.Filter); err != nil {
			return nil, err
		}
	}
	r := request{filters: slices.Clone(subs), props: slices.Clone(props)}
	if err := c.validRequest(mqtt.TypeSubscribe, props); err != nil {
		return nil, err
	}
	a, err := c.request(ctx, r)
	if err != nil {
		return a.codes, err
	}
	c.remember(r, a.codes)
	return a.codes, nil
}

// Unsubscribe implements API.
func (c *Client) Unsubscribe(ctx context.Context, filters []string, props mqtt.Properties) ([]mqtt.ReasonCode, error) {
	if len(filters) == 0 {
		return nil, errors.New("unsubscribe: no topic filter") // [MQTT-3.10.3-2]
	}
	for _, f := range filters {
		if err := validFilter(f); err != nil {
			return nil, err
		}
	}
	if err := c.validRequest(mqtt.TypeUnsubscribe, props); err != nil {
		return nil, err
	}
	a, err := c.request(ctx, request{topics: slices.Clone(filters), props: slices.Clone(props)})
	if err != nil {
		return a.codes, err
	}
	c.forget(filters)
	return a.codes, nil
}

func validFilter(f string) error {
	if !utf8.ValidString(f) { // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
		return fmt.Errorf("topic filter %q is not UTF-8", f)
	}
	return router.ValidateFilter(f)
}

func (c *Client) validRequest(t mqtt.Type, props mqtt.Properties) error {
	if len(props) == 0 {
		return nil
	}
	if c.o.Version != mqtt.V5 {
		return fmt.Errorf("%s: properties need MQTT 5.0", t)
	}
	return props.Validate(mqtt.In(t), &mqtt.Options{Version: mqtt.V5})
}

// request asks on the current link, or the next, until there is an answer.
func (c *Client) request(ctx context.Context, r request) (response, error) {
	for {
		c.mu.Lock()
		err := c.life.Await(ctx, func() bool {
			return c.life.Over() || !c.life.started || c.life.link != nil && !c.life.link.stopped
		})
		if err == nil && (c.life.Over() || !c.life.started) {
			err = c.closedError()
		}
		l := c.life.link
		c.mu.Unlock()
		if err != nil {
			return response{}, err
		}
		a, err := c.ask(ctx, l, r)
		if !errors.Is(err, ErrConnectionLost) {
			return a, err
		}
	}
}

// ask asks on one link. ErrConnectionLost means that it ended without an answer.
func (c *Client) ask(ctx context.Context, l *link, r request) (response, error) {
	c.mu.Lock()
	id := c.newID(l)
	p := r.packet(id)
	err := l.limits.size(p.Size(c.o.Version))
	if id == 0 {
		err = errNoID
	}
	if s, ok := p.(mqtt.Subscribe); ok && err == nil {
		err = l.limits.subscribe(&s)
	}
	if err == nil {
		err = l.append(p)
	}
	answer := make(chan response, 1)
	if err == nil {
		l.requests[id] = question{p.Type() + 1, answer} // each is answered by the next type
	}
	c.mu.Unlock()
	if err != nil {
		return response{}, err
	}
	var deadline <-chan time.Time
	if c.o.RequestTimeout > 0 {
		timer := time.NewTimer(c.o.RequestTimeout)
		defer timer.Stop()
		deadline = timer.C
	}
	// The identifier stays taken until the answer comes, however late.
	select {
	case a := <-answer:
		return a, r.check(a, c.o.Version)
	case <-l.dead:
		return response{}, ErrConnectionLost
	case <-deadline:
		return response{}, fmt.Errorf("%s: %w", p.Type(), ErrTimeout)
	case <-ctx.Done():
		return response{}, ctx.Err()
	}
}

// answered takes SUBACK and UNSUBACK. An error ends the link: the answer is to
// another kind of request.
func (c *Client) answered(l *link, t mqtt.Type, id uint16, codes []mqtt.ReasonCode) error {
	c.mu.Lock()
	q, ok := l.requests[id]
	if ok && q.wants == t {
		delete(l.requests, id)
	}
	c.mu.Unlock()
	switch {
	case !ok:
		return nil
	case q.wants != t:
		return &mqtt.Malformed{
			Packet: t, Code: mqtt.ProtocolError, Reason: fmt.Sprintf("packet identifier %d waits for %s", id, q.wants),
		}
	}
	q.answer <- response{codes}
	return nil
}

// remember keeps what was granted, to renew it.
func (c *Client) remember(r request, codes []mqtt.ReasonCode) {
	kept := r
	kept.filters = nil
	names := make([]string, 0, len(r.filters))
	for i, s := range r.filters {
		names = append(names, s.Filter)
		if !codes[i].IsError() {
			kept.filters = append(kept.filters, s)
		}
	}
	c.forget(names)
	if len(kept.filters) > 0 {
		c.mu.Lock()
		c.subscribed = append(c.subscribed, kept)
		c.mu.Unlock()
	}
}

func (c *Client) forget(filters []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := make([]request, 0, len(c.subscribed))
	for _, r := range c.subscribed {
		r.filters = slices.DeleteFunc(slices.Clone(r.filters), func(s Subscription) bool {
			return slices.Contains(filters, s.Filter)
		})
		if len(r.filters) > 0 {
			left = append(left, r)
		}
	}
	c.subscribed = left
}
