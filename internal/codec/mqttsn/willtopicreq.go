package mqttsn

// WillTopicReq asks a client that connects for the topic of its will.
type WillTopicReq struct{}

// ParseWillTopicReq reads the body of a WILLTOPICREQ message, which is empty.
func ParseWillTopicReq(body []byte, o *Options) (WillTopicReq, error) {
	r := newReader(TypeWillTopicReq, body, o)
	return WillTopicReq{}, r.end()
}

// Type implements Message.
func (WillTopicReq) Type() Type { return TypeWillTopicReq }

// Size implements Message.
func (WillTopicReq) Size() int { return messageSize(0) }

// Append implements Message.
func (WillTopicReq) Append(dst []byte) ([]byte, error) { return appendHeader(dst, TypeWillTopicReq, 0) }
