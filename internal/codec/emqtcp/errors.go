package emqtcp

import (
	"errors"
	"fmt"
)

var (
	// ErrShort says that b ends before the frame does: read more and call again.
	ErrShort = errors.New("more bytes needed")
	// ErrTooLong says that a field or a payload to append has more than 65,535
	// bytes.
	ErrTooLong = errors.New("longer than 65535 bytes")
	// ErrUnencodable says that a frame to append holds a value that four bits
	// cannot express.
	ErrUnencodable = errors.New("not expressible in four bits")
)

// Malformed is one violation. It is the error of a strict parser and a note of
// a lenient one.
type Malformed struct {
	Type   Type
	Offset int    // of the offending field in the frame, 0 for the first byte
	Reason string // what is wrong, in words
	// Code is what to answer before closing; 0 (Successful) for nothing.
	Code AckCode
}

func (m *Malformed) Error() string { return fmt.Sprintf("parse %v: %s", m.Type, m.Reason) }
