package mqttsn

import (
	"math"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/session"
)

// result of an attempt to send an item.
type result uint8

const (
	published result = iota
	unknown          // the client has to be told of the topic first
	unpaid           // the budget is used up
	hopeless         // it never will be; counted
)

// publish sends a PUBLISH with the item, if it may.
func (o *outbox) publish(c *client, it *item) result {
	r := o.reference(c, it.topic)
	if !o.possible(c, it, r) {
		return hopeless
	}
	if !r.known {
		return o.registrable(it)
	}
	m := it.message(r)
	if it.qos > 0 {
		m.MsgID = o.wireID(it.id)
	}
	if !o.proved {
		// A client that is sent nothing but QoS 0 never shows that it receives it. So
		// the last of the budget is for a REGISTER, which it answers.
		reserve := 0
		if it.qos == 0 {
			reserve = mqttsn.Register{Topic: it.topic}.Size() + o.headSize()
		}
		if !o.affords(m.Size() + reserve) {
			return o.registrable(it)
		}
	}
	p := packets.Get().(*packet)
	defer packets.Put(p)
	var err error
	if p.body, err = m.Append(p.body[:0]); err != nil {
		c.g.counts.oversize.Add(1)
		return hopeless
	}
	o.write(c, p)
	return published
}

// registrable is the result for an item whose topic is to be registered.
func (o *outbox) registrable(it *item) result {
	if o.affords(mqttsn.Register{Topic: it.topic}.Size()) {
		return unknown
	}
	return unpaid
}

// pump sends what may leave. If it gives something of the broker's up, it ends with
// that: what the broker has next may belong before the rest. Called with mu held.
func (o *outbox) pump(c *client, now time.Time) (done []ack) {
	defer o.arm(c)
	defer o.ask(c)
	for q := o.queue; q != nil && q.step == idle && !o.held && len(done) == 0; q = o.queue {
		it := q.first
		if it.release {
			q.step = releasing
			return o.transmit(c, now)
		}
		if o.waking != nil && o.waking.over(now) {
			return done
		}
		if it.tell {
			if t := o.topics.named(it.topic); t == nil || t.id == 0 || t.confirmed {
				o.pop()
				continue
			}
			if o.registrable(it) == unknown {
				o.register(c, now)
			}
			return nil
		}
		if it.expired(now) {
			c.g.counts.expired.Add(1)
			done = o.giveUp()
			continue
		}
		again := it.dup
		switch o.publish(c, it) {
		case hopeless:
			done = o.giveUp()
			continue
		case unpaid:
			return nil
		case unknown:
			if o.register(c, now) {
				return nil
			}
			done = o.giveUp()
			continue
		case published:
		}
		if o.waking != nil && !again {
			o.waking.sent++
		}
		if it.qos == 0 {
			o.pop()
			continue
		}
		it.dup = true
		q.step, q.attempts = publishing, 0
		q.due = o.retryAt(c, now, 0)
	}
	return done
}

// register begins to tell the client of the first item's topic. It fails when there
// are too many.
func (o *outbox) register(c *client, now time.Time) bool {
	q := o.queue
	t := o.topics.give(c.g, q.first.topic)
	if t == nil {
		c.g.counts.topicsFull.Add(1)
		return false
	}
	if o.msgID == 0 {
		o.msgID = uint16(c.g.rand())
	}
	o.msgID++
	for o.msgID == 0 || o.inFlight(o.msgID) {
		o.msgID++
	}
	q.step, q.msgID, q.attempts = registering, o.msgID, 0
	q.probe = o.reference(c, t.name).known
	o.transmit(c, now)
	return true
}

// inFlight reports whether a MsgId is that of a delivery.
func (o *outbox) inFlight(msgID uint16) bool {
	for it := o.queue.first; it != nil; it = it.next {
		if it.id != 0 && o.wireID(it.id) == msgID {
			return true
		}
	}
	return false
}

