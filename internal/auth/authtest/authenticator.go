package authtest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
)

// Authenticator says what to expect of one.
type Authenticator struct {
	New func(t *testing.T) auth.Authenticator
	// Allowed are credentials that it vouches for, by the name that it vouches
	// for. Denied and Ignored are those that it answers so.
	Allowed map[string]auth.Credentials
	Denied  map[string]auth.Credentials // by a description
	Ignored map[string]auth.Credentials
}

// Run holds an authenticator to the contract.
func Run(t *testing.T, a Authenticator) {
	if len(a.Allowed) == 0 || len(a.Denied) == 0 || len(a.Ignored) == 0 {
		t.Fatal("nothing to expect of one of the verdicts")
	}
	t.Run("allowed", a.allowed)
	t.Run("denied", func(t *testing.T) { a.refused(t, a.Denied, auth.Deny) })
	t.Run("ignored", func(t *testing.T) { a.refused(t, a.Ignored, auth.Ignore) })
	t.Run("no credentials", a.empty)
	t.Run("password is left alone", a.password)
	t.Run("ended context", a.ended)
	t.Run("parallel", a.parallel)
}

func (a Authenticator) allowed(t *testing.T) {
	z := a.New(t)
	for name, c := range a.Allowed {
		for range 2 { // a cache answers alike
			id, v, err := z.Authenticate(t.Context(), c)
			if err := checkAllowed(name, c, id, v, err); err != nil {
				t.Error(err)
			}
		}
	}
}

func checkAllowed(name string, c auth.Credentials, id auth.Identity, v auth.Verdict, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case v != auth.Allow:
		return fmt.Errorf("%s: verdict %v", name, v)
	case id.Name != name || id.Owner() != name || name == "":
		return fmt.Errorf("%s: vouches for %q, owner %q", name, id.Name, id.Owner())
	case id.Method == "":
		return fmt.Errorf("%s: no method", name)
	case id.ClientID != c.ClientID:
		return fmt.Errorf("%s: client identifier %q, want %q", name, id.ClientID, c.ClientID)
	}
	return nil
}

func (a Authenticator) refused(t *testing.T, all map[string]auth.Credentials, want auth.Verdict) {
	z := a.New(t)
	for what, c := range all {
		for range 2 {
			id, v, err := z.Authenticate(t.Context(), c)
			if v != want || err != nil {
				t.Errorf("%s: %v, %v, want %v", what, v, err, want)
			}
			if id != (auth.Identity{}) {
				t.Errorf("%s: vouches for %+v", what, id)
			}
		}
	}
}

func (a Authenticator) empty(t *testing.T) {
	if _, v, _ := a.New(t).Authenticate(t.Context(), auth.Credentials{}); v == auth.Allow {
		t.Error("allowed")
	}
}

// password overwrites what it passed in, as a gateway's read buffer does.
func (a Authenticator) password(t *testing.T) {
	z := a.New(t)
	for name, c := range a.Allowed {
		if !c.HasPassword {
			continue
		}
		given := c
		given.Password = bytes.Clone(c.Password)
		if _, v, err := z.Authenticate(t.Context(), given); v != auth.Allow {
			t.Fatalf("%s: %v, %v", name, v, err)
		}
		if !bytes.Equal(given.Password, c.Password) {
			t.Errorf("%s: the password was changed", name)
		}
		for i := range given.Password {
			given.Password[i] ^= 0x55
		}
		if _, v, _ := z.Authenticate(t.Context(), given); v != auth.Deny {
			t.Errorf("%s: %v with another password in the same buffer", name, v)
		}
		if _, v, err := z.Authenticate(t.Context(), c); v != auth.Allow {
			t.Errorf("%s: %v, %v after the buffer has changed", name, v, err)
		}
	}
}

// ended allows either verdict to those who would be allowed, but nothing else.
func (a Authenticator) ended(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	z := a.New(t)
	for what, c := range a.Denied {
		if _, v, _ := z.Authenticate(ctx, c); v == auth.Allow {
			t.Errorf("%s: allowed", what)
		}
	}
	for name, c := range a.Allowed {
		id, v, err := z.Authenticate(ctx, c)
		if err != nil && (v == auth.Allow || id != (auth.Identity{})) {
			t.Errorf("%s: %v for %+v with error %v", name, v, id, err)
		}
		if err == nil && v != auth.Allow {
			t.Errorf("%s: %v without an error", name, v)
		}
	}
}

func (a Authenticator) parallel(t *testing.T) {
	z := a.New(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 4 {
		for name, c := range a.Allowed {
			wg.Go(func() {
				id, v, err := z.Authenticate(t.Context(), c)
				if err := checkAllowed(name, c, id, v, err); err != nil {
					t.Error(err)
				}
			})
		}
		for what, c := range a.Denied {
			wg.Go(func() {
				if _, v, err := z.Authenticate(t.Context(), c); v != auth.Deny || err != nil {
					t.Errorf("%s: %v, %v", what, v, err)
				}
			})
		}
	}
}
