package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

// backlog is what Load tells of a queue.
type backlog struct {
	store.Backlog
	released []uint64
}

// scan reads every session and every queue entry, but no message. It fills in
// what Store keeps in memory.
func (s *Store) scan() error {
	s.scanned = map[uint64]*backlog{}
	counts := map[uint64]uint64{} // of references, by mid
	var o *session                // whose keys are being read, nil if it has never been put
	var of uint64                 // its sid
	err := each(s.db, familySession, familySession+1, func(key, value []byte) error {
		sid, part, rest, ok := sessionKey(key)
		if !ok {
			return corrupt(key, errCut)
		}
		if sid != of {
			o, of = nil, sid
			s.lastSID = max(s.lastSID, sid)
		}
		switch {
		case part == partSession:
			r, err := decodeSession(value)
			if err != nil {
				return corrupt(key, err)
			}
			o = &session{sid: sid, first: r.First}
			s.sessions[r.ClientID] = o
		case o == nil || unused(part, rest, o.first):
			s.unused = append(s.unused, slices.Clone(key))
		case part == partQueue:
			return s.scanEntry(o, key, rest, value, counts)
		default:
			o.more = true
			o.kept = o.kept || part == partKept
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.bodies.keys = slices.Sorted(maps.Keys(counts))
	for _, mid := range s.bodies.keys {
		s.bodies.values = append(s.bodies.values, counts[mid])
	}
	return s.readLast()
}

// unused reports whether a record of a session whose queue begins at first is
// left from an earlier one.
func unused(part byte, rest []byte, first uint64) bool {
	seq, ok := number(rest)
	return part == partQueue && ok && seq < first
}

func (s *Store) scanEntry(o *session, key, rest, value []byte, counts map[uint64]uint64) error {
	seq, ok := number(rest)
	if !ok {
		return corrupt(key, errCut)
	}
	e, err := decodeEntry(value)
	if err != nil {
		return corrupt(key, err)
	}
	o.queue.put(seq, e.mid)
	if e.mid != 0 {
		counts[e.mid]++
	}
	b := s.scanned[o.sid]
	if b == nil {
		b = &backlog{}
		s.scanned[o.sid] = b
	}
	b.add(seq, e)
	return nil
}

func (b *backlog) add(seq uint64, e entry) {
	if e.kind == entryReleased {
		b.released = append(b.released, seq)
		return
	}
	if b.Messages == 0 {
		b.First = seq
	}
	b.Last = seq
	b.Messages++
	b.Bytes += int(e.size)
}

// readLast finds the numbers that have been given away last.
func (s *Store) readLast() error {
	if value, closer, err := s.db.Get(keyLastSID); err == nil {
		if n, ok := number(value); ok {
			s.lastSID = max(s.lastSID, n)
		}
		_ = closer.Close()
	} else if !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	it, err := s.db.NewIter(family(familyBody, familyBody+1))
	if err != nil {
		return err
	}
	if it.Last() {
		if mid, ok := number(it.Key()[1:]); ok {
			s.lastMID.Store(mid)
		}
	}
	return it.Close()
}

// sweep removes what nobody can ask for any more: what belongs to no session,
// and the bodies whose last reference went just before a crash.
func (s *Store) sweep() error {
	g := &group{batch: s.db.NewBatch()}
	for _, key := range s.unused {
		g.delete(key)
	}
	s.unused = nil
	err := each(s.db, familyBody, familyBody+1, func(key, _ []byte) error {
		mid, ok := number(key[1:])
		if !ok {
			return corrupt(key, errCut)
		}
		if _, referred := s.bodies.search(mid); !referred {
			g.delete(key)
		}
		return nil
	})
	if err != nil || g.batch.Empty() {
		return errors.Join(err, g.batch.Close())
	}
	return s.commit(g.batch, true)
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, fn func(store.Record) error) error {
	logs, err := s.backlogs(ctx)
	if err != nil {
		return err
	}
	return s.read(ctx, func(snapshot *pebble.Snapshot) error {
		if err := loadSessions(ctx, snapshot, logs, fn); err != nil {
			return err
		}
		return loadRest(ctx, snapshot, fn)
	})
}

// backlogs are the ones that Open has found, or if anything has been applied
// since then, those of now.
func (s *Store) backlogs(ctx context.Context) (map[uint64]*backlog, error) {
	s.mu.Lock()
	logs := s.scanned
	s.mu.Unlock()
	if logs != nil {
		return logs, nil
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	logs = map[uint64]*backlog{}
	err := s.read(ctx, func(snapshot *pebble.Snapshot) error {
		return each(snapshot, familySession, familySession+1, func(key, value []byte) error {
			sid, part, rest, _ := sessionKey(key)
			seq, ok := number(rest)
			if part != partQueue || !ok {
				return nil
			}
			e, err := decodeEntry(value)
			if err != nil {
				return corrupt(key, err)
			}
			if logs[sid] == nil {
				logs[sid] = &backlog{}
			}
			logs[sid].add(seq, e)
			return nil
		})
	})
	return logs, err
}

// worthSeeking is how many records cost about as much to pass over as a search.
const worthSeeking = 8

// loadSessions gives each session with what belongs to it, and jumps over the
// queues.
func loadSessions(ctx context.Context, r pebble.Reader, logs map[uint64]*backlog, fn func(store.Record) error) (err error) {
	it, err := r.NewIter(family(familySession, familySession+1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	passed := 0
	for ok := it.First(); ok; {
		if err := ctx.Err(); err != nil {
			return err
		}
		sid, part, _, _ := sessionKey(it.Key())
		if part != partSession { // never put, or of the one before, and not for Load
			if passed++; passed < worthSeeking {
				ok = it.Next()
			} else {
				ok = it.SeekGE(end(appendSession(nil, sid)))
			}
			continue
		}
		passed = 0
		o, err := decodeSession(it.Value())
		if err != nil {
			return corrupt(it.Key(), err)
		}
		if err := fn(o); err != nil {
			return err
		}
		if ok, err = loadParts(it, sid, o.ClientID, logs[sid], fn); err != nil {
			return err
		}
	}
	return it.Error()
}

// loadParts gives what belongs to the session at which it stands, and says
// whether there is a next one.
func loadParts(it *pebble.Iterator, sid uint64, client string, log *backlog, fn func(store.Record) error) (bool, error) {
	ok := it.Next()
	for ; ok; ok = it.Next() {
		key := it.Key()
		if of, part, rest, _ := sessionKey(key); of != sid || part != partSubscription {
			break
		} else if r, err := decodeSubscription(client, string(rest), it.Value()); err != nil {
			return false, corrupt(key, err)
		} else if err := fn(r); err != nil {
			return false, err
		}
	}
	if log != nil {
		for _, seq := range log.released {
			if err := fn(store.Released{ClientID: client, Seq: seq}); err != nil {
				return false, err
			}
		}
		if b := log.Backlog; b.Messages > 0 {
			b.ClientID = client
			if err := fn(b); err != nil {
				return false, err
			}
		}
		ok = it.SeekGE(appendPart(nil, sid, partReceived))
	}
	for ; ok; ok = it.Next() {
		key := it.Key()
		of, part, rest, _ := sessionKey(key)
		if of != sid || part == partKept {
			break
		}
		if part != partReceived || len(rest) != 2 {
			return false, corrupt(key, errVersion)
		}
		if err := fn(store.Received{ClientID: client, PacketID: binary.BigEndian.Uint16(rest)}); err != nil {
			return false, err
		}
	}
	return ok, it.Error()
}

// loadRest gives retained messages and wills.
func loadRest(ctx context.Context, r pebble.Reader, fn func(store.Record) error) error {
	return each(r, familyRetained, familyWill+1, func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if key[0] == familyWill {
			w, err := decodeWill(string(key[1:]), value)
			if err != nil {
				return corrupt(key, err)
			}
			return fn(w)
		}
		m, err := decodeMessage(value)
		if err != nil {
			return corrupt(key, err)
		}
		return fn(store.Retained{Message: m})
	})
}

func family(from, to byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte{from}, UpperBound: []byte{to}}
}

// each calls fn with all records of some families. Key and value are valid
// until it returns.
func each(r pebble.Reader, from, to byte, fn func(key, value []byte) error) (err error) {
	it, err := r.NewIter(family(from, to))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := fn(it.Key(), value); err != nil {
			return err
		}
	}
	return it.Error()
}

// corrupt says where a record is that cannot be read.
func corrupt(key []byte, err error) error {
	return fmt.Errorf("record %x: %w", key[:min(len(key), 32)], err)
}
