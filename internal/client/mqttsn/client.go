package mqttsn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// Client is a client of MQTT-SN behind the interface of client.API. A message
// that was on its way when a connection ended is repeated on the next. Its
// methods may be called from any goroutine.
type Client struct {
	o      Options
	halted atomic.Bool
	ctx    context.Context // ends with cancel: no further connection
	cancel context.CancelFunc
	done   chan struct{}

	mu               sync.Mutex
	room             *sync.Cond // whatever the methods may wait for
	core             *Core
	started, closing bool
	ended            bool
	err              error
	link             *link // nil while there is none in use
	token            uint64
	outcomes         map[uint64]func(client.Outcome) // of messages without one
	unsettled        int                             // and of those whose function has not returned
	answers          map[uint64]chan Event
	subscribed       []subscription
	renewing         bool // subscriptions are about to be renewed
	doze             doze
}

type subscription struct {
	filter string
	qos    uint8
}

var _ client.API = (*Client)(nil)

// NewClient returns a client that has no connection yet. What the protocol cannot
// express is an error.
func NewClient(o Options) (*Client, error) {
	if o.Dial == nil {
		return nil, errors.New("client: no dial function")
	}
	o = o.withDefaults()
	core, err := New(o.config())
	if err != nil {
		return nil, err
	}
	c := &Client{
		o: o, core: core, done: make(chan struct{}),
		outcomes: map[uint64]func(client.Outcome){}, answers: map[uint64]chan Event{},
	}
	c.room = sync.NewCond(&c.mu)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Connect implements client.API. Errors: what Dial returned, *CodeError, client.ErrTimeout,
// *transport.Error when nobody listens there, the context's.
func (c *Client) Connect(ctx context.Context) (client.Connack, error) {
	c.mu.Lock()
	if c.started || c.closing {
		c.mu.Unlock()
		return client.Connack{}, client.ErrClosed
	}
	c.started = true
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(c.ctx, cancel)() // Close ends the attempt as well
	defer cancel()
	l, err := c.open(ctx)
	if err != nil {
		c.finish(err)
		return client.Connack{}, err
	}
	go c.supervise(l)
	return client.Connack{ClientID: c.o.ClientID}, nil
}

// open makes one connection.
func (c *Client) open(ctx context.Context) (*link, error) {
	if c.o.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.o.ConnectTimeout, client.ErrTimeout)
		defer cancel()
	}
	conn, err := c.o.Dial(ctx)
	if err != nil {
		network := (*transport.Error)(nil) // may say it better
		told := errors.Is(err, client.ErrTimeout) || errors.As(err, &network) && network.Timeout && network.Hint != ""
		if errors.Is(context.Cause(ctx), client.ErrTimeout) && !told {
			err = fmt.Errorf("%w: %w", client.ErrTimeout, err)
		}
		return nil, err
	}
	l := newLink(c, conn)
	if c.o.Connectionless {
		c.step(l, func(time.Time, *Effects) { l.up = true })
		l.result <- nil
	} else {
		c.step(l, func(now time.Time, fx *Effects) { c.core.Connect(now, c.o.CleanStart, fx) })
	}
	select {
	case err = <-l.result:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-l.dead:
		err = l.err
		if errors.Is(err, ErrUnanswered) {
			err = fmt.Errorf("%w: %w", client.ErrTimeout, ErrUnanswered)
		}
	}
	if err != nil {
		c.discard(l, err)
		return nil, err
	}
	c.state(client.State{Kind: client.StateConnected, Connack: &client.Connack{ClientID: c.o.ClientID}})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	c.room.Broadcast()
	if c.closing {
		l.failed(client.ErrClosed)
	}
	return l, nil
}

// discard ends a link and waits for its goroutines.
func (c *Client) discard(l *link, err error) {
	l.fail(err)
	l.threads.Wait()
	c.mu.Lock()
	c.core.Drop()
	c.mu.Unlock()
}

// supervise follows one connection after the other until the client ends.
func (c *Client) supervise(l *link) {
	failures, flaps := 0, 0
	for {
		<-l.dead
		c.discard(l, nil)
		c.mu.Lock()
		c.link, c.renewing = nil, true
		err, closing := l.err, c.closing
		c.room.Broadcast()
		c.mu.Unlock()
		if closing {
			c.finish(nil)
			return
		}
		c.state(client.State{Kind: client.StateLost, Err: err})
		if time.Since(l.opened) >= client.SettledAfter {
			failures, flaps = 0, 0
		} else if flaps++; flaps >= client.MaxFlaps {
			c.finish(errors.Join(client.ErrFlapping, err))
			return
		}
		if l, err = c.reconnect(&failures, err); l == nil {
			c.finish(err)
			return
		}
		c.renew()
	}
}

