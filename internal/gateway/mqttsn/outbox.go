package mqttsn

import (
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// outbox is what goes to a client. The broker delivers from any goroutine, with
// its locks held, so nothing here blocks or calls the broker: what is to be told to
// it is returned, or left to the client's owner.
//
// There is one exchange with the client at a time: REGISTER and REGACK, PUBLISH
// and PUBACK, or PUBLISH to PUBCOMP. SN-6.10
type outbox struct {
	mu     sync.Mutex
	path   path
	topics topics
	queue  *queue  // nil: nothing waits
	waking *waking // the client is awake
	budget int64   // bytes that may leave while the address has not shown that it receives
	base   uint16  // of the MsgIds of PUBLISH; see wireID
	msgID  uint16  // of the last REGISTER; 0: there was none
	proved bool    // the address receives what it is sent
	told   bool    // another has been told identifiers of topics and MsgIds: they prove nothing
	noted  bool    // and that has been kept with the session
	held   bool    // nothing leaves: the client is asleep, or not connected yet
	more   bool    // the broker has been refused a retained message
}

// ack is something to be told to the broker.
type ack struct {
	kind session.Ack
	id   uint16
}

// init sets the outbox of a new client up, which is held until resume. base is any
// number, the same as long as the session lives.
func (o *outbox) init(p path, base uint16) {
	o.path, o.base, o.held = p, base, true
	o.proved = p.secure()
	o.noted = o.proved
}

// secure reports whether nobody can pretend to be there.
func (p path) secure() bool { return !p.addr.IsValid() }

// carrier takes datagrams to the client.
func (o *outbox) carrier() carrier {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.path.port.carrier
}

// where is the path that the client has.
func (o *outbox) where() path {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.path
}

// move sets a new path. The address is to show anew that it receives, by what nobody
// at the one before can know: a REGISTER with another MsgId.
func (o *outbox) move(p path) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.path.port.carrier.flush()
	o.path, o.proved, o.budget = p, p.secure(), 0
	o.told, o.msgID = true, 0
	if q := o.queue; q != nil && q.step == registering {
		q.end()
	}
}

// count notes n bytes from the client's address.
func (o *outbox) count(c *client, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.proved {
		const most = 1 << 30
		o.budget = min(o.budget+int64(float64(n)*c.g.terms.Load().AmplificationLimit), most)
	}
}

// validated notes that the address receives what is sent there: the client has said
// something that it could not know otherwise.
func (o *outbox) validated() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.proved = true
}

// answered notes that the client has answered a PUBLISH or PUBREL, which proves as
// much, if nobody else can tell the MsgId.
func (o *outbox) answered() { o.proved = o.proved || !o.told }

// usedTopic notes that the client has used the identifier of a topic.
func (o *outbox) usedTopic(c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if *c.g.terms.Load().Topics.RandomIDs {
		o.answered()
	}
}

// send sends an answer, within the budget, whatever else waits.
func (o *outbox) send(c *client, w *work, m mqttsn.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := packets.Get().(*packet)
	defer packets.Put(p)
	var err error
	if p.body, err = m.Append(p.body[:0]); err != nil {
		c.g.counts.oversize.Add(1)
		return
	}
	o.write(c, p)
	o.touch(w)
}

// touch has the work flush the carrier.
func (o *outbox) touch(w *work) { w.touched[o.path.port.carrier] = true }

// packet is room for one datagram.
type packet struct{ head, body []byte }

var packets = sync.Pool{New: func() any { return new(packet) }}

// write sends one datagram, if the budget allows it.
func (o *outbox) write(c *client, p *packet) (ok bool) {
	p.head = o.path.node.head(p.head[:0])
	if !o.spend(len(p.head) + len(p.body)) {
		c.g.counts.unbudgeted.Add(1)
		return false
	}
	octet := p.body[1]
	if p.body[0] == 1 { // the long form
		octet = p.body[3]
	}
	c.g.counts.out[octet].Add(1)
	o.path.port.carrier.send(o.path.addr, p.head, p.body)
	return true
}

// spend takes n bytes off the budget, if it has them.
func (o *outbox) spend(n int) (ok bool) {
	if o.proved {
		return true
	}
	if int64(n) > o.budget {
		return false
	}
	o.budget -= int64(n)
	return true
}

// affords reports whether n bytes may leave, without the head of a forwarder.
func (o *outbox) affords(n int) bool {
	return o.proved || int64(n+o.headSize()) <= o.budget
}

// headSize is the number of bytes that precede each message.
func (o *outbox) headSize() int {
	if !o.path.node.forwarded {
		return 0
	}
	return mqttsn.Encapsulated{NodeID: []byte(o.path.node.id)}.Size()
}

// retainedRoom is how many messages may wait before retained ones do so at the broker.
const retainedRoom = 64

// deliver takes a delivery from the broker: it leaves now, or waits. ok is false if
// that is to be at the broker, until Link.Writable.
func (o *outbox) deliver(c *client, d *message.Delivery) (ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d.Retain && d.QoS == 0 && o.queue != nil && o.queue.n >= min(retainedRoom, c.g.terms.Load().Sleep.MaxMessages) {
		o.more = true
		return false
	}
	if q := o.queue; d.Release && q != nil && q.step == received && q.first.id == d.PacketID {
		q.end()
		q.first.release = true
	} else {
		if d.QoS == 0 && o.passes(c, d) || !o.makeRoom(c, d) {
			return true
		}
		if o.queue == nil {
			o.queue = &queue{lent: &c.g.lent}
		}
		o.queue.push(newItem(d))
	}
	if o.held {
		return true
	}
	if done := o.pump(c, c.g.now()); len(done) > 0 {
		c.later(func(c *client, w *work) { c.acked(w, done) })
	}
	return true
}

