package session

import (
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

// item is a message that has not been handed to the client yet.
type item struct {
	seq uint64
	d   message.Delivery
}

// expired reports whether the message need not be sent any more. One that may
// have been sent at QoS 2 is: the client may wait for its PUBREL.
// // [MQTT-4.3.3-7]
func (it *item) expired(now time.Time) bool {
	return it.d.Message.Expired(now) && !(it.d.QoS == 2 && it.d.Dup)
}

// queue is a ring buffer of items that grows by doubling. nil is an empty one.
type queue struct {
	ring  []item
	head  int
	n     int
	bytes int
	// expiring counts the messages that expire at some time.
	expiring int
}

// queues holds those that have run empty, with rings up to keptRing.
var queues = sync.Pool{New: func() any { return new(queue) }}

const keptRing = 16

// free gives an empty queue, or one whose items nobody wants, to others.
func (q *queue) free() {
	if q == nil {
		return
	}
	ring := q.ring
	if len(ring) > keptRing {
		ring = nil
	}
	if q.n > 0 {
		clear(ring)
	}
	*q = queue{ring: ring}
	queues.Put(q)
}

func (q *queue) len() int {
	if q == nil {
		return 0
	}
	return q.n
}

func (q *queue) size() int {
	if q == nil {
		return 0
	}
	return q.bytes
}

func (o *Outbound) push(it item) {
	if o.waiting == nil {
		o.waiting = queues.Get().(*queue)
	}
	o.waiting.push(it)
}

// rest lets go of an empty queue, but not between two messages of many.
func (o *Outbound) rest() {
	if o.waiting != nil && o.waiting.n == 0 && (o.inflight.n == 0 || !o.online) {
		o.waiting.free()
		o.waiting = nil
	}
}

func (q *queue) at(i int) *item { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) push(it item) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.n++
	*q.at(q.n - 1) = it
	q.bytes += it.d.Message.Size()
	if !it.d.Message.Expires.IsZero() {
		q.expiring++
	}
}

func (q *queue) grow() {
	ring := make([]item, max(4, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

func (q *queue) pop() item {
	it := *q.at(0)
	*q.at(0) = item{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= it.d.Message.Size()
	if !it.d.Message.Expires.IsZero() {
		q.expiring--
	}
	return it
}

// remove takes out the i-th item; what comes before it moves up by one.
func (q *queue) remove(i int) item {
	it := *q.at(i)
	for ; i > 0; i-- {
		*q.at(i) = *q.at(i - 1)
	}
	*q.at(0) = it
	return q.pop()
}