// transmit sends the datagram at which the exchange stands, and sets when it is
// sent again. It returns what of the broker's has been given up. Called with mu held.
func (o *outbox) transmit(c *client, now time.Time) (done []ack) {
	q := o.queue
	it := q.first
	q.due = o.retryAt(c, now, q.attempts)
	defer o.arm(c)
	p := packets.Get().(*packet)
	defer packets.Put(p)
	switch q.step {
	case registering:
		t := o.topics.named(it.topic)
		p.body, _ = mqttsn.Register{TopicID: t.id, MsgID: q.msgID, Topic: t.name}.Append(p.body[:0]) // possible has seen to the length
		o.write(c, p)
	case publishing:
		switch o.publish(c, it) {
		case unpaid:
			c.g.counts.unbudgeted.Add(1)
		case unknown:
			if o.register(c, now) {
				break
			}
			fallthrough
		case hopeless: // since the settings have changed
			if done := o.giveUp(); len(done) > 0 {
				return done
			}
			return o.pump(c, now)
		case published:
		}
	case releasing:
		p.body, _ = mqttsn.Pubrel{MsgID: o.wireID(it.id)}.Append(p.body[:0])
		o.write(c, p)
	case idle, postponed, received:
	}
	return nil
}

// retryAt is when a datagram is sent again that has been repeated so often.
func (o *outbox) retryAt(c *client, now time.Time, attempts int) time.Time {
	t := &c.g.terms.Load().Timers
	const spread = 0.2
	jitter := 1 - spread/2 + spread*float64(c.g.rand()&0xffff)/0xffff
	d := float64(t.Retry) * math.Pow(t.Backoff, float64(attempts)) * jitter
	return now.Add(time.Duration(min(d, float64(time.Hour))))
}

// pop ends the exchange about the first item, which goes.
func (o *outbox) pop() {
	if o.queue.pop(); o.queue.first == nil {
		o.queue = nil
	}
}

// giveUp takes out the first item, and returns what the broker is told.
func (o *outbox) giveUp() []ack {
	it := o.queue.first
	o.pop()
	switch {
	case it.qos == 1:
		return []ack{{session.Puback, it.id}}
	case it.qos == 2 && !it.release:
		return []ack{{session.PubrecError, it.id}}
	}
	return nil
}

// due is when something is to be done about what the client does not answer.
// Called with mu held.
func (o *outbox) due() time.Time {
	q := o.queue
	switch {
	case o.held:
		return time.Time{}
	case q != nil && (q.step.waits() || q.step == postponed):
		return q.due
	case o.waking != nil:
		return o.waking.since.Add(o.waking.limit)
	}
	return time.Time{}
}

// expire sends again what the client has not answered in time. lost says that it
// has been sent often enough.
func (o *outbox) expire(c *client, w *work) (lost bool) {
	done, lost, asleepAgain := o.expireLocked(c, w)
	switch {
	case asleepAgain:
		c.state = asleep
	case !lost:
		c.acked(w, done)
	}
	return lost
}

func (o *outbox) expireLocked(c *client, w *work) (done []ack, lost, asleepAgain bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.due()
	if at.IsZero() || w.now.Before(at) {
		return nil, false, false
	}
	defer o.touch(w)
	switch q := o.queue; {
	case q == nil || !q.step.waits() && q.step != postponed: // awake for too long, and nothing can leave
		o.waking.overdue = true
		return nil, false, false
	case q.step == postponed:
		q.end()
		return o.pump(c, w.now), false, false
	case q.attempts >= c.g.terms.Load().Timers.Retries:
		awake := o.waking != nil
		o.hold()
		return nil, !awake, awake
	default:
		return o.repeat(c, w.now), false, false
	}
}

// repeat sends again what the client has not answered. An address that has not
// shown that it receives is sent everything twice at most.
func (o *outbox) repeat(c *client, now time.Time) (done []ack) {
	q := o.queue
	q.attempts++
	if !o.proved && q.attempts > 1 {
		q.due = o.retryAt(c, now, q.attempts)
		o.arm(c)
		return nil
	}
	c.g.counts.retransmitted.Add(1)
	return o.transmit(c, now)
}
