package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	ctx    context.Context // ends with cancel: no further connection
	cancel context.CancelFunc
	done   chan struct{}

	mu               sync.Mutex
	room             *sync.Cond // whatever the methods may wait for
	started, closing bool
	ended            bool
	err              error
	link             *deviceLink // nil while there is none in use
	unsettled        int         // messages without outcome
	subscribed       []string
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
	d := &Device{o: o, done: make(chan struct{})}
	d.room = sync.NewCond(&d.mu)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Connect implements API. Errors: what Dial returned, *RefusedError, ErrTimeout,
// ErrUnanswered, what the dialect cannot read, the context's.
func (d *Device) Connect(ctx context.Context) (Connack, error) {
	d.mu.Lock()
	if d.started || d.closing {
		d.mu.Unlock()
		return Connack{}, ErrClosed
	}
	d.started = true
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(d.ctx, cancel)() // Close ends the attempt as well
	defer cancel()
	l, err := d.open(ctx)
	if err != nil {
		d.finish(err)
		return Connack{}, err
	}
	go d.supervise(l)
	return Connack{}, nil
}

// open makes one connection and logs in.
func (d *Device) open(ctx context.Context) (*deviceLink, error) {
	if d.o.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.o.ConnectTimeout, ErrTimeout)
		defer cancel()
	}
	conn, err := d.o.Dial(ctx)
	if err != nil {
		if errors.Is(context.Cause(ctx), ErrTimeout) {
			err = fmt.Errorf("%w: %w", ErrTimeout, err)
		}
		return nil, err
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
		return nil, err
	}
	d.state(State{Kind: StateConnected, Connack: &Connack{}})
	d.mu.Lock()
	d.link = l
	ending := d.closing
	d.room.Broadcast()
	d.mu.Unlock()
	if ending {
		l.fail(ErrClosed)
	}
	return l, nil
}

// supervise follows one connection after the other until the device ends.
func (d *Device) supervise(l *deviceLink) {
	failures, flaps := 0, 0
	for {
		<-l.dead
		l.threads.Wait()
		l.abandon()
		d.mu.Lock()
		d.link = nil
		err, closing := l.err, d.closing
		d.room.Broadcast()
		d.mu.Unlock()
		if closing {
			d.finish(nil)
			return
		}
		d.state(State{Kind: StateLost, Err: err})
		if time.Since(l.opened) >= SettledAfter {
			failures, flaps = 0, 0
		} else if flaps++; flaps >= MaxFlaps {
			d.finish(errors.Join(ErrFlapping, err))
			return
		}
		if l, err = d.reconnect(&failures, err); l == nil {
			d.finish(err)
			return
		}
		d.renew(l)
	}
}

// reconnect is that of Client.
func (d *Device) reconnect(failures *int, last error) (*deviceLink, error) {
	policy := d.o.Reconnect
	for {
		ended := (*EndedError)(nil)
		final := errors.As(last, new(*RefusedError)) || errors.As(last, &ended) && ended.Final
		if final || policy.Attempts >= 0 && *failures >= policy.Attempts {
			return nil, last
		}
		*failures++
		delay := policy.Delay(*failures)
		d.state(State{Kind: StateReconnecting, Err: last, Attempt: *failures, Delay: delay})
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-d.ctx.Done():
			timer.Stop()
			return nil, nil
		}
		l, err := d.open(d.ctx)
		if err == nil {
			return l, nil
		}
		if d.ctx.Err() != nil {
			return nil, nil //nolint:nilerr // closed meanwhile: that is no failure
		}
		last = err
	}
}

// renew subscribes again.
func (d *Device) renew(l *deviceLink) {
	d.mu.Lock()
	filters := slices.Clone(d.subscribed)
	d.mu.Unlock()
	if len(filters) == 0 {
		return
	}
	var first error
	for _, f := range filters {
		err := l.ask(d.ctx, func(dst []byte) ([]byte, error) { return d.o.Dialect.Subscribe(dst, f) }, nil)
		if errors.Is(err, ErrConnectionLost) || d.ctx.Err() != nil {
			return
		}
		if first == nil {
			first = err
		}
	}
	d.state(State{Kind: StateResubscribed, Err: first})
}

// Publish implements API.
func (d *Device) Publish(ctx context.Context, m Message, done func(Outcome)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	roomy := func() bool {
		return d.ended || d.closing || d.link != nil && !d.link.stopped &&
			len(d.link.out) < d.o.MaxPendingBytes && len(d.link.waiting) < d.o.MaxInflight
	}
	if err := d.await(ctx, roomy); err != nil {
		return err
	}
	if d.ended || d.closing {
		return ErrClosed
	}
	return d.link.publish(m, done)
}

// PublishWait implements API.
func (d *Device) PublishWait(ctx context.Context, m Message) (Outcome, error) {
	got := make(chan Outcome, 1)
	if err := d.Publish(ctx, m, func(o Outcome) { got <- o }); err != nil {
		return Outcome{}, err
	}
	select {
	case o := <-got:
		return o, nil
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
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
		err := d.await(ctx, func() bool { return d.ended || d.closing || d.link != nil && d.link != last })
		l, closed := d.link, d.ended || d.closing
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
	return d.await(ctx, func() bool { return d.unsettled == 0 })
}

// Halt implements API.
func (d *Device) Halt() { d.halted.Store(true) }

// Disconnect implements API: it says goodbye and waits for the server to close,
// which tells that it has read everything.
func (d *Device) Disconnect(ctx context.Context, _ mqtt.ReasonCode, _ mqtt.Properties) error {
	d.Halt()
	d.mu.Lock()
	first := !d.closing
	d.closing = true
	l, started := d.link, d.started
	d.room.Broadcast()
	d.mu.Unlock()
	d.cancel()
	if !started {
		if first {
			d.finish(nil)
		}
		return nil
	}
	var err error
	if first && l != nil {
		err = l.leave(ctx)
	}
	<-d.done
	return err
}

// Close implements API.
func (d *Device) Close() error {
	d.halted.Store(true)
	d.mu.Lock()
	first := !d.closing
	d.closing = true
	l, started := d.link, d.started
	d.room.Broadcast()
	d.mu.Unlock()
	d.cancel()
	switch {
	case l != nil:
		l.fail(ErrClosed)
	case first && !started:
		d.finish(nil)
	}
	return nil
}

// Done implements API.
func (d *Device) Done() <-chan struct{} { return d.done }

// Err implements API.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *Device) finish(err error) {
	d.cancel()
	d.mu.Lock()
	d.ended, d.err = true, err
	d.room.Broadcast()
	d.mu.Unlock()
	d.state(State{Kind: StateClosed, Err: err})
	close(d.done)
}

func (d *Device) state(s State) {
	if d.o.OnState != nil {
		d.o.OnState(s)
	}
}

// settled counts n outcomes that have been reported.
func (d *Device) settled(n int) {
	d.mu.Lock()
	d.unsettled -= n
	d.room.Broadcast()
	d.mu.Unlock()
}

// await waits, with d.mu held, until ready holds or ctx ends.
func (d *Device) await(ctx context.Context, ready func() bool) error {
	if ready() {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		d.room.Broadcast()
		d.mu.Unlock()
	})
	defer stop()
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.room.Wait()
	}
	return nil
}
