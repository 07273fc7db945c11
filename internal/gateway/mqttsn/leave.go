package mqttsn

import (
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// disconnect ends the connection, or has the client sleep. SN-6.12 SN-6.14
func (c *client) disconnect(w *work, body []byte) {
	m, err := mqttsn.ParseDisconnect(body, &w.options)
	if err != nil {
		c.g.dropped(err)
		return
	}
	if m.Duration == 0 {
		c.leave(w)
		return
	}
	c.sleep, c.state = m.Duration, asleep
	c.out.pause()
	c.keepState()
	c.arm(w.now)
	if c.commit(w) != nil {
		return // the client asks again
	}
	c.g.counts.slept.Add(1)
	c.reply(w, mqttsn.Disconnect{})
}

// leave ends the connection as the client wishes: its will is not published.
func (c *client) leave(w *work) {
	p := c.out.where()
	_ = c.commit(w)
	c.g.counts.left.Add(1)
	c.end(w, broker.Farewell{HasExpiry: c.clean})
	c.g.tell(w, p, mqttsn.Disconnect{})
}

// lose ends the connection of a client that has not been heard of for too long, or
// takes nothing: its will is published.
func (c *client) lose(w *work) {
	if c.state == gone {
		return
	}
	p, hint := c.out.where(), c.state != asleep
	_ = c.commit(w)
	c.g.counts.lost.Add(1)
	c.end(w, broker.Farewell{Abnormal: true, HasExpiry: c.clean})
	if hint {
		c.g.tell(w, p, mqttsn.Disconnect{})
	}
}

// end takes the session off the client. With an expiry in f that is 0, it ends.
func (c *client) end(_ *work, f broker.Farewell) {
	l := c.link
	c.dirty = false
	l.Detach(f)
	c.remove()
}

// closed sees to what the broker has decided. Of the end of the broker a client that
// is asleep hears nothing: the next start finds it.
func (c *client) closed(w *work, r broker.Reason) {
	if c.state == gone || c.link == nil {
		return
	}
	p := c.out.where()
	switch {
	case c.pseudo:
		c.link.Detach(broker.Farewell{})
		c.link = nil
		return
	case r == broker.ReasonShutdown && (c.state == asleep || c.state == awake):
		return
	case r == broker.ReasonShutdown: // nobody has failed: no will
		_ = c.commit(w)
		c.end(w, broker.Farewell{HasExpiry: c.clean})
	default:
		c.end(w, broker.Farewell{Abnormal: true, HasExpiry: c.clean})
	}
	c.g.tell(w, p, mqttsn.Disconnect{})
}

// nowhere is where a client is that has lost its address.
var nowhere = &port{carrier: discard{}}

// loseAddress notes that p belongs to somebody else. It is called by whoever has
// found out, not by the owner.
func (c *client) loseAddress(p path) {
	if c.out.leave(p) {
		c.later((*client).addressLost)
	}
}

// addressLost has the client wait until it turns up elsewhere, or has been silent for
// too long. A session that ends with its connection and is not asleep ends at once.
func (c *client) addressLost(w *work) {
	switch {
	case c.out.where().port != nowhere || c.state == gone:
		return
	case c.link == nil:
		c.vanish()
		return
	case c.clean && c.state == active:
		c.lose(w)
		return
	case c.state == awake:
		c.state = asleep
	}
	c.out.pause()
}

// leave has the client be nowhere, if it is at p. What is on its way to it must not
// reach who is there now.
func (o *outbox) leave(p path) (left bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.path != p {
		return false
	}
	o.path = path{port: nowhere}
	return true
}

// cutOff sees to the end of a DTLS association. Who sleeps comes by another.
func (c *client) cutOff(w *work, p *port) {
	at := c.out.where()
	if c.state == gone || at.port != p {
		return
	}
	if c.link == nil {
		c.vanish()
		return
	}
	if c.state != asleep {
		c.lose(w)
		return
	}
	c.g.clients.remove(at, c)
	c.out.leave(at)
}

// onTimer does what is due.
func (c *client) onTimer(w *work) {
	switch {
	case c.state == gone:
		return
	case c.state == connecting:
		c.hurry(w)
	case !w.now.Before(c.expiry()):
		c.later(func(c *client, w *work) {
			if c.state != connecting && !w.now.Before(c.expiry()) { // still
				c.lose(w)
			}
		})
		return
	default:
		if c.out.expire(c, w) {
			c.later((*client).lose)
			return
		}
	}
	if c.state != gone {
		c.arm(w.now)
	}
}

// arm has the timer fire at the earliest deadline.
func (c *client) arm(now time.Time) {
	at := c.out.deadline()
	next := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	switch {
	case c.state != connecting:
		next(c.expiry())
	case c.setup != nil:
		if c.setup.due > 0 {
			next(c.g.wheel.began.Add(c.setup.due))
		}
		next(c.g.wheel.began.Add(c.setup.end))
	}
	if !at.IsZero() {
		c.g.wheel.by(c, at)
	}
}

// expiry is when the client is lost if nothing comes from it.
func (c *client) expiry() time.Time {
	d := time.Duration(c.keepAlive) * time.Second
	if c.state == asleep || c.state == awake {
		d = time.Duration(c.sleep) * time.Second
	}
	limit := tolerated(d)
	if d == 0 {
		limit = c.g.terms.Load().Sessions.MaxIdle
	}
	return c.g.wheel.began.Add(c.heard + limit)
}

// tolerated is how long a client may be silent that has announced d. The
// specification adds half to what is short and a tenth to what is long, which makes
// a minute longer than a bit more than that: it is levelled here. SN-7.2
func tolerated(d time.Duration) time.Duration {
	if d <= time.Minute {
		return d + d/2
	}
	return max(90*time.Second, d+d/10)
}
