package authtest

import (
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
)

// Request is a question to an authorizer.
type Request struct {
	Identity auth.Identity
	Action   auth.Action
	Topic    string
}

// Authorizer says what to expect of one.
type Authorizer struct {
	New     func(t *testing.T) auth.Authorizer
	Allowed []Request
	Denied  []Request // or ignored, which denies at the end of the list
	// Allocates is for authorizers that ask elsewhere.
	Allocates bool
}

// RunAuthorizer holds an authorizer to the contract.
func RunAuthorizer(t *testing.T, a Authorizer) {
	if len(a.Allowed) == 0 || len(a.Denied) == 0 {
		t.Fatal("nothing to expect of one of the verdicts")
	}
	z := a.New(t)
	check := func(t *testing.T) {
		for _, r := range a.Allowed {
			if v := ask(t, z, r); v != auth.Allow {
				t.Errorf("%v of %q by %+v: %v", r.Action, r.Topic, r.Identity, v)
			}
		}
		for _, r := range a.Denied {
			if v := ask(t, z, r); v == auth.Allow {
				t.Errorf("%v of %q by %+v: %v", r.Action, r.Topic, r.Identity, v)
			}
		}
	}
	t.Run("verdicts", check)
	t.Run("unknown action", func(t *testing.T) {
		for _, r := range a.Allowed {
			if r.Action = 99; ask(t, z, r) == auth.Allow {
				t.Errorf("%v of %q by %+v is allowed", r.Action, r.Topic, r.Identity)
			}
		}
	})
	t.Run("parallel", func(t *testing.T) {
		var wg sync.WaitGroup
		defer wg.Wait()
		for range 4 {
			wg.Go(func() { check(t) })
		}
	})
	t.Run("allocations", func(t *testing.T) {
		if a.Allocates {
			t.Skip("as expected")
		}
		for _, r := range append(a.Allowed[:len(a.Allowed):len(a.Allowed)], a.Denied...) {
			if r.Action == auth.Subscribe {
				continue
			}
			ctx := t.Context()
			id := &r.Identity
			if n := testing.AllocsPerRun(20, func() { z.Authorize(ctx, id, r.Action, r.Topic) }); n != 0 {
				t.Errorf("%v of %q by %+v: %v allocations", r.Action, r.Topic, r.Identity, n)
			}
		}
	})
}

// ask also checks that the identity comes back as it was.
func ask(t *testing.T, z auth.Authorizer, r Request) auth.Verdict {
	t.Helper()
	id := r.Identity
	v := z.Authorize(t.Context(), &id, r.Action, r.Topic)
	if id != r.Identity {
		t.Errorf("identity %+v was changed to %+v", r.Identity, id)
	}
	return v
}
