package mqttsn

// Unsubscribe ends the subscription of one filter.
type Unsubscribe struct {
	Kind    TopicKind
	MsgID   uint16
	TopicID uint16 // of a predefined topic
	Filter  string // of the other kinds; a short topic's has two bytes
}

// ParseUnsubscribe reads the body of an UNSUBSCRIBE message.
func ParseUnsubscribe(body []byte, o *Options) (Unsubscribe, error) {
	r := newReader(TypeUnsubscribe, body, o)
	flags := r.flags(flagTopic)
	u := Unsubscribe{Kind: TopicKind(flags & flagTopic), MsgID: r.msgID()}
	u.TopicID, u.Filter = r.topic(u.Kind)
	return u, r.end()
}

// Type implements Message.
func (Unsubscribe) Type() Type { return TypeUnsubscribe }

// Size implements Message.
func (u Unsubscribe) Size() int { return messageSize(3 + topicSize(u.Kind, u.Filter)) }

// Append implements Message.
func (u Unsubscribe) Append(dst []byte) ([]byte, error) {
	return appendTopic(dst, TypeUnsubscribe, 0, u.MsgID, u.Kind, u.TopicID, u.Filter)
}
