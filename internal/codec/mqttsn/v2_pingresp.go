package mqttsn

// PingrespV2 answers PINGREQ in 2.0.
type PingrespV2 struct {
	PacketID  uint16
	HasLeft   bool
	LeftCount uint8 // messages that still wait, 255 for some
}

// ParsePingrespV2 reads the body of a PINGRESP message.
func ParsePingrespV2(body []byte, o *Options) (PingrespV2, error) {
	r := newReader(TypePingrespV2, body, o)
	m := PingrespV2{PacketID: r.uint16("packet identifier")}
	if r.left() > 0 {
		m.HasLeft, m.LeftCount = true, r.uint8("messages remaining")
	}
	return m, r.end()
}

// Type implements Message.
func (PingrespV2) Type() Type { return TypePingrespV2 }

// Size implements Message.
func (m PingrespV2) Size() int {
	if m.HasLeft {
		return messageSize(3)
	}
	return messageSize(2)
}

// Append implements Message.
func (m PingrespV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypePingrespV2, m.Size()-2)
	if err != nil {
		return dst, err
	}
	b = appendUint16(b, m.PacketID)
	if m.HasLeft {
		b = append(b, m.LeftCount)
	}
	return b, nil
}
