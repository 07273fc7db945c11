package broker

import (
	"context"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// load brings back what the store has kept. Sessions that had a connection
// when the broker ended count as cut off now, unless they are restored: see
// cutOff.
func (b *Broker) load(ctx context.Context) error {
	now := time.Now()
	err := b.cfg.Store.Load(ctx, func(r store.Record) error {
		b.loadRecord(r)
		return nil
	})
	if err != nil {
		return err
	}
	b.each(func(s *Session) {
		s.life.Lock()
		defer s.life.Unlock()
		if s.away == nil {
			s.leave(now)
			s.interrupted = true
			return
		}
		s.schedule()
	})
	return nil
}

// loadRecord takes one record; the session of a record is there, because
// Load gives it first.
func (b *Broker) loadRecord(r store.Record) {
	switch r := r.(type) {
	case store.Session:
		s := newSession(b, r.ClientID, r.Owner)
		s.expiry = r.Expiry
		s.identity = &auth.Identity{Name: r.Owner, ClientID: r.ClientID, Username: r.Owner}
		if !r.Ended.IsZero() {
			s.leave(r.Ended)
		}
		s.begin(r.First)
		s.before = r.Sent
		s.out.Skip(r.Sent) // what comes now has not been sent
		s.keep()
		b.owners.add(r.Owner, 1)
		b.shard(r.ClientID).sessions[r.ClientID] = s
		b.sessions.Add(1)
	case store.Subscription:
		s := b.lookup(r.ClientID)
		if s == nil {
			return
		}
		sub, err := newSub(s, Subscription{
			Filter: r.Filter, QoS: r.QoS, NoLocal: r.NoLocal,
			RetainAsPublished: r.RetainAsPublished, RetainHandling: r.RetainHandling, ID: r.ID,
		})
		if err != nil {
			b.cfg.Logger.Warn("stored subscription left out", "client", r.ClientID, "err", err)
			return
		}
		s.subs.put(sub)
		s.shared = s.shared || sub.share() != ""
		s.several.Store(s.subs.len() > 1)
		b.addSub(sub)
	case store.Backlog:
		if s := b.lookup(r.ClientID); s != nil {
			if s.away == nil { // nobody knows what the last connection was sent
				s.before = r.Last
			}
			s.out.Restore(r.First, r.Last, r.Messages, r.Bytes)
		}
	case store.Released:
		if s := b.lookup(r.ClientID); s != nil {
			s.out.RestoreReleased(r.Seq)
		}
	case store.Received:
		if s := b.lookup(r.ClientID); s != nil {
			_, _ = s.inbound().Publish(r.PacketID, 0) // no limit, no error
		}
	case store.Retained:
		var discard batch // it is stored already
		_ = b.retain(r.Message, &discard)
	case store.Will:
		if s := b.lookup(r.ClientID); s != nil {
			s.will = &will{message: r.Message, delay: r.Delay, expiry: r.ExpiryInterval, due: r.Due}
		}
	}
}

// queued is the record of a message that waits for the session.
func (s *Session) queued(seq uint64, d message.Delivery) store.Queued {
	return store.Queued{
		ClientID: s.id, Seq: seq, Message: d.Message, QoS: d.QoS, Retain: d.Retain,
		SubscriptionIDs: d.SubscriptionIDs, Share: d.Share,
	}
}
