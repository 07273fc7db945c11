package mqtt

// Puback acknowledges a PUBLISH with QoS 1.
type Puback struct {
	PacketID   uint16
	Code       ReasonCode // 5.0
	Properties Properties // 5.0
}

// ParsePuback reads the body of a PUBACK packet without allocating.
func ParsePuback(body []byte, flags uint8, o *Options) (Puback, error) {
	a, err := parseAck(TypePuback, body, flags, o)
	return Puback(a), err
}

func (Puback) Type() Type { return TypePuback }

// Size implements Packet.
func (p Puback) Size(v Version) int { return packetSize((*ack)(&p).remaining(v)) }

// Append implements Packet. It allocates only to grow dst.
func (p Puback) Append(dst []byte, v Version) ([]byte, error) {
	return (*ack)(&p).append(dst, TypePuback, v)
}
