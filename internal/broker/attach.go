package broker

import (
	"context"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// Receiver is the gateway's half of a connection. Its methods are called with
// locks held: they must not block and must not call the broker.
type Receiver interface {
	// Deliver appends a delivery to what is to be written. false means full:
	// the session decides what waits or drops, and goes on when the gateway
	// calls Link.Writable. d is valid during the call only, and so is its message
	// at QoS 0.
	Deliver(d *message.Delivery) bool
	// Flush writes what has been delivered.
	Flush()
	// Close ends the connection, telling the client why.
	Close(r Reason)
}

// SessionOptions is what a client asks for when it attaches.
type SessionOptions struct {
	ClientID   string
	CleanStart bool
	// Expiry is the session expiry interval; 0 ends the session with the
	// connection.
	Expiry time.Duration
	Will   *Will
	Window session.Window // without ReceiveMaximum: 65,535
	// ReceiveMaximum bounds the QoS 2 messages that the client may have open;
	// 0 for no bound but that of the identifiers.
	ReceiveMaximum int
	// Unpaced is for gateways that read from many clients on one goroutine:
	// Commit does not wait for receivers that cannot keep up. Their receivers may
	// refuse retained messages at QoS 0 while they take all others: the rest of what
	// a subscription has asked for waits for Writable.
	Unpaced bool
	// Keeps is for gateways that call Link.Keep. What they have kept is removed when
	// another gateway's client, with the same client identifier, gets the session: it
	// is true no more.
	Keeps bool
}

func (o SessionOptions) withDefaults() SessionOptions {
	if o.Window.ReceiveMaximum <= 0 {
		o.Window.ReceiveMaximum = 65535 // [MQTT-3.1.2.11.3]
	}
	return o
}

// Will is the message to publish when the connection ends without goodbye.
type Will struct {
	Message message.View
	Delay   time.Duration
}

// Resumed says what Attach has found.
type Resumed struct {
	Present bool          // the session goes on from an earlier connection
	Expiry  time.Duration // granted session expiry interval
	// Kept is what earlier connections have kept with the session (Link.Keep), by
	// key; nil if there is nothing. The data is not to be changed.
	Kept map[string][]byte
}

// Attach gives a client its session: the existing one, or a new one. Another
// connection with that client identifier is closed first, provided that it
// belongs to the same identity; a different identity gets ErrNotOwner and
// changes nothing. On return everything that the client may rely on has been
// stored. Deliveries begin with Link.Start.
func (b *Broker) Attach(ctx context.Context, id auth.Identity, o SessionOptions, r Receiver) (*Link, Resumed, error) {
	if b.closing.Load() {
		return nil, Resumed{}, ErrEnded
	}
	if o.Will != nil && !b.mayPublish(&id, string(o.Will.Message.Topic)) {
		return nil, Resumed{}, ErrNotAuthorized
	}
	if b.cfg.MaxExpiry > 0 {
		o.Expiry = min(o.Expiry, b.cfg.MaxExpiry)
	}
	o = o.withDefaults()
	for {
		s, found, err := b.claim(o.ClientID, id.Owner(), o)
		if err != nil {
			return nil, Resumed{}, err
		}
		// s.life is held.
		if s.ended.Load() {
			s.life.Unlock() // it ended while we waited for it
			continue
		}
		expired := found && s.expired(time.Now()) // its timer is late
		if expired {
			b.stats.SessionsExpired.Add(1)
		}
		if found && (o.CleanStart || expired || !s.outlives()) { // the last has a connection, and ends with it
			s.takeOver()
			s.end()
			s.life.Unlock()
			continue
		}
		l, kept, err := s.attach(ctx, id, o, r, found)
		s.life.Unlock()
		if err == nil && b.closing.Load() { // Shutdown may have missed it
			l.Detach(Farewell{})
			err = ErrEnded
		}
		if err != nil {
			return nil, Resumed{}, err
		}
		return l, Resumed{Present: found, Expiry: o.Expiry, Kept: kept}, nil
	}
}

// claim returns the session of the client identifier with its life lock held,
// a new one when there is none.
func (b *Broker) claim(client, owner string, o SessionOptions) (s *Session, found bool, err error) {
	sh := b.shard(client)
	sh.mu.Lock()
	s = sh.sessions[client]
	if s != nil {
		sh.mu.Unlock()
		if s.owner != owner {
			return nil, false, ErrNotOwner
		}
		s.life.Lock()
		return s, true, nil
	}
	defer sh.mu.Unlock()
	if o.Expiry > 0 && b.owners.get(owner) >= b.cfg.MaxSessionsPerOwner {
		return nil, false, ErrQuota
	}
	if int(b.sessions.Add(1)) > b.cfg.MaxSessions { // counted first: others look at the same time
		b.sessions.Add(-1)
		return nil, false, ErrQuota
	}
	s = newSession(b, client, owner)
	s.begin(b.firstPlace())
	s.life.Lock() // nobody else has seen it: this cannot wait
	sh.sessions[client] = s
	return s, false, nil
}

// takeOver closes the connection that the session has, as if the network had
// ended it. Called with life held.
func (s *Session) takeOver() {
	s.mu.Lock()
	old := s.link
	s.mu.Unlock()
	if old == nil {
		return
	}
	s.b.stats.TakenOver.Add(1)
	old.r.Close(ReasonTakenOver)
	s.unlink(old, Farewell{Abnormal: true})
}

// attach connects a link to the session. When the store fails, everything is
// as it was. Called with life held.
func (s *Session) attach(ctx context.Context, id auth.Identity, o SessionOptions, r Receiver, found bool) (*Link, map[string][]byte, error) {
	b := s.b
	switch {
	case !found && o.Expiry > 0 && b.Full():
		s.end()
		return nil, nil, ErrFull
	case !found && o.Expiry > 0:
		s.keep()
	case found:
		s.interrupted = false
		s.takeOver()
		if s.will != nil && (s.will.delay == 0 || s.will.isDue(time.Now())) {
			s.fireWill()
		}
	}
	l := newLink(s, id, o, r)
	will, away := s.will, s.away
	// The client is back in time: a will that waits is not published.
	s.will, s.away = nil, nil // [MQTT-3.1.3-9]
	if o.Will != nil {
		s.will = newWill(o.Will, s.id, id.Owner())
	}
	before := s.connect(l, l.identity, o.Expiry)
	kept, err := s.readKept(ctx, found)
	if err == nil {
		ops := s.attachOps(found)
		if !o.Keeps {
			ops, kept = s.forgetKept(ops, kept), nil
		}
		err = b.apply(ctx, ops)
	}
	if err != nil {
		l.gone.Store(true)
		s.will, s.away = will, away
		s.connect(nil, before.identity, before.expiry)
		if found {
			s.settle() // a connection that it had has been taken over
		} else {
			s.end()
		}
		return nil, nil, err
	}
	s.connected(away)
	return l, kept, nil
}

func newLink(s *Session, id auth.Identity, o SessionOptions, r Receiver) *Link {
	return &Link{
		s: s, r: r, window: o.Window, receiveMaximum: o.ReceiveMaximum,
		unpaced: o.Unpaced, identity: &id,
	}
}

// readKept reads what is kept with a session that was there.
func (s *Session) readKept(ctx context.Context, found bool) (map[string][]byte, error) {
	if !found || !s.durable() {
		return nil, nil
	}
	return s.b.cfg.Store.Kept(ctx, s.id)
}

// forgetKept removes what is kept with the session.
func (s *Session) forgetKept(ops []store.Op, kept map[string][]byte) []store.Op {
	for key := range kept {
		ops = append(ops, store.Op{Kind: store.Delete, Record: store.Kept{ClientID: s.id, Key: key}})
	}
	return ops
}

// connected notes that a session has a connection. away is what it had without
// one, nil if it is new. Called with life held.
func (s *Session) connected(away *absence) {
	b := s.b
	if away != nil {
		b.timers.stop(&away.timer)
		b.owners.add(s.owner, -1)
	}
	b.stats.Connected.Add(1)
	b.stats.ConnectedMax.raise(b.stats.Connected.Load())
}

// terms are what a connection sets for its session.
type terms struct {
	identity *auth.Identity
	expiry   time.Duration
}

// connect sets the link of the session and its terms; it returns those before.
func (s *Session) connect(l *Link, id *auth.Identity, expiry time.Duration) (before terms) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = terms{s.identity, s.expiry}
	s.link, s.identity, s.expiry = l, id, expiry
	return before
}

