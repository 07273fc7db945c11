package mqttsn

// Unsuback answers UNSUBSCRIBE. It cannot refuse.
type Unsuback struct {
	MsgID uint16
}

// ParseUnsuback reads the body of a UNSUBACK message without allocating.
func ParseUnsuback(body []byte, o *Options) (Unsuback, error) {
	id, err := parseMsgID(TypeUnsuback, body, o)
	return Unsuback{id}, err
}

// Type implements Message.
func (Unsuback) Type() Type { return TypeUnsuback }

// Size implements Message.
func (Unsuback) Size() int { return messageSize(2) }

// Append implements Message. It allocates only to grow dst.
func (m Unsuback) Append(dst []byte) ([]byte, error) { return appendMsgID(dst, TypeUnsuback, m.MsgID) }
