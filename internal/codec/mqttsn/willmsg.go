package mqttsn

// WillMsg answers WILLMSGREQ.
type WillMsg struct {
	Payload []byte // aliases the parsed body
}

// ParseWillMsg reads the body of a WILLMSG message.
func ParseWillMsg(body []byte, o *Options) (WillMsg, error) {
	r := newReader(TypeWillMsg, body, o)
	return WillMsg{r.rest()}, r.result()
}

// Type implements Message.
func (WillMsg) Type() Type { return TypeWillMsg }

// Size implements Message.
func (m WillMsg) Size() int { return messageSize(len(m.Payload)) }

// Append implements Message.
func (m WillMsg) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeWillMsg, len(m.Payload))
	if err != nil {
		return dst, err
	}
	return append(b, m.Payload...), nil
}
