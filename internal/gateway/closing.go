package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
)

// finish tells the peer why the connection ends, and waits for it to have
// heard.
func (c *Conn) finish(e *End) {
	if asked := c.ending.Load(); asked != nil {
		c.why = asked.Why
	} else {
		c.why = e.Why
	}
	c.logEnd(e)
	c.tellRefusals()
	if d, ok := c.client.(Drainer); ok {
		d.Drain(c.asked(e))
	}
	c.detach()
	if last := c.lastWords(e); last != nil && c.sayLast(last) {
		c.closing.Store(true)
		c.linger()
	} else if c.closing.Load() && errors.Is(e.Err, io.EOF) {
		c.w.settle(goodbyeTimeout)
	}
}

// logEnd logs the end of a connection: at info, unless it is what the client has
// asked for, or one of too many that have never got in.
func (c *Conn) logEnd(e *End) {
	ctx, level, log := context.Background(), slog.LevelInfo, c.s.cfg.Logger
	var pending *auth.Pending
	switch {
	case errors.Is(e, Bye.Err), errors.As(e.Err, &pending): // which the authenticator logs
		level = slog.LevelDebug
	case c.link.Load() == nil && !c.s.strangers.Allow(time.Now(), 1):
		level = slog.LevelDebug
	}
	switch {
	case !log.Enabled(ctx, level):
	case !c.opened:
		log.Log(ctx, level, "connection refused", "listener", c.listener.URL(), "remote", c.nc.Info().Peer(), "err", e.Err)
	case !c.closing.Load():
		c.Log().Log(ctx, level, "connection ended", "reason", e.Why, "err", e.Err)
	}
}

// detach ends the link, if there is one.
func (c *Conn) detach() {
	c.using.Lock()
	defer c.using.Unlock()
	c.over = true
	if l := c.link.Load(); l != nil {
		l.Detach(c.farewell)
	}
}

// lastWords is what the peer is told; nil for nothing.
func (c *Conn) lastWords(e *End) []byte {
	switch {
	case e.Mute:
		return nil
	case e.Last != nil:
		return e.Last
	}
	return c.client.LastWords(e)
}

// sayLast writes the last words, if there are any, and closes the direction
// behind them.
func (c *Conn) sayLast(last []byte) bool {
	if !c.w.finish(last, c.packets) {
		return false
	}
	c.s.cfg.Broker.Stats().BytesSent.Add(uint64(len(last)))
	if t, ok := c.client.(Teller); ok && len(last) > 0 {
		t.Said(last)
	}
	return true
}

// lingerBytes is how much of a client's input is discarded while it has not
// noticed the end: closing with unread input would reset the connection and
// could destroy the last words on their way.
const lingerBytes = 1 << 20

func (c *Conn) linger() {
	if c.packets {
		c.w.wg.Wait() // there is no end that the peer could tell
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	for total := 0; total < lingerBytes; {
		buf, n, err := c.read()
		c.release(buf)
		if errors.Is(err, io.EOF) { // the peer may have ended its side long ago
			c.w.settle(goodbyeTimeout)
		}
		if err != nil {
			return
		}
		total += n
	}
}

// Close implements broker.Receiver.
func (c *Conn) Close(r broker.Reason) { c.end(closedBy(r)) }

// End ends the connection. It does not wait. From any goroutine; but not from
// Data, which returns an *End instead.
func (c *Conn) End(why string, err error) { c.end(&End{Why: why, Err: err}) }

// end takes an End of its own.
func (c *Conn) end(e *End) {
	e.own = c.link.Load() == nil
	if !c.ending.CompareAndSwap(nil, e) {
		return
	}
	if e.own {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		return
	}
	if c.sayLast(c.lastWords(e)) {
		c.closing.Store(true)
		_ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	}
}

// close releases everything.
func (c *Conn) close(e *End) {
	c.detach() // nothing, when finish has done it
	c.w.stop()
	_ = c.nc.CloseReason(c.why)
	if w, ok := c.client.(Ender); ok {
		w.Ended(c.asked(e))
	}
}

// askedFirst is the end that somebody has asked for and the goroutine of the
// connection sees to, if there is one.
func (c *Conn) askedFirst() *End {
	if e := c.ending.Load(); e != nil && e.own {
		return e
	}
	return nil
}

// asked is the end that somebody has asked for, or else e.
func (c *Conn) asked(e *End) *End {
	if asked := c.ending.Load(); asked != nil {
		return asked
	}
	return e
}
