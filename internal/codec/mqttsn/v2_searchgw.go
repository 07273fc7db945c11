package mqttsn

// SearchGWV2 looks for a gateway.
type SearchGWV2 struct {
	Network []byte // what the network says; aliases the parsed body
}

// ParseSearchGWV2 reads the body of a SEARCHGW message.
func ParseSearchGWV2(body []byte, o *Options) (SearchGWV2, error) {
	r := newReader(TypeSearchGWV2, body, o)
	return SearchGWV2{r.rest()}, r.result()
}

// Type implements Message.
func (SearchGWV2) Type() Type { return TypeSearchGWV2 }

// Size implements Message.
func (m SearchGWV2) Size() int { return messageSize(len(m.Network)) }

// Append implements Message.
func (m SearchGWV2) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeSearchGWV2, len(m.Network))
	if err != nil {
		return dst, err
	}
	return append(b, m.Network...), nil
}
