package mqttsn

// aliasAck is what SUBACK and REGACK of 2.0 have in common.
type aliasAck struct {
	Kind     TopicKindV2
	PacketID uint16
	HasAlias bool
	Alias    uint16
	Code     ReasonCode
}

func parseAliasAck(t Type, body []byte, o *Options) (aliasAck, error) {
	r := newReader(t, body, o)
	flags := r.reserved(4 | flagTopic)
	a := aliasAck{Kind: TopicKindV2(flags & flagTopic), HasAlias: flags&4 != 0, PacketID: r.uint16("packet identifier")}
	if a.Kind == reservedTopicV2 {
		r.stop(0, "topic type 2 is reserved")
	}
	if a.HasAlias {
		a.Alias = r.uint16("topic alias")
	}
	a.Code = r.reason()
	return a, r.end()
}

func (a *aliasAck) length() int {
	n := 3
	if a.HasAlias {
		n += 2
	}
	if a.Code != SuccessV2 {
		n++
	}
	return n
}

func (a *aliasAck) append(dst []byte, t Type) ([]byte, error) {
	if a.Kind == reservedTopicV2 || a.Kind > TopicNameV2 {
		return dst, unencodable(t, "topic type %d", a.Kind)
	}
	b, err := appendHeader(dst, t, a.length())
	if err != nil {
		return dst, err
	}
	b = appendUint16(append(b, bit(a.HasAlias, 4)|byte(a.Kind)), a.PacketID)
	if a.HasAlias {
		b = appendUint16(b, a.Alias)
	}
	if a.Code != SuccessV2 {
		b = append(b, byte(a.Code))
	}
	return b, nil
}
