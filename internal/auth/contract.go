// Package auth decides who a client is and what it may do. This file is the
// contract; each method is a sub-package.
//
// To add an authenticator or an authorizer:
//
//  1. create auth/x and implement Authenticator, Authorizer or both;
//  2. run authtest.Run over it;
//  3. add one line to cmd/iotctl/builtin.go.
//
// Methods are put together by Chain and Authorizers. Everything fails closed:
// an error denies, and so does an authorizer that knows no rule. What holds for
// every implementation is checked by authtest: it may be called from any
// goroutine, does not keep or change Credentials.Password after it has
// returned, and never vouches for the empty name.
package auth

import (
	"context"
	"crypto/tls"
	"net"
)

// Identity is who a client has proved to be.
type Identity struct {
	// Name is the user name, the certificate's common name or the like; "" is
	// anonymous.
	Name string
	// Method names the authenticator that vouched for it, for logs.
	Method string
	// ClientID and Username are what the client presented; rights go by Name,
	// which is proved. ClientID stands for itself in patterns such as %c.
	ClientID string
	Username string
}

// Owner is the key by which sessions belong to an identity. All anonymous
// clients share one, "", which no method gives to an identity that it vouches
// for. Two methods that vouch for one name vouch for one owner.
func (id *Identity) Owner() string { return id.Name }

// Credentials are what a client presents. Password is never logged.
type Credentials struct {
	ClientID    string
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte
	TLS         *tls.ConnectionState // nil without TLS
	PSKIdentity string               // of the pre-shared key that the client has proved to have; "" for none
	Remote      net.Addr
	Listener    string // name of the listener
	Protocol    string // "mqtt", "mqttsn", …
}

// Verdict is an answer.
type Verdict uint8

// Verdicts. Ignore passes the question on to the next in the chain.
const (
	Ignore Verdict = iota
	Allow
	Deny
)

// Authenticator tells who presents the credentials. Ignore is for credentials
// of another kind than this method's, never for wrong ones. An error denies and
// is logged; the client learns only that it was refused, and neither answer nor
// time may tell it why.
type Authenticator interface {
	Authenticate(ctx context.Context, c Credentials) (Identity, Verdict, error)
}

// Action is what a client wants to do with a topic.
type Action uint8

// Actions. Receive is asked at every delivery: live, retained, queued, resent.
const (
	Publish Action = iota
	Subscribe
	Receive
)

// Authorizer decides about one action. topic is a topic name for Publish and
// Receive and a topic filter (without $share prefix) for Subscribe. A filter
// that is allowed may match topics that are not: those are kept back by
// Receive. It is called for every message and every delivery, so it must
// neither allocate nor wait.
type Authorizer interface {
	Authorize(ctx context.Context, id *Identity, act Action, topic string) Verdict
}
