package broker

import (
	"context"
	"math"
	"slices"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// fetch reads the next page of the session's queue and goes on with it. Called
// without locks.
func (s *Session) fetch(ctx context.Context, bt *batch) {
	s.mu.Lock()
	after, through := s.unread()
	s.mu.Unlock()
	var page []store.Queued
	var err error
	if after < through {
		page, err = s.b.cfg.Store.Queue(ctx, s.id, after, through)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended.Load(): // its queue is gone
	case err != nil:
		s.out.Unfetched()
		s.b.cfg.Logger.Error("store", "client", s.id, "err", err)
		if s.link != nil {
			s.link.r.Close(ReasonUnavailable) // the next connection gets it
		}
	case after >= through: // goes on when what is being stored has been
		s.out.Unfetched()
	default:
		s.run(s.out.Page(bt.begin(), s.page(page, through), bt.actions[:0]), bt)
		s.pumpReplay(bt.begin(), bt)
	}
}

// unread returns the part of the queue that may be read. Called with mu held.
func (s *Session) unread() (after, through uint64) {
	if len(s.storing) > 0 {
		return s.out.Unread(s.storing[0])
	}
	return s.out.Unread(0)
}

// page turns what the store has of the queue into deliveries. Called with mu
// held.
func (s *Session) page(stored []store.Queued, through uint64) session.Page {
	if more(stored) {
		through = stored[len(stored)-1].Seq
	}
	pg := session.Page{Items: make([]session.Item, len(stored)), Through: through}
	for i, q := range stored {
		pg.Items[i] = session.Item{
			Seq: q.Seq, Delivery: delivery(q, q.Seq <= s.before),
			Refused: !s.mayReceive(q.Message.Topic),
		}
	}
	return pg
}

// delivery is what was queued; dup says that it may have been sent.
// // [MQTT-3.3.1-1]
func delivery(q store.Queued, dup bool) message.Delivery {
	return message.Delivery{
		Message: q.Message, QoS: q.QoS, Retain: q.Retain, Dup: dup,
		SubscriptionIDs: q.SubscriptionIDs, Share: q.Share,
	}
}

// redeliverParked gives what a session that ends has in the store, from shared
// subscriptions, to their other members. What it may have been sent at QoS 2 is
// not repeated. What was being stored is left to offer. // [MQTT-4.8.2-5]
//
// What is passed on leaves the queue in the batch that puts it into another, so
// that a crash does not leave it in both. It is removed as a Released, which has
// the same key: the removal of a Queued may come later than the rest of its
// batch.
func (s *Session) redeliverParked(after uint64, storing []uint64) {
	b := s.b
	for {
		page, err := b.cfg.Store.Queue(context.Background(), s.id, after, math.MaxUint64)
		if err != nil {
			b.cfg.Logger.Error("store", "client", s.id, "err", err)
		}
		bt := b.newBatch()
		for _, q := range page {
			if _, found := slices.BinarySearch(storing, q.Seq); found {
				continue
			}
			if q.Share == "" || q.QoS == 2 && q.Seq <= s.before {
				b.stats.dropped(session.DropEnded)
				continue
			}
			b.redeliver(delivery(q, false), bt)
			bt.op(store.Delete, store.Released{ClientID: s.id, Seq: q.Seq})
		}
		b.commitQuietly(bt)
		if !more(page) {
			return
		}
		after = page[len(page)-1].Seq
	}
}

// more reports whether a page may not be the last.
func more(page []store.Queued) bool {
	bytes := 0
	for _, q := range page {
		bytes += q.Message.Size()
	}
	return len(page) >= store.PageMessages || bytes > store.PageBytes
}
