package mqttsn

// Pubrec is the first answer to a PUBLISH with QoS 2.
type Pubrec struct {
	MsgID uint16
}

// ParsePubrec reads the body of a PUBREC message without allocating.
func ParsePubrec(body []byte, o *Options) (Pubrec, error) {
	id, err := parseMsgID(TypePubrec, body, o)
	return Pubrec{id}, err
}

// Type implements Message.
func (Pubrec) Type() Type { return TypePubrec }

// Size implements Message.
func (Pubrec) Size() int { return messageSize(2) }

// Append implements Message. It allocates only to grow dst.
func (m Pubrec) Append(dst []byte) ([]byte, error) { return appendMsgID(dst, TypePubrec, m.MsgID) }
