package session

import (
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

// queue is a ring buffer of items that grows by doubling; a large one is given
// back when it runs empty.
type queue struct {
	ring  []item
	head  int
	n     int
	bytes int
	// expiring counts the messages that expire at some time.
	expiring int
}

// keptRing is the largest ring that an empty queue keeps.
const keptRing = 4

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
	if q.n == 0 && len(q.ring) > keptRing {
		*q = queue{}
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
