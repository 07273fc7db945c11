package mqttsn

// Puback answers a PUBLISH with QoS 1, and refuses one of any QoS.
type Puback struct {
	TopicID uint16
	MsgID   uint16 // 0 for a PUBLISH without one
	Code    ReturnCode
}

// ParsePuback reads the body of a PUBACK message without allocating.
func ParsePuback(body []byte, o *Options) (Puback, error) {
	a, err := parseAck(TypePuback, body, o)
	return Puback(a), err
}

// Type implements Message.
func (Puback) Type() Type { return TypePuback }

// Size implements Message.
func (Puback) Size() int { return messageSize(5) }

// Append implements Message. It allocates only to grow dst.
func (m Puback) Append(dst []byte) ([]byte, error) { return (*ack)(&m).append(dst, TypePuback) }
