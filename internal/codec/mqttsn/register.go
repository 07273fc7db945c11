package mqttsn

// Register gives a topic an identifier, or asks for one.
type Register struct {
	TopicID uint16 // 0 from a client
	MsgID   uint16
	Topic   string
}

// ParseRegister reads the body of a REGISTER message.
func ParseRegister(body []byte, o *Options) (Register, error) {
	r := newReader(TypeRegister, body, o)
	m := Register{TopicID: r.uint16("topic identifier"), MsgID: r.msgID()}
	topic := r.rest()
	m.Topic = string(topic)
	switch {
	case r.ended || o.EitherSide:
	case o.FromServer:
		r.topicID(0, m.TopicID)
	case m.TopicID != 0:
		r.note(0, "SN-5.4.10", "a topic identifier from a client")
	}
	r.name(4, topic, "SN-5.3.12", "topic")
	return m, r.result()
}

// Type implements Message.
func (Register) Type() Type { return TypeRegister }

// Size implements Message.
func (m Register) Size() int { return messageSize(4 + len(m.Topic)) }

// Append implements Message.
func (m Register) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeRegister, 4+len(m.Topic))
	if err != nil {
		return dst, err
	}
	b = appendUint16(b, m.TopicID)
	b = appendUint16(b, m.MsgID)
	return append(b, m.Topic...), nil
}
