package mqttsn

// will is what WILLTOPIC and WILLTOPICUPD have in common.
type will struct {
	QoS    int8
	Retain bool
	Topic  string
}

func parseWill(t Type, body []byte, o *Options) (will, error) {
	r := newReader(t, body, o)
	if len(body) == 0 { // SN-5.4.7 SN-5.4.22
		return will{}, r.result()
	}
	flags := r.flags(flagQoS | flagRetain)
	topic := r.rest()
	if qosOf(flags) == QoSMinusOne {
		r.flag(0, Unsupported, NotSupported, "SN-5.3.4", "will with QoS 3")
	}
	r.name(1, topic, "SN-5.3.14", "will topic")
	return will{qosOf(flags), flags&flagRetain != 0, string(topic)}, r.result()
}

func (m *will) length() int {
	if m.Topic == "" {
		return 0
	}
	return 1 + len(m.Topic)
}

func (m *will) append(dst []byte, t Type) ([]byte, error) {
	if m.QoS < 0 || m.QoS > 2 {
		return dst, unencodable(t, "QoS %d", m.QoS)
	}
	b, err := appendHeader(dst, t, m.length())
	if err != nil || m.Topic == "" {
		return b, err
	}
	b = append(b, qosBits(m.QoS)|bit(m.Retain, flagRetain))
	return append(b, m.Topic...), nil
}
