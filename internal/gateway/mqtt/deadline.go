package mqtt

import (
	"errors"
	"io"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// armKeepAlive moves the read deadline, but not for every packet: it may lie
// up to an eighth of the keep alive too early, and timedOut looks again.
func (c *conn) armKeepAlive() {
	if c.keepAlive == 0 || c.closing.Load() {
		return
	}
	at := c.lastRead.Add(c.keepAlive)
	if at.Sub(c.deadline) > c.keepAlive/8 {
		c.setDeadline(at)
	}
}

// setDeadline moves the read deadline, without undoing that of a Close at the
// same time.
func (c *conn) setDeadline(at time.Time) {
	c.deadline = at
	_ = c.nc.SetReadDeadline(at)
	if c.closing.Load() {
		_ = c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	}
}

// timedOut tells the deadlines apart.
func (c *conn) timedOut(err error) error {
	c.w.mu.Lock()
	werr := c.w.err
	c.w.mu.Unlock()
	switch {
	case werr != nil:
		return werr
	case c.closing.Load():
		return io.EOF
	case c.kicked.Load():
		return errKicked
	case c.link.Load() == nil:
		return &ended{why: "connect-timeout", err: errors.New("no CONNECT in time"), mute: true}
	}
	at := c.keptAlive()
	if c.quiet.granted() {
		return c.rest(at)
	}
	if at.IsZero() || time.Now().Before(at) {
		c.setDeadline(at)
		return nil
	}
	return &ended{code: mqtt.KeepAliveTimeout, why: "keepalive", err: err} // [MQTT-3.1.2-22]
}

// keptAlive is when the keep alive ends; zero for never.
func (c *conn) keptAlive() time.Time {
	if c.keepAlive == 0 {
		return time.Time{}
	}
	return c.lastRead.Add(c.keepAlive)
}
