package mqttsn

import "fmt"

// ForwardedV2 is what a forwarder of 2.0 makes of a message. Its slices alias the
// parsed body.
type ForwardedV2 struct {
	Address []byte // of the client at the forwarder
	Inner   []byte // a datagram, which may hold any message but this one
}

// ParseForwardedV2 takes a forwarder's envelope apart without allocating. What is
// in it is not parsed.
func ParseForwardedV2(body []byte, o *Options) (ForwardedV2, error) {
	r := newReader(TypeForwardedV2, body, o)
	m := ForwardedV2{Address: r.prefixed(1, "address")}
	m.Inner = r.inner(TypeForwardedV2)
	return m, r.result()
}

// inner reads the datagram in an envelope, which may not be one of type t.
func (r *reader) inner(t Type) []byte {
	off := r.off
	b := r.rest()
	if r.ended {
		return b
	}
	if len(b) < 2 {
		r.stop(off, fmt.Sprintf("encapsulated message: %d of 2 bytes", len(b)))
		return b
	}
	if h, _, _, _ := Frame(b, Version20); h.Type == t {
		r.flag(off, Garbled, Accepted, "", fmt.Sprintf("%v in another", t))
	}
	return b
}

// Type implements Message.
func (ForwardedV2) Type() Type { return TypeForwardedV2 }

// Size implements Message.
func (m ForwardedV2) Size() int { return messageSize(1 + len(m.Address) + len(m.Inner)) }

// Append implements Message. It allocates only to grow dst.
func (m ForwardedV2) Append(dst []byte) ([]byte, error) {
	if err := fits(TypeForwardedV2, 1, m.Address); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypeForwardedV2, 1+len(m.Address)+len(m.Inner))
	if err != nil {
		return dst, err
	}
	return append(appendPrefixed(b, 1, m.Address), m.Inner...), nil
}
