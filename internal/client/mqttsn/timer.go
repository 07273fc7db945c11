package mqttsn

import (
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// slotKind is what may be outstanding once.
type slotKind uint8

const (
	slotLink slotKind = iota // CONNECT, PINGREQ, DISCONNECT
	slotRegister
	slotRequest // SUBSCRIBE, UNSUBSCRIBE
	slotPublish // PUBLISH, PUBREL
	slotWillTopic
	slotWillPayload
	slots
)

// slot is a transaction that waits for an answer.
type slot struct {
	due  time.Time // of the next repetition; zero: nothing waits
	wait time.Duration
	left int // repetitions
}

// start makes k wait for an answer, from now on.
func (c *Core) start(k slotKind, now time.Time) {
	s := &c.slots[k]
	s.wait, s.left = c.cfg.Retry, c.cfg.Retries
	if c.state == StateLeaving {
		s.wait = c.cfg.Farewell
	}
	s.due = now.Add(c.jittered(s.wait))
}

func (c *Core) jittered(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*chance(c.cfg.Rand, c.cfg.Jitter)), 1)
}

func (c *Core) stop(k slotKind) { c.slots[k].due = time.Time{} }

func (c *Core) waits(k slotKind) bool { return !c.slots[k].due.IsZero() }

// Deadline is when Tick has something to do; zero for never. Every call may
// move it.
func (c *Core) Deadline() time.Time {
	var first time.Time
	for k := range c.slots {
		first = earlier(first, c.slots[k].due)
	}
	if c.state == StateActive {
		if c.queue.len() > 0 || c.flying.live {
			first = earlier(first, c.held)
		}
		if len(c.requests) > 0 {
			first = earlier(first, c.requestHeld)
		}
		first = earlier(first, c.pingAt())
	}
	return first
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// pingAt is when the silence has lasted so long that a PINGREQ is due: soon
// enough for a repetition within the keep alive time.
func (c *Core) pingAt() time.Time {
	if c.cfg.KeepAlive == 0 || c.waits(slotLink) {
		return time.Time{}
	}
	keepAlive := time.Duration(c.cfg.KeepAlive) * time.Second
	return c.lastSent.Add(max(keepAlive/2, keepAlive-max(c.cfg.Retry, keepAlive/10)))
}

// Tick does what is due by now.
func (c *Core) Tick(now time.Time, fx *Effects) {
	for k := range c.slots {
		s := &c.slots[k]
		if s.due.IsZero() || now.Before(s.due) {
			continue
		}
		if s.left == 0 {
			c.exhausted(slotKind(k), fx)
			if c.state != StateActive {
				return
			}
			continue
		}
		s.left--
		s.wait = time.Duration(float64(s.wait) * c.cfg.Backoff)
		s.due = now.Add(c.jittered(s.wait))
		c.repeat(slotKind(k), now, fx)
	}
	if c.state != StateActive {
		return
	}
	if !c.held.IsZero() && !now.Before(c.held) {
		c.held = time.Time{}
		c.pump(now, fx)
	}
	if !c.requestHeld.IsZero() && !now.Before(c.requestHeld) {
		c.requestHeld = time.Time{}
		c.nextRequest(now, fx)
	}
	if at := c.pingAt(); !at.IsZero() && !now.Before(at) {
		send(c, now, fx, wire.Pingreq{})
		c.start(slotLink, now)
	}
}

// exhausted is after the last repetition of k.
func (c *Core) exhausted(k slotKind, fx *Effects) {
	switch {
	case k == slotLink && c.state == StateAwake: // the next poll may fare better
		c.fallAsleep(ErrUnanswered, fx)
	case k == slotLink && c.state == StateLeaving:
		c.rest()
		c.state = StateDisconnected
		fx.Events = append(fx.Events, Event{Kind: Disconnected, Err: ErrUnanswered})
	default:
		c.lost(ErrUnanswered, fx)
	}
}

func (c *Core) repeat(k slotKind, now time.Time, fx *Effects) {
	switch k {
	case slotLink:
		c.repeatLink(now, fx)
	case slotRegister:
		send(c, now, fx, wire.Register{MsgID: c.registerID, Topic: c.registering})
	case slotRequest:
		c.sendRequest(now, fx, true)
	case slotPublish:
		c.sendFlying(now, fx)
	case slotWillTopic:
		c.sendWillTopicUpd(now, fx)
	case slotWillPayload:
		send(c, now, fx, wire.WillMsgUpd{Payload: c.willPayload.payload})
	}
}

func (c *Core) repeatLink(now time.Time, fx *Effects) {
	switch c.state {
	case StateConnecting: // prompts for a will are the gateway's to repeat
		c.sendConnect(now, fx)
	case StateActive:
		send(c, now, fx, wire.Pingreq{})
	case StateDozing:
		send(c, now, fx, wire.Disconnect{HasDuration: true, Duration: c.asleep})
	case StateAwake:
		send(c, now, fx, wire.Pingreq{ClientID: c.cfg.ClientID})
	case StateLeaving:
		send(c, now, fx, wire.Disconnect{})
	}
}
