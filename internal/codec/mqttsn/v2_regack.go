package mqttsn

// RegackV2 answers REGISTER in 2.0.
type RegackV2 struct {
	Kind     TopicKindV2
	PacketID uint16
	HasAlias bool // from the server
	Alias    uint16
	Code     ReasonCode
}

// ParseRegackV2 reads the body of a REGACK message without allocating.
func ParseRegackV2(body []byte, o *Options) (RegackV2, error) {
	a, err := parseAliasAck(TypeRegackV2, body, o)
	return RegackV2(a), err
}

// Type implements Message.
func (RegackV2) Type() Type { return TypeRegackV2 }

// Size implements Message.
func (m RegackV2) Size() int { return messageSize((*aliasAck)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m RegackV2) Append(dst []byte) ([]byte, error) {
	return (*aliasAck)(&m).append(dst, TypeRegackV2)
}
