package pebble

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Stats says what a store holds and costs.
type Stats struct {
	Sessions, Subscriptions, Received, Kept, Retained, Wills int

	Queued      int   // messages, each counted for every queue that it is in
	QueuedBytes int64 // the sum of Message.Size
	Released    int
	Bodies      int // messages that several queues share

	Schema  uint64
	Created time.Time

	DiskBytes    uint64 // of all files
	LogBytes     uint64 // of the write-ahead log, which is part of that
	WrittenBytes uint64 // to the disk since the store was opened
	FreeBytes    uint64 // of the file system
}

// Stats reads all keys, which takes about a second for a million messages. It
// is incomplete when they cannot be read; the logger is told why.
func (s *Store) Stats() Stats {
	var st Stats
	err := s.settle()
	if err == nil {
		err = s.read(context.Background(), func(snapshot *pebble.Snapshot) error {
			m := s.db.Metrics()
			st.DiskBytes, st.LogBytes, st.WrittenBytes = m.DiskSpaceUsage(), m.WAL.Size, written(m)
			return each(snapshot, familyMeta, familyWill+1, st.count)
		})
	}
	if usage, e := s.config.fs.GetDiskUsage(s.config.Dir); e == nil {
		st.FreeBytes = usage.AvailBytes
	}
	if err != nil {
		s.config.Logger.Error("statistics of the store", "error", err)
	}
	return st
}

func (st *Stats) count(key, value []byte) error {
	switch key[0] {
	case familyMeta:
		return st.meta(key, value)
	case familySession:
		return st.countPart(key, value)
	case familyBody:
		st.Bodies++
	case familyRetained:
		st.Retained++
	case familyWill:
		st.Wills++
	}
	return nil
}

func (st *Stats) meta(key, value []byte) error {
	switch r := (reader{b: value}); string(key) {
	case string(keySchema):
		st.Schema = r.uvarint()
		return r.err
	case string(keyCreated):
		r := versioned(value)
		st.Created = r.time()
		return r.end()
	}
	return nil
}

func (st *Stats) countPart(key, value []byte) error {
	_, part, _, ok := sessionKey(key)
	if !ok {
		return corrupt(key, errCut)
	}
	switch part {
	case partSession:
		st.Sessions++
	case partSubscription:
		st.Subscriptions++
	case partReceived:
		st.Received++
	case partKept:
		st.Kept++
	case partQueue:
		e, err := decodeEntry(value)
		if err != nil {
			return corrupt(key, err)
		}
		if e.kind == entryReleased {
			st.Released++
			return nil
		}
		st.Queued++
		st.QueuedBytes += int64(e.size)
	default:
		return corrupt(key, fmt.Errorf("part %d: %w", part, errVersion))
	}
	return nil
}

// written is how much pebble has written: the log, and tables by flushes and
// compactions.
func written(m *pebble.Metrics) uint64 {
	n := m.WAL.BytesWritten
	for _, l := range m.Levels {
		n += l.TableBytesFlushed + l.TableBytesCompacted + l.BlobBytesFlushed + l.BlobBytesCompacted
	}
	return n
}
