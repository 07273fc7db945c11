package mqttsn

// Pubrel answers PUBREC.
type Pubrel struct {
	MsgID uint16
}

// ParsePubrel reads the body of a PUBREL message without allocating.
func ParsePubrel(body []byte, o *Options) (Pubrel, error) {
	id, err := parseMsgID(TypePubrel, body, o)
	return Pubrel{id}, err
}

// Type implements Message.
func (Pubrel) Type() Type { return TypePubrel }

// Size implements Message.
func (Pubrel) Size() int { return messageSize(2) }

// Append implements Message. It allocates only to grow dst.
func (m Pubrel) Append(dst []byte) ([]byte, error) { return appendMsgID(dst, TypePubrel, m.MsgID) }
