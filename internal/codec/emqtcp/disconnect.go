package emqtcp

// Disconnect is a client's goodbye. A server ends a session by closing.
type Disconnect struct{}

// ParseDisconnect judges the first byte, which is all of the frame.
func ParseDisconnect(flags uint8, o *Options) (Disconnect, error) {
	r := newReader(TypeDisconnect, nil, o)
	r.reserved(flags)
	return Disconnect{}, r.result()
}

// Type implements Packet.
func (Disconnect) Type() Type { return TypeDisconnect }

// Size implements Packet.
func (Disconnect) Size() int { return 1 }

// Append implements Packet.
func (Disconnect) Append(dst []byte) ([]byte, error) {
	return append(dst, byte(TypeDisconnect)<<4), nil
}
