package mqtt

// Pubrel releases the packet identifier of a QoS 2 exchange, the second step.
type Pubrel struct {
	PacketID   uint16
	Code       ReasonCode // 5.0
	Properties Properties // 5.0
}

// ParsePubrel reads the body of a PUBREL packet without allocating.
func ParsePubrel(body []byte, flags uint8, o *Options) (Pubrel, error) {
	a, err := parseAck(TypePubrel, body, flags, o)
	return Pubrel(a), err
}

func (Pubrel) Type() Type { return TypePubrel }

// Size implements Packet.
func (p Pubrel) Size(v Version) int { return packetSize((*ack)(&p).remaining(v)) }

// Append implements Packet. It allocates only to grow dst.
func (p Pubrel) Append(dst []byte, v Version) ([]byte, error) {
	return (*ack)(&p).append(dst, TypePubrel, v)
}
