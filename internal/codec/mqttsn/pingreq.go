package mqttsn

// Pingreq asks for a sign of life. A sleeping client says who it is, to be given
// what waits for it.
type Pingreq struct {
	ClientID string // or ""
}

// ParsePingreq reads the body of a PINGREQ message.
func ParsePingreq(body []byte, o *Options) (Pingreq, error) {
	r := newReader(TypePingreq, body, o)
	if len(body) == 0 {
		return Pingreq{}, r.result()
	}
	if o.FromServer && !o.EitherSide {
		r.note(0, "SN-5.4.19", "a client identifier from a gateway")
	}
	return Pingreq{r.clientID()}, r.result()
}

// Type implements Message.
func (Pingreq) Type() Type { return TypePingreq }

// Size implements Message.
func (m Pingreq) Size() int { return messageSize(len(m.ClientID)) }

// Append implements Message.
func (m Pingreq) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypePingreq, len(m.ClientID))
	if err != nil {
		return dst, err
	}
	return append(b, m.ClientID...), nil
}
