package mqttsn

// PubrecV2 is the first answer to a PUBLISH with QoS 2 in 2.0.
type PubrecV2 struct {
	PacketID uint16
	Code     ReasonCode
}

// ParsePubrecV2 reads the body of a PUBREC message without allocating.
func ParsePubrecV2(body []byte, o *Options) (PubrecV2, error) {
	a, err := parseAckV2(TypePubrecV2, body, o)
	return PubrecV2(a), err
}

// Type implements Message.
func (PubrecV2) Type() Type { return TypePubrecV2 }

// Size implements Message.
func (m PubrecV2) Size() int { return messageSize((*ackV2)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m PubrecV2) Append(dst []byte) ([]byte, error) { return (*ackV2)(&m).append(dst, TypePubrecV2) }
