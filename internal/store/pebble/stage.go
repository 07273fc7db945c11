package pebble

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

// stage adds a batch to a group and carries it out in memory. The writes to a
// pebble.Batch cannot fail.
func (s *Store) stage(g *group, e *encoded) {
	s.scanned = nil
	for _, b := range e.bodies {
		g.set(appendBody(g.key[:0], b.mid), e.at(b.value))
	}
	for _, op := range e.ops {
		if op.Kind == store.Put {
			s.put(g, op.Record, e.at(op.value), op.mid)
		} else {
			s.remove(g, op.Record)
		}
	}
	for _, b := range e.bodies { // ignored, or put and removed in one batch
		if _, referred := s.bodies.search(b.mid); !referred {
			s.gone = append(s.gone, b.mid)
			s.notify(s.due)
		}
	}
}

func (s *Store) put(g *group, r store.Record, value []byte, mid uint64) {
	switch r := r.(type) {
	case store.Session:
		o := s.session(g, r.ClientID)
		o.first = r.First
		for len(o.queue.keys) > 0 && o.queue.keys[0] < r.First {
			s.removeQueued(r.ClientID, o.queue.keys[0])
		}
		g.set(appendPart(g.key[:0], o.sid, partSession), value)
	case store.Subscription:
		if o := s.sessions[r.ClientID]; o != nil {
			o.more = true
			g.set(append(appendPart(g.key[:0], o.sid, partSubscription), r.Filter...), value)
		}
	case store.Queued:
		s.putQueued(g, r.ClientID, r.Seq, value, mid)
	case store.Released:
		s.putQueued(g, r.ClientID, r.Seq, value, 0)
	case store.Received:
		if o := s.sessions[r.ClientID]; o != nil {
			o.more = true
			g.set(appendReceived(g.key[:0], o.sid, r.PacketID), value)
		}
	case store.Kept:
		if o := s.sessions[r.ClientID]; o != nil {
			o.more, o.kept = true, true
			g.set(append(appendPart(g.key[:0], o.sid, partKept), r.Key...), value)
		}
	case store.Retained:
		g.set(append(append(g.key[:0], familyRetained), r.Message.Topic...), value)
	case store.Will:
		g.set(append(append(g.key[:0], familyWill), r.ClientID...), value)
	}
}

func (s *Store) remove(g *group, r store.Record) {
	switch r := r.(type) {
	case store.Session:
		s.removeSession(g, r.ClientID)
		g.delete(append(append(g.key[:0], familyWill), r.ClientID...))
	case store.Subscription:
		if o := s.sessions[r.ClientID]; o != nil {
			g.delete(append(appendPart(g.key[:0], o.sid, partSubscription), r.Filter...))
		}
	case store.Queued:
		s.removeQueued(r.ClientID, r.Seq)
	case store.Released:
		if o := s.sessions[r.ClientID]; o != nil {
			if mid, found := o.queue.remove(r.Seq); found {
				s.release(mid)
				g.delete(appendQueue(g.key[:0], o.sid, r.Seq))
			}
		}
	case store.Received:
		if o := s.sessions[r.ClientID]; o != nil {
			g.delete(appendReceived(g.key[:0], o.sid, r.PacketID))
		}
	case store.Kept:
		if o := s.sessions[r.ClientID]; o != nil {
			g.delete(append(appendPart(g.key[:0], o.sid, partKept), r.Key...))
		}
	case store.Retained:
		g.delete(append(append(g.key[:0], familyRetained), r.Message.Topic...))
	case store.Will:
		g.delete(append(append(g.key[:0], familyWill), r.ClientID...))
	}
}

// putQueued puts an entry into a queue that begins at its place or before.
func (s *Store) putQueued(g *group, client string, seq uint64, value []byte, mid uint64) {
	if o := s.sessions[client]; o != nil && seq >= o.first {
		s.release(o.queue.put(seq, mid))
		s.retain(mid)
		g.set(appendQueue(g.key[:0], o.sid, seq), value)
	}
}

// session returns what is known of a session, which it may have to number.
func (s *Store) session(g *group, client string) *session {
	o := s.sessions[client]
	if o == nil {
		s.lastSID++
		o = &session{sid: s.lastSID}
		s.sessions[client] = o
		g.set(append(g.key[:0], keyLastSID...), appendNumber(g.value[:0], s.lastSID))
	}
	return o
}

