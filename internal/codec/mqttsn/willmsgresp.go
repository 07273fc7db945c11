package mqttsn

// WillMsgResp answers WILLMSGUPD.
type WillMsgResp struct {
	Code ReturnCode
}

// ParseWillMsgResp reads the body of a WILLMSGRESP message.
func ParseWillMsgResp(body []byte, o *Options) (WillMsgResp, error) {
	r := newReader(TypeWillMsgResp, body, o)
	return WillMsgResp{r.code()}, r.end()
}

// Type implements Message.
func (WillMsgResp) Type() Type { return TypeWillMsgResp }

// Size implements Message.
func (WillMsgResp) Size() int { return messageSize(1) }

// Append implements Message.
func (m WillMsgResp) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeWillMsgResp, 1)
	if err != nil {
		return dst, err
	}
	return append(b, byte(m.Code)), nil
}
