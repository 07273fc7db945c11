package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The layout of keys and values has a number. Steps lead from one to the next,
// never back; a store says the oldest schema whose programs may read it.
const (
	schema    = 1
	minReader = 1
)

// steps[n] leads from schema n+1 to n+2, in one batch.
var steps = [schema - 1]func(*pebble.DB, *pebble.Batch) error{}

var errNoStore = errors.New("it holds no store of iotctl")

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
	before := fmt.Sprintf("%s.before-schema-%d", s.config.Dir, schema)
	if err := s.db.Checkpoint(before, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("checkpoint before the migration: %w", err)
	}
	for n := found; n < schema; n++ {
		if err := s.step(n); err != nil {
			return fmt.Errorf("migrate from schema %d (%s is as it was): %w", n, before, err)
		}
	}
	return nil
}

func (s *Store) step(from uint64) error {
	b := s.db.NewBatch()
	if err := steps[from-1](s.db, b); err != nil {
		return errors.Join(err, b.Close())
	}
	_ = b.Set(keySchema, schemaValue(from+1, min(from+1, minReader)), nil)
	return s.commit(b, true)
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
	b := s.db.NewBatch()
	_ = b.Set(keySchema, schemaValue(schema, minReader), nil)
	_ = b.Set(keyCreated, appendTime([]byte{version}, time.Now()), nil)
	return s.commit(b, true)
}

func schemaValue(schema, minReader uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, schema), minReader)
}
