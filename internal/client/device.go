package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Device is a client of a protocol that is not MQTT, behind the same interface;
// what it says and hears is its Dialect's. Unlike with Client, there is no
// session: what has not been answered when a connection breaks is Lost, and a
// message that the protocol does not answer is Written. Its methods may be called
// from any goroutine.
type Device struct {
	o      DeviceOptions
	halted atomic.Bool
	life   *Life[deviceLink]

	mu         sync.Mutex
	room       *sync.Cond // whatever the methods may wait for
	unsettled  int        // messages without outcome
	subscribed []string
}

var _ API = (*Device)(nil)

// NewDevice returns a device that has no connection yet. A login that the
// protocol cannot express is an error.
func NewDevice(o DeviceOptions) (*Device, error) {
	if o.Dial == nil || o.Dialect == nil {
		return nil, errors.New("device: no dial function or no dialect")
	}
	if _, _, err := o.Dialect.Login(nil); err != nil {
		return nil, err
	}
	o.Options = o.withDefaults()
	d := &Device{o: o}
	d.room = sync.NewCond(&d.mu)
	d.life = NewLife(&d.o.Options, d.room, Ways[deviceLink]{
		Open: d.open, Fail: (*deviceLink).fail, Outlive: (*deviceLink).outlive, Final: final, Renew: d.renew,
	})
	return d, nil
}

// Connect implements API. Errors: what Dial returned, *RefusedError, ErrTimeout,
// ErrUnanswered, what the dialect cannot read, the context's.
func (d *Device) Connect(ctx context.Context) (Connack, error) { return d.life.Connect(ctx) }

// open makes one connection and logs in.
func (d *Device) open(ctx context.Context, _ bool) (*deviceLink, Connack, error) {
	conn, err := d.o.dial(ctx)
	if err != nil {
		return nil, Connack{}, err
	}
	l := newDeviceLink(d, conn)
	stop := context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
	err = l.login()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		l.fail(err)
		l.threads.Wait()
		return nil, Connack{}, err
	}
	d.life.Use(l, Connack{}, nil)
	return l, Connack{}, nil
}

// final reports that no other attempt may follow err: the device was refused, or
// the server has ended it for good.
func final(err error) bool {
	ended := (*EndedError)(nil)
	return errors.As(err, new(*RefusedError)) || errors.As(err, &ended) && ended.Final
}

// renew subscribes again.
func (d *Device) renew(ctx context.Context, l *deviceLink) {
	d.mu.Lock()
	filters := slices.Clone(d.subscribed)
	d.mu.Unlock()
	if len(filters) == 0 {
		return
	}
	var first error
	for _, f := range filters {
		err := l.ask(ctx, func(dst []byte) ([]byte, error) { return d.o.Dialect.Subscribe(dst, f) }, nil)
		if errors.Is(err, ErrConnectionLost) || ctx.Err() != nil {
			return
		}
		if first == nil {
			first = err
		}
	}
	d.life.Tell(State{Kind: StateResubscribed, Err: first})
}

// Publish implements API.
func (d *Device) Publish(ctx context.Context, m Message, done func(Outcome)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	roomy := func() bool {
		l := d.life.link
		return d.life.Over() || l != nil && !l.stopped &&
			len(l.out) < d.o.MaxPendingBytes && len(l.waiting) < d.o.MaxInflight
	}
	if err := d.life.Await(ctx, roomy); err != nil {
		return err
	}
	if d.life.Over() {
		return ErrClosed
	}
	return d.life.link.publish(m, done)
}

// PublishWait implements API.
func (d *Device) PublishWait(ctx context.Context, m Message) (Outcome, error) {
	return PublishWait(ctx, d, m)
}

// Subscribe implements API: one request for each filter. What is refused has the
// code UnspecifiedError, and then the error is Refusals.
func (d *Device) Subscribe(ctx context.Context, subs []Subscription, _ mqtt.Properties) ([]mqtt.ReasonCode, error) {
	filters := make([]string, len(subs))
	for i, s := range subs {
		filters[i] = s.Filter
	}
	return d.each(ctx, filters, d.o.Dialect.Subscribe, func(filter string) {
		if !slices.Contains(d.subscribed, filter) {
			d.subscribed = append(d.subscribed, filter)
		}
	})
}

// Unsubscribe implements API.
func (d *Device) Unsubscribe(ctx context.Context, filters []string, _ mqtt.Properties) ([]mqtt.ReasonCode, error) {
	return d.each(ctx, filters, d.o.Dialect.Unsubscribe, func(filter string) {
		d.subscribed = slices.DeleteFunc(d.subscribed, func(f string) bool { return f == filter })
	})
}

// each makes a request for every filter; granted is called with d.mu held.
func (d *Device) each(ctx context.Context, filters []string, request func([]byte, string) ([]byte, error), granted func(filter string)) ([]mqtt.ReasonCode, error) {
	if d.o.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.o.RequestTimeout, ErrTimeout)
		defer cancel()
	}
	codes, refusals := make([]mqtt.ReasonCode, len(filters)), make(Refusals, len(filters))
	some := false
	for i, f := range filters {
		err := d.request(ctx, func(dst []byte) ([]byte, error) { return request(dst, f) }, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			granted(f)
		})
		if errors.As(err, new(*RefusedError)) {
			codes[i], refusals[i], some = mqtt.UnspecifiedError, err, true
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	if some {
		return codes, refusals
	}
	return codes, nil
}

// request makes one, on the next connection when one breaks meanwhile.
func (d *Device) request(ctx context.Context, build func([]byte) ([]byte, error), granted func()) error {
	var last *deviceLink
	for {
		d.mu.Lock()
		err := d.life.Await(ctx, func() bool { return d.life.Over() || d.life.link != nil && d.life.link != last })
		l, closed := d.life.link, d.life.Over()
		d.mu.Unlock()
		switch {
		case err != nil:
			return context.Cause(ctx)
		case closed:
			return ErrClosed
		}
		if err := l.ask(ctx, build, granted); !errors.Is(err, ErrConnectionLost) {
			return err
		}
		last = l
	}
}

// Flush implements API.
func (d *Device) Flush(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.life.Await(ctx, func() bool { return d.unsettled == 0 })
}

// Halt implements API.
func (d *Device) Halt() { d.halted.Store(true) }

// Disconnect implements API: it says goodbye and waits for the server to close,
// which tells that it has read everything.
func (d *Device) Disconnect(ctx context.Context, _ mqtt.ReasonCode, _ mqtt.Properties) error {
	d.Halt()
	var err error
	if l, first := d.life.Retire(); first && l != nil {
		err = l.leave(ctx)
	}
	<-d.life.Done()
	return err
}

// Close implements API.
func (d *Device) Close() error {
	d.Halt()
	d.life.Close()
	return nil
}

// Done implements API.
func (d *Device) Done() <-chan struct{} { return d.life.Done() }

// Err implements API.
func (d *Device) Err() error { return d.life.Err() }

// settled counts n outcomes that have been reported.
func (d *Device) settled(n int) {
	d.mu.Lock()
	d.unsettled -= n
	d.room.Broadcast()
	d.mu.Unlock()
}
