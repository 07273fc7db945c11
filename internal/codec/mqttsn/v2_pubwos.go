package mqttsn

// PubwosV2 publishes without a session.
type PubwosV2 struct {
	Retain  bool
	Topic   TopicV2 // no session alias
	Payload []byte  // aliases the parsed body
}

// ParsePubwosV2 reads the body of a PUBWOS message without allocating.
func ParsePubwosV2(body []byte, o *Options) (PubwosV2, error) {
	r := newReader(TypePubwosV2, body, o)
	flags := r.reserved(flagRetain | flagTopic)
	p := PubwosV2{Retain: flags&flagRetain != 0, Topic: r.topicV2(TopicKindV2(flags&flagTopic), false, false)}
	if !r.ended && p.Topic.Kind == SessionAliasV2 {
		r.flag(0, Violation, Accepted, "", "a session alias without a session")
	}
	p.Payload = r.rest()
	return p, r.result()
}

// Type implements Message.
func (PubwosV2) Type() Type { return TypePubwosV2 }

// Size implements Message.
func (p PubwosV2) Size() int { return messageSize(1 + p.Topic.size(false) + len(p.Payload)) }

// Append implements Message. It allocates only to grow dst.
func (p PubwosV2) Append(dst []byte) ([]byte, error) {
	if err := p.Topic.check(TypePubwosV2); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypePubwosV2, 1+p.Topic.size(false)+len(p.Payload))
	if err != nil {
		return dst, err
	}
	b = append(b, bit(p.Retain, flagRetain)|byte(p.Topic.Kind))
	return append(p.Topic.append(b, false), p.Payload...), nil
}
