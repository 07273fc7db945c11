package mqttsn

// PubrelV2 answers PUBREC in 2.0.
type PubrelV2 struct {
	PacketID uint16
	Code     ReasonCode
}

// ParsePubrelV2 reads the body of a PUBREL message without allocating.
func ParsePubrelV2(body []byte, o *Options) (PubrelV2, error) {
	a, err := parseAckV2(TypePubrelV2, body, o)
	return PubrelV2(a), err
}

// Type implements Message.
func (PubrelV2) Type() Type { return TypePubrelV2 }

// Size implements Message.
func (m PubrelV2) Size() int { return messageSize((*ackV2)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m PubrelV2) Append(dst []byte) ([]byte, error) { return (*ackV2)(&m).append(dst, TypePubrelV2) }
