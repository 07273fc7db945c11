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
	life   *client.Life[link]

	mu         sync.Mutex
	room       *sync.Cond // whatever the methods may wait for
	core       *Core
	token      uint64
	outcomes   map[uint64]func(client.Outcome) // of messages without one
	unsettled  int                             // and of those whose function has not returned
	answers    map[uint64]chan Event
	subscribed []subscription
	renewing   bool // subscriptions are about to be renewed
	doze       doze
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
		o: o, core: core,
		outcomes: map[uint64]func(client.Outcome){}, answers: map[uint64]chan Event{},
	}
	c.room = sync.NewCond(&c.mu)
	c.life = client.NewLife(&c.o.Options, c.room, client.Ways[link]{
		Open: c.open, Fail: (*link).fail, Outlive: c.outlive, Final: final, Renew: c.renew, Abandon: c.abandon,
	})
	return c, nil
}

// Connect implements client.API. Errors: what Dial returned, *CodeError, client.ErrTimeout,
// *transport.Error when nobody listens there, the context's.
func (c *Client) Connect(ctx context.Context) (client.Connack, error) { return c.life.Connect(ctx) }

// open makes one connection.
func (c *Client) open(ctx context.Context, _ bool) (*link, client.Connack, error) {
	conn, err := c.o.Dial(ctx)
	if err != nil {
		network := (*transport.Error)(nil) // may say it better
		told := errors.Is(err, client.ErrTimeout) || errors.As(err, &network) && network.Timeout && network.Hint != ""
		if errors.Is(context.Cause(ctx), client.ErrTimeout) && !told {
			err = fmt.Errorf("%w: %w", client.ErrTimeout, err)
		}
		return nil, client.Connack{}, err
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
		return nil, client.Connack{}, err
	}
	ack := client.Connack{ClientID: c.o.ClientID}
	c.life.Use(l, ack, nil)
	return l, ack, nil
}

// discard ends a link and waits for its goroutines.
func (c *Client) discard(l *link, err error) {
	l.fail(err)
	l.threads.Wait()
	c.mu.Lock()
	c.core.Drop()
	c.mu.Unlock()
}

// outlive waits until a link is dead.
func (c *Client) outlive(l *link) (opened time.Time, reason error) {
	<-l.dead
	c.discard(l, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewing = true
	return l.opened, l.err
}

// final reports that the gateway would say the same again.
func final(err error) bool {
	code := (*CodeError)(nil)
	return errors.As(err, &code) && !passing(code)
}

// renew subscribes again: no answer of a gateway tells whether it has kept the
// session, and many keep none.
func (c *Client) renew(ctx context.Context, _ *link) {
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
		codes, err = c.collect(ctx, waiting)
	}
	if ctx.Err() != nil || errors.Is(err, client.ErrClosed) {
		return
	}
	c.life.Tell(client.State{Kind: client.StateResubscribed, Subscriptions: all, Codes: codes, Err: err})
}

// Flush implements client.API.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life.Await(ctx, func() bool { return c.unsettled == 0 })
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
	var err error
	if l, first := c.life.Retire(); first && l != nil {
		err = c.leave(ctx, l)
	}
	<-c.life.Done()
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
	c.life.Close()
	return nil
}

// Done implements client.API.
func (c *Client) Done() <-chan struct{} { return c.life.Done() }

// Err implements client.API.
func (c *Client) Err() error { return c.life.Err() }

// abandon gives up all that has no outcome.
func (c *Client) abandon() {
	fx := takeEffects()
	c.mu.Lock()
	c.core.Abandon(fx)
	c.carryOut(nil, time.Now(), fx)
	giveEffects(fx)
}
