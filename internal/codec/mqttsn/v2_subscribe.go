package mqttsn

// SubscribeV2 asks for the messages of one filter in 2.0.
type SubscribeV2 struct {
	NoLocal           bool
	QoS               uint8 // the most that the client wants
	RetainAsPublished bool
	RetainHandling    uint8 // as in MQTT 5.0
	PacketID          uint16
	Topic             TopicV2
}

// ParseSubscribeV2 reads the body of a SUBSCRIBE message.
func ParseSubscribeV2(body []byte, o *Options) (SubscribeV2, error) {
	r := newReader(TypeSubscribeV2, body, o)
	flags := r.uint8("flags")
	s := SubscribeV2{
		NoLocal: flags&0x80 != 0, QoS: r.qos(0, flags&flagQoS>>5), RetainAsPublished: flags&0x10 != 0,
		RetainHandling: flags >> 2 & 3, PacketID: r.uint16("packet identifier"),
	}
	if s.RetainHandling == 3 {
		r.flag(0, Violation, Accepted, "", "retain handling 3")
	}
	s.Topic = r.topicV2(TopicKindV2(flags&flagTopic), true, true)
	return s, r.end()
}

// Type implements Message.
func (SubscribeV2) Type() Type { return TypeSubscribeV2 }

// Size implements Message.
func (s SubscribeV2) Size() int { return messageSize(3 + s.Topic.size(true)) }

// Append implements Message.
func (s SubscribeV2) Append(dst []byte) ([]byte, error) {
	if s.QoS > 2 || s.RetainHandling > 2 {
		return dst, unencodable(TypeSubscribeV2, "QoS %d, retain handling %d", s.QoS, s.RetainHandling)
	}
	flags := bit(s.NoLocal, 0x80) | s.QoS<<5 | bit(s.RetainAsPublished, 0x10) | s.RetainHandling<<2
	return s.Topic.request(dst, TypeSubscribeV2, flags, s.PacketID)
}

// request appends a SUBSCRIBE or an UNSUBSCRIBE.
func (t *TopicV2) request(dst []byte, of Type, flags byte, id uint16) ([]byte, error) {
	if err := t.check(of); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, of, 3+t.size(true))
	if err != nil {
		return dst, err
	}
	return t.append(appendUint16(append(b, flags|byte(t.Kind)), id), true), nil
}
