package emqtcp

// Datatrans carries the application's data, in both directions.
type Datatrans struct {
	Payload []byte // aliases the parsed body
}

// ParseDatatrans reads the body of a DATATRANS frame without allocating.
func ParseDatatrans(body []byte, flags uint8, o *Options) (Datatrans, error) {
	r := newReader(TypeDatatrans, body, o)
	r.reserved(flags)
	return Datatrans{Payload: body}, r.result()
}

// Type implements Packet.
func (Datatrans) Type() Type { return TypeDatatrans }

// Size implements Packet.
func (d Datatrans) Size() int { return headBytes + len(d.Payload) }

// Append implements Packet. It allocates only to grow dst.
func (d Datatrans) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeDatatrans, 0, len(d.Payload))
	if err != nil {
		return dst, err
	}
	return append(b, d.Payload...), nil
}
