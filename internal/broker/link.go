package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// Link is the connection of the moment of a session. Its methods belong to the
// goroutine that reads from the client, except Writable.
type Link struct {
	s              *Session
	r              Receiver
	identity       *auth.Identity // never changed, but replaced
	window         session.Window
	receiveMaximum int
	unpaced        bool        // see SessionOptions
	gone           atomic.Bool // another connection has the session, or it ended
	keeping        atomic.Bool // has kept something, or changed its will
	dirty          atomic.Bool // in some batch's list of receivers to flush
	batch          *batch      // nil when there is none; see begin
	last           string      // topic of the last message
}

// ClientID returns the client identifier.
func (l *Link) ClientID() string { return l.s.id }

// Identity returns who the client is.
func (l *Link) Identity() auth.Identity { return *l.identity }

// SetIdentity notes the result of a re-authentication. The owner of the
// session cannot change. // [MQTT-4.12.1-1]
func (l *Link) SetIdentity(id auth.Identity) error {
	if id.Owner() != l.s.owner {
		return ErrNotOwner
	}
	l.identity = &id
	l.s.mu.Lock()
	l.s.identity = &id
	l.s.mu.Unlock()
	return nil
}

// batches holds those that are not in use: an idle connection has none.
var batches = sync.Pool{New: func() any { return new(batch) }}

// begin returns the batch, and its time.
func (l *Link) begin() (*batch, time.Time) {
	if l.batch == nil {
		l.batch = batches.Get().(*batch)
	}
	return l.batch, l.batch.begin()
}

// done ends the use of the batch, which has been reset.
func (l *Link) done() {
	batches.Put(l.batch)
	l.batch = nil
}

// Start begins deliveries: first what the last connection left unfinished,
// then what has waited. The gateway calls it after it has written the answer to
// the client's CONNECT.
func (l *Link) Start() {
	s := l.s
	bt, now := l.begin()
	s.mu.Lock()
	if s.link == l {
		s.online.Store(true)
		if s.full = false; s.in != nil {
			s.in.Resume()
		}
		s.filterLocked(l.s.b, bt)
		s.run(s.out.Resume(now, l.window, bt.actions[:0]), bt)
		s.pumpReplay(now, bt)
	}
	s.mu.Unlock()
	l.settle(l.Commit(context.Background()))
}

// settle ends the connection when what it was to be sent could not be stored:
// the next one gets it.
func (l *Link) settle(err error) {
	if err != nil {
		l.s.b.cfg.Logger.Error("store", "client", l.s.id, "err", err)
		l.r.Close(ReasonUnavailable)
	}
}

// Writable tells the session that its receiver can take more after Deliver has
// returned false. It may be called from any goroutine.
func (l *Link) Writable() {
	s := l.s
	bt := batches.Get().(*batch)
	defer batches.Put(bt)
	now := bt.begin()
	s.mu.Lock()
	if s.link == l {
		s.full = false
		s.moved()
		s.run(s.out.Unblocked(now, bt.actions[:0]), bt)
		s.pumpReplay(now, bt)
	}
	s.mu.Unlock()
	_, err := l.s.b.commit(context.Background(), bt, l)
	l.settle(err)
}

// Acked takes an acknowledgement. Errors: session.ErrUnknownID,
// session.ErrWrongAck, ErrTakenOver.
func (l *Link) Acked(kind session.Ack, id uint16) error {
	s := l.s
	bt, now := l.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l {
		return ErrTakenOver
	}
	s.moved()
	actions, err := s.out.Acked(now, kind, id, bt.actions[:0])
	s.run(actions, bt)
	s.pumpReplay(now, bt)
	return err
}

// Waiting returns how many messages at QoS 1 and 2 wait for the client, besides
// those that it has been sent.
func (l *Link) Waiting() int {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l {
		return 0
	}
	n, _ := s.out.Len()
	return n
}

// Release takes the client's PUBREL for an inbound QoS 2 message.
func (l *Link) Release(id uint16) (known bool, err error) {
	s := l.s
	bt, _ := l.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	l.waitStored()
	if s.link != l {
		return false, ErrTakenOver
	}
	known = s.in != nil && s.in.Release(id)
	if known && s.durable() {
		s.in.storer = l
		bt.op(store.Delete, store.Received{ClientID: s.id, PacketID: id})
		bt.released = append(bt.released, id)
	}
	return known, nil
}

// Commit stores what the batch has brought and flushes every receiver that it
// has reached. Acknowledgements may leave after it has returned nil. When it
// fails, none may.
//
// It takes a moment longer when the batch has only reached clients that cannot
// keep up.
func (l *Link) Commit(ctx context.Context) error {
	if l.batch == nil {
		return nil
	}
	met, err := l.s.b.commit(ctx, l.batch, l)
	l.done()
	if err == nil && !l.unpaced {
		l.pace(met)
	}
	return err
}

