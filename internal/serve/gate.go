package serve

import (
	"context"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/auth"
)

// gate is the authenticator that gateways hold. What is behind it changes on
// reload.
type gate struct{ rules atomic.Pointer[gateRules] }

// gateRules is immutable.
type gateRules struct {
	closed auth.Chain      // for most listeners
	open   auth.Chain      // where anonymous clients are let in
	isOpen map[string]bool // by listener name
}

func newGateRules(methods auth.Chain) *gateRules {
	return &gateRules{
		closed: methods,
		open:   append(methods[:len(methods):len(methods)], auth.Anonymous{}),
		isOpen: map[string]bool{},
	}
}

// Authenticate implements auth.Authenticator.
func (g *gate) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	r := g.rules.Load()
	if r.isOpen[c.Listener] {
		return r.open.Authenticate(ctx, c)
	}
	return r.closed.Authenticate(ctx, c)
}

// authorizer is nil when no method judges: auth.Authorizers would allow
// everything just as well, but the broker need not ask at every delivery.
func (a *authParts) authorizer() auth.Authorizer {
	if len(a.authorizers) == 0 {
		return nil
	}
	return a.authorizers
}
