package mqttsn

// SearchGW looks for a gateway.
type SearchGW struct {
	Radius uint8 // hops, 0 for all of the network
}

// ParseSearchGW reads the body of a SEARCHGW message.
func ParseSearchGW(body []byte, o *Options) (SearchGW, error) {
	r := newReader(TypeSearchGW, body, o)
	return SearchGW{r.uint8("radius")}, r.end()
}

// Type implements Message.
func (SearchGW) Type() Type { return TypeSearchGW }

// Size implements Message.
func (SearchGW) Size() int { return messageSize(1) }

// Append implements Message.
func (m SearchGW) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeSearchGW, 1)
	if err != nil {
		return dst, err
	}
	return append(b, m.Radius), nil
}
