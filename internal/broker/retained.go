package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// retained is the retained message of a topic. Its address is its identity: a
// replay that finds another one under the topic leaves the message out.
type retained struct {
	message *message.Message
	seq     uint64 // counts everything ever retained
	timer   timer
}

// retainedUse counts against the quota.
type retainedUse struct {
	seq   atomic.Uint64 // of the last one
	mu    sync.Mutex
	n     int
	bytes int
}

// retain stores m as the retained message of its topic; an empty payload
// removes the one that is there. // [MQTT-3.3.1-5] [MQTT-3.3.1-6]
func (b *Broker) retain(m *message.Message, bt *batch) error {
	if len(m.Payload) == 0 {
		if b.dropRetained(m.Topic) {
			bt.op(store.Delete, store.Retained{Message: m})
		}
		return nil
	}
	r := &retained{message: m}
	r.timer.fire = func(time.Time) { b.expireRetained(r) }
	b.kept.mu.Lock()
	defer b.kept.mu.Unlock()
	old, had := b.retained.Get(m.Topic)
	n, bytes := b.kept.n, b.kept.bytes
	if had {
		n, bytes = n-old.count(), bytes-old.bytes()
	}
	n, bytes = n+r.count(), bytes+r.bytes()
	if n > b.cfg.MaxRetained || bytes > b.cfg.MaxRetainedBytes {
		return ErrQuota
	}
	b.kept.n, b.kept.bytes = n, bytes
	r.seq = b.kept.seq.Add(1)
	b.retained.Set(m.Topic, r)
	if had {
		b.timers.stop(&old.timer)
	}
	if !m.Expires.IsZero() {
		b.timers.set(&r.timer, m.Expires)
	}
	if !isReserved(m.Topic) { // $SYS is made anew at every start
		bt.op(store.Put, store.Retained{Message: m})
	}
	return nil
}

// count and bytes are what a message takes of the quotas: $SYS takes nothing.
func (r *retained) count() int {
	if isReserved(r.message.Topic) {
		return 0
	}
	return 1
}

func (r *retained) bytes() int { return r.count() * r.message.Size() }

// dropRetained removes the retained message of a topic.
func (b *Broker) dropRetained(topic string) (had bool) {
	b.kept.mu.Lock()
	defer b.kept.mu.Unlock()
	old, had := b.retained.Delete(topic)
	if had {
		b.timers.stop(&old.timer)
		b.kept.n -= old.count()
		b.kept.bytes -= old.bytes()
	}
	return had
}

// expireRetained removes r, unless another message has taken its place.
func (b *Broker) expireRetained(r *retained) {
	b.kept.mu.Lock()
	cur, ok := b.retained.Get(r.message.Topic)
	if ok && cur == r {
		b.retained.Delete(r.message.Topic)
		b.kept.n -= r.count()
		b.kept.bytes -= r.bytes()
	}
	b.kept.mu.Unlock()
	if ok && cur == r {
		b.applyQuietly([]store.Op{{Kind: store.Delete, Record: store.Retained{Message: r.message}}})
	}
}

// Retained returns the number and the size of the retained messages of clients.
func (b *Broker) Retained() (n, bytes int) {
	b.kept.mu.Lock()
	defer b.kept.mu.Unlock()
	return b.kept.n, b.kept.bytes
}

// staleRetained returns what has to follow ops, which have been applied, so
// that the store agrees with what is retained: another publisher may have been
// later here and earlier there. Whoever is the last to apply looks last, so in
// the end they agree.
func (b *Broker) staleRetained(ops []store.Op) (more []store.Op) {
	for i, op := range ops {
		r, ok := op.Record.(store.Retained)
		if !ok {
			continue
		}
		topic := r.Message.Topic
		cur, kept := b.retained.Get(topic)
		if kept == (op.Kind == store.Put) && (!kept || cur.message == r.Message) || changes(ops[i+1:], topic) {
			continue
		}
		if kept {
			more = append(more, store.Op{Kind: store.Put, Record: store.Retained{Message: cur.message}})
		} else {
			more = append(more, store.Op{Kind: store.Delete, Record: r})
		}
	}
	return more
}

// changes reports whether ops change the retained message of a topic.
func changes(ops []store.Op, topic string) bool {
	for _, op := range ops {
		if r, ok := op.Record.(store.Retained); ok && r.Message.Topic == topic {
			return true
		}
	}
	return false
}
