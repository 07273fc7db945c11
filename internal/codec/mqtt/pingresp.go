package mqtt

// Pingresp answers PINGREQ.
type Pingresp struct{}

// ParsePingresp reads the body of a PINGRESP packet, which is empty.
func ParsePingresp(body []byte, flags uint8, o *Options) (Pingresp, error) {
	r := newReader(TypePingresp, body, flags, o)
	if len(body) > 0 {
		r.flag(0, MalformedPacket, "MQTT3-3.13.2", "MQTT-3.13.2", "has a body")
	}
	return Pingresp{}, r.result()
}

func (Pingresp) Type() Type { return TypePingresp }

// Size implements Packet.
func (Pingresp) Size(Version) int { return 2 }

// Append implements Packet.
func (Pingresp) Append(dst []byte, _ Version) ([]byte, error) {
	return append(dst, byte(TypePingresp)<<4, 0), nil
}