// ask has the broker deliver the retained messages that it has been refused, when
// there is room again. Called with mu held.
func (o *outbox) ask(c *client) {
	if !o.more || o.queue != nil && o.queue.n > retainedRoom/2 {
		return
	}
	o.more = false
	c.later(func(c *client, _ *work) {
		if c.link != nil {
			c.link.Writable()
		}
	})
}

// passes sends a message at QoS 0 at once, if nothing is in its way.
func (o *outbox) passes(c *client, d *message.Delivery) bool {
	if o.queue != nil || o.held || o.waking != nil {
		return false
	}
	it := item{topic: d.Message.Topic, payload: d.Message.Payload, retain: d.Retain}
	switch o.publish(c, &it) {
	case published, hopeless:
		return true
	}
	return false
}

// makeRoom sees to the bounds of what waits. Only messages at QoS 0 are dropped: of
// the others the broker gives one at a time. ok is false if d is to go.
func (o *outbox) makeRoom(c *client, d *message.Delivery) (ok bool) {
	s := &c.g.terms.Load().Sleep
	if d.QoS > 0 {
		return true
	}
	if o.held && !*s.QoS0 {
		c.g.counts.sleepDropped.Add(1)
		return false
	}
	size := (&item{topic: d.Message.Topic, payload: d.Message.Payload}).size()
	if size > s.MaxBytes {
		c.g.counts.sleepDropped.Add(1)
		return false
	}
	for {
		q := o.queue
		full := q != nil && (q.n >= s.MaxMessages || q.bytes+size > s.MaxBytes)
		if !full && c.g.lent.Load()+int64(size) <= int64(s.MaxTotalBytes) {
			break
		}
		c.g.counts.sleepDropped.Add(1)
		if s.Drop == dropNewest || q == nil || !q.dropOldest() {
			return false
		}
		if q.n == 0 {
			o.queue = nil
		}
	}
	return true
}

// discard drops what waits: the client is gone.
func (o *outbox) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold()
	for o.queue != nil {
		o.pop()
	}
}

// fits reports whether a delivery can ever reach the client: it fits into a
// datagram, and the client wants its topic. The broker drops what does not.
func (c *client) fits(d *message.Delivery) bool {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	it := item{topic: d.Message.Topic, payload: d.Message.Payload, qos: d.QoS}
	return o.possible(c, &it, o.reference(c, it.topic))
}

// possible reports whether the item can be sent at all, and counts it if not.
func (o *outbox) possible(c *client, it *item, r reference) bool {
	n, terms := &c.g.counts, c.g.terms.Load()
	if it.message(r).Size() > terms.MaxDatagram {
		n.oversize.Add(1)
		return false
	}
	if r.known {
		return true
	}
	t := o.topics.named(it.topic)
	switch {
	case t != nil && t.id == 0:
		n.unwanted.Add(1)
	case t == nil && len(o.topics.list) >= terms.Topics.MaxPerClient:
		n.topicsFull.Add(1)
	case mqttsn.Register{Topic: it.topic}.Size() > terms.MaxDatagram:
		n.oversize.Add(1)
	default:
		return true
	}
	return false
}

// reference is what stands for a topic in a PUBLISH.
type reference struct {
	kind  mqttsn.TopicKind
	id    uint16
	known bool // to the client
}

// reference chooses what stands for a topic: a predefined identifier, two bytes of
// the topic itself, or an identifier of the session.
func (o *outbox) reference(c *client, name string) reference {
	if p := c.g.terms.Load().predefined; p != nil {
		if id, ok := p.id(c.plainID(), name); ok {
			return reference{mqttsn.PredefinedTopic, id, true}
		}
	}
	if id, ok := mqttsn.ShortID(name); ok {
		return reference{mqttsn.ShortTopic, id, true}
	}
	if t := o.topics.named(name); t != nil && t.confirmed {
		return reference{mqttsn.NormalTopic, t.id, true}
	}
	return reference{kind: mqttsn.NormalTopic}
}

// message is the item as a PUBLISH, without a MsgId.
func (it *item) message(r reference) mqttsn.Publish {
	return mqttsn.Publish{
		Dup: it.dup && it.qos > 0, QoS: int8(it.qos), Retain: it.retain,
		Kind: r.kind, TopicID: r.id, Payload: it.payload,
	}
}

// wireID is the MsgId of the client's datagrams for a packet identifier of the
// broker: nobody who does not receive them can tell it, and it is the same after a
// restart.
func (o *outbox) wireID(id uint16) uint16 {
	return uint16((uint32(id)-1+uint32(o.base))%65535) + 1
}

// arm has the client's timer fire when something is due. Called with mu held.
func (o *outbox) arm(c *client) {
	if at := o.due(); !at.IsZero() {
		c.g.wheel.by(c, at)
	}
}

// deadline is when expire is to be called; zero is never.
func (o *outbox) deadline() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.due()
}
