package broker

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// Broker routes messages between sessions.
type Broker struct {
	cfg      Config
	plain    *session.Terms                  // of sessions that are not durable
	paged    *session.Terms                  // of those that are
	authz    atomic.Pointer[auth.Authorizer] // replaced on reload
	stats    Stats
	subs     router.Tree[*subscription]
	retained router.Names[*retained]
	timers   timers
	seed     maphash.Seed
	shards   [64]shard
	sessions atomic.Int64 // in the registry
	shared   sync.Mutex   // guards groups
	groups   map[string]*group
	kept     retainedUse
	hungry   hungry
	owners   ownerCount
	started  time.Time
	closing  atomic.Bool
	begun    maximum           // see firstPlace
	rates    loads             // used by Run alone
	moreSys  map[string]string // that are published; used by Run alone
}

// shard is a part of the registry.
type shard struct {
	mu       sync.Mutex
	sessions map[string]*Session
}

// New returns a broker with everything that its store has kept. Run must be
// running for expiry, delayed wills and $SYS. Between the two gateways may Restore
// connections.
func New(ctx context.Context, cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{
		cfg:     cfg.withDefaults(),
		seed:    maphash.MakeSeed(),
		groups:  map[string]*group{},
		started: time.Now(),
	}
	b.plain = session.NewTerms(b.cfg.Queue, session.Head{})
	b.paged = session.NewTerms(b.cfg.Queue, session.Head{Messages: store.PageMessages, Bytes: store.PageBytes})
	b.SetAuthorizer(cfg.Authorizer)
	b.timers.wake = make(chan struct{}, 1)
	b.hungry.timer.fire = b.feed
	for i := range b.shards {
		b.shards[i].sessions = map[string]*Session{}
	}
	if err := b.load(ctx); err != nil {
		return nil, fmt.Errorf("load the stored state: %w", err)
	}
	return b, nil
}

// Run fires timers and updates $SYS until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	b.cutOff()
	if b.cfg.SysInterval > 0 {
		b.publishSys()
		tick := time.NewTicker(b.cfg.SysInterval)
		defer tick.Stop()
		return b.loop(ctx, tick.C)
	}
	return b.loop(ctx, nil)
}

func (b *Broker) loop(ctx context.Context, sys <-chan time.Time) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sys:
			b.publishSys()
		case <-b.timers.wake:
		case <-timer.C:
		}
		now := time.Now()
		fire(ctx, b.timers.due(now), now)
		timer.Reset(b.timers.next(time.Now()))
	}
}

// Shutdown refuses new clients and closes the connections of all that are
// attached. The gateways see to the rest by calling Detach.
func (b *Broker) Shutdown(r Reason) {
	b.closing.Store(true)
	for _, l := range b.links() {
		l.r.Close(r)
	}
}

// links returns the connections of the moment.
func (b *Broker) links() []*Link {
	var all []*Link
	b.each(func(s *Session) {
		s.mu.Lock()
		if s.link != nil {
			all = append(all, s.link)
		}
		s.mu.Unlock()
	})
	return all
}

// each calls fn with every session, outside the registry's locks.
func (b *Broker) each(fn func(*Session)) {
	for i := range b.shards {
		sh := &b.shards[i]
		sh.mu.Lock()
		all := make([]*Session, 0, len(sh.sessions))
		for _, s := range sh.sessions {
			all = append(all, s)
		}
		sh.mu.Unlock()
		for _, s := range all {
			fn(s)
		}
	}
}

func (b *Broker) shard(client string) *shard {
	return &b.shards[maphash.String(b.seed, client)%uint64(len(b.shards))]
}

// firstPlace is where the queue of a new session begins, different for every
// session that there ever was: the store tells what comes too late, for one that
// has been wiped meanwhile, by its place.
func (b *Broker) firstPlace() uint64 {
	for {
		last := b.begun.Load()
		next := max(last+1, time.Now().UnixMilli())
		if b.begun.CompareAndSwap(last, next) {
			return uint64(next) * 65535 // identifiers begin at 1
		}
	}
}

func (b *Broker) lookup(client string) *Session {
	sh := b.shard(client)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.sessions[client]
}

// Disconnect ends the connection of a client, if it has one.
func (b *Broker) Disconnect(client string, r Reason) (found bool) {
	s := b.lookup(client)
	if s == nil {
		return false
	}
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return false
	}
	l.r.Close(r)
	return true
}

// Revoke ends the connections of clients that a method of authentication has
// let in and takes back, whatever their sessions are called, and returns how
// many. Of the identities client identifier, name and method count.
func (b *Broker) Revoke(ids []auth.Identity) (ended int) {
	if len(ids) == 0 {
		return 0
	}
	gone := make(map[auth.Identity]bool, len(ids))
	for _, id := range ids {
		id.Username = ""
		gone[id] = true
	}
	var links []*Link
	b.each(func(s *Session) {
		s.mu.Lock()
		defer s.mu.Unlock()
		id := *s.identity
		if id.Username = ""; s.link != nil && gone[id] {
			links = append(links, s.link)
		}
	})
	for _, l := range links {
		l.r.Close(ReasonAdministrative)
	}
	return len(links)
}

// SetAuthorizer replaces the authorizer, and applies it to what sessions have
// waiting: messages that they may not receive any more are dropped.
func (b *Broker) SetAuthorizer(a auth.Authorizer) {
	if a == nil {
		b.authz.Store(nil)
		return
	}
	b.authz.Store(&a)
	b.Reauthorize()
}

// Reauthorize applies the authorizer to what sessions have waiting, after its
// rules have changed.
func (b *Broker) Reauthorize() {
	var bt batch
	b.each(func(s *Session) {
		s.mu.Lock()
		s.filterLocked(b, &bt)
		s.mu.Unlock()
		b.commitQuietly(&bt)
	})
}

// allowed asks the authorizer; a nil one allows everything.
func (b *Broker) allowed(id *auth.Identity, act auth.Action, topic string) bool {
	a := b.authz.Load()
	return a == nil || (*a).Authorize(context.Background(), id, act, topic) == auth.Allow
}

// publishInternal adds a message of the broker's own making to a batch: wills,
// $SYS.
func (b *Broker) publishInternal(m *message.Message, bt *batch) {
	if m.Retain {
		stored := bt
		if bt.sparing && len(m.Payload) > 0 {
			stored = new(batch) // which nobody commits: retained until the broker ends
		}
		_ = b.retain(m, stored) // over quota: still delivered to those who are there
	}
	b.route(m, nil, bt)
}
