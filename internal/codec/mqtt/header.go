package mqtt

import (
	"fmt"
	"slices"
)

// MaxRemaining is the greatest remaining length that four bytes can express.
const MaxRemaining = 268_435_455

// Header is the fixed header of a packet.
type Header struct {
	Type      Type
	Flags     uint8 // the lower four bits of the first byte
	Remaining int   // bytes after the header
	Overlong  bool  // the remaining length takes more bytes than it needs
}

// parseHeader reads the fixed header and returns its size. It returns
// ErrShort while the remaining length is incomplete, and a *Malformed for the
// reserved type 0 and for a remaining length of five bytes or more.
func parseHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, ErrShort
	}
	h.Type, h.Flags = Type(b[0]>>4), b[0]&0x0f
	if h.Type == 0 {
		return h, 0, &Malformed{Code: MalformedPacket, Clause: "MQTT-2.1.2", Reason: "packet type 0 is reserved"}
	}
	v, n := parseVarint(b[1:])
	switch {
	case n == 0:
		return h, 0, ErrShort
	case n < 0:
		return h, 0, &Malformed{
			Packet: h.Type, Offset: 1, Code: MalformedPacket, Clause: "MQTT-2.1.4", Reason: "remaining length has more than 4 bytes",
		}
	}
	h.Remaining = int(v)
	h.Overlong = n != sizeVarint(int(v))
	return h, 1 + n, nil
}

// Frame finds the packet at the start of b. Its body aliases b; n is the size
// of the whole packet. With ErrShort, n is that size if the header is complete
// and 0 if it is not. limit, where above 0, bounds n: a *Malformed with code
// PacketTooLarge comes as soon as the remaining length is known.
func Frame(b []byte, limit int) (h Header, body []byte, n int, err error) {
	h, head, err := parseHeader(b)
	if err != nil {
		return h, nil, 0, err
	}
	n = head + h.Remaining
	if limit > 0 && n > limit {
		return h, nil, n, &Malformed{
			Packet: h.Type, Offset: 1, Code: PacketTooLarge,
			Clause: "MQTT-3.2.2-15", // and from a server [MQTT-3.1.2-24]
			Reason: fmt.Sprintf("%d bytes, limit %d", n, limit),
		}
	}
	if len(b) < n {
		return h, nil, n, ErrShort
	}
	return h, b[head:n:n], n, nil
}

// Check applies the one rule about headers that the functions for bodies
// cannot see, the minimal encoding of the remaining length in 5.0. [Parse]
// calls it; a caller of [Frame] does so itself, for CONNECT with the version
// that CONNECT named.
func (h Header) Check(o *Options) error {
	if !h.Overlong || o.Version < V5 {
		return nil
	}
	r := reader{typ: h.Type, v: o.Version, o: o}
	r.flag(1, MalformedPacket, "", "MQTT-1.5.5-1", "remaining length is not in its shortest form")
	return r.result()
}

// parseVarint reads a variable byte integer. n is 0 if b ends in it, -1 if
// more than four bytes long.
func parseVarint(b []byte) (v uint32, n int) {
	for i := range min(len(b), 4) {
		v |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(b) < 4 {
		return 0, 0
	}
	return 0, -1
}

func sizeVarint(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// appendVarint always writes the shortest form. [MQTT-1.5.5-1]
func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// appendHeader starts a packet and makes room for all of it.
func appendHeader(dst []byte, t Type, flags uint8, remaining int) ([]byte, error) {
	if remaining > MaxRemaining {
		return dst, fmt.Errorf("append %v: %w", t, ErrTooLarge)
	}
	dst = slices.Grow(dst, 1+sizeVarint(remaining)+remaining)
	dst = append(dst, byte(t)<<4|flags)
	return appendVarint(dst, remaining), nil
}

func packetSize(remaining int) int { return 1 + sizeVarint(remaining) + remaining }
