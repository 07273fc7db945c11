package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrUnanswered: the server closed the connection instead of answering the
// login.
var ErrUnanswered = errors.New("connection closed before the login was answered")

// maxFrameBytes bounds what a server may send without an end to it.
const maxFrameBytes = 1 << 20

// deviceLink is one connection of a Device. As with MQTT, a reader and a writer
// share it: what gathers while one batch is written is the next.
type deviceLink struct {
	d       *Device
	conn    net.Conn
	dead    chan struct{} // closed by fail
	threads sync.WaitGroup
	opened  time.Time

	lastSent, lastRead atomic.Int64 // unix nanoseconds
	handing            atomic.Bool  // what was read is being worked off
	loggedIn           atomic.Bool
	abrupt             atomic.Bool // it ended otherwise than by the server closing it

	// Guarded by d.mu.
	wake     *sync.Cond    // something for the writer
	out      []byte        // being filled
	unspoken []func(error) // unanswered messages in out
	waiting  []func(error) // for answers, in order
	writing  bool          // the writer has something in hand
	stopped  bool          // fail was called
	goodbye  bool          // nothing may follow
	err      error         // why; the first reason stays
	writeErr error
}

func newDeviceLink(d *Device, conn net.Conn) *deviceLink {
	l := &deviceLink{d: d, conn: conn, dead: make(chan struct{}), opened: time.Now(), wake: sync.NewCond(&d.mu)}
	l.lastSent.Store(l.opened.UnixNano())
	l.lastRead.Store(l.opened.UnixNano())
	l.threads.Go(l.write)
	l.threads.Go(l.read)
	return l
}

// fail ends the link for reason, the first one given. It does not wait.
func (l *deviceLink) fail(reason error) {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.stopped {
		return
	}
	l.stopped, l.err = true, reason
	close(l.dead)
	_ = l.conn.Close()
	l.wake.Broadcast()
	l.d.room.Broadcast()
}

// reason is why the link ended; valid after dead is closed.
func (l *deviceLink) reason() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	return l.err
}

// append puts a frame on the link. d.mu is held.
func (l *deviceLink) append(build func(dst []byte) ([]byte, error)) error {
	if l.stopped || l.goodbye {
		return ErrConnectionLost
	}
	start := len(l.out)
	b, err := build(l.out)
	if err != nil {
		return err
	}
	l.out = b
	if l.d.o.OnPacket != nil && len(b) > start {
		l.d.o.OnPacket(Sent, b[start:])
	}
	l.wake.Signal()
	return nil
}

// login says who the device is and waits for the answers.
func (l *deviceLink) login() error {
	answers := 0
	got := make(chan error, 2)
	l.d.mu.Lock()
	err := l.append(func(dst []byte) (out []byte, err error) {
		out, answers, err = l.d.o.Dialect.Login(dst)
		return out, err
	})
	for range answers {
		l.waiting = append(l.waiting, func(err error) {
			select {
			case got <- refused("login", err):
			default: // the link has ended, and nobody listens
			}
		})
	}
	if l.stopped {
		err = l.err
	}
	l.d.mu.Unlock()
	for i := 0; i < answers && err == nil; i++ {
		err = l.first(got, l.reason)
	}
	if err != nil {
		return err
	}
	l.loggedIn.Store(true)
	if l.d.o.Alive > 0 {
		l.threads.Go(l.keepAlive)
	}
	return nil
}

// first waits for an answer, or for the end of the link: then the error is
// otherwise's, unless the answer came before.
func (l *deviceLink) first(got <-chan error, otherwise func() error) error {
	select {
	case err := <-got:
		return err
	case <-l.dead:
	}
	select {
	case err := <-got:
		return err
	default:
		return otherwise()
	}
}

