package emqtcp

import "errors"

// Packet is any of the six frames. The concrete types are values; the functions
// per type avoid the allocation that the interface costs.
type Packet interface {
	Type() Type
	// Append appends the whole frame. On error dst is returned as it was given.
	Append(dst []byte) ([]byte, error)
	// Size is the exact number of bytes that Append adds.
	Size() int
}

// Parse reads the frame at the start of b and returns its size. It returns
// ErrShort while b does not hold all of it. Any other error comes with the size
// where that is known, so that the caller can go on behind the frame, and with
// the fields that were read up to the violation.
func Parse(b []byte, o Options) (Packet, int, error) {
	h, body, n, err := Frame(b, 0)
	if errors.Is(err, ErrShort) {
		n = 0
	}
	if err != nil {
		return nil, n, err
	}
	p, err := parseBody(h, body, &o)
	return p, n, err
}

func parseBody(h Header, body []byte, o *Options) (Packet, error) {
	switch h.Type {
	case TypeConnect:
		return packet(ParseConnect(body, h.Flags, o))
	case TypeConnack:
		return packet(ParseConnack(body, h.Flags, o))
	case TypeDatatrans:
		return packet(ParseDatatrans(body, h.Flags, o))
	case TypePing:
		return packet(ParsePing(h.Flags, o))
	case TypePong:
		return packet(ParsePong(h.Flags, o))
	default: // Frame refuses the others
		return packet(ParseDisconnect(h.Flags, o))
	}
}

func packet[P Packet](p P, err error) (Packet, error) { return p, err }
