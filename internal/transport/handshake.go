package transport

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// handshake runs a connection's opening steps once, on whichever goroutine
// asks first, and keeps the deadlines that are set in the meantime.
type handshake struct {
	steps   func(ctx context.Context, c *conn) error
	timeout time.Duration
	done    atomic.Bool // c.top, c.remote, c.proxy and err are settled

	run1 sync.Mutex // serialises run
	err  error

	mu      sync.Mutex // guards the rest; never held while waiting
	read    time.Time
	write   time.Time
	expired bool // deadlines stay in the past
}

func (h *handshake) wait(c *conn) error {
	if h.done.Load() {
		return h.err
	}
	return h.run(context.Background(), c)
}

func (h *handshake) run(ctx context.Context, c *conn) error {
	h.run1.Lock()
	defer h.run1.Unlock()
	if h.done.Load() {
		return h.err
	}
	err := h.limited(ctx, c, h.timeout, h.steps)
	if c.ln != nil {
		c.ln.tally.shaken(&c.entry)
	}
	h.settle(c, err)
	if err != nil {
		_ = c.CloseReason(closeReason(err))
	}
	return err
}

// limited runs step with a time limit; expiry and cancellation interrupt the
// socket's reads and writes.
func (h *handshake) limited(outer context.Context, c *conn, d time.Duration, step func(context.Context, *conn) error) error {
	ctx := outer
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.expired = true
		_ = c.sock.SetDeadline(past())
	})
	err := step(ctx, c)
	if stop() {
		return err
	}
	if errors.Is(err, errKeysDiffer) || errors.Is(err, errSilence) && !errors.Is(ctx.Err(), context.Canceled) {
		return err // the peer's silence says more than that time is up
	}
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		e = &Error{Op: "handshake", Target: c.sock.RemoteAddr().String()}
	}
	e = &Error{Op: e.Op, Target: e.Target, Problem: "not complete after " + d.String(), Timeout: true, Err: ctx.Err()}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Problem, e.Timeout = "cancelled", false
	case outer.Err() != nil: // whoever made that knows how long it was
		e.Problem = "not complete in time"
	}
	return e
}

// settle publishes the result and hands the deadlines over to the storeys.
func (h *handshake) settle(c *conn, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	if err == nil {
		_ = c.top.SetReadDeadline(h.read)
		_ = c.top.SetWriteDeadline(h.write)
	}
	h.done.Store(true)
}

func (h *handshake) setReadDeadline(c *conn, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done.Load() {
		return c.top.SetReadDeadline(t)
	}
	h.read = t
	if h.expired {
		return nil
	}
	return c.sock.SetReadDeadline(t)
}

func (h *handshake) setWriteDeadline(c *conn, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done.Load() {
		return c.top.SetWriteDeadline(t)
	}
	h.write = t
	if h.expired {
		return nil
	}
	return c.sock.SetWriteDeadline(t)
}

// closeReason is what a failed handshake counts as.
func closeReason(err error) string {
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return "handshake"
	}
	switch {
	case errors.Is(err, errRefused):
		return "refused"
	case e.Timeout || isTimeout(e.Err):
		return ClosedTimeout
	}
	return e.Op
}
