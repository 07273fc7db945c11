package mqttsn

import (
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/session"
)

// regack answers REGISTER. SN-6.10
func (c *client) regack(w *work, body []byte) {
	m, err := mqttsn.ParseRegack(body, &w.options)
	if err != nil {
		c.garbled(w, err)
		return
	}
	r, ok := c.out.regack(c, w, m)
	if !ok {
		w.g.counts.unexpected.Add(1)
		return
	}
	if r.kept != "" && c.link != nil {
		keepTopic(c.link, r.kept, r.id)
	}
	if r.refused && c.link != nil {
		c.link.Unsubscribe([]string{r.kept}) // of the name alone: what matches it by wildcards stays
	}
	c.acked(w, r.done)
}

// registered is what follows from a REGACK.
type registered struct {
	kept    string // the topic to be kept, or ""
	id      uint16 // 0 if it was refused
	refused bool
	done    []ack
}

func (o *outbox) regack(c *client, w *work, m mqttsn.Regack) (r registered, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	if q == nil || q.step != registering || m.MsgID != q.msgID {
		return r, false
	}
	defer o.touch(w)
	t := o.topics.named(q.first.topic)
	if m.Code == mqttsn.Accepted && m.TopicID != t.id {
		return r, false
	}
	o.proved = true // the MsgId is new since the client is where it is
	probe := q.probe
	q.end()
	switch {
	case m.Code == mqttsn.Accepted:
		t.confirmed = true
		r.kept, r.id = t.name, t.id
	case m.Code == mqttsn.Congestion:
		q.step = postponed
		q.due = o.retryAt(c, w.now, 0)
		if o.held {
			q.end()
		}
		o.arm(c)
		return r, true
	case probe: // it has shown what it was to show
	default:
		c.g.counts.unwanted.Add(1)
		r.kept, r.refused = t.name, true
		o.topics.refuse(t)
		r.done = o.giveUp()
	}
	if len(r.done) == 0 {
		r.done = o.pump(c, w.now)
	}
	return r, true
}

// maxRenewals is how often the topic of one message is registered again because the
// client says that it does not know it. Some of that may be late.
const maxRenewals = 3

// puback answers PUBLISH, or refuses it.
func (c *client) puback(w *work, body []byte) {
	m, err := mqttsn.ParsePuback(body, &w.options)
	if err != nil {
		c.garbled(w, err)
		return
	}
	done, ok := c.out.puback(c, w, m)
	c.answered(w, done, ok)
}

func (o *outbox) puback(c *client, w *work, m mqttsn.Puback) (done []ack, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.MsgID == 0 { // of a message at QoS 0, which is gone
		t := o.topics.of(m.TopicID)
		if t == nil || m.Code != mqttsn.InvalidTopicID {
			return nil, false
		}
		t.confirmed = false
		return nil, true
	}
	q := o.queue
	if !o.published(m.MsgID) || m.Code == mqttsn.Accepted && q.first.qos == 2 {
		return nil, false
	}
	defer o.touch(w)
	o.answered()
	it := q.first
	t := o.topics.named(it.topic)
	if m.Code == mqttsn.InvalidTopicID && o.reference(c, it.topic).kind == mqttsn.NormalTopic && q.renewals < maxRenewals {
		if q.step != publishing || t == nil { // the same as before
			return nil, true
		}
		t.confirmed = false
		q.end()
		q.renewals++
		return o.pump(c, w.now), true
	}
	if m.Code != mqttsn.Accepted {
		c.g.counts.declined.Add(1)
	}
	return o.giveUp(), true
}

// published reports whether the first item's PUBLISH is one that the client may
// answer, with that MsgId: it is out, or was when an earlier connection ended.
func (o *outbox) published(msgID uint16) bool {
	q := o.queue
	if q == nil || q.first.id == 0 || q.first.release || o.wireID(q.first.id) != msgID {
		return false
	}
	return q.step == publishing || q.first.dup && (q.step == idle || q.step == registering || q.step == postponed)
}

// pubrec says that the client has a message at QoS 2.
func (c *client) pubrec(w *work, body []byte) {
	m, err := mqttsn.ParsePubrec(body, &w.options)
	if err != nil {
		c.garbled(w, err)
		return
	}
	done, ok := c.out.pubrec(c, w, m.MsgID)
	c.answered(w, done, ok)
}

func (o *outbox) pubrec(c *client, w *work, msgID uint16) (done []ack, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	if q == nil || q.first.qos != 2 || o.wireID(q.first.id) != msgID {
		return nil, false
	}
	it := q.first
	switch {
	case q.step == releasing && !o.held: // PUBREL was lost
		c.g.counts.retransmitted.Add(1)
		o.touch(w)
		return o.transmit(c, w.now), true
	case q.step == received, q.step == releasing, it.release:
		return nil, true
	case !o.published(msgID):
		return nil, false
	}
	o.answered()
	q.end()
	q.step = received
	q.bytes -= it.size()
	it.topic, it.payload = "", nil
	q.bytes += it.size()
	return []ack{{session.Pubrec, it.id}}, true
}

// pubcomp ends an exchange at QoS 2.
func (c *client) pubcomp(w *work, body []byte) {
	m, err := mqttsn.ParsePubcomp(body, &w.options)
	if err != nil {
		c.garbled(w, err)
		return
	}
	done, ok := c.out.pubcomp(m.MsgID)
	c.answered(w, done, ok)
}

func (o *outbox) pubcomp(msgID uint16) (done []ack, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	if q == nil || !q.first.release || o.wireID(q.first.id) != msgID {
		return nil, false
	}
	o.answered()
	done = []ack{{session.Pubcomp, q.first.id}}
	o.pop()
	return done, true
}

// answered is what the acknowledgements have in common.
func (c *client) answered(w *work, done []ack, ok bool) {
	if !ok {
		w.g.counts.unexpected.Add(1)
		return
	}
	c.acked(w, done)
}