// publish puts a message on the link. d.mu is held.
func (l *deviceLink) publish(m Message, done func(Outcome)) error {
	answered := false
	err := l.append(func(dst []byte) (out []byte, err error) {
		out, answered, err = l.d.o.Dialect.Publish(dst, m)
		return out, err
	})
	if err != nil {
		return refused("message", err)
	}
	l.d.unsettled++
	settle := func(o Outcome) {
		o.Sends = 1
		if done != nil {
			done(o)
		}
		l.d.settled(1)
	}
	if !answered {
		l.unspoken = append(l.unspoken, func(err error) {
			if err != nil {
				settle(Outcome{Kind: Lost, Err: err})
				return
			}
			settle(Outcome{Kind: Written})
		})
		return nil
	}
	l.waiting = append(l.waiting, func(err error) {
		err = refused("message", err)
		switch {
		case err == nil:
			settle(Outcome{Kind: Acknowledged})
		case errors.As(err, new(*RefusedError)):
			settle(Outcome{Kind: Refused, Err: err})
		default:
			settle(Outcome{Kind: Lost, Err: err})
		}
	})
	return nil
}

// ask sends a request and waits for its answer; granted, if not nil, is called
// before anything else is read.
func (l *deviceLink) ask(ctx context.Context, build func([]byte) ([]byte, error), granted func()) error {
	got := make(chan error, 2)
	l.d.mu.Lock()
	err := l.append(build)
	if err == nil {
		l.waiting = append(l.waiting, func(err error) {
			if err == nil && granted != nil {
				granted()
			}
			got <- refused("request", err)
		})
	}
	l.d.mu.Unlock()
	if err != nil {
		return refused("request", err)
	}
	stop := context.AfterFunc(ctx, func() { got <- context.Cause(ctx) })
	defer stop()
	return l.first(got, func() error { return ErrConnectionLost })
}

// write is the writer goroutine.
func (l *deviceLink) write() {
	mu := &l.d.mu
	mu.Lock()
	defer mu.Unlock()
	var flying []byte
	for {
		for len(l.out) == 0 && !l.stopped {
			l.wake.Wait()
		}
		if l.stopped {
			return
		}
		flying, l.out = l.out, flying[:0]
		var spoken []func(error)
		spoken, l.unspoken = l.unspoken, nil
		l.writing = true
		l.d.room.Broadcast()
		mu.Unlock()
		_, err := l.conn.Write(flying)
		l.lastSent.Store(time.Now().UnixNano())
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrConnectionLost, err)
		}
		for _, settle := range spoken {
			settle(err)
		}
		mu.Lock()
		if err != nil { // the reader may find out why
			l.writeErr = err
			_ = l.conn.SetReadDeadline(time.Now().Add(lastWords))
			return
		}
		l.writing = false
		l.d.room.Broadcast()
	}
}

