package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// dial opens a connection within ctx, and says ErrTimeout when that took too long.
func (o *Options) dial(ctx context.Context) (net.Conn, error) {
	conn, err := o.Dial(ctx)
	if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return conn, err
}

// open makes one connection: dial, CONNECT, CONNACK. The link is in use when it returns without
// error; on error nothing of it remains.
func (c *Client) open(ctx context.Context, again bool) (*link, Connack, error) {
	conn, err := c.o.dial(ctx)
	if err != nil {
		return nil, Connack{}, err
	}
	clean := c.o.CleanStart
	if again {
		clean = c.cleanAgain()
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

	var refused []outcome
	c.life.Use(l, ack, func() { refused = c.resume(l, kept) })
	c.settle(refused)
	close(l.ready)
	return ack
}

// join waits until every goroutine of the link and of its library has ended.
func (l *link) join() {
	l.threads.Wait()
	l.talk.wait()
}

// outlive waits until the link is dead, and keeps what it has not written.
func (l *link) outlive() (opened time.Time, reason error) {
	<-l.dead
	l.join()
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.rescue(l)
	return l.opened, l.err
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
func (c *Client) renew(ctx context.Context, l *link) {
	if l.connack.Load().SessionPresent {
		return
	}
	c.mu.Lock()
	all := slices.Clone(c.subscribed)
	c.mu.Unlock()
	for _, r := range all {
		answer, err := c.ask(ctx, l, r)
		if errors.Is(err, ErrConnectionLost) || ctx.Err() != nil {
			return // the next connection tries again
		}
		c.life.Tell(State{Kind: StateResubscribed, Subscriptions: r.filters, Codes: answer.codes, Err: err})
	}
}