// reconnect tries until there is a connection, or the policy forbids it, or the
// client ends: then the error is nil.
func (c *Client) reconnect(failures *int, last error) (*link, error) {
	for {
		code := (*CodeError)(nil)
		final := errors.As(last, &code) && !passing(code)
		if final || c.o.Reconnect.Attempts >= 0 && *failures >= c.o.Reconnect.Attempts {
			return nil, last
		}
		*failures++
		delay := c.o.Reconnect.Delay(*failures)
		c.state(client.State{Kind: client.StateReconnecting, Err: last, Attempt: *failures, Delay: delay})
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return nil, nil
		}
		l, err := c.open(c.ctx)
		if err == nil {
			return l, nil
		}
		if c.ctx.Err() != nil {
			return nil, nil //nolint:nilerr // closed meanwhile: that is no failure
		}
		last = err
	}
}

// renew subscribes again: no answer of a gateway tells whether it has kept the
// session, and many keep none.
func (c *Client) renew() {
	c.mu.Lock()
	subs := slices.Clone(c.subscribed)
	c.mu.Unlock()
	var all []client.Subscription
	for _, s := range subs {
		all = append(all, client.Subscription{Filter: s.filter, QoS: s.qos})
	}
	waiting, err := c.request(all)
	c.mu.Lock()
	c.renewing = false
	c.mu.Unlock()
	c.step(nil, func(time.Time, *Effects) {}) // to sleep, perhaps
	if len(all) == 0 {
		return
	}
	var codes []mqtt.ReasonCode
	if err == nil {
		codes, err = c.collect(c.ctx, waiting)
	}
	if c.ctx.Err() != nil || errors.Is(err, client.ErrClosed) {
		return
	}
	c.state(client.State{Kind: client.StateResubscribed, Subscriptions: all, Codes: codes, Err: err})
}

// Flush implements client.API.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.await(ctx, func() bool { return c.unsettled == 0 })
}

// Halt implements client.API.
func (c *Client) Halt() {
	c.halted.Store(true)
	c.mu.Lock()
	c.core.Halt()
	c.mu.Unlock()
}

// linger bounds the wait for the answer to DISCONNECT.
const linger = 2 * time.Second

// Disconnect implements client.API: it says goodbye, again and again, and waits
// for the answer. Without one it may be that the gateway is gone, and has missed
// what nothing else answers: then the error is client.ErrConnectionLost.
func (c *Client) Disconnect(ctx context.Context, _ mqtt.ReasonCode, _ mqtt.Properties) error {
	c.Halt()
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	l, started := c.link, c.started
	c.room.Broadcast()
	c.mu.Unlock()
	c.cancel()
	if !started {
		if first {
			c.finish(nil)
		}
		return nil
	}
	var err error
	if first && l != nil {
		err = c.leave(ctx, l)
	}
	<-c.done
	return err
}

// leave ends a link with DISCONNECT.
func (c *Client) leave(ctx context.Context, l *link) (err error) {
	defer l.fail(client.ErrClosed)
	if c.o.Connectionless {
		return nil
	}
	c.step(l, c.core.Disconnect)
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case err = <-l.left:
	case <-l.dead:
		return l.err
	case <-timer.C:
		err = ErrUnanswered
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", client.ErrConnectionLost, err)
	}
	return err
}

// Close implements client.API.
func (c *Client) Close() error {
	c.Halt()
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	l, started := c.link, c.started
	c.room.Broadcast()
	c.mu.Unlock()
	c.cancel()
	switch {
	case l != nil:
		l.fail(client.ErrClosed)
	case first && !started:
		c.finish(nil)
	}
	return nil
}

// Done implements client.API.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err implements client.API.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Client) finish(err error) {
	c.cancel()
	fx := takeEffects()
	c.mu.Lock()
	c.ended, c.err = true, err
	c.core.Abandon(fx)
	c.room.Broadcast()
	c.carryOut(nil, time.Now(), fx)
	giveEffects(fx)
	c.state(client.State{Kind: client.StateClosed, Err: err})
	close(c.done)
}

func (c *Client) state(s client.State) {
	if c.o.OnState != nil {
		c.o.OnState(s)
	}
}

// await waits, with c.mu held, until ready holds or ctx ends.
func (c *Client) await(ctx context.Context, ready func() bool) error {
	if ready() {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		c.room.Broadcast()
		c.mu.Unlock()
	})
	defer stop()
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.room.Wait()
	}
	return nil
}
