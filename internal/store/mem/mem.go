// Package mem is the store that keeps everything in memory and nothing longer
// than the process. It is what `iotctl serve` uses for ephemeral state and
// what tests restart a broker on.
//
// Batches are atomic and immediately visible; nothing is promised about power
// cuts. Messages are shared, not copied.
package mem

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/store"
)

// Store implements store.Store in memory. The zero value is ready for use.
type Store struct {
	mu       sync.Mutex
	sessions map[string]*session
	retained map[string]store.Retained
	wills    map[string]store.Will
}

// session is everything that goes when the session goes. There are many, so what
// most do not have is apart.
type session struct {
	owner       string
	expiry      time.Duration
	ended       int64 // Unix nanoseconds, 0: it has a connection
	first, sent uint64
	subs        sorted[string, options] // by filter
	kept        sorted[string, string]
	traffic     *traffic // nil: none
}

// traffic is what is under way.
type traffic struct {
	queue    queue
	received sorted[uint16, struct{}]
}

func (o *session) record(client string) store.Session {
	r := store.Session{ClientID: client, Owner: o.owner, Expiry: o.expiry, First: o.first, Sent: o.sent}
	if o.ended != 0 {
		r.Ended = time.Unix(0, o.ended)
	}
	return r
}

// underway returns the traffic, to which something is to be added.
func (o *session) underway() *traffic {
	if o.traffic == nil {
		o.traffic = new(traffic)
	}
	return o.traffic
}

// rest lets go of traffic when there is none.
func (o *session) rest() {
	if t := o.traffic; t != nil && len(t.queue)+len(t.received) == 0 {
		o.traffic = nil
	}
}

// options are what a subscription is besides its key.
type options struct {
	qos, handling   uint8
	noLocal, retain bool
	id              uint32
}

// New returns an empty store.
func New() *Store { return &Store{} }

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, batch []store.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range batch {
		if op.Kind == store.Put {
			s.put(op.Record)
		} else {
			s.remove(op.Record)
		}
	}
	return nil
}

func (s *Store) put(r store.Record) {
	switch r := r.(type) {
	case store.Session:
		o := s.sessions[r.ClientID]
		if o == nil {
			o = &session{}
			put(&s.sessions, r.ClientID, o)
		}
		o.owner, o.expiry, o.ended, o.first, o.sent = r.Owner, r.Expiry, 0, r.First, r.Sent
		if !r.Ended.IsZero() {
			o.ended = r.Ended.UnixNano()
		}
		if o.traffic != nil {
			o.traffic.queue.removeBelow(r.First)
			o.rest()
		}
	case store.Subscription:
		if o := s.sessions[r.ClientID]; o != nil {
			o.subs.put(r.Filter, options{r.QoS, r.RetainHandling, r.NoLocal, r.RetainAsPublished, r.ID})
		}
	case store.Queued:
		s.putQueued(r.ClientID, r.Seq, r)
	case store.Released:
		s.putQueued(r.ClientID, r.Seq, r)
	case store.Received:
		if o := s.sessions[r.ClientID]; o != nil {
			o.underway().received.put(r.PacketID, struct{}{})
		}
	case store.Kept:
		if o := s.sessions[r.ClientID]; o != nil {
			o.kept.put(r.Key, string(r.Data))
		}
	case store.Retained:
		put(&s.retained, r.Message.Topic, r)
	case store.Will:
		put(&s.wills, r.ClientID, r)
	}
}

func (s *Store) remove(r store.Record) {
	switch r := r.(type) {
	case store.Session:
		delete(s.sessions, r.ClientID)
		delete(s.wills, r.ClientID)
	case store.Subscription:
		if o := s.sessions[r.ClientID]; o != nil {
			o.subs.remove(r.Filter)
		}
	case store.Queued:
		s.removeQueued(r.ClientID, r.Seq)
	case store.Released:
		s.removeQueued(r.ClientID, r.Seq)
	case store.Received:
		if o := s.sessions[r.ClientID]; o != nil && o.traffic != nil {
			o.traffic.received.remove(r.PacketID)
			o.rest()
		}
	case store.Kept:
		if o := s.sessions[r.ClientID]; o != nil {
			o.kept.remove(r.Key)
		}
	case store.Retained:
		delete(s.retained, r.Message.Topic)
	case store.Will:
		delete(s.wills, r.ClientID)
	}
}

func (s *Store) putQueued(client string, seq uint64, r store.Record) {
	if o := s.sessions[client]; o != nil && seq >= o.first {
		o.underway().queue.put(seq, r)
	}
}

func (s *Store) removeQueued(client string, seq uint64) {
	if o := s.sessions[client]; o != nil && o.traffic != nil {
		o.traffic.queue.remove(seq)
		o.rest()
	}
}

func (o options) record(client, filter string) store.Subscription {
	return store.Subscription{
		ClientID: client, Filter: filter, QoS: o.qos, NoLocal: o.noLocal,
		RetainAsPublished: o.retain, RetainHandling: o.handling, ID: o.id,
	}
}

// put allocates the map when it is first needed.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, fn func(store.Record) error) error {
	for _, r := range s.snapshot() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) snapshot() []store.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []store.Record
	for _, client := range slices.Sorted(maps.Keys(s.sessions)) {
		o := s.sessions[client]
		all = append(all, o.record(client))
		for _, sub := range o.subs {
			all = append(all, sub.value.record(client, sub.key))
		}
		if o.traffic == nil {
			continue
		}
		all = append(all, o.traffic.queue.load(client)...)
		for _, r := range o.traffic.received {
			all = append(all, store.Received{ClientID: client, PacketID: r.key})
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(s.retained)) {
		all = append(all, s.retained[topic])
	}
	for _, client := range slices.Sorted(maps.Keys(s.wills)) {
		all = append(all, s.wills[client])
	}
	return all
}

// Queue implements store.Store.
func (s *Store) Queue(ctx context.Context, client string, after, through uint64) ([]store.Queued, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.sessions[client]; o != nil && o.traffic != nil {
		return o.traffic.queue.page(after, through), nil
	}
	return nil, nil
}

// Kept implements store.Store.
func (s *Store) Kept(ctx context.Context, client string) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.sessions[client]
	if o == nil {
		return nil, nil
	}
	all := make(map[string][]byte, len(o.kept))
	for _, k := range o.kept {
		all[k.key] = []byte(k.value)
	}
	return all, nil
}

// Close implements store.Store. What was stored stays loadable, so that a test
// can hand the same store to a second broker.
func (s *Store) Close() error { return nil }
