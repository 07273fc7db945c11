package broker

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// Never as a session expiry interval: the session does not expire.
const Never = store.Never

// Session is what the broker keeps for a client identifier, with or without a
// network connection.
type Session struct {
	b     *Broker
	id    string
	owner string

	life sync.Mutex // see doc.go
	// applying is read-held by those who store what the session's own client
	// has sent, and held while the session is removed from the store.
	applying sync.RWMutex
	away     *absence // nil while there is a connection; guarded by life
	// will is guarded by life while there is no connection; the one that there is
	// changes it with applying read-held: see SetWill.
	will *will

	// kept is set while nobody else knows the session: it is stored, also by a
	// connection that does not let it live any longer.
	kept bool
	// interrupted: it had a connection when the broker before this one ended, of
	// which the store does not know the end yet; guarded by life.
	interrupted bool

	ended  atomic.Bool // written with life and mu held
	online atomic.Bool // link != nil and started, for the choice of shared members
	// several is set before a second subscription of this session enters the
	// router and stays set: a match that holds two of them sees it.
	several atomic.Bool

	mu       sync.Mutex
	identity *auth.Identity // never changed, but replaced
	link     *Link          // nil without a connection
	expiry   time.Duration
	out      session.Outbound
	in       *inbound // nil until the client publishes at QoS 2
	first    uint64   // the places below belong to earlier sessions
	subs     holdings
	storing  []uint64 // places of messages in batches that have not been committed, in order
	before   uint64   // the places up to here may have been sent before the broker started
	replay   []replay // retained messages that have not been sent yet
	progress uint32   // counts what the client takes
	shared   bool     // there is, or was, a shared one among subs
	awaiting bool     // replay waits for room in the store
	full     bool     // replay waits for Link.Writable; of unpaced connections
	stuck    bool     // somebody has waited for it in vain
}

// inbound is what the session's own client has published at QoS 2.
type inbound struct {
	session.Inbound
	storer *Link         // whose batch has changed it, which is not stored yet
	stored chan struct{} // closed then, if another connection waits for it
}

// inbound returns in, which is about to be needed. Called with mu held.
func (s *Session) inbound() *inbound {
	if s.in == nil {
		s.in = new(inbound)
	}
	return s.in
}

// absence is what a session has while it has no connection.
type absence struct {
	since time.Time // when the last one ended
	timer timer     // session expiry or delayed will, whichever is first
}

// will is the will message of the connection of the moment, or one that waits
// for its delay.
type will struct {
	message *message.Message // Published and Expires are set when it is published
	delay   time.Duration
	expiry  time.Duration // message expiry interval, 0 for none
	due     time.Time     // zero while the connection lives
}

func newSession(b *Broker, id, owner string) *Session {
	s := &Session{b: b, id: id, owner: owner, identity: &nobody}
	s.out.SetTerms(b.plain)
	return s
}

// nobody has had a session yet.
var nobody auth.Identity

// leave notes that there is no connection any more, since a time. Called with
// life held.
func (s *Session) leave(since time.Time) {
	s.away = &absence{since: since, timer: timer{fire: s.onTimer}}
}

// since is when the last connection ended, zero while there is one. Called with
// life held.
func (s *Session) since() time.Time {
	if s.away == nil {
		return time.Time{}
	}
	return s.away.since
}

// begin sets where the queue begins. Nobody else knows the session yet.
func (s *Session) begin(first uint64) {
	s.first = first
	s.out.Skip(first)
}

// durable reports whether the session is stored: it outlives its connection, or
// has outlived an earlier one.
func (s *Session) durable() bool { return s.kept }

// keep makes a new session durable.
func (s *Session) keep() {
	s.kept = true
	s.out.SetTerms(s.b.paged)
}

// outlives reports whether the session outlives its connection. Called with mu
// held, or life.
func (s *Session) outlives() bool { return s.expiry > 0 }

// record is the session as it is stored. Called with life held.
func (s *Session) record() store.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Session{
		ClientID: s.id, Owner: s.owner, Expiry: s.expiry, Ended: s.since(),
		First: s.first, Sent: max(s.before, s.out.Sent()),
	}
}

// schedule sets the timer for what comes first. Called with life held.
func (s *Session) schedule() {
	var at time.Time
	if s.expiry != Never {
		at = s.away.since.Add(s.expiry)
	}
	if w := s.will; w != nil && !w.due.IsZero() && (at.IsZero() || w.due.Before(at)) {
		at = w.due
	}
	if at.IsZero() {
		s.b.timers.stop(&s.away.timer)
		return
	}
	s.b.timers.set(&s.away.timer, at)
}

// expired reports whether the session has outlived its last connection by its
// session expiry interval. Called with life held.
func (s *Session) expired(now time.Time) bool {
	return s.away != nil && s.expiry != Never && !now.Before(s.away.since.Add(s.expiry))
}

// isDue reports whether the delay of a will has passed.
func (w *will) isDue(now time.Time) bool { return !w.due.IsZero() && !now.Before(w.due) }

// onTimer ends the session or publishes its delayed will.
func (s *Session) onTimer(now time.Time) {
	s.life.Lock()
	defer s.life.Unlock()
	if s.ended.Load() || s.away == nil {
		return
	}
	if s.expired(now) {
		s.b.stats.SessionsExpired.Add(1)
		s.end()
		return
	}
	if s.will != nil && s.will.isDue(now) {
		s.fireWill()
	}
	s.schedule()
}

