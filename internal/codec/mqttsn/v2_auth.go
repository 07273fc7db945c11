package mqttsn

// AuthV2 is a step of an authentication of several.
type AuthV2 struct {
	PacketID uint16
	Code     ReasonCode
	Method   string
	Data     []byte // aliases the parsed body
}

// ParseAuthV2 reads the body of an AUTH message.
func ParseAuthV2(body []byte, o *Options) (AuthV2, error) {
	r := newReader(TypeAuthV2, body, o)
	a := AuthV2{PacketID: r.uint16("packet identifier"), Code: ReasonCode(r.uint8("reason code"))}
	off := r.off
	method := r.prefixed(1, "authentication method")
	r.text(off, method, "", "authentication method")
	a.Method, a.Data = string(method), r.rest()
	return a, r.result()
}

// Type implements Message.
func (AuthV2) Type() Type { return TypeAuthV2 }

// Size implements Message.
func (a AuthV2) Size() int { return messageSize(4 + len(a.Method) + len(a.Data)) }

// Append implements Message.
func (a AuthV2) Append(dst []byte) ([]byte, error) {
	if err := fits(TypeAuthV2, 1, []byte(a.Method)); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypeAuthV2, 4+len(a.Method)+len(a.Data))
	if err != nil {
		return dst, err
	}
	b = append(appendUint16(b, a.PacketID), byte(a.Code))
	return append(appendPrefixed(b, 1, []byte(a.Method)), a.Data...), nil
}
