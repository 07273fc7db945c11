package mqttsn

import (
	"errors"
	"fmt"
)

var (
	// ErrShort says that b ends before the message does.
	ErrShort = errors.New("more bytes needed")
	// ErrTooLong says that a message to append, or a field of it, has more bytes
	// than its length can express.
	ErrTooLong = errors.New("longer than its length can express")
	// ErrUnencodable says that a message to append holds a value that has no
	// place on the wire: QoS 3, a short name of three bytes.
	ErrUnencodable = errors.New("not expressible in this message")
)

// Class is what a receiver does about a violation.
type Class uint8

// Classes.
const (
	Garbled     Class = iota // cannot be read: drop, never answer
	UnknownType              // drop
	Violation                // readable, but illegal: drop, or answer with Code
	Unsupported              // readable, and to be refused with Code
)

func (c Class) String() string {
	return [...]string{"garbled", "unknown type", "violation", "unsupported"}[c]
}

// Malformed is one violation of the specification. It is the error of a strict
// parser and a note of a lenient one.
type Malformed struct {
	Message Type // 0 if the datagram ends before it
	Class   Class
	Code    ReturnCode // of the answer of 1.2; Accepted for none
	Offset  int        // of the offending field: in the body for ParseConnect and its like (-1: the type), in the datagram for Parse
	Clause  string     // "SN-5.4.12", "" where there is none
	Reason  string     // what is wrong, in words
}

func (m *Malformed) Error() string {
	if m.Clause == "" {
		return fmt.Sprintf("parse %v: %s", m.Message, m.Reason)
	}
	return fmt.Sprintf("parse %v: %s [%s]", m.Message, m.Reason, m.Clause)
}
