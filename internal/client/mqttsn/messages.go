package mqttsn

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// Publish implements client.API.
func (c *Client) Publish(ctx context.Context, m client.Message, done func(client.Outcome)) error {
	p := Publication{Topic: c.o.TopicOf(m.Topic), Payload: m.Payload, QoS: int8(m.QoS), Retain: m.Retain}
	if m.QoS == MinusOne {
		p.QoS = wire.QoSMinusOne
	}
	if c.o.Connectionless && p.QoS != wire.QoSMinusOne {
		return &client.RefusedError{What: "message", Reason: "without a connection there is QoS -1 alone"}
	}
	c.mu.Lock()
	roomy := func() bool {
		l := c.life.Link()
		return c.life.Over() || l != nil && !l.stopped && len(c.outcomes) < c.o.MaxInflight
	}
	if err := c.life.Await(ctx, roomy); err != nil {
		c.mu.Unlock()
		return err
	}
	if c.life.Over() {
		c.mu.Unlock()
		return client.ErrClosed
	}
	c.token++
	p.Token = c.token
	fx, now := takeEffects(), time.Now()
	if err := c.core.Publish(now, p, fx); err != nil {
		c.mu.Unlock()
		return inexpressible("message", err)
	}
	c.outcomes[p.Token] = done
	c.unsettled++
	c.carryOut(c.life.Link(), now, fx)
	giveEffects(fx)
	return nil
}

// inexpressible is err, if the protocol has no room for something, as others know it.
func inexpressible(what string, err error) error {
	if errors.Is(err, ErrTopic) || errors.Is(err, ErrQoS) || errors.Is(err, ErrTooLarge) {
		return &client.RefusedError{What: what, Reason: err.Error()}
	}
	return err
}

// PublishWait implements client.API.
func (c *Client) PublishWait(ctx context.Context, m client.Message) (client.Outcome, error) {
	return client.PublishWait(ctx, c, m)
}

// Subscribe implements client.API: one request for each filter. What is refused has the
// code UnspecifiedError, and then the error is client.Refusals.
func (c *Client) Subscribe(ctx context.Context, subs []client.Subscription, _ mqtt.Properties) ([]mqtt.ReasonCode, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	waiting, err := c.request(subs)
	if err != nil {
		return nil, err
	}
	codes, err := c.collect(ctx, waiting)
	for i := range codes {
		if !codes[i].IsError() {
			c.mu.Lock()
			c.subscribed = append(without(c.subscribed, subs[i].Filter), subscription{subs[i].Filter, subs[i].QoS})
			c.mu.Unlock()
		}
	}
	return codes, err
}

func without(all []subscription, filter string) []subscription {
	return slices.DeleteFunc(all, func(s subscription) bool { return s.filter == filter })
}

// Unsubscribe implements client.API. The protocol has no codes: nil.
func (c *Client) Unsubscribe(ctx context.Context, filters []string, _ mqtt.Properties) ([]mqtt.ReasonCode, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	var waiting []pending
	for _, f := range filters {
		p, err := c.ask(func(now time.Time, token uint64, fx *Effects) error {
			return c.core.Unsubscribe(now, c.o.TopicOf(f), token, fx)
		})
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, p)
	}
	_, err := c.collect(ctx, waiting)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range filters {
		c.subscribed = without(c.subscribed, f)
	}
	return nil, nil
}

// SetWill changes the will of the connection that there is, and of those to come;
// nil deletes it. Errors: *CodeError, *client.RefusedError, client.ErrClosed, ErrBusy.
func (c *Client) SetWill(ctx context.Context, w *client.Will) error {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	var next Will
	if w != nil {
		next = Will{Topic: w.Topic, QoS: int8(w.QoS), Retain: w.Retain}
	}
	topic, err := c.ask(func(now time.Time, token uint64, fx *Effects) error {
		return c.core.SetWillTopic(now, next, token, fx)
	})
	waiting := []pending{topic}
	if err == nil && w != nil && topic.err == nil {
		var payload pending
		payload, err = c.ask(func(now time.Time, token uint64, fx *Effects) error {
			return c.core.SetWillPayload(now, w.Payload, token, fx)
		})
		waiting = append(waiting, payload)
	}
	if err != nil {
		return err
	}
	_, err = c.collect(ctx, waiting)
	if refusals := client.Refusals(nil); errors.As(err, &refusals) {
		return errors.Join(refusals...)
	}
	return err
}

func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.o.RequestTimeout > 0 {
		return context.WithTimeoutCause(ctx, c.o.RequestTimeout, client.ErrTimeout)
	}
	return ctx, func() {}
}

// pending is a request that waits for its answer; or err says why it was never made.
type pending struct {
	answer chan Event
	err    error
}

// request subscribes to all of subs, one after the other.
func (c *Client) request(subs []client.Subscription) ([]pending, error) {
	var waiting []pending
	for _, s := range subs {
		p, err := c.ask(func(now time.Time, token uint64, fx *Effects) error {
			return c.core.Subscribe(now, c.o.TopicOf(s.Filter), int8(s.QoS), token, fx)
		})
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, p)
	}
	return waiting, nil
}

// ask makes a request. The error is of the client, not of the request.
func (c *Client) ask(begin func(now time.Time, token uint64, fx *Effects) error) (pending, error) {
	p := pending{answer: make(chan Event, 1)}
	c.mu.Lock()
	if c.life.Over() || c.o.Connectionless {
		c.mu.Unlock()
		return p, client.ErrClosed
	}
	c.token++
	fx, now := takeEffects(), time.Now()
	defer giveEffects(fx)
	if err := begin(now, c.token, fx); err != nil {
		c.mu.Unlock()
		if p.err = inexpressible("request", err); errors.As(p.err, new(*client.RefusedError)) {
			return p, nil
		}
		return p, err
	}
	c.answers[c.token] = p.answer
	c.carryOut(c.life.Link(), now, fx)
	return p, nil
}

// collect waits for answers. Those that refuse are the error, client.Refusals.
func (c *Client) collect(ctx context.Context, waiting []pending) ([]mqtt.ReasonCode, error) {
	codes, refusals := make([]mqtt.ReasonCode, len(waiting)), make(client.Refusals, len(waiting))
	some := false
	for i, p := range waiting {
		if p.err != nil {
			codes[i], refusals[i], some = mqtt.UnspecifiedError, p.err, true
			continue
		}
		select {
		case e := <-p.answer:
			codes[i] = mqtt.ReasonCode(uint8(e.QoS))
			if e.Code != wire.Accepted {
				codes[i], refusals[i], some = mqtt.UnspecifiedError, &CodeError{What: "request", Code: e.Code}, true
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.life.Done():
			return nil, client.ErrClosed
		}
	}
	if some {
		return codes, refusals
	}
	return codes, nil
}
