package mqttsn

// PublishV2 carries an application message in 2.0.
type PublishV2 struct {
	Dup      bool // at QoS 2
	QoS      uint8
	Retain   bool
	PacketID uint16 // 0 at QoS 0
	Topic    TopicV2
	Payload  []byte // aliases the parsed body
}

// ParsePublishV2 reads the body of a PUBLISH message without allocating.
func ParsePublishV2(body []byte, o *Options) (PublishV2, error) {
	r := newReader(TypePublishV2, body, o)
	flags := r.reserved(flagDup | flagQoS | flagRetain | flagTopic)
	p := PublishV2{Dup: flags&flagDup != 0, QoS: r.qos(0, flags&flagQoS>>5), Retain: flags&flagRetain != 0}
	if p.Dup && p.QoS < 2 {
		r.flag(0, Violation, Accepted, "", "DUP below QoS 2")
	}
	if p.QoS > 0 {
		p.PacketID = r.uint16("packet identifier")
	}
	p.Topic = r.topicV2(TopicKindV2(flags&flagTopic), false, false)
	p.Payload = r.rest()
	return p, r.result()
}

// Type implements Message.
func (PublishV2) Type() Type { return TypePublishV2 }

func (p *PublishV2) length() int {
	n := 1 + p.Topic.size(false) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	return n
}

// Size implements Message.
func (p PublishV2) Size() int { return messageSize(p.length()) }

// Append implements Message. It allocates only to grow dst.
func (p PublishV2) Append(dst []byte) ([]byte, error) {
	if p.QoS > 2 {
		return dst, unencodable(TypePublishV2, "QoS %d", p.QoS)
	}
	if err := p.Topic.check(TypePublishV2); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypePublishV2, p.length())
	if err != nil {
		return dst, err
	}
	b = append(b, bit(p.Dup, flagDup)|p.QoS<<5|bit(p.Retain, flagRetain)|byte(p.Topic.Kind))
	if p.QoS > 0 {
		b = appendUint16(b, p.PacketID)
	}
	return append(p.Topic.append(b, false), p.Payload...), nil
}
