package mqttsn

// SleepreqV2 says that a client goes to sleep.
type SleepreqV2 struct {
	KeepAliases bool
	PacketID    uint16
	Duration    uint32 // seconds
}

// ParseSleepreqV2 reads the body of a SLEEPREQ message.
func ParseSleepreqV2(body []byte, o *Options) (SleepreqV2, error) {
	r := newReader(TypeSleepreqV2, body, o)
	flags := r.reserved(1)
	m := SleepreqV2{flags&1 != 0, r.uint16("packet identifier"), r.uint32("sleep duration")}
	if !r.ended && m.Duration == 0 {
		r.flag(3, Violation, Accepted, "", "sleep duration is 0")
	}
	return m, r.end()
}

// Type implements Message.
func (SleepreqV2) Type() Type { return TypeSleepreqV2 }

// Size implements Message.
func (SleepreqV2) Size() int { return messageSize(7) }

// Append implements Message.
func (m SleepreqV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeSleepreqV2, 7)
	if err != nil {
		return dst, err
	}
	return appendUint32(appendUint16(append(b, bit(m.KeepAliases, 1)), m.PacketID), m.Duration), nil
}
