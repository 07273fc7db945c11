// Package psk authenticates clients by the identity of the pre-shared key that
// they have proved to have in the DTLS handshake. Which identities there are, and
// their keys, is the listener's configuration; this package relies on the proof.
//
// All methods may be called from any goroutine.
package psk

import (
	"context"

	"github.com/iotctl/iotctl/internal/auth"
)

// Authenticator is the method. It has no state.
type Authenticator struct{}

// New returns the method.
func New() *Authenticator { return &Authenticator{} }

// Concerns implements auth.Directory: of clients that have proved an identity.
func (*Authenticator) Concerns(c auth.Credentials) bool { return c.PSKIdentity != "" }

// Knows implements auth.Directory. The listeners have the identities.
func (*Authenticator) Knows(string) bool { return false }

// Authenticate implements auth.Authenticator. It ignores clients without a
// pre-shared key, and denies those that call themselves other than what they have
// proved to be.
func (*Authenticator) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	switch {
	case c.PSKIdentity == "":
		return auth.Identity{}, auth.Ignore, nil
	case c.HasUsername && c.Username != c.PSKIdentity:
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: c.PSKIdentity, Method: "psk", ClientID: c.ClientID, Username: c.Username}, auth.Allow, nil
}
