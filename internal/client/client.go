package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
)

// Client publishes and subscribes over one connection at a time. Its methods
// may be called from any goroutine.
type Client struct {
	o          Options
	parse      mqtt.Options
	maxReceive int // bytes of a packet from the server, 0 = no limit
	// receiveMaximum bounds the server's unacknowledged QoS 2 messages.
	receiveMaximum int

	halted atomic.Bool
	life   *Life[link]

	// Owned by the reader of the current link; one follows the other.
	inbound session.Inbound

	mu   sync.Mutex
	room *sync.Cond // whatever Publish, Flush and the others may wait for

	clientID   string
	subscribed []request // what to renew when a server lost the session

	// The ledger: messages without outcome.
	unsettled int
	flights   map[uint16]*flight // by packet identifier
	backlog   []*flight          // of those, what the current link has yet to carry
	carried   []carried          // QoS 0 that the last link did not write
	nextID    uint16
	nextSeq   uint64
	topic     string // the last one published, which is known to be valid
	topicText []byte // the same
}

var _ API = (*Client)(nil)

// New returns a client that has no connection yet.
func New(o Options) (*Client, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	c := &Client{
		o:              o,
		parse:          mqtt.Options{Version: o.Version, FromServer: true},
		receiveMaximum: 65535,
		clientID:       o.ClientID,
		flights:        map[uint16]*flight{},
	}
	c.room = sync.NewCond(&c.mu)
	c.life = NewLife(&c.o, c.room, Ways[link]{
		Open: c.open, Fail: (*link).fail, Outlive: (*link).outlive,
		Final:   func(err error) bool { return !retryable(err) },
		Renew:   c.renew,
		Abandon: c.abandon,
	})
	if n, ok := o.Properties.Uint32(mqtt.PropMaximumPacketSize); ok {
		c.maxReceive = int(n)
	}
	if n, ok := o.Properties.Uint16(mqtt.PropReceiveMaximum); ok {
		c.receiveMaximum = int(n)
	}
	if err := c.checkConnect(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkConnect looks at CONNECT with a server's eyes: the libraries would cut
// off what a field is too long for, and send what is not text.
func (c *Client) checkConnect() error {
	b, err := c.connectPacket(c.clientID, c.o.CleanStart).Append(nil, c.o.Version)
	if err == nil {
		_, _, err = mqtt.Parse(b, mqtt.Options{Version: c.o.Version})
	}
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxInflight <= 0 {
		o.MaxInflight = 20
	}
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = 256 << 10
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	o.Reconnect = o.Reconnect.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Dial == nil {
		bad("client: no dial function")
	}
	if o.Version != mqtt.V31 && o.Version != mqtt.V311 && o.Version != mqtt.V5 {
		bad("client: protocol version %d", uint8(o.Version))
	}
	if o.Version == mqtt.V5 {
		if err := o.Properties.Validate(mqtt.In(mqtt.TypeConnect), &mqtt.Options{Version: mqtt.V5}); err != nil {
			bad("connect properties: %w", err)
		}
	} else {
		if len(o.Properties) > 0 || o.Will != nil && len(o.Will.Properties) > 0 {
			bad("client: properties need MQTT 5.0")
		}
		if o.Password != nil && o.Username == nil { // [MQTT3-3.1.2-22]
			bad("client: MQTT %s allows no password without a user name", o.Version)
		}
		if o.ClientID == "" && (!o.CleanStart || o.Version == mqtt.V31) { // [MQTT3-3.1.3-7]
			bad("client: MQTT %s needs a client identifier here", o.Version)
		}
	}
	if w := o.Will; w != nil {
		if err := router.ValidateName(w.Topic); err != nil {
			bad("will: %w", err)
		}
		if w.QoS > 2 {
			bad("will: QoS %d", w.QoS)
		}
		if o.Version == mqtt.V5 {
			if err := w.Properties.Validate(mqtt.InWill, &mqtt.Options{Version: mqtt.V5}); err != nil {
				bad("will properties: %w", err)
			}
		}
	}
	return errors.Join(errs...)
}

// Connect implements API.
func (c *Client) Connect(ctx context.Context) (Connack, error) { return c.life.Connect(ctx) }

// Disconnect implements API.
func (c *Client) Disconnect(ctx context.Context, code mqtt.ReasonCode, props mqtt.Properties) error {
	c.Halt()
	var learnt bool
	var err error
	if l, first := c.life.Retire(); first && l != nil {
		learnt, err = c.part(ctx, l, code, props)
	}
	if !learnt {
		<-c.life.Done()
	}
	return err
}

// part takes leave of the server and ends the link. learnt reports that there
// was nothing to learn from the server any more, so that the link is left to
// end by itself.
func (c *Client) part(ctx context.Context, l *link, code mqtt.ReasonCode, props mqtt.Properties) (learnt bool, err error) {
	// The client has been halted: what OnMessage has in hand is the last, and
	// its acknowledgement goes before DISCONNECT.
	c.mu.Lock()
	err = c.life.Await(ctx, func() bool { return l.stopped || !l.handing.Load() })
	if err == nil {
		d := mqtt.Disconnect{}
		if c.o.Version == mqtt.V5 {
			d.Code, d.Properties = code, props
		}
		err = l.farewell(d)
	}
	c.mu.Unlock()
	l.drain(ctx.Done())
	c.mu.Lock()
	learnt = c.o.OnMessage == nil && !l.unproven && c.unsettled == 0 && err == nil && l.idle()
	c.mu.Unlock()
	if learnt { // the server's closing ends the link, or the clock
		time.AfterFunc(linger, func() { l.fail(ErrClosed) })
		return true, nil
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-l.dead:
	case <-timer.C:
	case <-ctx.Done():
	}
	l.fail(ErrClosed)
	l.threads.Wait() // or the last write may have succeeded without being noted
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !l.idle() {
		err = errors.Join(ErrConnectionLost, l.writeErr, ctx.Err())
	}
	return false, err
}

// Close implements API.
func (c *Client) Close() error {
	c.Halt()
	c.life.Close()
	return nil
}

// Halt implements API.
func (c *Client) Halt() { c.halted.Store(true) }

// Done implements API.
func (c *Client) Done() <-chan struct{} { return c.life.Done() }

// Err implements API.
func (c *Client) Err() error { return c.life.Err() }

// settled counts n outcomes that have been reported.
func (c *Client) settled(n int) {
	c.mu.Lock()
	c.unsettled -= n
	c.room.Broadcast()
	c.mu.Unlock()
}

// wakeOn lets everybody who waits for room look again when stop is closed.
func (c *Client) wakeOn(stop <-chan struct{}) (release func()) {
	if stop == nil {
		return func() {}
	}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-stop:
			c.life.wake()
		case <-ended:
		}
	})
	return func() { close(ended); wg.Wait() }
}
