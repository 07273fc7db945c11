package mqtt

// Pingreq asks the server for a sign of life.
type Pingreq struct{}

// ParsePingreq reads the body of a PINGREQ packet, which is empty.
func ParsePingreq(body []byte, flags uint8, o *Options) (Pingreq, error) {
	r := newReader(TypePingreq, body, flags, o)
	if len(body) > 0 {
		r.flag(0, MalformedPacket, "MQTT3-3.12.2", "MQTT-3.12.2", "has a body")
	}
	return Pingreq{}, r.result()
}

func (Pingreq) Type() Type { return TypePingreq }

// Size implements Packet.
func (Pingreq) Size(Version) int { return 2 }

// Append implements Packet.
func (Pingreq) Append(dst []byte, _ Version) ([]byte, error) {
	return append(dst, byte(TypePingreq)<<4, 0), nil
}
