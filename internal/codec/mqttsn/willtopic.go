package mqttsn

// WillTopic answers WILLTOPICREQ. Without a topic there is no will.
type WillTopic struct {
	QoS    int8
	Retain bool
	Topic  string
}

// ParseWillTopic reads the body of a WILLTOPIC message. Flags with no topic behind
// them are a violation; nothing at all is not.
func ParseWillTopic(body []byte, o *Options) (WillTopic, error) {
	m, err := parseWill(TypeWillTopic, body, o)
	return WillTopic(m), err
}

// Type implements Message.
func (WillTopic) Type() Type { return TypeWillTopic }

// Size implements Message.
func (m WillTopic) Size() int { return messageSize((*will)(&m).length()) }

// Append implements Message. Without a topic nothing else is written.
func (m WillTopic) Append(dst []byte) ([]byte, error) { return (*will)(&m).append(dst, TypeWillTopic) }
