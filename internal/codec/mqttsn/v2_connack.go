package mqttsn

// ConnackV2 answers CONNECT in 2.0.
type ConnackV2 struct {
	SessionPresent bool
	PacketID       uint16
	Code           ReasonCode
	HasExpiry      bool
	Expiry         uint32 // seconds, in place of what the client asked for
	HasKeepAlive   bool
	KeepAlive      uint16 // seconds, in place of what the client asked for
	Auth           *AuthDataV2
	ClientID       string // that the server has given, or ""
}

// ParseConnackV2 reads the body of a CONNACK message.
func ParseConnackV2(body []byte, o *Options) (ConnackV2, error) {
	r := newReader(TypeConnackV2, body, o)
	flags := r.reserved(0x0f)
	c := ConnackV2{
		SessionPresent: flags&1 != 0, HasExpiry: flags&2 != 0, HasKeepAlive: flags&4 != 0,
		PacketID: r.uint16("packet identifier"), Code: ReasonCode(r.uint8("reason code")),
	}
	if c.HasExpiry {
		c.Expiry = r.uint32("session expiry")
	}
	if c.HasKeepAlive {
		c.KeepAlive = r.uint16("server keep alive")
	}
	if flags&8 != 0 {
		c.Auth = r.authV2()
	}
	if r.left() > 0 {
		off := r.off
		id := r.rest()
		r.text(off, id, "", "client identifier")
		c.ClientID = string(id)
	}
	return c, r.result()
}

// Type implements Message.
func (ConnackV2) Type() Type { return TypeConnackV2 }

func (c *ConnackV2) length() int {
	n := 1 + 2 + 1 + c.Auth.size() + len(c.ClientID)
	if c.HasExpiry {
		n += 4
	}
	if c.HasKeepAlive {
		n += 2
	}
	return n
}

// Size implements Message.
func (c ConnackV2) Size() int { return messageSize(c.length()) }

// Append implements Message.
func (c ConnackV2) Append(dst []byte) ([]byte, error) {
	if err := c.Auth.check(TypeConnackV2); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypeConnackV2, c.length())
	if err != nil {
		return dst, err
	}
	b = append(b, bit(c.SessionPresent, 1)|bit(c.HasExpiry, 2)|bit(c.HasKeepAlive, 4)|bit(c.Auth != nil, 8))
	b = append(appendUint16(b, c.PacketID), byte(c.Code))
	if c.HasExpiry {
		b = appendUint32(b, c.Expiry)
	}
	if c.HasKeepAlive {
		b = appendUint16(b, c.KeepAlive)
	}
	return append(c.Auth.append(b), c.ClientID...), nil
}
