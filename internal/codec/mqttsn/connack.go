package mqttsn

// Connack answers CONNECT.
type Connack struct {
	Code ReturnCode
}

// ParseConnack reads the body of a CONNACK message.
func ParseConnack(body []byte, o *Options) (Connack, error) {
	r := newReader(TypeConnack, body, o)
	return Connack{r.code()}, r.end()
}

// Type implements Message.
func (Connack) Type() Type { return TypeConnack }

// Size implements Message.
func (Connack) Size() int { return messageSize(1) }

// Append implements Message.
func (m Connack) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeConnack, 1)
	if err != nil {
		return dst, err
	}
	return append(b, byte(m.Code)), nil
}
