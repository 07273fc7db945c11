package mqttsn

// ack is what REGACK and PUBACK have in common.
type ack struct {
	TopicID uint16
	MsgID   uint16
	Code    ReturnCode
}

func parseAck(t Type, body []byte, o *Options) (ack, error) {
	r := newReader(t, body, o)
	a := ack{TopicID: r.uint16("topic identifier")}
	if t == TypePuback {
		a.MsgID = r.uint16("message identifier")
	} else {
		a.MsgID = r.msgID()
	}
	a.Code = r.code()
	return a, r.end()
}

func (a *ack) append(dst []byte, t Type) ([]byte, error) {
	b, err := appendHeader(dst, t, 5)
	if err != nil {
		return dst, err
	}
	b = appendUint16(b, a.TopicID)
	b = appendUint16(b, a.MsgID)
	return append(b, byte(a.Code)), nil
}

// parseMsgID reads a message that is a message identifier.
func parseMsgID(t Type, body []byte, o *Options) (uint16, error) {
	r := newReader(t, body, o)
	return r.msgID(), r.end()
}

func appendMsgID(dst []byte, t Type, id uint16) ([]byte, error) {
	b, err := appendHeader(dst, t, 2)
	if err != nil {
		return dst, err
	}
	return appendUint16(b, id), nil
}
