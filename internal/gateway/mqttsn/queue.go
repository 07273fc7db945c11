package mqttsn

import (
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

// item is a delivery that waits for a client, or is on its way to it.
type item struct {
	next    *item
	topic   string
	payload []byte
	expires time.Time // zero: never
	since   time.Time // when the broker got it
	id      uint16    // the broker's; 0 at QoS 0
	qos     uint8
	retain  bool
	dup     bool // it may have been sent before
	release bool // the client has received it: only PUBREL is left
	tell    bool // no message: the client is told of the topic
}

// newItem keeps what the broker has delivered. At QoS 0 the message is lent, and
// copied.
func newItem(d *message.Delivery) *item {
	it := &item{id: d.PacketID, qos: d.QoS, retain: d.Retain, dup: d.Dup, release: d.Release}
	if m := d.Message; m != nil {
		it.topic, it.payload, it.expires, it.since = m.Topic, m.Payload, m.Expires, m.Published
		if d.QoS == 0 {
			it.payload = append([]byte(nil), m.Payload...)
		}
	}
	return it
}

// size is what the item counts against the bound in bytes.
func (it *item) size() int {
	const overhead = 96
	return overhead + len(it.topic) + len(it.payload)
}

// expired reports whether the message need not be sent any more. The client may
// wait for one that it may have been sent.
func (it *item) expired(now time.Time) bool {
	return !it.expires.IsZero() && !it.dup && !it.release && !now.Before(it.expires)
}

// step says how far the exchange with the client has come that is about the first
// item of a queue.
type step uint8

// Steps.
const (
	idle        step = iota // none has begun
	registering             // REGISTER is out
	postponed               // the client takes no REGISTER for a while
	publishing              // PUBLISH at QoS 1 or 2 is out
	received                // PUBREC has come; the broker is to say that PUBREL may leave
	releasing               // PUBREL is out
)

// waits reports whether the next move is the client's.
func (s step) waits() bool { return s == registering || s == publishing || s == releasing }

// queue is what goes to a client, in its order, and the one exchange that there is
// with it. An outbox without one has nothing to send.
type queue struct {
	first, last *item
	n, bytes    int
	lent        *atomic.Int64 // bytes that wait at QoS 0, for all clients

	// Of the exchange about the first item.
	step     step
	probe    bool      // REGISTER is to show that the address receives, and no more
	renewals int       // how often the topic was registered again since the client did not know it
	msgID    uint16    // of REGISTER
	attempts int       // how often the last datagram has been sent again
	due      time.Time // when it is sent again; zero: never
}

// push adds an item: behind all others, or at QoS 1 and 2 where it has its place. The
// broker has held it back until the one before was done, while messages at QoS 0
// that are younger have come.
func (q *queue) push(it *item) {
	prev := q.last
	if it.qos > 0 {
		prev = nil
		for p := q.first; p != nil && (p.id != 0 || p.since.Before(it.since) || p == q.first && q.step != idle); p = p.next {
			prev = p
		}
	}
	if prev == nil {
		it.next, q.first = q.first, it
	} else {
		it.next, prev.next = prev.next, it
	}
	if q.last == prev {
		q.last = it
	}
	q.account(it, 1)
}

// account notes that an item has come (1) or gone (-1).
func (q *queue) account(it *item, n int) {
	q.n += n
	q.bytes += n * it.size()
	if it.id == 0 && !it.tell {
		q.lent.Add(int64(n * it.size()))
	}
}

// pop takes the first item out, and ends its exchange.
func (q *queue) pop() {
	q.removeAfter(nil)
	q.end()
	q.renewals = 0
}

// end has no exchange be under way.
func (q *queue) end() {
	q.step, q.attempts, q.due, q.probe = idle, 0, time.Time{}, false
}

// tell has the client told of topics, before anything else but what is on its way.
func (q *queue) tell(names []string) {
	var prev *item
	for it := q.first; it != nil; it = it.next { // what was to be told before
		if it.tell && !(it == q.first && q.step != idle) {
			q.removeAfter(prev)
			continue
		}
		prev = it
	}
	rest := &q.first
	if q.first != nil && q.step != idle {
		rest = &q.first.next
	}
	behind := *rest
	for _, name := range names {
		it := &item{topic: name, tell: true}
		*rest = it
		rest = &it.next
		if q.account(it, 1); behind == nil {
			q.last = it
		}
	}
	*rest = behind
}

// removeAfter takes the item behind prev out, the first if that is nil.
func (q *queue) removeAfter(prev *item) {
	it := q.first
	if prev == nil {
		q.first = it.next
	} else {
		it = prev.next
		prev.next = it.next
	}
	if q.last == it {
		q.last = prev
	}
	q.account(it, -1)
}

// dropOldest takes out the oldest message at QoS 0 that is not on its way. ok is
// false if there is none.
func (q *queue) dropOldest() (ok bool) {
	var prev *item
	for it := q.first; it != nil; prev, it = it, it.next {
		if it.id == 0 && !(it == q.first && q.step != idle) {
			q.removeAfter(prev)
			return true
		}
	}
	return false
}
