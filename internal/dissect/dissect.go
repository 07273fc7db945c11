// Package dissect reads packets for people: every field with the bytes that it
// comes from, and the rules that it breaks. One file per protocol, over the codec
// of that name.
//
// To add a dissector:
//
//  1. write x.go here: a type that is a Dissector;
//  2. hold it to dissecttest.Run with a sample of each packet, and add golden files
//     (go test -run Golden -update);
//  3. add one line to dissectors in cmd/iotctl/builtin.go.
//
// # Promises
//
// A dissector never panics and keeps no state outside of [Stream], so one may be
// used from any goroutine. Nothing in a [Packet] aliases the input. Memory is
// proportional to the bytes that are there.
//
// # Left out
//
// Finding packets in captures and pasted text, colours, and how a packet is laid
// out on a screen: who shows a [Field] with Secret hides its value and bytes.
package dissect

import (
	"errors"
	"fmt"
	"time"
)

// Dissector reads one protocol.
type Dissector interface {
	// Name is the short name of the protocol, that of its codec: "emqtcp".
	Name() string

	// Sniff says how much the beginning of a stream, or a datagram, looks like the
	// protocol, and why, in a few words; "" for No. b may be cut short anywhere.
	Sniff(b []byte, h Hint) (c Confidence, why string)

	// Dissect reads the packet at the start of b, and returns how many bytes are
	// done with. st may be nil for one packet by itself.
	//
	//	err          n                             the packet
	//	nil          all of the packet             is complete
	//	ErrShort     0: b ends before it does      has what is there
	//	*Malformed   where the next one may begin, has what could be read before
	//	             0 when that cannot be told    the error, and the rest as bytes
	//
	// Its fields are in the order of Off, and together cover b[:n]; with n 0, the
	// beginning of b as far as it was read. Rules whose breach does not keep a
	// packet from being read are in Packet.Problems, with no error.
	Dissect(b []byte, st *Stream) (p Packet, n int, err error)
}

// ErrShort says that b ends before the packet does.
var ErrShort = errors.New("more bytes needed")

// Malformed is the end of what could be read of a packet.
type Malformed struct{ Problem }

// Error implements error.
func (m *Malformed) Error() string { return fmt.Sprintf("byte %d: %s", m.Off, m.Text) }

// Packet is what one packet says.
type Packet struct {
	Protocol string // Name of the dissector
	Version  string // of the protocol, "" if it has none: "1"
	Type     string // "CONNECT"
	Summary  string // what matters most, on one line, without secrets; may be ""
	Fields   []Field
	Problems []Problem

	// Answers is the Number of the packet that this one answers, 0 for none, and
	// After how long ago that was. Streams with numbers and times have them.
	Answers int
	After   time.Duration
}

// Field is a run of bytes and what it means.
type Field struct {
	Name string
	Kind Kind
	Off  int // from the start of the packet
	Len  int // 0 for what is known without bytes of its own
	// Value is nil, a bool, int64, uint64, float64, string (in UTF-8), []byte or
	// time.Time.
	Value  any
	Note   string // for people: a unit, the name of a code
	Secret bool   // a password: not to be shown unless asked
	// Mask says which bits of its bytes, read as one big-endian number, the field
	// is; 0 for all of them.
	Mask uint64
	// Form says how Value becomes its bytes; Of, for a length in such a form, which
	// bytes of the packet it counts: Value is Of.Len.
	Form Form
	Of   Span
	// Kids are its parts, which lie within it. They may overlap (bits), and need
	// not cover it.
	Kids []Field
}

// End is the offset behind the field.
func (f *Field) End() int { return f.Off + f.Len }

// Span is a run of bytes of a packet.
type Span struct{ Off, Len int }

// Form is how a value is written.
type Form uint8

// Forms.
const (
	Opaque   Form = iota // not to be told by the field alone
	Unsigned             // big-endian, of Field.Len bytes
	Varint               // variable byte integer: MQTT 5.0, 1.5.5; of Field.Len bytes, which may be more than it needs
	Raw                  // the bytes of a string or []byte
)

func (f Form) String() string { return [...]string{"", "unsigned", "varint", "raw"}[f] }

// Kind is what a field is for, so that the same sort looks the same everywhere.
type Kind uint8

