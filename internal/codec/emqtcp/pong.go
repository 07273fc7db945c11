package emqtcp

// Pong answers PING.
type Pong struct{}

// ParsePong judges the first byte, which is all of the frame.
func ParsePong(flags uint8, o *Options) (Pong, error) {
	r := newReader(TypePong, nil, o)
	r.reserved(flags)
	return Pong{}, r.result()
}

// Type implements Packet.
func (Pong) Type() Type { return TypePong }

// Size implements Packet.
func (Pong) Size() int { return 1 }

// Append implements Packet.
func (Pong) Append(dst []byte) ([]byte, error) { return append(dst, byte(TypePong)<<4), nil }
