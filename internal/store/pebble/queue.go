package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

// Queue implements store.Store. It begins at the first entry that is wanted,
// never in front of it, where tombstones lie.
func (s *Store) Queue(ctx context.Context, client string, after, through uint64) (page []store.Queued, err error) {
	err = s.read(ctx, func(snapshot *pebble.Snapshot) error {
		bytes := 0
		for len(page) < store.PageMessages && bytes <= store.PageBytes {
			sid, seqs := s.live(client, after, through, store.PageMessages-len(page))
			if len(seqs) == 0 {
				return nil
			}
			if page, err = readPage(page, &bytes, snapshot, client, sid, seqs); err != nil {
				return err
			}
			after = seqs[len(seqs)-1] // some of these were released, or are being applied
		}
		return nil
	})
	return page, err
}

// readPage appends those of seqs that are there to page, until it is full.
func readPage(page []store.Queued, bytes *int, r pebble.Reader, client string, sid uint64, seqs []uint64) (_ []store.Queued, err error) {
	it, err := r.NewIter(&pebble.IterOptions{
		LowerBound: appendQueue(nil, sid, seqs[0]),
		UpperBound: append(appendQueue(nil, sid, seqs[len(seqs)-1]), 0),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && *bytes <= store.PageBytes; ok = it.Next() {
		seq, _ := number(it.Key()[partEnd:])
		for len(seqs) > 0 && seqs[0] < seq {
			seqs = seqs[1:]
		}
		if len(seqs) == 0 || seqs[0] != seq {
			continue // removed; the disk has not heard of it
		}
		e, q, err := readEntry(r, client, seq, it)
		if err != nil {
			return nil, corrupt(it.Key(), err)
		}
		if e.kind != entryReleased {
			page = append(page, q)
			*bytes += q.Message.Size()
		}
	}
	return page, it.Error()
}

// readEntry reads the entry at which it stands, and its body.
func readEntry(r pebble.Reader, client string, seq uint64, it *pebble.Iterator) (entry, store.Queued, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return entry{}, store.Queued{}, err
	}
	e, err := decodeEntry(value)
	if err != nil || e.kind == entryReleased {
		return e, store.Queued{}, err
	}
	if e.kind == entryInline {
		q, err := e.queued(client, seq, nil)
		return e, q, err
	}
	body, closer, err := r.Get(appendBody(nil, e.mid))
	if err != nil {
		return e, store.Queued{}, fmt.Errorf("body %d: %w", e.mid, err)
	}
	q, err := e.queued(client, seq, body)
	return e, q, errors.Join(err, closer.Close())
}
