package mqttsn

import (
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// waking is about a client that is awake: what has waited for it is sent, and what
// comes meanwhile as well, within bounds. SN-6.14
type waking struct {
	since   time.Time
	sent    int // messages
	most    int
	limit   time.Duration
	overdue bool // nothing can leave any more
}

// over reports whether nothing more is to be sent than what is on its way.
func (k *waking) over(now time.Time) bool {
	return k.overdue || k.sent >= k.most || now.Sub(k.since) >= k.limit
}

// pause has nothing leave any more: the client has gone to sleep. What it answers
// late still counts.
func (o *outbox) pause() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold()
}

func (o *outbox) hold() {
	o.held, o.waking = true, nil
	if o.queue != nil {
		o.queue.due = time.Time{}
	}
}

// resume has deliveries leave: the client has connected, and has been told.
func (c *client) resume(w *work) {
	c.acked(w, c.out.again(c, w))
}

// release sends what has waited. Called with mu held.
func (o *outbox) release(c *client, w *work) (done []ack) {
	defer o.touch(w)
	o.held = false
	q := o.queue
	if q == nil {
		return nil
	}
	q.attempts = 0
	switch {
	case q.step == postponed:
		q.end()
	case q.step.waits():
		c.g.counts.retransmitted.Add(1)
		return o.transmit(c, w.now)
	}
	return o.pump(c, w.now)
}

// forget notes that the client may not know its topics any more: what has not been
// answered begins anew.
func (o *outbox) forget(c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.topics.unconfirm()
	if q := o.queue; q != nil && (q.step == registering || q.step == postponed || q.step == publishing) {
		q.end()
	}
	if !c.g.terms.Load().Topics.RegisterOnResume {
		return
	}
	var names []string
	for _, t := range o.topics.list {
		if t.id != 0 && o.reference(c, t.name).kind == mqttsn.NormalTopic {
			names = append(names, t.name)
		}
	}
	if len(names) == 0 {
		return
	}
	if o.queue == nil {
		o.queue = &queue{lent: &c.g.lent}
	}
	o.queue.tell(names)
}

// pingreq is a sign of life, and what wakes a client that is asleep.
func (c *client) pingreq(w *work, body []byte) {
	m, err := mqttsn.ParsePingreq(body, &w.options)
	if err != nil {
		c.garbled(w, err)
		return
	}
	switch {
	case m.ClientID != "" && m.ClientID != c.plainID() && c.state == active:
		w.g.counts.foreignID.Add(1)
	case m.ClientID != "" && m.ClientID != c.plainID(): // who had the address before has left it, perhaps
		w.g.visitor(w, event{from: c.out.where(), body: body}, m.ClientID)
	case c.state == active, m.ClientID == "" && c.state == asleep && !*w.g.terms.Load().Sleep.AnyPing:
		c.out.send(c, w, mqttsn.Pingresp{})
	case c.state == asleep:
		c.wake(w)
	case c.state == awake:
		c.acked(w, c.out.again(c, w))
	}
}

// wake begins to send what waits for a client that is asleep.
func (c *client) wake(w *work) {
	c.state = awake
	c.acked(w, c.out.wake(c, w))
}

func (o *outbox) wake(c *client, w *work) (done []ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &c.g.terms.Load().Sleep
	o.waking = &waking{since: w.now, most: s.MaxPerWake, limit: s.WakeCap}
	c.g.counts.woken.Add(1)
	return o.release(c, w)
}

// again sends what is outstanding, if anything is, and what waits.
func (o *outbox) again(c *client, w *work) (done []ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.release(c, w)
}

// acked tells the broker what is done with its deliveries, and has a client that is
// awake sleep again when nothing is left.
func (c *client) acked(w *work, done []ack) {
	if c.link == nil {
		return
	}
	for len(done) > 0 {
		for _, a := range done {
			_ = c.link.Acked(a.kind, a.id) // it may have forgotten it, or have another link by now
		}
		if c.state == awake && c.commit(w) != nil { // brings the next one
			return
		}
		done = c.out.proceed(c, w)
	}
	if c.state == awake && c.out.doze(c, w, c.link.Waiting() > 0) {
		c.state = asleep
	}
}

// doze ends the time that a client is awake, if nothing is left for it: it is told
// last, and is asleep without having said so. more says that the broker has
// something, and is about to deliver it.
func (o *outbox) doze(c *client, w *work, more bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k, q := o.waking, o.queue
	switch {
	case k == nil:
		return true
	case q == nil && !more, q != nil && q.step == postponed:
	case k.over(w.now) && (q == nil || q.step == idle):
	default:
		return false
	}
	o.hold()
	p := packets.Get().(*packet)
	defer packets.Put(p)
	p.body, _ = mqttsn.Pingresp{}.Append(p.body[:0])
	o.write(c, p)
	o.touch(w)
	return true
}

// fed sends what has waited for a budget, which the last datagram may have brought.
func (c *client) fed(w *work) {
	done, proved := c.out.fed(c, w)
	if len(done) > 0 || c.state == awake {
		c.acked(w, done)
	}
	if proved && c.link != nil { // soon: the store may have to be waited for
		c.later(func(c *client, _ *work) {
			if c.link != nil {
				c.keepState()
			}
		})
	}
}

// fed is proceed; proved says that the address has been found to receive what it is
// sent.
func (o *outbox) fed(c *client, w *work) (done []ack, proved bool) {
	done = o.proceed(c, w)
	o.mu.Lock()
	defer o.mu.Unlock()
	proved = o.proved && !o.noted
	o.noted = o.proved
	return done, proved
}

// proceed sends what may leave by now.
func (o *outbox) proceed(c *client, w *work) (done []ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.queue; q == nil || q.step != idle || o.held {
		return nil
	}
	o.touch(w)
	return o.pump(c, w.now)
}