func (s *Store) removeSession(g *group, client string) {
	o := s.sessions[client]
	if o == nil {
		return
	}
	delete(s.sessions, client)
	if !o.more && len(o.queue.keys)+len(o.gone) == 0 {
		g.delete(appendPart(g.key[:0], o.sid, partSession)) // all that there is
		return
	}
	for _, mid := range o.queue.values {
		s.release(mid)
	}
	s.removals -= len(o.gone) // its place in dirty stays, with nothing to do
	o.gone, o.queue = nil, list{}
	from := appendSession(g.key[:0], o.sid)
	g.deleteRange(from, end(from))
}

// removeQueued takes an entry out of a queue. The disk hears of it later.
func (s *Store) removeQueued(client string, seq uint64) {
	o := s.sessions[client]
	if o == nil {
		return
	}
	mid, found := o.queue.remove(seq)
	if !found {
		return
	}
	s.scanned = nil
	s.release(mid)
	if len(o.gone) == 0 {
		s.dirty = append(s.dirty, o)
	}
	o.gone = append(o.gone, seq)
	s.notify(s.due)
	if s.removals++; s.removals == maxRemovals {
		s.notify(s.poke)
	}
}

// retain and release count the entries that refer to a body.
func (s *Store) retain(mid uint64) {
	if mid == 0 {
		return
	}
	if at, found := s.bodies.search(mid); found {
		s.bodies.values[at]++
	} else {
		s.bodies.put(mid, 1)
	}
}

func (s *Store) release(mid uint64) {
	if mid == 0 {
		return
	}
	at, found := s.bodies.search(mid)
	if !found {
		return
	}
	if s.bodies.values[at]--; s.bodies.values[at] == 0 {
		s.bodies.remove(mid)
		s.gone = append(s.gone, mid)
		s.notify(s.due)
	}
}

// writeRemovals adds those that wait to a group. It comes after everything else
// of the group, so that no body goes before the last entry that refers to it.
func (s *Store) writeRemovals(g *group) {
	for _, o := range s.dirty {
		coalesce(o.gone, &o.queue,
			func(seq uint64) { g.delete(appendQueue(g.key[:0], o.sid, seq)) },
			func(first, last uint64) {
				g.deleteRange(appendQueue(g.key[:0], o.sid, first), append(appendQueue(nil, o.sid, last), 0))
			})
		o.gone = emptied(o.gone)
	}
	coalesce(s.gone, &s.bodies,
		func(mid uint64) { g.delete(appendBody(g.key[:0], mid)) },
		func(first, last uint64) {
			g.deleteRange(appendBody(g.key[:0], first), append(appendBody(nil, last), 0))
		})
	clear(s.dirty)
	s.dirty, s.gone, s.removals = s.dirty[:0], emptied(s.gone), 0
}

// emptied keeps the memory of a slice unless it is much.
func emptied(s []uint64) []uint64 {
	if cap(s) > 256 {
		return nil
	}
	return s[:0]
}

// live are the next places of a queue with after < seq <= through, at most n.
func (s *Store) live(client string, after, through uint64, n int) (sid uint64, seqs []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.sessions[client]
	if o == nil {
		return 0, nil
	}
	from, found := o.queue.search(after)
	if found {
		from++
	}
	to, found := o.queue.search(through)
	if found {
		to++
	}
	if from >= to {
		return o.sid, nil
	}
	return o.sid, slices.Clone(o.queue.keys[from:min(to, from+n)])
}

// group is what one commit writes. The committer takes it and sets err before
// it closes done.
type group struct {
	batch *pebble.Batch
	taken chan struct{}
	done  chan struct{}
	err   error
	key   [sidEnd + 16]byte // to build keys in; longer ones go to the heap
	value [16]byte
}

// A group may be larger by what one Apply brings.
const (
	maxGroupBytes = 4 << 20
	maxGroupOps   = 16 << 10
)

func (g *group) full() bool {
	return g.batch.Len() >= maxGroupBytes || g.batch.Count() >= maxGroupOps
}

func (g *group) set(key, value []byte)       { _ = g.batch.Set(key, value, nil) }
func (g *group) delete(key []byte)           { _ = g.batch.Delete(key, nil) }
func (g *group) deleteRange(from, to []byte) { _ = g.batch.DeleteRange(from, to, nil) }

func (g *group) wait(f *failure) error {
	select {
	case <-g.done:
		return g.err
	case <-f.failed:
		return f.err
	}
}
