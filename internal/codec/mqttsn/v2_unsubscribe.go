package mqttsn

// UnsubscribeV2 ends the subscription of one filter in 2.0.
type UnsubscribeV2 struct {
	PacketID uint16
	Topic    TopicV2
}

// ParseUnsubscribeV2 reads the body of an UNSUBSCRIBE message.
func ParseUnsubscribeV2(body []byte, o *Options) (UnsubscribeV2, error) {
	r := newReader(TypeUnsubscribeV2, body, o)
	flags := r.reserved(flagTopic)
	u := UnsubscribeV2{PacketID: r.uint16("packet identifier")}
	u.Topic = r.topicV2(TopicKindV2(flags&flagTopic), true, true)
	return u, r.end()
}

// Type implements Message.
func (UnsubscribeV2) Type() Type { return TypeUnsubscribeV2 }

// Size implements Message.
func (u UnsubscribeV2) Size() int { return messageSize(3 + u.Topic.size(true)) }

// Append implements Message.
func (u UnsubscribeV2) Append(dst []byte) ([]byte, error) {
	return u.Topic.request(dst, TypeUnsubscribeV2, 0, u.PacketID)
}
