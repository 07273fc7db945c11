package mqtt

// Pubcomp completes a QoS 2 exchange.
type Pubcomp struct {
	PacketID   uint16
	Code       ReasonCode // 5.0
	Properties Properties // 5.0
}

// ParsePubcomp reads the body of a PUBCOMP packet without allocating.
func ParsePubcomp(body []byte, flags uint8, o *Options) (Pubcomp, error) {
	a, err := parseAck(TypePubcomp, body, flags, o)
	return Pubcomp(a), err
}

func (Pubcomp) Type() Type { return TypePubcomp }

// Size implements Packet.
func (p Pubcomp) Size(v Version) int { return packetSize((*ack)(&p).remaining(v)) }

// Append implements Packet. It allocates only to grow dst.
func (p Pubcomp) Append(dst []byte, v Version) ([]byte, error) {
	return (*ack)(&p).append(dst, TypePubcomp, v)
}
