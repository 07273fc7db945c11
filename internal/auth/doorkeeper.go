package auth

import (
	"context"
	"time"
)

// Doorkeeper stands behind all other methods of a listener and decides about
// the clients that none of them knows. It may let a client in that nobody knew
// when the broker was started, and send it away again later.
type Doorkeeper interface {
	Authenticator
	// TakeOver is called before the first question: at the start with nil, on
	// reload with the one that it replaces, whose memory it goes on with. taken
	// reports whether another method vouches for a name.
	TakeOver(from Doorkeeper, taken func(name string) bool)
	// Revoked lists who has been let in and may not stay. It names each of them
	// for some time, because a client may be on its way in.
	Revoked(now time.Time) []Identity
}

// Directory is an optional interface of an Authenticator that can tell whom it
// has to do with. In front of a Doorkeeper it is asked about those alone: a
// wrong password for a name that it knows stays a refusal, one for a name that
// it does not know is no concern of its.
type Directory interface {
	Authenticator
	// Concerns reports whether a client claims to be somebody whom it knows.
	Concerns(c Credentials) bool
	// Knows reports whether it vouches for a name, as far as it can tell without
	// a client.
	Knows(name string) bool
}

// Before is the chain in front of a doorkeeper, who comes last: clients who are
// no concern of a Directory are passed on.
//
// What a client is told then depends on whether a name is known. That is so by
// design, wherever strangers may ask to be let in.
func (c Chain) Before(d Doorkeeper) Chain {
	all := make(Chain, 0, len(c)+1)
	for _, a := range c {
		if dir, ok := a.(Directory); ok {
			a = acquaintances{dir}
		}
		all = append(all, a)
	}
	return append(all, d)
}

// Knows reports whether a Directory in the chain knows the name.
func (c Chain) Knows(name string) bool {
	for _, a := range c {
		if dir, ok := a.(Directory); ok && dir.Knows(name) {
			return true
		}
	}
	return false
}

// acquaintances asks a Directory about those alone who concern it.
type acquaintances struct{ Directory }

// Authenticate implements Authenticator.
func (a acquaintances) Authenticate(ctx context.Context, c Credentials) (Identity, Verdict, error) {
	if !a.Concerns(c) {
		return Identity{}, Ignore, nil
	}
	return a.Directory.Authenticate(ctx, c)
}
