package mqttsn

// WillMsgUpd changes the payload of a will.
type WillMsgUpd struct {
	Payload []byte // aliases the parsed body
}

// ParseWillMsgUpd reads the body of a WILLMSGUPD message.
func ParseWillMsgUpd(body []byte, o *Options) (WillMsgUpd, error) {
	r := newReader(TypeWillMsgUpd, body, o)
	return WillMsgUpd{r.rest()}, r.result()
}

// Type implements Message.
func (WillMsgUpd) Type() Type { return TypeWillMsgUpd }

// Size implements Message.
func (m WillMsgUpd) Size() int { return messageSize(len(m.Payload)) }

// Append implements Message.
func (m WillMsgUpd) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeWillMsgUpd, len(m.Payload))
	if err != nil {
		return dst, err
	}
	return append(b, m.Payload...), nil
}
