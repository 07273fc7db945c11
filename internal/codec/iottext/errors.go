package iottext

import (
	"errors"
	"fmt"
)

// ErrShort says that b ends before the line does: read more and call again.
var ErrShort = errors.New("line feed needed")

// Malformed is a line that is not one of the protocol. Its Reason is fit for the
// person who has typed it.
type Malformed struct {
	Offset int // of the offending piece in the line
	Reason string
}

// Error implements error.
func (m *Malformed) Error() string {
	return fmt.Sprintf("parse line: column %d: %s", m.Offset+1, m.Reason)
}

func malformed(offset int, format string, args ...any) *Malformed {
	return &Malformed{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// clip is the beginning of a piece of input, for a message.
func clip(b []byte) string {
	const enough = 32
	return string(b[:min(len(b), enough)])
}
