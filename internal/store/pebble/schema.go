package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

// The layout of keys and values has a number. Steps lead from one to the next,
// never back; a store says the oldest schema whose programs may read it.
//
//	1  the first
//	2  what gateways keep (partKept), which programs of schema 1 do not expect
const (
	schema    = 2
	minReader = 2
)

// A step leads from one schema to the next, in one batch.
type step func(*pebble.DB, *pebble.Batch) error

// steps begin at schema 1.
var steps = [schema - 1]step{
	func(*pebble.DB, *pebble.Batch) error { return nil }, // there is nothing of it yet
}

var errNoStore = fmt.Errorf("%w, or was not written by iotctl: it has no schema", store.ErrDamaged)

// checkSchema refuses what a newer program has written, and brings up to date
// what an older one has, after a checkpoint beside the data directory.
func (s *Store) checkSchema(readOnly bool) error {
	value, closer, err := s.db.Get(keySchema)
	if errors.Is(err, pebble.ErrNotFound) {
		return s.create(readOnly)
	}
	if err != nil {
		return err
	}
	r := reader{b: value}
	found, least := r.uvarint(), r.uvarint()
	err = errors.Join(r.err, closer.Close())
	switch {
	case err != nil:
		return fmt.Errorf("schema: %w", err)
	case least > schema:
		return fmt.Errorf("it was written by a newer iotctl (schema %d, readable from %d on; this one knows %d): "+
			"use the newer one, or restore a backup", found, least, schema)
	case found >= schema || readOnly:
		return nil
	}
	return s.migrate(found, steps[:])
}

// migrate leaves a copy of the store as it was beside the data directory; one
// that is there comes from an attempt that did not reach its end.
func (s *Store) migrate(from uint64, steps []step) error {
	before := fmt.Sprintf("%s.before-schema-%d", s.config.Dir, len(steps)+1)
	if _, err := s.config.fs.Stat(before); errors.Is(err, fs.ErrNotExist) {
		checkpoint := func(dir string) error { return s.db.Checkpoint(dir, pebble.WithFlushedWAL()) }
		if err := wholly(context.Background(), s.config.fs, before, checkpoint); err != nil {
			return fmt.Errorf("copy before the migration: %w", err)
		}
	}
	for n := from; n <= uint64(len(steps)); n++ {
		b := s.db.NewBatch()
		err := steps[n-1](s.db, b)
		if err == nil {
			_ = b.Set(keySchema, schemaValue(n+1, min(n+1, minReader)), nil)
			err = s.commit(b, true)
		}
		if err != nil {
			return fmt.Errorf("migrate from schema %d (%s is as it was): %w", n, before, err)
		}
	}
	return nil
}

// create writes the meta records of a new store.
func (s *Store) create(readOnly bool) error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	empty := !it.First()
	if err := it.Close(); err != nil {
		return err
	}
	if !empty || readOnly {
		return errNoStore
	}
	s.created = true
	b := s.db.NewBatch()
	_ = b.Set(keySchema, schemaValue(schema, minReader), nil)
	_ = b.Set(keyCreated, appendTime([]byte{version}, time.Now()), nil)
	return s.commit(b, true)
}

func schemaValue(schema, minReader uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, schema), minReader)
}
