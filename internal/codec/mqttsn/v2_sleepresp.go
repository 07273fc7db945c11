package mqttsn

// SleeprespV2 answers SLEEPREQ.
type SleeprespV2 struct {
	PacketID    uint16
	HasDuration bool
	Duration    uint32 // seconds, in place of what the client asked for
	Code        ReasonCode
}

// ParseSleeprespV2 reads the body of a SLEEPRESP message.
func ParseSleeprespV2(body []byte, o *Options) (SleeprespV2, error) {
	r := newReader(TypeSleeprespV2, body, o)
	flags := r.reserved(1)
	m := SleeprespV2{HasDuration: flags&1 != 0, PacketID: r.uint16("packet identifier")}
	if m.HasDuration {
		m.Duration = r.uint32("sleep duration")
	}
	m.Code = r.reason()
	return m, r.end()
}

// Type implements Message.
func (SleeprespV2) Type() Type { return TypeSleeprespV2 }

func (m *SleeprespV2) length() int {
	n := 3
	if m.HasDuration {
		n += 4
	}
	if m.Code != SuccessV2 {
		n++
	}
	return n
}

// Size implements Message.
func (m SleeprespV2) Size() int { return messageSize(m.length()) }

// Append implements Message.
func (m SleeprespV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeSleeprespV2, m.length())
	if err != nil {
		return dst, err
	}
	b = appendUint16(append(b, bit(m.HasDuration, 1)), m.PacketID)
	if m.HasDuration {
		b = appendUint32(b, m.Duration)
	}
	if m.Code != SuccessV2 {
		b = append(b, byte(m.Code))
	}
	return b, nil
}
