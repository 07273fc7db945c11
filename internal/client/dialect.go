package client

import (
	"errors"
	"fmt"
	"time"
)

// Dialect is what a Device has to know of a protocol other than MQTT. It has no
// state, so that one serves every connection. To add one, create client/x, and
// add it to the table in cmd/iotctl/device.go.
//
// The methods that append return what was there with a frame behind it; on
// error, dst as it was. Errors are *RefusedError for what the protocol cannot
// express.
type Dialect interface {
	// Login appends what a device says first, and how many answers come to it:
	// the connection stands with the last of them.
	Login(dst []byte) (out []byte, answers int, err error)
	// Publish appends m. answered: the server says what has become of it.
	Publish(dst []byte, m Message) (out []byte, answered bool, err error)
	// Subscribe and Unsubscribe append a request, which is answered.
	Subscribe(dst []byte, filter string) ([]byte, error)
	Unsubscribe(dst []byte, filter string) ([]byte, error)
	// Alive appends what is said in silence, and Leave the goodbye; nothing where
	// the protocol has none.
	Alive(dst []byte) []byte
	Leave(dst []byte) []byte
	// Next reads the frame at the start of b, valid as long as b is. n is its
	// size, 0 while it is not complete. An error ends the connection, and is a
	// *ForeignError.
	Next(b []byte) (e Event, n int, err error)
	// Describe puts a frame into words; it is for people.
	Describe(frame []byte, dir Direction) string
}

// Event is what one frame of the server means to a Device.
type Event struct {
	Kind    EventKind
	Err     error   // of EventAnswer, nil for success, a *RefusedError otherwise; of EventEnd
	Message Message // of EventMessage
	Reply   []byte  // to be sent in return, if not nil
}

// EventKind is the kind of an Event.
type EventKind uint8

// Kinds of events.
const (
	EventNothing EventKind = iota // but perhaps a reply
	EventAnswer                   // to the first request that waits for one
	EventMessage
	EventEnd // the server says why it ends the connection
)

// RefusedError is what a server of another protocol than MQTT will not do, or
// what the protocol cannot express: then Reason says so and nothing was sent.
type RefusedError struct {
	What   string // "login", "message", "request"; a Device fills it in
	Reason string // as the server, or the protocol, has it
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return e.What + " refused"
	}
	return fmt.Sprintf("%s refused: %s", e.What, e.Reason)
}

// refused is err, if it is a refusal, as one of what.
func refused(what string, err error) error {
	if r := (*RefusedError)(nil); errors.As(err, &r) {
		return &RefusedError{What: what, Reason: r.Reason}
	}
	return err
}

// ForeignError is a server that sends what is not of the dialect's protocol.
type ForeignError struct{ Err error }

// Error implements error.
func (e *ForeignError) Error() string {
	return "what the server sends is not of this protocol: " + e.Err.Error()
}

// Unwrap gives access to the cause.
func (e *ForeignError) Unwrap() error { return e.Err }

// EndedError is a server that says why it ends the connection.
type EndedError struct {
	Reason string
	// Final: to come back would be wrong, for another has the identifier.
	Final bool
}

// Error implements error.
func (e *EndedError) Error() string {
	if e.Reason == "" {
		return "the server ended the connection"
	}
	return "the server ended the connection: " + e.Reason
}

// Refusals is the error of a request for several filters, of which the server
// has refused some: why, in the order of the filters, nil for those granted.
type Refusals []error

// Error implements error.
func (r Refusals) Error() string {
	for _, err := range r {
		if err != nil {
			return err.Error()
		}
	}
	return "nothing was refused"
}

// DeviceOptions describe a Device. The zero value of every field but the
// dialect and Options.Dial is usable. Of Options count Dial, MaxInflight,
// MaxPendingBytes, ConnectTimeout, RequestTimeout, Reconnect, and the callbacks
// but OnAuth.
type DeviceOptions struct {
	Options
	Dialect Dialect
	// Alive is the longest silence of a device; 0 is no bound.
	Alive time.Duration
}
