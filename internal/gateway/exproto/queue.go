package exproto

import (
	"sync"

	"google.golang.org/protobuf/proto"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// kind is what an event tells the handler.
type kind uint8

const (
	onCreated kind = iota
	onBytes
	onMessages
	onTimer
	onClosed
)

// event is one call of the handler to be.
type event struct {
	kind  kind
	bytes []byte        // of onBytes
	batch []*pb.Message // of onMessages
	acks  []uint16      // packet identifiers of those that are to be acknowledged
	size  int           // in bytes, of what the device or its subscriptions have brought
	wire  int           // of onMessages: of the call
	told  chan struct{} // closed when the handler has answered; nil: nobody waits
}

// callBytes is how long what waits becomes as one call, which leaves room for the
// rest of it: for calls above 32 KiB gRPC takes a buffer of 1 MiB.
const callBytes = 32<<10 - 256

// queue is what waits for the handler, in the order in which it happened.
type queue struct {
	maxEvents, maxBytes, maxBatch int

	room chan struct{} // gets one when there may be room for bytes

	mu      sync.Mutex
	events  []event
	in, out int  // bytes of onBytes and of onMessages that wait
	refused bool // a message was, since
	busy    bool // somebody works it off
	closed  bool // nothing more comes
}

func (q *queue) init(c *Config) {
	q.maxEvents, q.maxBytes, q.maxBatch = c.QueueEvents, c.QueueBytes, c.MaxBatch
	q.room = make(chan struct{}, 1)
}

// outcome of a push.
type outcome uint8

const (
	queued outcome = iota
	began          // queued, and the caller has to see to it that somebody works it off
	full
	over // the queue is closed
)

// begin notes that somebody will work the queue off. Called with mu held.
func (q *queue) begin() outcome {
	if q.busy {
		return queued
	}
	q.busy = true
	return began
}

// push adds an event that no limit refuses.
func (q *queue) push(e event) outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return over
	}
	q.events = append(q.events, e)
	return q.begin()
}

// pushBytes adds what the device has sent; merge allows to add it to what waits.
func (q *queue) pushBytes(b []byte, merge bool) outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.last(onBytes)
	merge = merge && last != nil && len(last.bytes)+len(b) <= callBytes
	switch {
	case q.closed:
		return over
	case q.in > 0 && q.in+len(b) > q.maxBytes, !merge && len(q.events) >= q.maxEvents:
		return full
	case merge:
		last.bytes = append(last.bytes, b...)
		last.size += len(b)
	default:
		q.events = append(q.events, event{kind: onBytes, bytes: append([]byte(nil), b...), size: len(b)})
	}
	q.in += len(b)
	return q.begin()
}

// pushMessage adds a message; ack is its packet identifier, or 0.
func (q *queue) pushMessage(m *pb.Message, ack uint16) outcome {
	const overhead = 128
	wire := proto.Size(m) + 4
	size := wire + overhead
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.last(onMessages)
	merge := last != nil && len(last.batch) < q.maxBatch && last.wire+wire <= callBytes
	switch {
	case q.closed:
		return over
	case q.out > 0 && q.out+size > q.maxBytes, !merge && len(q.events) >= q.maxEvents:
		q.refused = true
		return full
	case !merge:
		q.events = append(q.events, event{kind: onMessages})
		last = &q.events[len(q.events)-1]
	}
	last.batch = append(last.batch, m)
	if ack != 0 {
		last.acks = append(last.acks, ack)
	}
	last.size += size
	last.wire += wire
	q.out += size
	return q.begin()
}

// last is the event at the end if it is of that kind, or nil. Called with mu held.
func (q *queue) last(k kind) *event {
	if n := len(q.events); n > 0 && q.events[n-1].kind == k {
		return &q.events[n-1]
	}
	return nil
}

// take returns the first event; ok is false when there is none, and then nobody
// works the queue off any more. writable tells that a message was refused and
// would not be now.
func (q *queue) take() (e event, writable, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) == 0 {
		q.busy, q.events = false, nil
		return event{}, false, false
	}
	e = q.events[0]
	q.events[0] = event{}
	q.events = q.events[1:]
	switch e.kind {
	case onBytes:
		q.in -= e.size
	case onMessages:
		q.out -= e.size
	}
	writable = q.refused && q.out <= q.maxBytes/2 && !q.closed
	if writable {
		q.refused = false
	}
	select {
	case q.room <- struct{}{}:
	default:
	}
	return e, writable, true
}

// close adds the last event.
func (q *queue) close() outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return over
	}
	q.closed = true
	q.events = append(q.events, event{kind: onClosed})
	return q.begin()
}

// drop forgets everything but the last event, once that is there, and returns
// how many events these were.
func (q *queue) drop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	kept := q.events[:0]
	for _, e := range q.events {
		if e.kind == onClosed {
			kept = append(kept, e)
			continue
		}
		if e.told != nil {
			close(e.told)
		}
		n++
	}
	clear(q.events[len(kept):])
	q.events, q.in, q.out = kept, 0, 0
	return n
}
