package mqttsn

import "fmt"

// MaxNodeID is the greatest number of bytes of a forwarder's node identifier.
const MaxNodeID = maxShort - 3

// Encapsulated is what a forwarder makes of a message. Its slices alias the
// parsed datagram.
type Encapsulated struct {
	Radius uint8  // hops of a broadcast, from 0 to 3; from a gateway
	NodeID []byte // of the client at the forwarder, to be sent back as it is
	Inner  []byte // a datagram that is no Encapsulated itself
}

// ParseEncapsulated takes an envelope apart without allocating. Its length is
// that of the body, the node identifier ends it, and inner is what follows.
// Inner is not parsed.
func ParseEncapsulated(body, inner []byte, o *Options) (Encapsulated, error) {
	r := newReader(TypeEncapsulated, body, o)
	ctrl := r.uint8("control")
	if ctrl > 3 && o.Lenient {
		r.note(0, "SN-5.5", fmt.Sprintf("reserved control bits 0x%02x are set", ctrl&^3))
	}
	m := Encapsulated{Radius: ctrl & 3, NodeID: r.rest(), Inner: inner}
	if r.ended {
		return m, r.result()
	}
	if len(inner) < 2 {
		r.stop(len(body), fmt.Sprintf("encapsulated message: %d of 2 bytes", len(inner)))
		return m, r.result()
	}
	if nested(inner) {
		r.flag(len(body), Garbled, Accepted, "SN-5.5", "an encapsulated message in another")
	}
	return m, r.result()
}

// nested reports whether a datagram is another envelope.
func nested(b []byte) bool {
	at := 1
	if b[0] == 1 {
		at = 3
	}
	return len(b) > at && Version12.Type(b[at]) == TypeEncapsulated
}

// Type implements Message.
func (Encapsulated) Type() Type { return TypeEncapsulated }

// Size implements Message.
func (m Encapsulated) Size() int { return 3 + len(m.NodeID) + len(m.Inner) }

// Append implements Message. It allocates only to grow dst.
func (m Encapsulated) Append(dst []byte) ([]byte, error) {
	b, err := m.AppendHead(dst)
	if err != nil {
		return dst, err
	}
	return append(b, m.Inner...), nil
}

// AppendHead appends what precedes Inner, behind which a message may be appended.
func (m Encapsulated) AppendHead(dst []byte) ([]byte, error) {
	switch {
	case m.Radius > 3:
		return dst, unencodable(TypeEncapsulated, "radius %d", m.Radius)
	case len(m.NodeID) > MaxNodeID:
		return dst, fmt.Errorf("append %v: node identifier: %w", TypeEncapsulated, ErrTooLong)
	}
	b := append(dst, byte(3+len(m.NodeID)), TypeEncapsulated.Octet(), m.Radius)
	return append(b, m.NodeID...), nil
}
