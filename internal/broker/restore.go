package broker

import (
	"context"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/store"
)

// Interrupted returns the identifiers, beginning with prefix, of the sessions that
// had a connection when the broker before this one ended, in an orderly way or
// not, and whose gateway had not called Detach. After Run has begun there are none.
func (b *Broker) Interrupted(prefix string) []string {
	var all []string
	for _, s := range b.interrupted(prefix) {
		all = append(all, s.id)
	}
	slices.Sort(all)
	return all
}

func (b *Broker) interrupted(prefix string) []*Session {
	var all []*Session
	b.each(func(s *Session) {
		if !strings.HasPrefix(s.id, prefix) {
			return
		}
		s.life.Lock()
		defer s.life.Unlock()
		if s.interrupted {
			all = append(all, s)
		}
	})
	return all
}

// Restore attaches a client to one of the Interrupted sessions as if it had never
// been away, for protocols without connections whose clients do not notice that
// the broker has been. Its will stays as it is, and so does its session expiry
// interval; of o only Window, ReceiveMaximum, Unpaced and Keeps count. id makes the
// identity of the owner. Nothing is written, so that the next start finds the same.
// Deliveries begin with Link.Start.
//
// Those that nobody restores before Run lose their connections then. Errors:
// ErrNoSession, for gateways that keep things also when nothing is kept: the session
// is another gateway's. ErrNotOwner when id makes another owner, ErrEnded, or the
// store's.
func (b *Broker) Restore(ctx context.Context, client string, id func(owner string) auth.Identity, o SessionOptions, r Receiver) (*Link, Resumed, error) {
	if b.closing.Load() {
		return nil, Resumed{}, ErrEnded
	}
	s := b.lookup(client)
	if s == nil {
		return nil, Resumed{}, ErrNoSession
	}
	s.life.Lock()
	defer s.life.Unlock()
	if !s.interrupted {
		return nil, Resumed{}, ErrNoSession
	}
	identity := id(s.owner)
	if identity.Owner() != s.owner {
		return nil, Resumed{}, ErrNotOwner
	}
	kept, err := s.readKept(ctx, true)
	switch {
	case err != nil:
		return nil, Resumed{}, err
	case len(kept) == 0 && o.Keeps:
		return nil, Resumed{}, ErrNoSession
	}
	l := newLink(s, identity, o.withDefaults(), r)
	away, before := s.away, s.connect(l, l.identity, s.expiry)
	if b.closing.Load() { // Shutdown may have missed it
		l.gone.Store(true)
		s.connect(nil, before.identity, before.expiry)
		return nil, Resumed{}, ErrEnded
	}
	s.interrupted, s.away = false, nil
	s.connected(away)
	return l, Resumed{Present: true, Expiry: s.expiry, Kept: kept}, nil
}

// cutOffs is how many sessions are written at a time.
const cutOffs = 1024

// cutOff ends the connections that nobody has restored.
func (b *Broker) cutOff() {
	for some := range slices.Chunk(b.interrupted(""), cutOffs) {
		b.cutOffSome(some)
	}
}

// cutOffSome holds the life of all of them meanwhile, so that nobody who attaches
// is written over. Nobody else holds more than one.
func (b *Broker) cutOffSome(some []*Session) {
	var ops []store.Op
	for _, s := range some {
		s.life.Lock()
		defer s.life.Unlock()
		if !s.interrupted {
			continue
		}
		s.interrupted = false
		ops = append(ops, store.Op{Record: s.record()})
		if w := s.will; w != nil {
			w.due = s.away.since.Add(w.delay)
			ops = append(ops, store.Op{Record: w.record(s.id)})
		}
		s.schedule()
	}
	b.applyQuietly(ops)
}
