package mqttsn

// Pingresp answers PINGREQ, and tells a client that woke up that nothing more waits.
type Pingresp struct{}

// ParsePingresp reads the body of a PINGRESP message, which is empty.
func ParsePingresp(body []byte, o *Options) (Pingresp, error) {
	r := newReader(TypePingresp, body, o)
	return Pingresp{}, r.end()
}

// Type implements Message.
func (Pingresp) Type() Type { return TypePingresp }

// Size implements Message.
func (Pingresp) Size() int { return messageSize(0) }

// Append implements Message.
func (Pingresp) Append(dst []byte) ([]byte, error) { return appendHeader(dst, TypePingresp, 0) }
