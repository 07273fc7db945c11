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
	chain []auth.Authenticator
	open  map[string]bool // anonymous clients are let in, by listener name
}

// Authenticate implements auth.Authenticator: the first method with an opinion
// decides.
func (g *gate) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	r := g.rules.Load()
	for _, a := range r.chain {
		id, v, err := a.Authenticate(ctx, c)
		if err != nil || v != auth.Ignore {
			return id, v, err
		}
	}
	if r.open[c.Listener] {
		return auth.Identity{Method: "anonymous", ClientID: c.ClientID, Username: c.Username}, auth.Allow, nil
	}
	return auth.Identity{}, auth.Deny, nil
}

// authorizers asks each in turn until one has an opinion; nobody's opinion is
// a denial.
type authorizers []auth.Authorizer

// Authorize implements auth.Authorizer.
func (as authorizers) Authorize(ctx context.Context, id *auth.Identity, act auth.Action, topic string) auth.Verdict {
	for _, a := range as {
		if v := a.Authorize(ctx, id, act, topic); v != auth.Ignore {
			return v
		}
	}
	return auth.Deny
}

// authorizer is nil, which allows everything, when no method judges.
func (a *authParts) authorizer() auth.Authorizer {
	switch len(a.authorizers) {
	case 0:
		return nil
	case 1:
		return a.authorizers[0]
	}
	return authorizers(a.authorizers)
}