// end removes the session and everything that belongs to it. A will that is
// still there is published: the end of the session is the latest time for it.
// // [MQTT-3.1.3-9] Called with life held.
func (s *Session) end() {
	b := s.b
	if s.away != nil {
		b.timers.stop(&s.away.timer)
	}
	s.interrupted = false
	s.mu.Lock()
	s.ended.Store(true)
	b.begun.raise(int64(s.out.Reserve() / 65535)) // the next begins behind it, even if the clock was set back
	if s.link != nil {
		s.link.gone.Store(true)
		s.link = nil
	}
	s.online.Store(false)
	subs, shared := s.subs, s.shared
	s.subs = holdings{}
	s.replay = nil
	parked, after := s.out.Parked()
	storing := s.storing // nothing is added any more, and offer sees to what is in it
	s.storing = nil
	var left []message.Delivery
	s.out.Drain(func(d message.Delivery, sent bool) {
		if d.Share != "" && (!sent || d.QoS < 2) {
			left = append(left, d) // another member may have it // [MQTT-4.8.2-5]
			return
		}
		b.stats.dropped(session.DropEnded)
	})
	s.mu.Unlock()

	for sub := range subs.values() {
		b.removeSub(sub)
	}
	switch {
	case parked > 0 && shared:
		s.redeliverParked(after, storing)
	case parked > 0:
		b.stats.Drops[session.DropEnded].Add(uint64(parked))
	}
	bt := b.newBatch()
	if s.durable() {
		bt.ops = append(bt.ops, store.Op{Kind: store.Delete, Record: store.Session{ClientID: s.id}})
	}
	for _, d := range left {
		b.redeliver(d, bt)
	}
	if s.will != nil {
		s.publishWill(bt)
	}
	s.applying.Lock() // after the last batch of its own; the next is filtered
	b.commitQuietly(bt)
	s.applying.Unlock()
	b.forget(s) // last: a new session under this identifier finds the store clean
}

// forget takes the session out of the registry.
func (b *Broker) forget(s *Session) {
	sh := b.shard(s.id)
	sh.mu.Lock()
	if sh.sessions[s.id] == s {
		delete(sh.sessions, s.id)
		b.sessions.Add(-1)
	}
	sh.mu.Unlock()
	if s.away != nil {
		b.owners.add(s.owner, -1)
	}
}

// fireWill publishes the will. Called with life held.
func (s *Session) fireWill() {
	bt := s.b.newBatch()
	s.publishWill(bt)
	s.b.commitQuietly(bt)
}

// publishWill adds the will to a batch, if the session may still publish it. It
// is forgotten in the same batch, so that a crash neither loses it nor repeats
// it. Called with life held.
func (s *Session) publishWill(bt *batch) {
	w := s.will
	s.will = nil
	s.mu.Lock()
	id, stored := s.identity, s.durable() && !s.ended.Load() // the end removes it
	s.mu.Unlock()
	if stored {
		bt.op(store.Delete, store.Will{ClientID: s.id})
	}
	if !s.b.allowed(id, auth.Publish, w.message.Topic) {
		s.b.stats.dropped(session.DropNotAllowed)
		return
	}
	m := *w.message
	m.Published = time.Now()
	if w.expiry > 0 {
		m.Expires = m.Published.Add(w.expiry)
	}
	s.b.publishInternal(&m, bt)
}

// filterLocked drops what the session may not receive any more.
func (s *Session) filterLocked(b *Broker, bt *batch) {
	if b.authz.Load() == nil {
		return
	}
	allowed := func(m *message.Message) bool { return b.allowed(s.identity, auth.Receive, m.Topic) }
	s.run(s.out.Filter(bt.begin(), allowed, bt.actions[:0]), bt)
}

// ownerCount counts the sessions without a connection per identity.
type ownerCount struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *ownerCount) add(owner string, delta int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == nil {
		o.n = map[string]int{}
	}
	o.n[owner] += delta
	n := o.n[owner]
	if n <= 0 {
		delete(o.n, owner)
	}
	return n
}

func (o *ownerCount) get(owner string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n[owner]
}

// Seconds turns a session expiry interval of the wire into a duration.
// // [MQTT-3.1.2.11.2]
func Seconds(v uint32) time.Duration {
	if v == math.MaxUint32 {
		return Never
	}
	return time.Duration(v) * time.Second
}

// apply has the store carry out a batch, if there is anything in it.
func (b *Broker) apply(ctx context.Context, ops []store.Op) error {
	for len(ops) > 0 {
		if err := b.cfg.Store.Apply(ctx, ops); err != nil {
			return err
		}
		ops = b.staleRetained(ops)
	}
	return nil
}

// applyQuietly applies operations that nothing waits for.
func (b *Broker) applyQuietly(ops []store.Op) {
	if err := b.apply(context.Background(), ops); err != nil {
		b.cfg.Logger.Error("store", "err", err)
	}
}

// commitQuietly commits a batch that no acknowledgement waits for.
func (b *Broker) commitQuietly(bt *batch) {
	if _, err := b.commit(context.Background(), bt, nil); err != nil {
		b.cfg.Logger.Error("store", "err", err)
	}
}
