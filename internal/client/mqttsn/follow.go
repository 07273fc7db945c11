package mqttsn

import (
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// settled is an outcome that is to be told when c.mu is free.
type settled struct {
	done func(client.Outcome)
	o    client.Outcome
}

// step calls f and carries out what follows, on l or, if that is nil, on
// whatever is in use.
func (c *Client) step(l *link, f func(now time.Time, fx *Effects)) {
	fx := takeEffects()
	c.mu.Lock()
	now := time.Now()
	f(now, fx)
	if l == nil {
		l = c.life.Link()
	}
	c.carryOut(l, now, fx)
	giveEffects(fx)
}

// carryOut does what follows from a call of the core. c.mu is held before, but
// not after. Messages come from the reader alone, and their acknowledgements
// leave when they have been handed over.
func (c *Client) carryOut(l *link, now time.Time, fx *Effects) {
	var told []settled
	messages := false
	for i := range fx.Events {
		if e := &fx.Events[i]; e.Kind == Message {
			messages = true
		} else {
			told = c.note(l, e, told)
		}
	}
	if messages {
		c.mu.Unlock()
		c.handOver(fx.Events)
		c.mu.Lock()
	}
	c.pace(now, l, fx)
	var err error
	if l != nil {
		err = l.transmit(fx)
	}
	c.room.Broadcast()
	c.mu.Unlock()
	if len(told) == 0 {
		return
	}
	for _, s := range told {
		if s.o.Kind == client.Written && err != nil {
			s.o.Kind, s.o.Err = client.Lost, err
		}
		if s.done != nil {
			s.done(s.o)
		}
	}
	c.mu.Lock()
	c.unsettled -= len(told)
	c.room.Broadcast()
	c.mu.Unlock()
}

func (c *Client) handOver(events []Event) {
	for i := range events {
		if e := &events[i]; e.Kind == Message && c.o.OnMessage != nil && !c.halted.Load() {
			c.o.OnMessage(client.Message{
				Topic: e.Name, Payload: e.Payload, QoS: uint8(e.QoS), Retain: e.Retain, Dup: e.Dup, PacketID: e.MsgID,
			})
		}
	}
	if c.o.OnIdle != nil {
		c.o.OnIdle()
	}
}

// note works off an event; c.mu is held.
func (c *Client) note(l *link, e *Event, told []settled) []settled {
	switch e.Kind {
	case Connected:
		if !l.up { // otherwise it ends a sleep
			l.up = true
			l.result <- nil
		}
	case Refused:
		err := &CodeError{What: "connection", Code: e.Code}
		if !l.up {
			l.result <- err
		} else {
			l.failed(err)
		}
	case Lost:
		l.failed(fmt.Errorf("%w: %w", client.ErrConnectionLost, e.Err))
	case Disconnected:
		if l != nil {
			l.left <- e.Err
		}
	case Asleep:
		c.slept(l, e.Err)
	case Published:
		told = append(told, settled{c.outcomes[e.Token], c.outcome(e)})
		delete(c.outcomes, e.Token)
	case Subscribed, Unsubscribed, WillChanged:
		if answer := c.answers[e.Token]; answer != nil {
			answer <- *e
			delete(c.answers, e.Token)
		}
	case Rejected:
		if c.o.OnRejected != nil {
			c.o.OnRejected(e.Topic.Name, e.Code)
		}
	}
	return told
}

// outcome is the final word on a message, as others have it.
func (c *Client) outcome(e *Event) client.Outcome {
	o := client.Outcome{Sends: e.Sends, Duplicate: e.Duplicate}
	if e.QoS > 0 {
		o.PacketID = e.MsgID
	}
	switch e.Outcome {
	case Acknowledged:
		o.Kind = client.Acknowledged
	case Written:
		o.Kind = client.Written
	case Denied:
		o.Kind, o.Err = client.Refused, &CodeError{What: "message", Code: e.Code}
	case Abandoned:
		o.Kind, o.Err = client.Lost, c.life.Reason()
	}
	return o
}

// passing reports whether a refusal speaks of the moment.
func passing(e *CodeError) bool { return e.Code == wire.Congestion }

// doze is how a client sleeps.
type doze struct {
	wanted     bool
	span       time.Duration // what the gateway is told
	every      time.Duration // between two polls
	next       time.Time     // when to poll; while asleep
	unanswered int           // polls in a row
}

// maxUnanswered is how many polls in a row a gateway may leave unanswered.
const maxUnanswered = 2

// ErrDoze refuses to sleep in a way that cannot work.
var ErrDoze = errors.New("a client sleeps for 1 s to 65535 s, and asks for messages at least once in that time")

// Doze lets the client sleep from now on, whenever nothing is outstanding. It tells
// the gateway that it sleeps for span, and asks for its messages each time that
// every has passed. What is published or subscribed to meanwhile wakes it.
func (c *Client) Doze(span, every time.Duration) error {
	if span < time.Second || span > 65535*time.Second || every <= 0 || every > span {
		return ErrDoze
	}
	c.mu.Lock()
	c.doze = doze{wanted: true, span: span, every: every}
	c.mu.Unlock()
	c.step(nil, func(time.Time, *Effects) {})
	return nil
}

// pace falls asleep, asks for messages, and wakes up. c.mu is held.
func (c *Client) pace(now time.Time, l *link, fx *Effects) {
	if !c.doze.wanted || c.life.Over() || c.renewing || l == nil || l != c.life.Link() || l.stopped {
		return
	}
	switch idle := c.core.Idle(); {
	case c.core.State() == StateActive && idle:
		_ = c.core.Sleep(now, c.doze.span, fx)
	case c.core.State() == StateAsleep && !idle:
		c.core.Connect(now, false, fx)
	case c.core.State() == StateAsleep && !now.Before(c.doze.next):
		c.doze.next = now.Add(c.doze.every)
		_ = c.core.Wake(now, fx)
	}
}

// slept is after falling asleep: for the first time, or again.
func (c *Client) slept(l *link, err error) {
	if err == nil {
		c.doze.unanswered = 0
	} else if c.doze.unanswered++; c.doze.unanswered >= maxUnanswered {
		c.doze.unanswered = 0
		l.failed(fmt.Errorf("%w: %w", client.ErrConnectionLost, err))
	}
	if now := time.Now(); !c.doze.next.After(now) {
		c.doze.next = now.Add(c.doze.every)
	}
}

// deadline is when the clock has something to do; c.mu is held.
func (c *Client) deadline() time.Time {
	at := c.core.Deadline()
	if c.doze.wanted && c.core.State() == StateAsleep {
		at = earlier(at, c.doze.next)
	}
	return at
}
