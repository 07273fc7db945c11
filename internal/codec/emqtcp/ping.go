package emqtcp

// Ping asks the server for a sign of life.
type Ping struct{}

// ParsePing judges the first byte, which is all of the frame.
func ParsePing(flags uint8, o *Options) (Ping, error) {
	r := newReader(TypePing, nil, o)
	r.reserved(flags)
	return Ping{}, r.result()
}

// Type implements Packet.
func (Ping) Type() Type { return TypePing }

// Size implements Packet.
func (Ping) Size() int { return 1 }

// Append implements Packet.
func (Ping) Append(dst []byte) ([]byte, error) { return append(dst, byte(TypePing)<<4), nil }
