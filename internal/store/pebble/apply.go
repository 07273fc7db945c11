package pebble

import (
	"context"
	"fmt"
	"sync"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// inlineBytes is the largest payload that is always stored with its queue
// entry: a body of its own would not pay.
const inlineBytes = 64

// encoded is a batch whose values are ready, so that little is left to do under
// the lock.
type encoded struct {
	values []byte // one behind the other
	ops    []encodedOp
	seen   map[*message.Message]*body
	bodies []*body
}

type encodedOp struct {
	store.Op
	value [2]int // in values
	mid   uint64 // of a reference
}

// body is a message that is queued more than once in a batch.
type body struct {
	message *message.Message
	queues  int
	mid     uint64 // 0 until it is known to be worth storing
	value   [2]int
}

var encodedPool = sync.Pool{New: func() any { return &encoded{seen: map[*message.Message]*body{}} }}

// maxPooledBytes keeps a rare giant from staying in the pool.
const maxPooledBytes = 1 << 20

func (e *encoded) free() {
	if cap(e.values) > maxPooledBytes || cap(e.ops) > maxPooledBytes/64 {
		return
	}
	clear(e.ops)
	clear(e.seen)
	clear(e.bodies)
	e.values, e.ops, e.bodies = e.values[:0], e.ops[:0], e.bodies[:0]
	encodedPool.Put(e)
}

// encode makes the values of a batch.
func (s *Store) encode(batch []store.Op) *encoded {
	e := encodedPool.Get().(*encoded)
	if len(batch) > 1 {
		for _, op := range batch {
			e.count(op)
		}
	}
	for _, op := range batch {
		o := encodedOp{Op: op}
		if op.Kind == store.Put {
			if q, ok := op.Record.(store.Queued); ok {
				o.mid = s.bodyOf(e, q.Message)
			}
			o.value = e.append(func(dst []byte) []byte { return appendRecord(dst, op.Record, o.mid) })
		}
		e.ops = append(e.ops, o)
	}
	return e
}

// count finds the messages that several queues get.
func (e *encoded) count(op store.Op) {
	q, ok := op.Record.(store.Queued)
	if !ok || op.Kind != store.Put || len(q.Message.Payload) <= inlineBytes {
		return
	}
	b := e.seen[q.Message]
	if b == nil {
		b = &body{message: q.Message}
		e.seen[q.Message] = b
	}
	b.queues++
}

// bodyOf returns the number of the body of m, 0 if it is to be stored inline.
func (s *Store) bodyOf(e *encoded, m *message.Message) uint64 {
	b := e.seen[m]
	if b == nil || b.queues < 2 {
		return 0
	}
	if b.mid == 0 {
		b.mid = s.lastMID.Add(1)
		b.value = e.append(func(dst []byte) []byte { return encodeMessage(dst, m) })
		e.bodies = append(e.bodies, b)
	}
	return b.mid
}

func (e *encoded) append(to func([]byte) []byte) [2]int {
	from := len(e.values)
	e.values = to(e.values)
	return [2]int{from, len(e.values)}
}

func (e *encoded) at(v [2]int) []byte { return e.values[v[0]:v[1]] }

func appendRecord(dst []byte, r store.Record, mid uint64) []byte {
	switch r := r.(type) {
	case store.Session:
		return appendSessionValue(dst, r)
	case store.Subscription:
		return appendSubscriptionValue(dst, r)
	case store.Queued:
		return appendEntry(dst, r, mid)
	case store.Released:
		return append(dst, entryReleased)
	case store.Received:
		return append(dst, version)
	case store.Kept:
		return append(append(dst, version), r.Data...)
	case store.Retained:
		return encodeMessage(dst, r.Message)
	case store.Will:
		return appendWillValue(dst, r)
	}
	panic(fmt.Sprintf("pebble: no such record: %T", r))
}

// Apply implements store.Store. A batch of nothing but removals of Queued does
// not wait for the disk.
func (s *Store) Apply(ctx context.Context, batch []store.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.failure.readOnly {
		return errReadOnly
	}
	if err := s.failure.cause(); err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil
	}
	if onlyAcknowledges(batch) {
		return s.acknowledge(batch)
	}
	e := s.encode(batch)
	defer e.free()
	s.mu.Lock()
	for s.open.full() && !s.closed {
		taken := s.open.taken
		s.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.failure.failed:
			return s.failure.err
		}
		s.mu.Lock()
	}
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	g := s.open
	s.stage(g, e)
	nothing := g.batch.Empty() // what is to be deleted is not there
	s.mu.Unlock()
	if nothing {
		return nil
	}
	s.notify(s.poke)
	return g.wait(&s.failure)
}

func onlyAcknowledges(batch []store.Op) bool {
	for _, op := range batch {
		if _, ok := op.Record.(store.Queued); !ok || op.Kind != store.Delete {
			return false
		}
	}
	return true
}

func (s *Store) acknowledge(batch []store.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	for _, op := range batch {
		q := op.Record.(store.Queued)
		s.removeQueued(q.ClientID, q.Seq)
	}
	return nil
}

// notify wakes a goroutine that waits for the channel, now or next.
func (s *Store) notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
