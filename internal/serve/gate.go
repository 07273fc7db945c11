package serve

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/auth"
)

// gate is the authenticator that gateways hold. What is behind it changes on
// reload.
type gate struct{ rules atomic.Pointer[gateRules] }

// gateRules is immutable.
type gateRules struct {
	closed auth.Chain            // for most listeners
	others map[string]auth.Chain // by listener name
}

// newGateRules lets strangers come in, or ask to, where the plans of rs say so.
func newGateRules(a *authParts, rs []*running) *gateRules {
	g := &gateRules{closed: a.chain, others: map[string]auth.Chain{}}
	for _, r := range rs {
		switch {
		case r.plan.door:
			g.others[r.name()] = a.chain.Before(a.door.keeper)
		case r.plan.open:
			g.others[r.name()] = append(slices.Clip(slices.Clone(a.chain)), auth.Anonymous{})
		}
	}
	return g
}

// Authenticate implements auth.Authenticator.
func (g *gate) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	r := g.rules.Load()
	if chain, ok := r.others[c.Listener]; ok {
		return chain.Authenticate(ctx, c)
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
