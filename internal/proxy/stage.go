package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// Direction is where a frame goes.
type Direction uint8

// Directions.
const (
	ToServer Direction = iota // from the client to the broker
	ToClient                  // from the broker to the client
)

// String is the short name: "c2s" or "s2c".
func (d Direction) String() string { return [...]string{"c2s", "s2c"}[d&1] }

// Back is the other direction.
func (d Direction) Back() Direction { return 1 - d }

// Frame is one packet of MQTT on its way.
type Frame struct {
	Direction Direction
	Header    mqtt.Header
	Bytes     []byte // the whole packet
}

// NewFrame makes a frame of b, which begins with a whole packet and holds nothing
// else.
func NewFrame(d Direction, b []byte) (Frame, error) {
	h, _, n, err := mqtt.Frame(b, 0)
	switch {
	case err != nil:
		return Frame{}, err
	case n < len(b):
		return Frame{}, fmt.Errorf("%v: %d bytes after its end", h.Type, len(b)-n)
	}
	return Frame{Direction: d, Header: h, Bytes: b}, nil
}

// Body is what follows the fixed header.
func (f *Frame) Body() []byte { return f.Bytes[len(f.Bytes)-f.Header.Remaining:] }

// Stage sees the frames of one connection. Its methods may be called from several
// goroutines at once.
type Stage interface {
	// Handle passes on f, others or none by emit. f.Bytes is valid, and must not be
	// changed, until Handle returns; emit has no more need of its frame's bytes when
	// it returns, and must not be called after Handle has returned: see Powers.Inject.
	//
	// Handle may wait, as long as ctx lets it: that is back-pressure on its direction.
	// An error ends the connection; an *End says how.
	Handle(ctx context.Context, f Frame, emit func(Frame) error) error
}

// Ender is a Stage that wants to know of the end of its connection. Ended is called
// once, after the last Handle has returned; why is never nil.
type Ender interface {
	Ended(why *End)
}

// Factory makes the stage of each connection.
type Factory interface {
	// Open is called when the client's CONNECT is complete and correct, before any
	// stage sees it and before a broker is chosen. A nil Stage is none for this
	// connection. An error ends it: an *End with a code is told to the client.
	Open(c *Conn) (Stage, error)
}

// Conn is one proxied connection: what a stage may know of it, and do to it. Its
// fields do not change.
type Conn struct {
	Number  uint64         // from 1, in the order of their coming
	Began   time.Time      // when it was accepted
	Client  transport.Info // of the client's side
	Log     *slog.Logger   // names the connection in each line
	Metrics *Metrics

	// What the client's own CONNECT said; stages may change it on the way.
	Version   mqtt.Version
	ClientID  string
	Username  string
	KeepAlive time.Duration // 0: none

	Powers
}

// Powers are what can be done to a connection beside passing on frames. They may be
// used from any goroutine; after the end of the connection they do nothing and
// return ErrEnded.
type Powers interface {
	// Inject sends a frame on its way from the place of stage from, as emit does
	// within Handle, and writes it at once. A nil from is outside of all stages: a
	// frame from the client passes all, and so does one from the broker.
	Inject(from Stage, f Frame) error
	// Write writes raw bytes to the end of a direction, past all stages: half a
	// packet, or none at all. What was emitted before is written first.
	Write(d Direction, b []byte) error
	// Stall has nothing more read that goes in direction d, until it is called with
	// false. The sockets stay open.
	Stall(d Direction, on bool)
	// Slice has whatever goes out in direction d from now on written n bytes at a
	// time, with pauses between. n 0 ends it.
	Slice(d Direction, n int, pause time.Duration)
	// End ends the connection, as an error of Handle does. It does not wait.
	End(e *End)
	// Server is where the broker is that the connection has gone to; "" before.
	Server() string
	// Dial opens another connection to the broker that the connection goes to, or,
	// before there is one, would go to with this client identifier. It belongs to the
	// caller.
	Dial(ctx context.Context, clientID string) (transport.Conn, error)
}

// ErrEnded is what Powers return when the connection has ended.
var ErrEnded = errors.New("the connection has ended")

// Manner is how the sockets of a connection are closed.
type Manner uint8

// Manners of an end.
const (
	Polite Manner = iota // what is written arrives, then both are closed: FIN
	Reset                // both are reset: RST
)

// End is how a connection ends: what is counted and logged, and what the two sides
// are told.
type End struct {
	Why string // one of a small set, for counters: "access"
	Err error  // in words, for the log
	// Client is what the client is told: by CONNACK before it has had one, after that
	// by DISCONNECT to a client of 5.0. Clients of 3.x get the return code that is
	// nearest in CONNACK, and later nothing. 0: nothing is said.
	Client mqtt.ReasonCode
	// Server is what a broker of 5.0 is told by DISCONNECT. 0: nothing, so that it
	// publishes the will.
	Server mqtt.ReasonCode
	// Text is the reason string that goes with the codes to sides of 5.0; "": none.
	Text   string
	Manner Manner
}

// Error implements error.
func (e *End) Error() string {
	if e.Err == nil {
		return e.Why
	}
	return fmt.Sprintf("%s: %v", e.Why, e.Err)
}

// Unwrap gives access to the cause.
func (e *End) Unwrap() error { return e.Err }
