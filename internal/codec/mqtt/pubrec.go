package mqtt

// Pubrec says that a PUBLISH with QoS 2 was received, the first answer of three.
type Pubrec struct {
	PacketID   uint16
	Code       ReasonCode // 5.0
	Properties Properties // 5.0
}

// ParsePubrec reads the body of a PUBREC packet without allocating.
func ParsePubrec(body []byte, flags uint8, o *Options) (Pubrec, error) {
	a, err := parseAck(TypePubrec, body, flags, o)
	return Pubrec(a), err
}

func (Pubrec) Type() Type { return TypePubrec }

// Size implements Packet.
func (p Pubrec) Size(v Version) int { return packetSize((*ack)(&p).remaining(v)) }

// Append implements Packet. It allocates only to grow dst.
func (p Pubrec) Append(dst []byte, v Version) ([]byte, error) {
	return (*ack)(&p).append(dst, TypePubrec, v)
}
