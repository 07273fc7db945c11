package mqtt

import (
	"errors"
	"fmt"
)

var (
	// ErrShort says that b ends before the packet does: read more and call again.
	ErrShort = errors.New("more bytes needed")
	// ErrTooLong says that a string or binary field to append has more than
	// 65,535 bytes.
	ErrTooLong = errors.New("field longer than 65535 bytes")
	// ErrTooLarge says that a packet to append has a remaining length above
	// 268,435,455 bytes.
	ErrTooLarge = errors.New("packet longer than 268435455 bytes")
	// ErrUnencodable says that a packet to append holds a value that its
	// version has no way to express: QoS 3, AUTH before 5.0.
	ErrUnencodable = errors.New("not expressible in this protocol version")
)

// InHeader is the offset of what is wrong with the first byte of a packet, for
// functions that are given its body.
const InHeader = -1

// Malformed is one violation of the standard. It is the error of a strict
// parser and a note of a lenient one.
type Malformed struct {
	Packet Type
	Offset int        // of the offending field: in the body for ParseConnect and its like (InHeader before it), in the packet for Parse
	Clause string     // "MQTT-3.3.2-2" for 5.0, "MQTT3-3.3.2-2" for 3.1.1; "" where the standard states no rule
	Reason string     // what is wrong, in words
	Code   ReasonCode // what to answer an MQTT 5.0 peer
}

func (m *Malformed) Error() string {
	if m.Clause == "" {
		return fmt.Sprintf("parse %v: %s", m.Packet, m.Reason)
	}
	return fmt.Sprintf("parse %v: %s [%s]", m.Packet, m.Reason, m.Clause)
}
