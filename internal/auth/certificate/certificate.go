// Package certificate authenticates clients by the common name of their TLS
// certificate. Whether a certificate is asked for, and which authorities it may
// come from, is the listener's configuration; this package relies on the
// verification that the TLS handshake has made.
//
// It is strict about names: a certificate must have exactly one common name,
// of printable UTF-8 without an asterisk, or nobody is let in. It also looks at
// the dates and the purpose of the certificate again, because a connection may
// rest on an older handshake. All methods may be called from any goroutine.
//
// It leaves out revocation lists, and other names than the common name.
package certificate

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/auth"
)

// Config of the method. The zero value is fine.
type Config struct {
	// AsUsername makes the common name the client's user name, whatever user
	// name it presents. Otherwise a client that presents one must present the
	// common name.
	AsUsername bool
}

// maxNameBytes is RFC 5280's upper bound for a common name.
const maxNameBytes = 64

// What makes Name refuse a certificate.
var (
	ErrNoName    = errors.New("the certificate has no common name")
	ErrManyNames = errors.New("the certificate has more than one common name")
	ErrBadName   = errors.New("the common name is not plain text of 1 to 64 bytes")
)

// Authenticator is the method. It has no state.
type Authenticator struct{ cfg Config }

// New returns the method.
func New(c Config) *Authenticator { return &Authenticator{c} }

// Concerns implements auth.Directory: of clients whose certificate was verified.
func (a *Authenticator) Concerns(c auth.Credentials) bool {
	return c.TLS != nil && len(c.TLS.VerifiedChains) > 0
}

// Knows implements auth.Directory. Nobody can tell whom an authority has
// signed for.
func (a *Authenticator) Knows(string) bool { return false }

// Authenticate implements auth.Authenticator. It ignores clients without a
// certificate, and denies those whose certificate was not verified.
func (a *Authenticator) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return auth.Identity{}, auth.Ignore, nil
	}
	leaf := c.TLS.PeerCertificates[0]
	if !verified(c.TLS.VerifiedChains, leaf) || !valid(leaf, time.Now()) {
		return auth.Identity{}, auth.Deny, nil
	}
	name, err := Name(leaf)
	if err != nil {
		return auth.Identity{}, auth.Deny, nil //nolint:nilerr // the client's fault, not ours
	}
	username := c.Username
	switch {
	case a.cfg.AsUsername:
		username = name
	case c.HasUsername && c.Username != name:
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: name, Method: "certificate", ClientID: c.ClientID, Username: username}, auth.Allow, nil
}

// verified reports whether the handshake has found a chain for leaf.
func verified(chains [][]*x509.Certificate, leaf *x509.Certificate) bool {
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return len(chain) > 0 && chain[0].Equal(leaf)
	})
}

// valid reports whether leaf may be used by a client at this time.
func valid(leaf *x509.Certificate, now time.Time) bool {
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return false
	}
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true // for any purpose, RFC 5280 §4.2.1.12
	}
	return slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// Name returns the common name of a certificate, or why it cannot stand for a
// client.
func Name(leaf *x509.Certificate) (string, error) {
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3}
	var names []any
	for _, n := range leaf.Subject.Names { // Subject.CommonName is only the last
		if n.Type.Equal(commonName) {
			names = append(names, n.Value)
		}
	}
	switch len(names) {
	case 0:
		return "", ErrNoName
	case 1:
	default:
		return "", ErrManyNames
	}
	name, ok := names[0].(string)
	if !ok || name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) || strings.Contains(name, "*") ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", ErrBadName
	}
	return name, nil
}
