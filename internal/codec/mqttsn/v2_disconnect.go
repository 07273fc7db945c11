package mqttsn

// DisconnectV2 ends a connection of 2.0. Nothing answers it.
type DisconnectV2 struct {
	HasPacketID bool
	PacketID    uint16
	HasExpiry   bool // from a client
	Expiry      uint32
	HasCode     bool
	Code        ReasonCode
	Reason      string // for people
}

// ParseDisconnectV2 reads the body of a DISCONNECT message.
func ParseDisconnectV2(body []byte, o *Options) (DisconnectV2, error) {
	r := newReader(TypeDisconnectV2, body, o)
	flags := r.reserved(7)
	m := DisconnectV2{HasPacketID: flags&1 != 0, HasExpiry: flags&2 != 0, HasCode: flags&4 != 0}
	if m.HasPacketID {
		m.PacketID = r.uint16("packet identifier")
	}
	if m.HasExpiry {
		m.Expiry = r.uint32("session expiry")
		if o.FromServer && !o.EitherSide {
			r.flag(0, Violation, Accepted, "", "a session expiry from a server")
		}
	}
	if m.HasCode {
		m.Code = ReasonCode(r.uint8("reason code"))
	}
	off := r.off
	reason := r.rest()
	r.text(off, reason, "", "reason string")
	m.Reason = string(reason)
	return m, r.result()
}

// Type implements Message.
func (DisconnectV2) Type() Type { return TypeDisconnectV2 }

func (m *DisconnectV2) length() int {
	n := 1 + len(m.Reason)
	if m.HasPacketID {
		n += 2
	}
	if m.HasExpiry {
		n += 4
	}
	if m.HasCode {
		n++
	}
	return n
}

// Size implements Message.
func (m DisconnectV2) Size() int { return messageSize(m.length()) }

// Append implements Message.
func (m DisconnectV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeDisconnectV2, m.length())
	if err != nil {
		return dst, err
	}
	b = append(b, bit(m.HasPacketID, 1)|bit(m.HasExpiry, 2)|bit(m.HasCode, 4))
	if m.HasPacketID {
		b = appendUint16(b, m.PacketID)
	}
	if m.HasExpiry {
		b = appendUint32(b, m.Expiry)
	}
	if m.HasCode {
		b = append(b, byte(m.Code))
	}
	return append(b, m.Reason...), nil
}
