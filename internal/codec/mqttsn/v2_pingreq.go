package mqttsn

// PingreqV2 asks for a sign of life, or for what waits for a sleeping client.
type PingreqV2 struct {
	PacketID uint16
}

// ParsePingreqV2 reads the body of a PINGREQ message.
func ParsePingreqV2(body []byte, o *Options) (PingreqV2, error) {
	r := newReader(TypePingreqV2, body, o)
	return PingreqV2{r.uint16("packet identifier")}, r.end()
}

// Type implements Message.
func (PingreqV2) Type() Type { return TypePingreqV2 }

// Size implements Message.
func (PingreqV2) Size() int { return messageSize(2) }

// Append implements Message.
func (m PingreqV2) Append(dst []byte) ([]byte, error) {
	return appendMsgID(dst, TypePingreqV2, m.PacketID)
}
