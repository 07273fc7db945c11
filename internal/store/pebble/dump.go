package pebble

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iotctl/iotctl/internal/store"
)

// Dump calls fn with every record of the store in dir: each session before what
// belongs to it, its queue in order, then retained messages and wills. It holds
// one message at a time. It stops at the first error of fn and returns it.
func Dump(ctx context.Context, dir string, fn func(store.Record) error) (err error) {
	s, err := Inspect(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.read(ctx, func(snapshot *pebble.Snapshot) error {
		if err := dumpSessions(ctx, snapshot, fn); err != nil {
			return err
		}
		return loadRest(ctx, snapshot, fn)
	})
}

func dumpSessions(ctx context.Context, r pebble.Reader, fn func(store.Record) error) (err error) {
	it, err := r.NewIter(family(familySession, familySession+1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var owner store.Session
	var of uint64 // its sid
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		sid, part, rest, _ := sessionKey(it.Key())
		if part == partSession {
			if owner, err = decodeSession(it.Value()); err != nil {
				return corrupt(it.Key(), err)
			}
			of = sid
		}
		if sid != of || unused(part, rest, owner.First) {
			continue
		}
		rec, err := readPart(r, it, owner)
		if err != nil {
			return corrupt(it.Key(), err)
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
	return it.Error()
}

// readPart decodes the record of a session at which it stands.
func readPart(r pebble.Reader, it *pebble.Iterator, of store.Session) (store.Record, error) {
	_, part, rest, ok := sessionKey(it.Key())
	if !ok {
		return nil, errCut
	}
	switch part {
	case partSession:
		return of, nil
	case partSubscription:
		return decodeSubscription(of.ClientID, string(rest), it.Value())
	case partQueue:
		seq, ok := number(rest)
		if !ok {
			return nil, errCut
		}
		e, q, err := readEntry(r, of.ClientID, seq, it)
		if e.kind == entryReleased && err == nil {
			return store.Released{ClientID: of.ClientID, Seq: seq}, nil
		}
		return q, err
	case partReceived:
		if len(rest) != 2 {
			return nil, errCut
		}
		return store.Received{ClientID: of.ClientID, PacketID: binary.BigEndian.Uint16(rest)}, nil
	case partKept:
		return decodeKept(of.ClientID, string(rest), it.Value())
	}
	return nil, errVersion
}
