package mqttsn

// Advertise tells of a gateway.
type Advertise struct {
	GatewayID uint8
	Duration  uint16 // seconds until the next one
}

// ParseAdvertise reads the body of an ADVERTISE message.
func ParseAdvertise(body []byte, o *Options) (Advertise, error) {
	return parseAdvertise(TypeAdvertise, body, o)
}

func parseAdvertise(t Type, body []byte, o *Options) (Advertise, error) {
	r := newReader(t, body, o)
	return Advertise{r.uint8("gateway identifier"), r.uint16("duration")}, r.end()
}

// Type implements Message.
func (Advertise) Type() Type { return TypeAdvertise }

// Size implements Message.
func (Advertise) Size() int { return messageSize(3) }

// Append implements Message.
func (m Advertise) Append(dst []byte) ([]byte, error) { return m.append(dst, TypeAdvertise) }

func (m Advertise) append(dst []byte, t Type) ([]byte, error) {
	b, err := appendHeader(dst, t, 3)
	if err != nil {
		return dst, err
	}
	return appendUint16(append(b, m.GatewayID), m.Duration), nil
}
