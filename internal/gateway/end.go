package gateway

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// End is how a connection comes to its end: what the listener counts, what the
// log says, and what the client is told.
type End struct {
	Why  string // one of a small set, counted by the listener: "protocol"
	Err  error
	Code uint8  // the protocol's own, for LastWords
	Last []byte // what the client is told instead of LastWords, if not nil
	Mute bool   // nothing is sent

	// own: asked for before there was a link, so the goroutine of the connection
	// sees to it. Otherwise whoever ends it has said the last words.
	own bool
}

// Error implements error.
func (e *End) Error() string { return fmt.Sprintf("%s: %v", e.Why, e.Err) }
func (e *End) Unwrap() error { return e.Err }

// Closed is the Err of an End that the broker has asked for.
type Closed struct{ Reason broker.Reason }

// Error implements error.
func (c Closed) Error() string { return c.Reason.String() }

// Values of End.Err that the base makes.
var (
	ErrKeepAlive = errors.New("nothing came within the keep alive")
	ErrStore     = errors.New("what the client sent cannot be stored")
)

// errPanic: the log has the panic.
var errPanic = errors.New("internal error")

// Bye is the end that a client asks for.
var Bye = &End{Why: "disconnect", Err: errors.New("client disconnected"), Mute: true}

// closedBy is the end that the broker asks for.
func closedBy(r broker.Reason) *End {
	words := [...]string{
		broker.ReasonTakenOver: "taken-over", broker.ReasonShutdown: "shutdown",
		broker.ReasonAdministrative: "administrative", broker.ReasonUnavailable: "unavailable",
	}
	return &End{Why: words[r], Err: Closed{r}}
}

// endOf is err as an End.
func endOf(err error) *End {
	var e *End
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, transport.ErrListenerClosed): // of datagrams; there is time for last words
		return closedBy(broker.ReasonShutdown)
	}
	return &End{Why: "network", Err: err, Mute: true}
}