// read is the reader goroutine.
func (l *deviceLink) read() {
	buf := make([]byte, readBufferBytes)
	have := 0
	for {
		n, err := l.conn.Read(buf[have:])
		have += n
		l.lastRead.Store(time.Now().UnixNano())
		l.handing.Store(true)
		used, bad := l.frames(buf[:have])
		if n > 0 && l.d.o.OnIdle != nil {
			l.d.o.OnIdle()
		}
		l.handing.Store(false)
		switch {
		case bad != nil:
			l.fail(bad)
			return
		case err != nil:
			l.fail(l.readError(err))
			return
		}
		have = copy(buf, buf[used:have])
		if have == len(buf) {
			if have >= maxFrameBytes {
				l.fail(&ForeignError{fmt.Errorf("a frame of more than %d bytes", maxFrameBytes)})
				return
			}
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

func (l *deviceLink) readError(err error) error {
	l.d.mu.Lock()
	writeErr := l.writeErr
	l.d.mu.Unlock()
	if writeErr != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return writeErr
	}
	sentinel := ErrConnectionLost
	if !l.loggedIn.Load() {
		sentinel = ErrUnanswered
	}
	if errors.Is(err, io.EOF) {
		return sentinel
	}
	l.abrupt.Store(true)
	return fmt.Errorf("%w: %w", sentinel, err)
}

// frames works off the complete frames in b and returns their size.
func (l *deviceLink) frames(b []byte) (used int, err error) {
	for used < len(b) {
		e, n, err := l.d.o.Dialect.Next(b[used:])
		if err != nil {
			return used, err
		}
		if n == 0 {
			return used, nil
		}
		if l.d.o.OnPacket != nil {
			l.d.o.OnPacket(Received, b[used:used+n])
		}
		used += n
		if err := l.handle(e); err != nil {
			return used, err
		}
	}
	return used, nil
}

func (l *deviceLink) handle(e Event) error {
	if e.Reply != nil {
		l.d.mu.Lock()
		_ = l.append(func(dst []byte) ([]byte, error) { return append(dst, e.Reply...), nil })
		l.d.mu.Unlock()
	}
	switch e.Kind {
	case EventAnswer:
		l.d.mu.Lock()
		var settle func(error)
		if len(l.waiting) > 0 {
			settle, l.waiting = l.waiting[0], l.waiting[1:]
		}
		l.d.room.Broadcast()
		l.d.mu.Unlock()
		if settle != nil {
			settle(e.Err)
		}
	case EventMessage:
		if l.d.o.OnMessage != nil && !l.d.halted.Load() {
			l.d.o.OnMessage(e.Message)
		}
	case EventEnd:
		return e.Err
	}
	return nil
}

// keepAlive breaks silences, and ends a link whose server says nothing to that.
// While messages are handed over nothing is read, which is no fault of the server.
func (l *deviceLink) keepAlive() {
	tick := time.NewTicker(l.d.o.Alive / 2)
	defer tick.Stop()
	asked := int64(0) // when; 0 is not
	for {
		select {
		case <-l.dead:
			return
		case <-tick.C:
		}
		now := time.Now().UnixNano()
		handing := l.handing.Load()
		if handing || l.lastRead.Load() > asked {
			asked = 0
		}
		if asked != 0 && now-asked >= 2*int64(l.d.o.Alive) {
			l.fail(fmt.Errorf("%w: %w", ErrConnectionLost, ErrTimeout))
			return
		}
		if now-l.lastSent.Load() < int64(l.d.o.Alive/2) {
			continue
		}
		l.d.mu.Lock()
		_ = l.append(func(dst []byte) ([]byte, error) { return l.d.o.Dialect.Alive(dst), nil })
		l.d.mu.Unlock()
		if asked == 0 && !handing {
			asked = now
		}
	}
}

// leave says goodbye behind all that waits to be written, and waits for the
// server to close the connection.
func (l *deviceLink) leave(ctx context.Context) error {
	d := l.d
	d.mu.Lock()
	err := l.append(func(dst []byte) ([]byte, error) { return d.o.Dialect.Leave(dst), nil })
	l.goodbye = true
	if err == nil {
		err = d.life.Await(ctx, func() bool { return l.stopped || len(l.out) == 0 && !l.writing })
	}
	d.mu.Unlock()
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-l.dead:
	case <-timer.C:
	case <-ctx.Done():
	}
	l.fail(ErrClosed)
	l.threads.Wait() // or the last write may have succeeded without being noted
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		return err
	case len(l.out) > 0 || l.writing:
		return errors.Join(ErrConnectionLost, l.writeErr)
	case l.abrupt.Load() && errors.Is(l.err, ErrConnectionLost):
		return l.err // a reset: it may not have read everything
	}
	return nil
}

// outlive waits until the link is dead, and settles what it has left.
func (l *deviceLink) outlive() (opened time.Time, reason error) {
	<-l.dead
	l.threads.Wait()
	l.abandon()
	return l.opened, l.reason()
}

// abandon settles what the link has left: it is lost.
func (l *deviceLink) abandon() {
	l.d.mu.Lock()
	left := append(l.unspoken, l.waiting...)
	l.unspoken, l.waiting = nil, nil
	err := l.err
	l.d.mu.Unlock()
	if !errors.Is(err, ErrConnectionLost) && !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("%w: %w", ErrConnectionLost, err)
	}
	for _, settle := range left {
		settle(err)
	}
}
