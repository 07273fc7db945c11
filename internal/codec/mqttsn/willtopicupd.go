package mqttsn

// WillTopicUpd changes the topic of a will. Without a topic it deletes the will.
type WillTopicUpd struct {
	QoS    int8
	Retain bool
	Topic  string
}

// ParseWillTopicUpd reads the body of a WILLTOPICUPD message. Flags with no topic behind
// them are a violation; nothing at all is not.
func ParseWillTopicUpd(body []byte, o *Options) (WillTopicUpd, error) {
	m, err := parseWill(TypeWillTopicUpd, body, o)
	return WillTopicUpd(m), err
}

// Type implements Message.
func (WillTopicUpd) Type() Type { return TypeWillTopicUpd }

// Size implements Message.
func (m WillTopicUpd) Size() int { return messageSize((*will)(&m).length()) }

// Append implements Message. Without a topic nothing else is written.
func (m WillTopicUpd) Append(dst []byte) ([]byte, error) {
	return (*will)(&m).append(dst, TypeWillTopicUpd)
}
