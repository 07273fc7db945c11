package mqttsn

// Pubcomp answers PUBREL, and ends a PUBLISH with QoS 2.
type Pubcomp struct {
	MsgID uint16
}

// ParsePubcomp reads the body of a PUBCOMP message without allocating.
func ParsePubcomp(body []byte, o *Options) (Pubcomp, error) {
	id, err := parseMsgID(TypePubcomp, body, o)
	return Pubcomp{id}, err
}

// Type implements Message.
func (Pubcomp) Type() Type { return TypePubcomp }

// Size implements Message.
func (Pubcomp) Size() int { return messageSize(2) }

// Append implements Message. It allocates only to grow dst.
func (m Pubcomp) Append(dst []byte) ([]byte, error) { return appendMsgID(dst, TypePubcomp, m.MsgID) }
