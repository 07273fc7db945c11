package mqttsn

// UnsubackV2 answers UNSUBSCRIBE in 2.0.
type UnsubackV2 struct {
	PacketID uint16
	Code     ReasonCode
}

// ParseUnsubackV2 reads the body of a UNSUBACK message without allocating.
func ParseUnsubackV2(body []byte, o *Options) (UnsubackV2, error) {
	a, err := parseAckV2(TypeUnsubackV2, body, o)
	return UnsubackV2(a), err
}

// Type implements Message.
func (UnsubackV2) Type() Type { return TypeUnsubackV2 }

// Size implements Message.
func (m UnsubackV2) Size() int { return messageSize((*ackV2)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m UnsubackV2) Append(dst []byte) ([]byte, error) {
	return (*ackV2)(&m).append(dst, TypeUnsubackV2)
}
