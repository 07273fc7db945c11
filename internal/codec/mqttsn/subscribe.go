package mqttsn

// Subscribe asks for the messages of one filter.
type Subscribe struct {
	Dup     bool
	QoS     int8 // the most that the client wants
	Kind    TopicKind
	MsgID   uint16
	TopicID uint16 // of a predefined topic
	Filter  string // of the other kinds; a short topic's has two bytes
}

// ParseSubscribe reads the body of a SUBSCRIBE message. The wildcards of the
// filter are not judged.
func ParseSubscribe(body []byte, o *Options) (Subscribe, error) {
	r := newReader(TypeSubscribe, body, o)
	flags := r.flags(flagDup | flagQoS | flagTopic)
	s := Subscribe{Dup: flags&flagDup != 0, QoS: qosOf(flags), Kind: TopicKind(flags & flagTopic), MsgID: r.msgID()}
	if s.QoS == QoSMinusOne {
		r.flag(0, Unsupported, NotSupported, "SN-5.4.15", "subscription with QoS 3")
	}
	s.TopicID, s.Filter = r.topic(s.Kind)
	return s, r.end()
}

// topic reads what SUBSCRIBE and UNSUBSCRIBE are about.
func (r *reader) topic(k TopicKind) (id uint16, filter string) {
	off := r.off
	r.kind(0, k)
	switch k {
	case PredefinedTopic:
		id = r.uint16("topic identifier")
		if !r.ended {
			r.topicID(off, id)
		}
	case ShortTopic:
		b := r.take(2, "short topic")
		r.text(off, b, "SN-6.7", "short topic")
		filter = string(b)
	default:
		b := r.rest()
		r.filter(off, b, "SN-5.3.12", "topic filter")
		filter = string(b)
	}
	return id, filter
}

// Type implements Message.
func (Subscribe) Type() Type { return TypeSubscribe }

// Size implements Message.
func (s Subscribe) Size() int { return messageSize(3 + topicSize(s.Kind, s.Filter)) }

// Append implements Message.
func (s Subscribe) Append(dst []byte) ([]byte, error) {
	if s.QoS < 0 || s.QoS > 2 {
		return dst, unencodable(TypeSubscribe, "QoS %d", s.QoS)
	}
	flags := bit(s.Dup, flagDup) | qosBits(s.QoS)
	return appendTopic(dst, TypeSubscribe, flags, s.MsgID, s.Kind, s.TopicID, s.Filter)
}

func topicSize(k TopicKind, filter string) int {
	if k == PredefinedTopic {
		return 2
	}
	return len(filter)
}

func appendTopic(dst []byte, t Type, flags byte, msgID uint16, k TopicKind, id uint16, filter string) ([]byte, error) {
	if k >= reservedTopic || k == ShortTopic && len(filter) != 2 {
		return dst, unencodable(t, "topic identifier type %d, filter of %d bytes", k, len(filter))
	}
	b, err := appendHeader(dst, t, 3+topicSize(k, filter))
	if err != nil {
		return dst, err
	}
	b = append(b, flags|byte(k), byte(msgID>>8), byte(msgID))
	if k == PredefinedTopic {
		return append(b, byte(id>>8), byte(id)), nil
	}
	return append(b, filter...), nil
}
