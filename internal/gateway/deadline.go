package gateway

import (
	"context"
	"errors"
	"io"
	"time"
)

// due is when the connection is to be looked at although nothing has come;
// zero for never. The connect time-out is none of it.
func (c *Conn) due() time.Time {
	if w, ok := c.client.(Watch); ok {
		return w.Deadline(c.lastRead)
	}
	if c.keepAlive == 0 || c.link.Load() == nil {
		return time.Time{}
	}
	return c.lastRead.Add(c.keepAlive)
}

// arm moves the read deadline, but not for every read: it may lie up to an
// eighth of its span too early, and timedOut looks again.
func (c *Conn) arm() {
	if c.closing.Load() {
		return
	}
	at := c.due()
	if _, ok := c.client.(Watch); ok && at.IsZero() && !c.deadline.IsZero() {
		c.setDeadline(at)
		return
	}
	if at.IsZero() {
		return
	}
	if late := at.Sub(c.deadline); late < 0 || late > at.Sub(c.lastRead)/8 {
		c.setDeadline(at)
	}
}

// setDeadline moves the read deadline, without undoing that of a Close at the
// same time.
func (c *Conn) setDeadline(at time.Time) {
	c.deadline = at
	_ = c.nc.SetReadDeadline(at)
	switch {
	case c.closing.Load():
		_ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	case c.askedFirst() != nil:
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// timedOut tells the deadlines apart.
func (c *Conn) timedOut(ctx, lasting context.Context) error {
	c.w.mu.Lock()
	werr := c.w.err
	c.w.mu.Unlock()
	switch {
	case werr != nil:
		return werr
	case c.closing.Load():
		return io.EOF
	}
	if e := c.askedFirst(); e != nil {
		return e
	}
	w, watched := c.client.(Watch)
	if !watched && c.link.Load() == nil {
		return &End{Why: "connect-timeout", Err: errors.New("the client has not connected in time"), Mute: true}
	}
	at := c.due()
	if c.quiet.granted() {
		return c.rest(at)
	}
	if at.IsZero() || time.Now().Before(at) {
		c.setDeadline(at)
		return nil
	}
	if !watched {
		return &End{Why: "keepalive", Err: ErrKeepAlive}
	}
	if err := w.Expired(ctx); err != nil {
		return err
	}
	return c.commit(lasting)
}
