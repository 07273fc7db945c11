package broker

import (
	"bytes"

	"github.com/iotctl/iotctl/internal/store"
)

// Keep has the store keep data with the session under a key of the gateway's own,
// as a part of the batch: it is durable when Commit has returned nil. nil removes
// it. Later connections find it in Resumed.Kept, the next session with that client
// identifier does not. Nothing happens for sessions that end with their connection.
//
// What a link has not committed when another connection takes the session over is
// lost. A store that is full does not refuse it: see Broker.Full.
func (l *Link) Keep(key string, data []byte) {
	if !l.s.durable() {
		return
	}
	l.keeping.Store(true)
	bt, _ := l.begin()
	kind := store.Put
	if data == nil {
		kind = store.Delete
	}
	bt.op(kind, store.Kept{ClientID: l.s.id, Key: key, Data: bytes.Clone(data)})
}

// SetWill changes the will of the connection, as a part of the batch: until Commit
// has returned nil, the one before holds. nil removes it. Errors: ErrTakenOver,
// ErrNotAuthorized, ErrFull.
func (l *Link) SetWill(w *Will) error {
	if l.gone.Load() {
		return ErrTakenOver
	}
	s := l.s
	var next *will
	if w != nil {
		switch {
		case !l.s.b.mayPublish(l.identity, string(w.Message.Topic)):
			return ErrNotAuthorized
		case s.durable() && l.s.b.Full():
			return ErrFull
		}
		next = newWill(w, s.id, s.owner)
	}
	l.keeping.Store(true)
	bt, _ := l.begin()
	bt.rewill, bt.will = true, next
	switch {
	case !s.durable():
	case next == nil:
		bt.op(store.Delete, store.Will{ClientID: s.id})
	default:
		bt.op(store.Put, next.record(s.id))
	}
	return nil
}

// waitKept returns when nothing that the link has kept is being stored any more,
// and nothing will be: the link is gone, which applyOf sees. Who comes next then
// finds what there is, and the will is theirs. Called with life held, without mu.
func (l *Link) waitKept() {
	if l.keeping.Load() {
		l.s.applying.Lock()
		defer l.s.applying.Unlock()
	}
}
