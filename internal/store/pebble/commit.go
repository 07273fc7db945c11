package pebble

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

const (
	// removalDelay is how long the removal of a queue entry may wait for
	// others, and maxRemovals how many may wait.
	removalDelay = 100 * time.Millisecond
	maxRemovals  = 4096
)

func (s *Store) newGroup() *group {
	b := s.spare
	s.spare = nil
	if b == nil {
		b = s.db.NewBatch()
	}
	return &group{batch: b, taken: make(chan struct{}), done: make(chan struct{})}
}

// commitAll is the committer. It ends with Close, after all that was handed
// over, or when the store has failed.
func (s *Store) commitAll(ctx context.Context) {
	var removals, sync <-chan time.Time // nil while there is nothing to do
	for closing := false; !closing; {
		flush := false
		select {
		case <-s.poke:
		case <-s.due:
			if removals == nil {
				removals = time.After(removalDelay)
			} // else they go with those
			continue
		case <-removals:
			flush = true
		case <-sync:
			sync = nil
			if err := s.syncLog(); err != nil {
				s.failure.fail(err)
			}
			continue
		case <-ctx.Done():
			closing, flush = true, true
		case <-s.failure.failed:
			return
		}
		g, flushed := s.take(flush)
		if flushed {
			removals = nil
		}
		if g == nil {
			continue
		}
		g.err = s.commit(g.batch, s.config.Durability == Sync)
		if g.err != nil {
			close(g.done)
			return
		}
		s.recycle(g)
		close(g.done)
		if s.config.Durability == Interval && sync == nil {
			sync = time.After(s.config.Interval)
		}
	}
}

// settle returns when all removals so far are written.
func (s *Store) settle() error {
	if s.failure.readOnly {
		return nil
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	s.writeRemovals(s.open)
	if s.open.batch.Empty() {
		s.mu.Unlock()
		return nil
	}
	g := s.open
	s.mu.Unlock()
	s.notify(s.poke)
	return g.wait(&s.failure)
}

// take begins a new group and returns the old one, nil if it is empty. Removals
// go with it when they are due, or many.
func (s *Store) take(flush bool) (_ *group, flushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	flush = flush || s.removals >= maxRemovals
	if flush {
		s.writeRemovals(s.open)
	}
	if s.open.batch.Empty() {
		return nil, flush
	}
	g := s.open
	s.open = s.newGroup()
	close(g.taken)
	return g, flush
}

func (s *Store) recycle(g *group) {
	g.batch.Reset()
	s.mu.Lock()
	s.spare = g.batch
	s.mu.Unlock()
	g.batch = nil
}

// commit writes a batch. Whatever goes wrong with it is the end of the store.
func (s *Store) commit(b *pebble.Batch, sync bool) error {
	options := pebble.NoSync
	if sync {
		options = pebble.Sync
	}
	return s.guard(func() error { return s.db.Apply(b, options) })
}

// syncLog makes everything that has been committed durable.
func (s *Store) syncLog() error {
	return s.guard(func() error { return s.db.LogData(nil, pebble.Sync) })
}

// guard calls something that writes to the log. pebble reports what it cannot
// write by its logger, or panics with its locks taken.
func (s *Store) guard(write func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.failure.stuck.Store(true)
			err = fmt.Errorf("write %q: %v", s.config.Dir, r)
		}
		if err != nil {
			s.failure.fail(err)
		}
		if cause := s.failure.cause(); cause != nil {
			err = cause
		}
	}()
	return write()
}