// Kinds.
const (
	Structure Kind = iota // types, markers, separators
	Length
	Flags
	Number
	Text
	Bytes
)

func (k Kind) String() string {
	return [...]string{"structure", "length", "flags", "number", "text", "bytes"}[k]
}

// Problem is a rule that a packet breaks.
type Problem struct {
	Off  int    // of the field that breaks it
	Len  int    // of its bytes, 0 if they are not there
	Text string // in words
	Rule string // the clause, "" if it has no number
	// Advice is what a receiver may do or must do, "" where nothing is laid down.
	Advice string
	// Warning: what the standard advises against, or what only looks wrong.
	Warning bool
}

// Confidence is how sure a Sniff is.
type Confidence uint8

// Values of Confidence.
const (
	No       Confidence = iota
	Possible            // nothing speaks against it
	Likely              // lengths, types or checksums agree
	Certain             // a signature, or all of a first packet agrees
)

func (c Confidence) String() string {
	return [...]string{"no", "possible", "likely", "certain"}[c]
}

// Hint is what is known beside the bytes. It breaks ties only.
type Hint struct {
	Port      uint16 // of the server; 0: unknown
	Datagram  bool   // all of one
	Direction Direction
}

// Sizer is a Dissector whose packets tell at their beginning how long they are.
type Sizer interface {
	Dissector

	// Size is the length of the packet at the start of b, 0 if that is not known
	// yet or cannot be told.
	Size(b []byte) int
}

// Finisher is a Dissector that knows what a stream has left open.
type Finisher interface {
	Dissector

	// Finish returns what has not been answered, in the order of Number, once the
	// stream has ended.
	Finish(st *Stream) []Open
}

// Open is what nobody has answered.
type Open struct {
	Number int // of the packet
	Problem
}

// Direction is who has sent the bytes.
type Direction uint8

// Directions.
const (
	Unknown Direction = iota
	FromClient
	FromServer
)

// Stream is what one connection has said so far, as far as its dissector wants to
// know. The zero value is a new one. It belongs to one connection and one
// dissector; the caller sets the fields before each call of Dissect.
type Stream struct {
	Direction Direction
	// Whole says that nothing more belongs to b: it is a datagram, or the sender
	// has ended there.
	Whole bool
	// Number and Time of the packet, for Packet.Answers; zero: unknown.
	Number int
	Time   time.Time
	// Version is what the caller knows of it otherwise: the protocol level of MQTT
	// (3, 4 or 5); 0 leaves it to what the stream says.
	Version uint8
	// Joined says that the stream began before what is seen of it, or that a part
	// is missing: what could have been said there is no problem.
	Joined bool

	state  [3]any // by direction
	shared any    // by both
	gaps   int    // calls of Missed
}

// Missed says that bytes of the stream are missing between the last packet and
// the next: it becomes Joined, and what was open no longer is.
func (st *Stream) Missed() {
	st.Joined = true
	st.gaps++
}

// Liner is a Dissector that can say the summary alone, quickly.
type Liner interface {
	Dissector

	// Line appends the type and the summary of the packet at the start of b, as
	// Dissect has them, with a space between if there is a summary. ok is false when there is more to say
	// (it is short, malformed or breaks a rule) or the quick way does not know; then
	// neither dst nor st has changed, and Dissect is to be called.
	Line(dst, b []byte, st *Stream) (line []byte, l Line, ok bool)
}

// Line is what else Packet has of the packet that Liner.Line has read.
type Line struct {
	Size    int // of the packet, in bytes
	Type    string
	Version string
	Answers int
	After   time.Duration
}

// direction is that of st, which may be nil.
func (st *Stream) direction() Direction {
	if st == nil {
		return Unknown
	}
	return st.Direction
}

// sharedOf returns the state of st that both directions share, which make makes
// at first.
func sharedOf[S any](st *Stream, make func() S) S {
	if st == nil {
		return make()
	}
	if s, ok := st.shared.(S); ok {
		return s
	}
	s := make()
	st.shared = s
	return s
}

// stateOf returns the state of st's direction, which make makes at first.
func stateOf[S any](st *Stream, make func() S) S {
	if st == nil {
		return make()
	}
	if s, ok := st.state[st.Direction].(S); ok {
		return s
	}
	s := make()
	st.state[st.Direction] = s
	return s
}
