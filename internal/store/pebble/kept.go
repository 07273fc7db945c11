package pebble

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Kept implements store.Store. Sessions of gateways that keep nothing cost no
// look at the disk.
func (s *Store) Kept(ctx context.Context, client string) (all map[string][]byte, err error) {
	err = s.read(ctx, func(snapshot *pebble.Snapshot) error {
		sid, kept := s.keeps(client)
		if !kept {
			return nil
		}
		all, err = readKept(snapshot, client, sid)
		return err
	})
	return all, err
}

// keeps reports whether there may be something that is kept with a session.
func (s *Store) keeps(client string) (sid uint64, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.sessions[client]; o != nil {
		return o.sid, o.kept
	}
	return 0, false
}

func readKept(r pebble.Reader, client string, sid uint64) (all map[string][]byte, err error) {
	it, err := r.NewIter(&pebble.IterOptions{
		LowerBound: appendPart(nil, sid, partKept),
		UpperBound: appendPart(nil, sid, partKept+1),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	all = map[string][]byte{}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		k, err := decodeKept(client, string(it.Key()[partEnd:]), value)
		if err != nil {
			return nil, corrupt(it.Key(), err)
		}
		all[k.Key] = k.Data
	}
	return all, it.Error()
}
