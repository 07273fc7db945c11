package mqtt

import "errors"

// Packet is any of the fifteen control packets. The concrete types are values
// ([Connect], [Publish] and so on); the functions per type avoid the
// allocation that the interface costs.
type Packet interface {
	Type() Type
	// Append appends the whole packet in the form of version v. On error dst is
	// returned as it was given.
	Append(dst []byte, v Version) ([]byte, error)
	// Size is the exact number of bytes that Append adds, 0 where it refuses.
	Size(v Version) int
}

// Parse reads the packet at the start of b and returns its size in bytes. It
// returns ErrShort while b does not hold all of it. Any other error comes with
// the size, so that the caller can go on behind the packet, and with the
// fields that were read up to the violation.
func Parse(b []byte, o Options) (Packet, int, error) {
	h, body, n, err := Frame(b, 0)
	if err != nil {
		return nil, 0, err
	}
	before := 0
	if o.Notes != nil {
		before = len(*o.Notes)
	}
	p, err := parseBody(h, body, &o)
	head := n - len(body)
	if m := (*Malformed)(nil); err != nil && errors.As(err, &m) {
		m.Offset = fromBody(m.Offset, head)
	}
	if o.Notes != nil {
		for i := range (*o.Notes)[before:] {
			m := &(*o.Notes)[before+i]
			m.Offset = fromBody(m.Offset, head)
		}
	}
	if c, ok := p.(Connect); ok {
		o.Version = c.Version
	}
	if err == nil {
		err = h.Check(&o)
	}
	return p, n, err
}

// fromBody turns an offset in the body into one in the packet.
func fromBody(off, head int) int {
	if off == InHeader {
		return 0
	}
	return off + head
}

func parseBody(h Header, body []byte, o *Options) (Packet, error) {
	switch h.Type {
	case TypeConnect:
		return packet(ParseConnect(body, h.Flags, o))
	case TypeConnack:
		return packet(ParseConnack(body, h.Flags, o))
	case TypePublish:
		return packet(ParsePublish(body, h.Flags, o))
	case TypePuback:
		return packet(ParsePuback(body, h.Flags, o))
	case TypePubrec:
		return packet(ParsePubrec(body, h.Flags, o))
	case TypePubrel:
		return packet(ParsePubrel(body, h.Flags, o))
	case TypePubcomp:
		return packet(ParsePubcomp(body, h.Flags, o))
	case TypeSubscribe:
		return packet(ParseSubscribe(body, h.Flags, o))
	case TypeSuback:
		return packet(ParseSuback(body, h.Flags, o))
	case TypeUnsubscribe:
		return packet(ParseUnsubscribe(body, h.Flags, o))
	case TypeUnsuback:
		return packet(ParseUnsuback(body, h.Flags, o))
	case TypePingreq:
		return packet(ParsePingreq(body, h.Flags, o))
	case TypePingresp:
		return packet(ParsePingresp(body, h.Flags, o))
	case TypeDisconnect:
		return packet(ParseDisconnect(body, h.Flags, o))
	default: // 4 bits, and parseHeader refuses 0
		return packet(ParseAuth(body, h.Flags, o))
	}
}

func packet[P Packet](p P, err error) (Packet, error) { return p, err }
