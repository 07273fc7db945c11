package mqttsn

// AdvertiseV2 tells of a gateway.
type AdvertiseV2 struct {
	GatewayID uint8
	Duration  uint16 // seconds until the next one
}

// ParseAdvertiseV2 reads the body of an ADVERTISE message.
func ParseAdvertiseV2(body []byte, o *Options) (AdvertiseV2, error) {
	m, err := parseAdvertise(TypeAdvertiseV2, body, o)
	return AdvertiseV2(m), err
}

// Type implements Message.
func (AdvertiseV2) Type() Type { return TypeAdvertiseV2 }

// Size implements Message.
func (m AdvertiseV2) Size() int { return Advertise(m).Size() }

// Append implements Message.
func (m AdvertiseV2) Append(dst []byte) ([]byte, error) {
	return Advertise(m).append(dst, TypeAdvertiseV2)
}
