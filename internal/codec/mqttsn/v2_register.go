package mqttsn

// RegisterV2 gives a topic an alias, or asks for one.
type RegisterV2 struct {
	PacketID uint16
	HasAlias bool // from the server
	Alias    uint16
	Topic    string
}

// ParseRegisterV2 reads the body of a REGISTER message.
func ParseRegisterV2(body []byte, o *Options) (RegisterV2, error) {
	r := newReader(TypeRegisterV2, body, o)
	flags := r.reserved(1)
	m := RegisterV2{HasAlias: flags&1 != 0, PacketID: r.uint16("packet identifier")}
	if m.HasAlias {
		m.Alias = r.uint16("topic alias")
		if !r.ended && !o.FromServer && !o.EitherSide {
			r.flag(0, Violation, Accepted, "", "a topic alias from a client")
		}
	}
	off := r.off
	topic := r.rest()
	r.name(off, topic, "", "topic")
	m.Topic = string(topic)
	return m, r.result()
}

// Type implements Message.
func (RegisterV2) Type() Type { return TypeRegisterV2 }

func (m *RegisterV2) length() int {
	if m.HasAlias {
		return 5 + len(m.Topic)
	}
	return 3 + len(m.Topic)
}

// Size implements Message.
func (m RegisterV2) Size() int { return messageSize(m.length()) }

// Append implements Message.
func (m RegisterV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeRegisterV2, m.length())
	if err != nil {
		return dst, err
	}
	b = appendUint16(append(b, bit(m.HasAlias, 1)), m.PacketID)
	if m.HasAlias {
		b = appendUint16(b, m.Alias)
	}
	return append(b, m.Topic...), nil
}
