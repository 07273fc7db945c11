package mqttsn

// Suback answers SUBSCRIBE.
type Suback struct {
	QoS     int8   // granted
	TopicID uint16 // 0 for a filter with wildcards
	MsgID   uint16
	Code    ReturnCode
}

// ParseSuback reads the body of a SUBACK message without allocating.
func ParseSuback(body []byte, o *Options) (Suback, error) {
	r := newReader(TypeSuback, body, o)
	flags := r.flags(flagQoS)
	s := Suback{qosOf(flags), r.uint16("topic identifier"), r.msgID(), r.code()}
	if s.QoS == QoSMinusOne {
		r.flag(0, Violation, Accepted, "SN-5.4.16", "granted QoS 3")
	}
	return s, r.end()
}

// Type implements Message.
func (Suback) Type() Type { return TypeSuback }

// Size implements Message.
func (Suback) Size() int { return messageSize(6) }

// Append implements Message. It allocates only to grow dst.
func (s Suback) Append(dst []byte) ([]byte, error) {
	if s.QoS < 0 || s.QoS > 2 {
		return dst, unencodable(TypeSuback, "QoS %d", s.QoS)
	}
	b, err := appendHeader(dst, TypeSuback, 6)
	if err != nil {
		return dst, err
	}
	b = appendUint16(append(b, qosBits(s.QoS)), s.TopicID)
	b = appendUint16(b, s.MsgID)
	return append(b, byte(s.Code)), nil
}
