package decode

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Packet is one packet and where it was found.
type Packet struct {
	dissect.Packet
	Number    int // from 1
	Stream    *Stream
	Direction dissect.Direction
	Time      time.Time // when its last byte came; zero: unknown
	Offset    int64     // in what its direction has sent, inside of what wraps it
	Frames    []int     // of the capture, that its bytes came in
	Bytes     []byte    // all of it
	Err       error     // nil, dissect.ErrShort or *dissect.Malformed
	Missing   int       // bytes of an incomplete one, 0 if that is not known
	// Line is the type and the summary. With Options.Lines it may be all there is:
	// then Fields is nil, and the packet breaks no rule.
	Line []byte
}

// Stream is one connection, or the datagrams between two addresses, or one pasted
// text.
type Stream struct {
	Number         int            // from 1
	Transport      string         // "tcp", "udp"; "" for what was pasted
	Client, Server netip.AddrPort // not valid for what was pasted
	Joined         bool           // it began before the capture
	Layers         []string       // what wraps the packets, outermost first: "proxy v2", "tls 1.3", "websocket"
	Protocol       string         // Name of the dissector, "" until it is known
	Version        string         // of the protocol, "" until it is known
	Why            string         // what it was recognised by
	Other          string         // what else it could be, on one line; mostly ""
}

// Note is what is to be said beside packets.
type Note struct {
	Kind      NoteKind
	Stream    *Stream // nil: about the whole input
	Direction dissect.Direction
	Time      time.Time // zero: unknown
	Frames    []int
	Packet    int // Number of the one it is about; 0: none
	Text      string
	Hint      string // what to do about it, "" for nothing
}

// NoteKind is what a note is about.
type NoteKind uint8

// Kinds of notes.
const (
	Recognised NoteKind = iota // a stream has its protocol
	Versioned                  // a packet has decided the version, or nothing has
	Gap                        // bytes are missing
	Resumed                    // the next packet has been found, by a guess
	Foreign                    // a stream is of another protocol than those that can be read
	Unreadable                 // a stream, or the rest of it, is of no known protocol
	Open                       // something was asked and not answered
	Breach                     // a rule is broken, but not by a packet
	Comment                    // somebody has written into the capture
	Ended                      // a stream has ended
)

func (k NoteKind) String() string {
	return [...]string{"recognised", "version", "gap", "resumed", "foreign", "unreadable", "open", "breach", "comment", "ended"}[k]
}

// Warns reports whether the note is about something that cannot be read.
func (k NoteKind) Warns() bool { return k == Gap || k == Resumed || k == Foreign || k == Unreadable }

// Sink takes packets and notes. What it is given is valid until it returns, but for
// the Stream, which stays. An error ends the call of the engine that led to it.
type Sink interface {
	Packet(p *Packet) error
	Note(n *Note) error
}

// Options are what an engine works with.
type Options struct {
	// Dissectors that may be recognised, of equal ones the first.
	Dissectors []dissect.Dissector
	// As names the protocol of all that is read: Name of a dissector, or "mqtt3.1",
	// "mqtt3.1.1", "mqtt5". "" recognises it.
	As string
	// From is who has sent what is pasted, and Port where it was to go; for captures,
	// Port is another one that counts as the server's. They are hints.
	From dissect.Direction
	Port uint16
	// Keys are the secrets of TLS, nil for none. They may grow.
	Keys *capture.KeyLog
	// Lines says that Packet.Line is enough.
	Lines bool
	// Stream joins all that is pasted into one stream.
	Stream bool
	// Held is how many bytes may wait for what their stream or its version is; 0: 1 MiB.
	Held int
	// Patience is how long anything may wait for that while others go on, 0: for ever,
	// and Now the clock for it; nil: the system's. It is for who looks on while a
	// capture is made.
	Patience time.Duration
	Now      func() time.Time
	// Streams is how many may be open at a time; 0: 100,000. Beyond it, those that
	// have been silent for longest are given up.
	Streams int
}

const (
	defaultHeld    = 1 << 20
	defaultStreams = 100_000
)

func (o Options) withDefaults() Options {
	o.Held = cmp.Or(o.Held, defaultHeld)
	o.Streams = cmp.Or(o.Streams, defaultStreams)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Error is a mistake in Options.
type Error struct{ Problem, Hint string }

// Error implements error.
func (e *Error) Error() string { return e.Problem }

// mqttName is the dissector that has versions to be named.
const mqttName = "mqtt"

// levels are the names of MQTT's versions and their protocol levels.
var levels = map[string]uint8{
	"mqtt3.1": 3, "mqtt31": 3, "mqtt3": 3, "mqtt3.1.1": 4, "mqtt311": 4, "mqtt4": 4, "mqtt5": 5, "mqtt5.0": 5, "mqtt50": 5,
}

// forced returns the dissector that o.As names, nil if none is.
func (o *Options) forced() (dissect.Dissector, uint8, error) {
	if o.As == "" {
		return nil, 0, nil
	}
	name, level := strings.ToLower(o.As), uint8(0)
	if l, ok := levels[name]; ok {
		name, level = mqttName, l
	}
	var names []string
	for _, d := range o.Dissectors {
		if d.Name() == name {
			return d, level, nil
		}
		names = append(names, d.Name())
	}
	return nil, 0, &Error{"there is no protocol " + strings.TrimSpace(o.As), "give one of " + strings.Join(names, ", ") + ", mqtt3.1, mqtt3.1.1, mqtt5"}
}
