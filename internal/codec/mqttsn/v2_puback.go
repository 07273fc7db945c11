package mqttsn

// PubackV2 answers a PUBLISH with QoS 1 in 2.0.
type PubackV2 struct {
	PacketID uint16
	Code     ReasonCode
}

// ParsePubackV2 reads the body of a PUBACK message without allocating.
func ParsePubackV2(body []byte, o *Options) (PubackV2, error) {
	a, err := parseAckV2(TypePubackV2, body, o)
	return PubackV2(a), err
}

// Type implements Message.
func (PubackV2) Type() Type { return TypePubackV2 }

// Size implements Message.
func (m PubackV2) Size() int { return messageSize((*ackV2)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m PubackV2) Append(dst []byte) ([]byte, error) { return (*ackV2)(&m).append(dst, TypePubackV2) }
