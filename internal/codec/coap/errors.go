package coap

import (
	"errors"
	"fmt"
)

var (
	// ErrShort says that b ends before the message over TCP does.
	ErrShort = errors.New("more bytes needed")
	// ErrUnencodable says that a message to append holds what has no place on the
	// wire: a token of more than 8 bytes, options out of order.
	ErrUnencodable = errors.New("not expressible in a message")
)

// Class is what a receiver does about a finding.
type Class uint8

// Classes.
const (
	Advice      Class = iota // nothing: only a sender should do otherwise
	Ignored                  // an elective option: as if it were not there
	BadOptions               // a critical option: 4.02 for a request, else rejected
	BadContent               // 4.00 for a request
	FormatError              // a Reset for what is confirmable, nothing for what is not
	Unknown                  // another version: silently ignored
)

func (c Class) String() string {
	return [...]string{"advice", "ignored", "bad option", "bad request", "format error", "unknown version"}[c]
}

// Malformed is one violation. It is the error of a strict parser and a note of a
// lenient one.
type Malformed struct {
	Class  Class
	Offset int // in the message
	Len    int // of the bytes that break the rule, 0 if they are not there
	// Missing is how many bytes more it would take to read on; 0: they would not help.
	Missing int
	Clause  string // "RFC 7252 §3"
	Reason  string // what is wrong, in words
}

func (m *Malformed) Error() string {
	return fmt.Sprintf("parse CoAP: byte %d: %s [%s]", m.Offset, m.Reason, m.Clause)
}

// Mode says how to read a message. The zero value is strict. It is only read, so
// one value serves everybody, as long as nobody else appends to its Notes.
type Mode struct {
	// Lenient collects findings instead of returning the first.
	Lenient bool
	// Notes receives the findings of lenient mode, up to 1024; nil drops them.
	Notes *[]Malformed
	// MaxBytes is the largest message over TCP; 0: no limit.
	MaxBytes int
	// ExtendedTokens reads tokens of more than 8 bytes: RFC 8974 §2.1.
	ExtendedTokens bool
}
