package mqttsn

// Regack answers REGISTER. A client that refuses does not want the topic.
type Regack struct {
	TopicID uint16
	MsgID   uint16
	Code    ReturnCode
}

// ParseRegack reads the body of a REGACK message without allocating.
func ParseRegack(body []byte, o *Options) (Regack, error) {
	a, err := parseAck(TypeRegack, body, o)
	return Regack(a), err
}

// Type implements Message.
func (Regack) Type() Type { return TypeRegack }

// Size implements Message.
func (Regack) Size() int { return messageSize(5) }

// Append implements Message. It allocates only to grow dst.
func (m Regack) Append(dst []byte) ([]byte, error) { return (*ack)(&m).append(dst, TypeRegack) }
