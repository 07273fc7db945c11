package mqttsn

// GWInfoV2 answers SEARCHGW in 2.0.
type GWInfoV2 struct {
	GatewayID uint8
	Address   []byte // of the gateway; aliases the parsed body
}

// ParseGWInfoV2 reads the body of a GWINFO message.
func ParseGWInfoV2(body []byte, o *Options) (GWInfoV2, error) {
	m, err := parseGWInfo(TypeGWInfoV2, body, o)
	return GWInfoV2(m), err
}

// Type implements Message.
func (GWInfoV2) Type() Type { return TypeGWInfoV2 }

// Size implements Message.
func (m GWInfoV2) Size() int { return GWInfo(m).Size() }

// Append implements Message.
func (m GWInfoV2) Append(dst []byte) ([]byte, error) { return GWInfo(m).append(dst, TypeGWInfoV2) }
