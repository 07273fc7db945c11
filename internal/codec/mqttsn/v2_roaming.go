package mqttsn

// RoamingV2 is the connection encapsulation: it says who sends a message, from
// whatever address.
type RoamingV2 struct {
	ClientID string
	Inner    []byte // a datagram; aliases the parsed body
}

// ParseRoamingV2 takes a connection's envelope apart. What is in it is not
// parsed.
func ParseRoamingV2(body []byte, o *Options) (RoamingV2, error) {
	r := newReader(TypeRoamingV2, body, o)
	id := r.prefixed(2, "client identifier")
	r.text(0, id, "", "client identifier")
	m := RoamingV2{ClientID: string(id)}
	m.Inner = r.inner(TypeRoamingV2)
	return m, r.result()
}

// Type implements Message.
func (RoamingV2) Type() Type { return TypeRoamingV2 }

// Size implements Message.
func (m RoamingV2) Size() int { return messageSize(2 + len(m.ClientID) + len(m.Inner)) }

// Append implements Message.
func (m RoamingV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeRoamingV2, 2+len(m.ClientID)+len(m.Inner))
	if err != nil {
		return dst, err
	}
	return append(appendPrefixed(b, 2, []byte(m.ClientID)), m.Inner...), nil
}
