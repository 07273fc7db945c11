package mqttsn

// PubcompV2 answers PUBREL in 2.0.
type PubcompV2 struct {
	PacketID uint16
	Code     ReasonCode
}

// ParsePubcompV2 reads the body of a PUBCOMP message without allocating.
func ParsePubcompV2(body []byte, o *Options) (PubcompV2, error) {
	a, err := parseAckV2(TypePubcompV2, body, o)
	return PubcompV2(a), err
}

// Type implements Message.
func (PubcompV2) Type() Type { return TypePubcompV2 }

// Size implements Message.
func (m PubcompV2) Size() int { return messageSize((*ackV2)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m PubcompV2) Append(dst []byte) ([]byte, error) { return (*ackV2)(&m).append(dst, TypePubcompV2) }
