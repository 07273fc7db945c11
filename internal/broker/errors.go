package broker

import (
	"errors"
	"fmt"
)

// Errors that gateways translate into their protocol's codes.
var (
	ErrNotAuthorized = errors.New("not authorized")
	ErrQuota         = errors.New("quota exceeded")
	// ErrFull is an ErrQuota: the store has no room.
	ErrFull      = fmt.Errorf("the store is full: %w", ErrQuota)
	ErrTakenOver = errors.New("session taken over by another connection")
	ErrEnded     = errors.New("broker is shutting down")
	// ErrNotOwner: the client identifier belongs to the session of another
	// identity, which is left untouched.
	ErrNotOwner = errors.New("client identifier belongs to another identity")
	// ErrNoSession answers a Restore of what is not among Interrupted.
	ErrNoSession = errors.New("no interrupted session")
	// ErrNoSubscription answers an Unsubscribe of a filter that was not there.
	ErrNoSubscription = errors.New("no subscription existed")
)

// Reason says why the broker ends a connection.
type Reason uint8

// Reasons of Receiver.Close.
const (
	ReasonTakenOver      Reason = iota // another connection has this client identifier now
	ReasonShutdown                     // the server ends
	ReasonAdministrative               // an operator ended it
	ReasonUnavailable                  // its state cannot be stored
)

func (r Reason) String() string {
	return [...]string{"session taken over", "server shutting down", "administrative action", "server unavailable"}[r]
}
