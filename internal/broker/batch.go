package broker

import (
	"context"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// batch gathers what the packets of one read cause: operations for the store,
// what must wait for them, and the receivers to flush. It belongs to one
// goroutine.
type batch struct {
	now      time.Time
	ops      []store.Op
	offers   []offer    // for durable sessions: after the operations
	sends    []send     // PUBREL for durable sessions: after the operations
	fetches  []*Session // that need the next page of their queues
	dirty    []*Link
	crowding crowding
	sparing  bool            // see newBatch
	received []uint16        // new QoS 2 identifiers of a durable publisher
	released []uint16        // those that it has let go
	rewill   bool            // the session is to have another will:
	will     *will           // this one, nil for none
	matches  []*subscription // scratch of Publish
	picks    []pick          // scratch of route
	merged   map[*Session]int
	actions  []session.Action // scratch of whoever calls Session.run
	lent     message.Message  // scratch of publish
}

// offer is a message for a durable session, stored under seq.
type offer struct {
	s   *Session
	seq uint64
	d   message.Delivery
}

// send is a delivery that must not leave before the operations are applied.
type send struct {
	l *Link
	a session.Action
}

// newBatch returns a batch of the broker's own messages: wills, $SYS, and what an
// ended session leaves to others. Nobody would hear of a refusal, so while the
// store is full the batch is sparing: it stores nothing of them.
func (b *Broker) newBatch() *batch { return &batch{sparing: b.Full()} }

// begin returns the time of the batch, which is that of its first packet.
func (bt *batch) begin() time.Time {
	if bt.now.IsZero() {
		bt.now = time.Now()
	}
	return bt.now
}

func (bt *batch) op(kind store.OpKind, r store.Record) {
	bt.ops = append(bt.ops, store.Op{Kind: kind, Record: r})
}

// touch notes that l has something to flush. A link that is in the list of
// another batch already is left to that: its flush comes after our delivery.
func (bt *batch) touch(l *Link) {
	if l.dirty.CompareAndSwap(false, true) {
		bt.dirty = append(bt.dirty, l)
	}
}

func (bt *batch) flush() {
	for i, l := range bt.dirty {
		l.dirty.Store(false)
		l.r.Flush()
		bt.dirty[i] = nil
	}
	bt.dirty = bt.dirty[:0]
}

// commit applies the operations and lets go what has waited for them. Those
// who need no store are served first. The batch is that of own, or of the
// broker itself when own is nil.
func (b *Broker) commit(ctx context.Context, bt *batch, own *Link) (crowding, error) {
	defer bt.reset()
	bt.flush()
	for len(bt.ops) > 0 || len(bt.offers) > 0 || len(bt.sends) > 0 || len(bt.fetches) > 0 || bt.rewill {
		ops, offers, sends, fetches := bt.ops, bt.offers, bt.sends, bt.fetches
		bt.ops, bt.offers, bt.sends, bt.fetches = nil, nil, nil, nil
		err := b.applyOf(ctx, own, ops, bt)
		own.stored(bt, err) // whatever becomes of the rest
		if err != nil {
			b.abandon(&batch{offers: offers, fetches: fetches})
			return crowding{}, err
		}
		for _, o := range offers {
			o.s.offer(o.seq, o.d, bt)
		}
		for _, p := range sends {
			p.l.s.sendStored(p, bt)
		}
		for _, s := range fetches {
			s.fetch(ctx, bt)
		}
		bt.flush()
		if clear(ops); bt.ops == nil && cap(ops) <= scratchMax {
			bt.ops = ops[:0]
		}
	}
	return bt.crowding, nil
}

// abandon gives up the messages of a batch that has not been stored.
func (b *Broker) abandon(bt *batch) {
	rest := batch{fetches: bt.fetches}
	for _, o := range bt.offers {
		o.s.abandon(o.seq, &rest)
	}
	bt.offers, bt.fetches = nil, nil
	b.commitQuietly(&rest)
}

// applyOf applies what the client of a session has caused. Nothing of the
// session itself is stored after its end: it would be taken for a part of the
// next session with that client identifier. Nor is what belongs to a connection
// stored after the next has taken the session over.
func (b *Broker) applyOf(ctx context.Context, own *Link, ops []store.Op, bt *batch) error {
	if own == nil || len(ops) == 0 && !bt.rewill {
		return b.apply(ctx, ops)
	}
	s := own.s
	s.applying.RLock()
	defer s.applying.RUnlock()
	gone := own.gone.Load()
	switch {
	case s.ended.Load():
		ops = slices.DeleteFunc(ops, func(op store.Op) bool { return isStateOf(s.id, op.Record) })
	case gone:
		ops = slices.DeleteFunc(ops, func(op store.Op) bool { return isKept(s.id, op.Record) })
	}
	err := b.apply(ctx, ops)
	if bt.rewill && !gone && err == nil {
		s.will = bt.will
	}
	bt.rewill, bt.will = false, nil
	return err
}

// isStateOf reports whether a record, which is none of the queue, belongs to
// the session of that client. Places in the queue are never used twice.
func isStateOf(client string, r store.Record) bool {
	switch r := r.(type) {
	case store.Subscription:
		return r.ClientID == client
	case store.Received:
		return r.ClientID == client
	case store.Released:
		return r.ClientID == client
	}
	return isKept(client, r)
}

// isKept reports whether a record is what a connection of that client has by
// Keep and SetWill.
func isKept(client string, r store.Record) bool {
	switch r := r.(type) {
	case store.Kept:
		return r.ClientID == client
	case store.Will:
		return r.ClientID == client
	}
	return false
}

// scratchMax is how much scratch a batch keeps for the next.
const scratchMax = 1024

func (bt *batch) reset() {
	clear(bt.matches)
	clear(bt.picks)
	clear(bt.merged)
	matches, picks, dirty, merged := bt.matches[:0], bt.picks[:0], bt.dirty[:0], bt.merged
	ops := bt.ops[:0] // empty, unless it is given up
	if len(bt.ops) > 0 {
		ops = nil
	}
	if cap(matches) > scratchMax {
		matches, picks, dirty, merged = nil, nil, nil, nil
	}
	*bt = batch{ops: ops, matches: matches, picks: picks, dirty: dirty, merged: merged, actions: bt.actions}
}
