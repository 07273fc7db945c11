package auth

import (
	"context"
	"fmt"
)

// Chain asks one authenticator after the other; the first that does not ignore
// the client decides. An error decides too, against the client: to go on to a
// weaker method because a stronger one is out of order would open the door.
// When all ignore it, the client is denied, so an empty Chain lets nobody in.
type Chain []Authenticator

// Authenticate implements Authenticator. It never answers Ignore.
func (c Chain) Authenticate(ctx context.Context, creds Credentials) (Identity, Verdict, error) {
	for _, a := range c {
		id, v, err := a.Authenticate(ctx, creds)
		switch {
		case err != nil:
			return Identity{}, Deny, err
		case v == Allow:
			return id, Allow, nil
		case v != Ignore:
			return Identity{}, Deny, nil
		}
	}
	return Identity{}, Deny, nil
}

// Authorizers asks one authorizer after the other; the first that does not
// ignore the action decides, and when all do it is denied. Without any
// authorizer everything is allowed.
type Authorizers []Authorizer

// Authorize implements Authorizer. It never answers Ignore.
func (as Authorizers) Authorize(ctx context.Context, id *Identity, act Action, topic string) Verdict {
	if len(as) == 0 {
		return Allow
	}
	for _, a := range as {
		switch a.Authorize(ctx, id, act, topic) {
		case Ignore:
		case Allow:
			return Allow
		default:
			return Deny
		}
	}
	return Deny
}

// Anonymous is the switch that lets clients in without proof. As the last of a
// Chain it lets in those whom no other method has an opinion on. What they call
// themselves stays in Username and gives no rights.
type Anonymous struct{}

// Authenticate implements Authenticator.
func (Anonymous) Authenticate(_ context.Context, c Credentials) (Identity, Verdict, error) {
	return Identity{Method: "anonymous", ClientID: c.ClientID, Username: c.Username}, Allow, nil
}

// EnhancedMethods finds enhanced authenticators by the authentication method
// that a client names.
type EnhancedMethods []EnhancedAuthenticator

// Find returns the authenticator for method, or nil: the client is to be
// refused with Bad authentication method. // [MQTT-4.12.0-1]
func (ms EnhancedMethods) Find(method string) EnhancedAuthenticator {
	for _, m := range ms {
		if m.Method() == method {
			return m
		}
	}
	return nil
}

// Validate reports methods without a name and methods named alike.
func (ms EnhancedMethods) Validate() error {
	seen := map[string]bool{}
	for _, m := range ms {
		name := m.Method()
		if name == "" {
			return fmt.Errorf("enhanced authenticator %T has no method name", m)
		}
		if seen[name] {
			return fmt.Errorf("two enhanced authenticators for method %q", name)
		}
		seen[name] = true
	}
	return nil
}
