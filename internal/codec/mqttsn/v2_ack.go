package mqttsn

// ackV2 is what the acknowledgements of 2.0 have in common.
type ackV2 struct {
	PacketID uint16
	Code     ReasonCode
}

func parseAckV2(t Type, body []byte, o *Options) (ackV2, error) {
	r := newReader(t, body, o)
	return ackV2{r.uint16("packet identifier"), r.reason()}, r.end()
}

func (a *ackV2) length() int {
	if a.Code == SuccessV2 {
		return 2
	}
	return 3
}

// append writes the shorter form, without success.
func (a *ackV2) append(dst []byte, t Type) ([]byte, error) {
	b, err := appendHeader(dst, t, a.length())
	if err != nil {
		return dst, err
	}
	b = appendUint16(b, a.PacketID)
	if a.Code != SuccessV2 {
		b = append(b, byte(a.Code))
	}
	return b, nil
}
