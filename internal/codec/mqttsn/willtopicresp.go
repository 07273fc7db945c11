package mqttsn

// WillTopicResp answers WILLTOPICUPD.
type WillTopicResp struct {
	Code ReturnCode
}

// ParseWillTopicResp reads the body of a WILLTOPICRESP message.
func ParseWillTopicResp(body []byte, o *Options) (WillTopicResp, error) {
	r := newReader(TypeWillTopicResp, body, o)
	return WillTopicResp{r.code()}, r.end()
}

// Type implements Message.
func (WillTopicResp) Type() Type { return TypeWillTopicResp }

// Size implements Message.
func (WillTopicResp) Size() int { return messageSize(1) }

// Append implements Message.
func (m WillTopicResp) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeWillTopicResp, 1)
	if err != nil {
		return dst, err
	}
	return append(b, byte(m.Code)), nil
}
