package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

const (
	// SettledAfter is how long a connection must last to count as a good one.
	SettledAfter = 10 * time.Second
	// MaxFlaps is how many connections in a row may end sooner than that.
	MaxFlaps = 8
)

// open makes one connection: dial, CONNECT, CONNACK. The link is in use when it
// returns without error; on error nothing of it remains.
func (c *Client) open(ctx context.Context, clean bool) (*link, Connack, error) {
	if c.o.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.o.ConnectTimeout, ErrTimeout)
		defer cancel()
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, Connack{}, err
	}
	l := newLink(c, conn, c.newConversation(clean))
	l.clean = clean
	stop := context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
	err = l.talk.connect(wire{l})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, l.refusal(), l.unopened(err)
	}
	return l, c.adopt(l), nil
}

// refusal is the CONNACK that came, if one came. It ends the link.
func (l *link) refusal() Connack {
	l.fail(ErrConnectionLost)
	l.join()
	ack := l.connack.Load()
	if ack == nil {
		return Connack{}
	}
	return Connack{Code: ack.Code, Properties: ack.Properties, ClientID: l.c.clientID}
}

// unopened says why the link did not come into being; libraryErr is what the
// library made of it, which counts only where the link has no reason itself.
func (l *link) unopened(libraryErr error) error {
	if ack := l.connack.Load(); ack != nil && ack.Code != mqtt.Success {
		return &ConnectError{Version: l.c.o.Version, Code: ack.Code, Properties: ack.Properties}
	}
	// refusal has failed the link with ErrConnectionLost unless something
	// else had happened before.
	if reason := l.reason(); !errors.Is(reason, ErrConnectionLost) {
		return reason
	}
	return libraryErr
}

// adopt takes an accepted link into use and resends what has no outcome.
func (c *Client) adopt(l *link) Connack {
	got := l.connack.Load()
	c.mu.Lock()
	if id, ok := got.Properties.String(mqtt.PropAssignedClientIdentifier); ok {
		c.clientID = id
	}
	ack := Connack{
		SessionPresent: got.SessionPresent,
		Properties:     got.Properties,
		ClientID:       c.clientID,
	}
	// MQTT 3.1 does not say whether it found a session; it is to be there.
	kept := ack.SessionPresent || c.o.Version == mqtt.V31 && !l.clean
	if !kept {
		for _, id := range c.inbound.IDs() { // [MQTT-3.2.2-3]
			c.inbound.Release(id)
		}
	}
	c.mu.Unlock()

	c.state(State{Kind: StateConnected, Connack: &ack})

	c.mu.Lock()
	c.link = l
	refused := c.resume(l, kept)
	ending := c.closing
	c.room.Broadcast()
	c.mu.Unlock()
	c.settle(refused)
	close(l.ready)
	if ending {
		l.fail(ErrClosed)
	}
	return ack
}

// join waits until every goroutine of the link and of its library has ended.
func (l *link) join() {
	l.threads.Wait()
	l.talk.wait()
}

// supervise follows one link after the other until the client ends.
func (c *Client) supervise(l *link) {
	failures, flaps := 0, 0
	for {
		<-l.dead
		l.join()
		c.mu.Lock()
		c.link = nil
		c.rescue(l)
		err, closing := l.err, c.closing
		c.room.Broadcast()
		c.mu.Unlock()
		if closing {
			c.finish(nil)
			return
		}
		c.state(State{Kind: StateLost, Err: err})
		if time.Since(l.opened) >= SettledAfter {
			failures, flaps = 0, 0
		} else if flaps++; flaps >= MaxFlaps {
			c.finish(errors.Join(ErrFlapping, err))
			return
		}
		if l, err = c.reconnect(&failures, err); l == nil {
			c.finish(err)
			return
		}
		c.renew(l)
	}
}

// reconnect tries until a connection stands, the policy forbids another
// attempt, or the client is to end, which is no error to report.
func (c *Client) reconnect(failures *int, last error) (*link, error) {
	policy := c.o.Reconnect
	for {
		if !retryable(last) || policy.Attempts >= 0 && *failures >= policy.Attempts {
			return nil, last
		}
		*failures++
		delay := policy.Delay(*failures)
		c.state(State{Kind: StateReconnecting, Err: last, Attempt: *failures, Delay: delay})
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return nil, nil
		}
		l, _, err := c.open(c.ctx, c.cleanAgain())
		if err == nil {
			return l, nil
		}
		if c.ctx.Err() != nil {
			return nil, nil //nolint:nilerr // closed meanwhile: that is no failure
		}
		last = err
	}
}

// withDefaults fills in the delays.
func (p ReconnectPolicy) withDefaults() ReconnectPolicy {
	if p.MinDelay <= 0 {
		p.MinDelay = 500 * time.Millisecond
	}
	if p.MaxDelay <= 0 {
		p.MaxDelay = 30 * time.Second
	}
	p.MaxDelay = max(p.MaxDelay, p.MinDelay)
	return p
}

// Delay is the wait before the n-th attempt, n from 1.
func (p ReconnectPolicy) Delay(n int) time.Duration {
	p = p.withDefaults()
	d := p.MinDelay
	for range n - 1 {
		if d *= 2; d >= p.MaxDelay {
			d = p.MaxDelay
			break
		}
	}
	return d - rand.N(d/2+1)
}

// cleanAgain is Clean Start for a reconnection: a 5.0 session that outlives
// its connection is resumed even if it was to begin clean.
func (c *Client) cleanAgain() bool {
	if c.o.Version == mqtt.V5 {
		if expiry, _ := c.o.Properties.Uint32(mqtt.PropSessionExpiryInterval); expiry > 0 {
			return false
		}
	}
	return c.o.CleanStart
}

// renew subscribes again where the server had no session, or does not say.
func (c *Client) renew(l *link) {
	if l.connack.Load().SessionPresent {
		return
	}
	c.mu.Lock()
	all := slices.Clone(c.subscribed)
	c.mu.Unlock()
	for _, r := range all {
		answer, err := c.ask(c.ctx, l, r)
		if errors.Is(err, ErrConnectionLost) || c.ctx.Err() != nil {
			return // the next connection tries again
		}
		c.state(State{Kind: StateResubscribed, Subscriptions: r.filters, Codes: answer.codes, Err: err})
	}
}
