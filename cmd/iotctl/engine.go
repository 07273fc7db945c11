package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// errTimedOut is the cause of a context that -W has ended.
var errTimedOut = errors.New("timed out")

// engine is what the clients have in common: a client, and the news about
// its connection for the user.
type engine struct {
	client.API
	s    *settings
	t    *terminal
	down downtime
	lost bool // a connection was; of news alone
}

// newEngine makes a client; onMessage and onIdle may be nil.
func newEngine(s *settings, t *terminal, onMessage func(client.Message), onIdle func()) (*engine, error) {
	if err := s.loadPassword(t); err != nil {
		return nil, err
	}
	if err := s.loadPSK(); err != nil {
		return nil, err
	}
	o, err := s.clientOptions()
	if err != nil {
		return nil, err
	}
	e := &engine{s: s, t: t, down: downtime{limit: s.maxDowntime}}
	o.OnMessage, o.OnIdle = onMessage, onIdle
	o.OnState = e.news
	if s.onState != nil {
		o.OnState = func(st client.State) { e.news(st); s.onState(st) }
	}
	o.OnPacket = s.onPacket
	if s.debug {
		show := newPacketLog(s, t)
		o.OnPacket = func(dir client.Direction, raw []byte) {
			show(dir, raw)
			if s.onPacket != nil {
				s.onPacket(dir, raw)
			}
		}
	}
	if s.device != nil {
		e.API, err = newDevice(s, t, o)
		return e, err
	}
	if s.exitAfterSub {
		e.haltAtSuback(&o)
	}
	if e.API, err = client.New(o); err != nil {
		return nil, fail(exitUsage, err)
	}
	return e, nil
}

// connect connects. Its errors are complete: they have an exit code and hints.
func (e *engine) connect(ctx context.Context) error {
	_, err := e.Connect(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return failCause(ctx)
	}
	return e.s.failConnect(err)
}

// haltAtSuback is -E: of what comes behind the SUBACK, often with it in one
// read, nothing is printed and nothing acknowledged.
func (e *engine) haltAtSuback(o *client.Options) {
	show, over := o.OnPacket, false
	o.OnPacket = func(dir client.Direction, raw []byte) {
		received := dir == client.Received
		if show != nil && !(received && over && e.s.peer) {
			show(dir, raw)
		}
		if received && mqtt.Type(raw[0]>>4) == mqtt.TypeSuback {
			over = true // calls for one direction come one after the other
			e.Halt()
		}
	}
}

// news tells the user about changes of the connection, under our own name.
func (e *engine) news(st client.State) {
	e.down.state(st, func() { _ = e.Close() })
	if e.s.peer || e.s.quiet {
		return
	}
	switch st.Kind {
	case client.StateLost:
		e.lost = true
		left := (*client.DisconnectedError)(nil)
		taken := errors.As(st.Err, &left) && left.TakenOver() // ends the run, which says so
		if e.s.reconnect != 0 && !taken {
			e.t.warnf("%s: %v", e.s.brokerName(), st.Err)
		}
	case client.StateReconnecting:
		e.t.notef("trying again in %s (attempt %d)", st.Delay.Round(time.Millisecond), st.Attempt)
	case client.StateConnected:
		if e.lost {
			e.t.notef("connected again to %s", e.s.brokerName())
		}
	case client.StateResubscribed:
		switch {
		case st.Err != nil:
			e.t.warnf("subscribe again: %v", st.Err)
		case e.s.persistent && e.s.device == nil:
			e.t.notef("the broker had forgotten the session; subscribed again")
		default:
			e.t.notef("subscribed again")
		}
	}
}

// ended explains why the client has ended by itself.
func (e *engine) ended() error {
	if e.down.exceeded() {
		return fail(exitLost, fmt.Errorf("%s: no connection for %s", e.s.brokerName(), e.s.maxDowntime))
	}
	return e.s.failConnect(e.Err())
}

// leave disconnects, but waits a bounded time for it.
func (e *engine) leave(code mqtt.ReasonCode) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if e.s.version != mqtt.V5 {
		code = 0
	}
	return e.Disconnect(ctx, code, e.s.properties["disconnect"])
}

// When to catch the signals that ask the program to end.
const (
	catchNever  time.Duration = -1
	catchAtOnce time.Duration = 0
	// catchLate is for runs that usually end sooner: to install the handlers
	// and to remove them takes a thread of its own and several switches, which
	// is a tenth of what a one-shot takes. Until then signals do what they do
	// to a program that is starting.
	catchLate time.Duration = 20 * time.Millisecond
)

// runContext ends with the time of -W and with the signals that ask the
// program to end, which it catches after catch. Its cause says which.
func runContext(ctx context.Context, s *settings, catch time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if s.timeout > 0 {
		timer := time.AfterFunc(s.timeout, func() { cancel(errTimedOut) })
		stop = func() { timer.Stop(); cancel(nil) }
	}
	if catch < 0 {
		return ctx, stop
	}
	signals := make(chan os.Signal, 1)
	notify := func() { signal.Notify(signals, os.Interrupt, syscall.SIGTERM) }
	if catch == 0 {
		notify()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if catch > 0 {
			select {
			case <-time.After(catch):
				notify()
			case <-ctx.Done():
				return
			}
		}
		select {
		case sig := <-signals:
			signal.Stop(signals) // the next one ends the process at once
			cancel(signalled{sig})
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	inner := stop
	return ctx, func() { inner(); <-done }
}

// failCause explains the end of a context of runContext.
func failCause(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errTimedOut) {
		return fail(exitTimeout, cause)
	}
	return cause
}
