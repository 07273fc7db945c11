package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
)

// faulty is a store that can be told to fail, and to call before and after it
// applies.
type faulty struct {
	*mem.Store
	mu     sync.Mutex
	err    error
	before func([]store.Op)
	after  func([]store.Op)
	waits  <-chan error
}

func newFaulty() *faulty { return &faulty{Store: mem.New()} }

// Apply implements store.Store.
func (f *faulty) Apply(ctx context.Context, batch []store.Op) error {
	f.mu.Lock()
	err, before, after, waits := f.err, f.before, f.after, f.waits
	f.mu.Unlock()
	if waits != nil {
		err = <-waits
	}
	if err != nil {
		return err
	}
	if before != nil {
		before(batch)
	}
	err = f.Store.Apply(ctx, batch)
	if after != nil {
		after(batch)
	}
	return err
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
}

// slow makes the store wait for the outcome.
func (f *faulty) slow(outcome <-chan error) {
	f.mu.Lock()
	f.waits = outcome
	f.mu.Unlock()
}

func (f *faulty) hook(fn func([]store.Op)) {
	f.mu.Lock()
	f.before = fn
	f.mu.Unlock()
}

func (f *faulty) hookAfter(fn func([]store.Op)) {
	f.mu.Lock()
	f.after = fn
	f.mu.Unlock()
}

// records renders what a store holds.
func records(t testing.TB, s store.Store) []string {
	t.Helper()
	var all []string
	err := s.Load(context.Background(), func(r store.Record) error {
		switch r := r.(type) {
		case store.Session:
			all = append(all, "session "+r.ClientID)
		case store.Subscription:
			all = append(all, "subscription "+r.ClientID+" "+r.Filter)
		case store.Backlog:
			page, err := s.Queue(context.Background(), r.ClientID, r.First-1, r.Last)
			for _, q := range page {
				all = append(all, fmt.Sprintf("queued %s %s", r.ClientID, q.Message.Payload))
			}
			return err
		case store.Released:
			all = append(all, "released "+r.ClientID)
		case store.Received:
			all = append(all, fmt.Sprintf("received %s %d", r.ClientID, r.PacketID))
		case store.Retained:
			all = append(all, "retained "+r.Message.Topic)
		case store.Will:
			all = append(all, "will "+r.ClientID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantRecords(t testing.TB, s store.Store, want ...string) {
	t.Helper()
	if got := records(t, s); !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// rules is an authorizer that denies what is listed as "owner action topic".
type rules struct {
	mu   sync.Mutex
	deny map[string]bool
}

func newRules(deny ...string) *rules {
	r := &rules{deny: map[string]bool{}}
	for _, d := range deny {
		r.deny[d] = true
	}
	return r
}

func (r *rules) add(rule string) {
	r.mu.Lock()
	r.deny[rule] = true
	r.mu.Unlock()
}

// Authorize implements auth.Authorizer.
func (r *rules) Authorize(_ context.Context, id *auth.Identity, act auth.Action, topic string) auth.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := [...]string{"publish", "subscribe", "receive"}[act]
	if r.deny[id.Name+" "+name+" "+topic] {
		return auth.Deny
	}
	return auth.Allow
}
