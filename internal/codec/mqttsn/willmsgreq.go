package mqttsn

// WillMsgReq asks a client that connects for the payload of its will.
type WillMsgReq struct{}

// ParseWillMsgReq reads the body of a WILLMSGREQ message, which is empty.
func ParseWillMsgReq(body []byte, o *Options) (WillMsgReq, error) {
	r := newReader(TypeWillMsgReq, body, o)
	return WillMsgReq{}, r.end()
}

// Type implements Message.
func (WillMsgReq) Type() Type { return TypeWillMsgReq }

// Size implements Message.
func (WillMsgReq) Size() int { return messageSize(0) }

// Append implements Message.
func (WillMsgReq) Append(dst []byte) ([]byte, error) { return appendHeader(dst, TypeWillMsgReq, 0) }