// attachOps is what has to be stored before the client hears of success. A
// session that was there is in the store: those that are not, end when they
// are taken over.
func (s *Session) attachOps(found bool) []store.Op {
	if !s.durable() {
		return nil
	}
	ops := []store.Op{{Record: s.record()}}
	if s.will != nil {
		return append(ops, store.Op{Record: s.will.record(s.id)})
	}
	if found {
		ops = append(ops, store.Op{Kind: store.Delete, Record: store.Will{ClientID: s.id}})
	}
	return ops
}

func newWill(w *Will, client, owner string) *will {
	v := w.Message
	stored := &will{delay: w.Delay}
	if v.HasExpiry {
		stored.expiry = time.Duration(v.Expiry) * time.Second
		v.HasExpiry = false
	}
	stored.message = v.Copy(string(v.Topic), time.Time{}, client, owner)
	return stored
}

func (w *will) record(client string) store.Will {
	return store.Will{ClientID: client, Message: w.message, Delay: w.delay, Due: w.due, ExpiryInterval: w.expiry}
}

// Farewell says how a connection ended.
type Farewell struct {
	// Abnormal publishes the will: the network ended, or the client asked for
	// it. Otherwise the will is forgotten. // [MQTT-3.14.4-3]
	Abnormal bool
	// Expiry replaces the session expiry interval when HasExpiry.
	// // [MQTT-3.14.2-2]
	Expiry    time.Duration
	HasExpiry bool
}

// unlink takes the link off the session; false means that another connection
// has it. Called with life held.
func (s *Session) unlink(l *Link, f Farewell) bool {
	b := s.b
	s.mu.Lock()
	if s.link != l {
		s.mu.Unlock()
		return false
	}
	s.link = nil
	l.gone.Store(true)
	s.online.Store(false)
	s.out.Suspend()
	if f.HasExpiry && s.outlives() { // from 0 it cannot be raised
		s.expiry = f.Expiry
		if b.cfg.MaxExpiry > 0 {
			s.expiry = min(s.expiry, b.cfg.MaxExpiry)
		}
	}
	s.mu.Unlock()
	l.waitKept()
	b.stats.Connected.Add(-1)
	s.leave(time.Now())
	b.owners.add(s.owner, 1)
	if !f.Abnormal {
		s.will = nil
	}
	return true
}

// settle decides what stays of a session that has lost its connection. Called
// with life held.
func (s *Session) settle() {
	if !s.outlives() {
		s.end()
		return
	}
	bt := s.b.newBatch()
	bt.op(store.Put, s.record())
	switch w := s.will; {
	case w == nil:
		bt.op(store.Delete, store.Will{ClientID: s.id})
	case w.delay == 0: // a crash finds a session that has lost its connection, or its will
		s.publishWill(bt)
	default:
		w.due = s.away.since.Add(w.delay)
		bt.op(store.Put, w.record(s.id))
	}
	s.b.commitQuietly(bt)
	s.schedule()
}
