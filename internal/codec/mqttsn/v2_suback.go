package mqttsn

// SubackV2 answers SUBSCRIBE in 2.0.
type SubackV2 struct {
	Kind     TopicKindV2
	PacketID uint16
	HasAlias bool // from the server
	Alias    uint16
	Code     ReasonCode // the granted QoS, or a failure
}

// ParseSubackV2 reads the body of a SUBACK message without allocating.
func ParseSubackV2(body []byte, o *Options) (SubackV2, error) {
	a, err := parseAliasAck(TypeSubackV2, body, o)
	return SubackV2(a), err
}

// Type implements Message.
func (SubackV2) Type() Type { return TypeSubackV2 }

// Size implements Message.
func (m SubackV2) Size() int { return messageSize((*aliasAck)(&m).length()) }

// Append implements Message. It allocates only to grow dst.
func (m SubackV2) Append(dst []byte) ([]byte, error) {
	return (*aliasAck)(&m).append(dst, TypeSubackV2)
}
