package mqttsn

// Disconnect ends a connection, or answers that. With a duration above 0, a
// client goes to sleep.
type Disconnect struct {
	HasDuration bool
	Duration    uint16 // seconds
}

// ParseDisconnect reads the body of a DISCONNECT message.
func ParseDisconnect(body []byte, o *Options) (Disconnect, error) {
	r := newReader(TypeDisconnect, body, o)
	if len(body) == 0 {
		return Disconnect{}, r.result()
	}
	if o.FromServer && !o.EitherSide {
		r.note(0, "SN-5.4.21", "a duration from a gateway")
	}
	d := r.uint16("duration")
	return Disconnect{!r.ended, d}, r.end()
}

// Type implements Message.
func (Disconnect) Type() Type { return TypeDisconnect }

// Size implements Message.
func (m Disconnect) Size() int {
	if m.HasDuration {
		return messageSize(2)
	}
	return messageSize(0)
}

// Append implements Message.
func (m Disconnect) Append(dst []byte) ([]byte, error) {
	if !m.HasDuration {
		return appendHeader(dst, TypeDisconnect, 0)
	}
	b, err := appendHeader(dst, TypeDisconnect, 2)
	if err != nil {
		return dst, err
	}
	return appendUint16(b, m.Duration), nil
}