// stored notes what has become of the inbound QoS 2 identifiers in a batch. When
// the store has not taken it, they become what the store has: the client repeats
// its PUBLISH, to be taken as new, and its PUBREL, to remove the identifier from
// the store after all.
func (l *Link) stored(bt *batch, err error) {
	if l == nil || len(bt.received)+len(bt.released) == 0 {
		return
	}
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		for _, id := range bt.released {
			_, _ = s.in.Publish(id, 0) // no limit, no error
		}
		for _, id := range bt.received {
			s.in.Release(id)
		}
	}
	bt.received, bt.released = nil, nil
	s.in.storer = nil
	if s.in.stored != nil {
		close(s.in.stored)
		s.in.stored = nil
	}
}

// waitStored waits, with s.mu held before and after, until nothing is being
// stored that an earlier connection has brought: what the client repeats after a
// take-over is not acknowledged before the first attempt is safe.
func (l *Link) waitStored() {
	s := l.s
	for s.in != nil && s.in.storer != nil && s.in.storer != l {
		if s.in.stored == nil {
			s.in.stored = make(chan struct{})
		}
		stored := s.in.stored
		s.mu.Unlock()
		<-stored
		s.mu.Lock()
	}
}

// Detach ends the link. Nothing happens when another connection has taken the
// session over meanwhile.
func (l *Link) Detach(f Farewell) {
	if bt := l.batch; bt != nil {
		bt.flush() // what others rely on, if the batch is not committed any more
		l.stored(bt, ErrEnded)
		l.s.b.abandon(bt)
		bt.reset()
		l.done()
	}
	l.s.life.Lock()
	if l.s.unlink(l, f) {
		l.s.settle()
	}
	l.s.life.Unlock()
}

// Publish routes a message of the client to everybody who is subscribed.
// matched counts the receivers. Errors: ErrNotAuthorized, ErrQuota (a retained
// message over the limit), ErrFull, ErrTakenOver, session.ErrReceiveMaximum. At QoS 2 a
// repetition is recognised by its identifier and not routed again; it counts as
// matched, because who received it is forgotten.
func (l *Link) Publish(v message.View) (matched int, err error) {
	if l.gone.Load() {
		return 0, ErrTakenOver
	}
	bt, _ := l.begin()
	if v.QoS == 2 {
		isNew, err := l.receive(v.PacketID)
		if err != nil {
			return 0, err
		}
		if !isNew {
			return 1, nil
		}
	}
	matched, err = l.publish(v, bt)
	if err != nil && v.QoS == 2 { // refused: the identifier is free again // [MQTT-4.3.3-9]
		_, _ = l.Release(v.PacketID)
	}
	return matched, err
}

func (l *Link) publish(v message.View, bt *batch) (matched int, err error) {
	s, now := l.s, bt.now
	b := s.b
	b.stats.PublishReceived.Add(1)
	b.stats.PublishBytesReceived.Add(uint64(len(v.Payload)))
	if err := b.checkPublish(l.identity, v.Topic); err != nil {
		b.stats.dropped(session.DropNotAllowed)
		return 0, err
	}
	retain := v.Retain
	if v.QoS > 0 || retain {
		switch err := b.checkRoom(v, bt); {
		case err == nil:
		case v.QoS > 0:
			return 0, err
		default: // nobody would hear of a refusal: those who are there get it
			retain = false
		}
	}
	var m *message.Message
	if retain {
		// Before the match: a new subscription is found by the one or finds
		// the other.
		m = v.Copy(l.topic(v.Topic), now, s.id, s.owner)
		if err := b.retain(m, bt); err != nil {
			return 0, err
		}
	}
	bt.matches = b.subs.MatchBytes(bt.matches[:0], v.Topic)
	if len(bt.matches) == 0 {
		b.stats.NoSubscribers.Add(1)
		return 0, nil // never copied, unless retained
	}
	switch {
	case m != nil:
	case v.QoS > 0:
		m = v.Copy(l.topic(v.Topic), now, s.id, s.owner)
	default: // nobody keeps it
		v.Lend(&bt.lent, l.topic(v.Topic), now, s.id, s.owner)
		matched = b.routeMatches(&bt.lent, s, bt)
		bt.lent = message.Message{}
		return matched, nil
	}
	return b.routeMatches(m, s, bt), nil
}

// keptTopic bounds the topic that a link remembers.
const keptTopic = 256

// topic is the name as a string. Most clients publish to the same one again.
func (l *Link) topic(name []byte) string {
	if l.last == string(name) {
		return l.last
	}
	s := string(name)
	if len(s) <= keptTopic {
		l.last = s
	}
	return s
}

// receive notes the identifier of a QoS 2 message.
func (l *Link) receive(id uint16) (isNew bool, err error) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	l.waitStored()
	if s.link != l {
		return false, ErrTakenOver
	}
	isNew, err = s.inbound().Publish(id, l.receiveMaximum)
	if isNew && s.durable() {
		s.in.storer = l
		bt, _ := l.begin()
		bt.op(store.Put, store.Received{ClientID: s.id, PacketID: id})
		bt.received = append(bt.received, id)
	}
	return isNew, err
}
