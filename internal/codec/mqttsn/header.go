package mqttsn

import (
	"encoding/binary"
	"fmt"
)

// MaxMessage is the greatest length that two bytes can express.
const MaxMessage = 65535

// maxShort is the greatest length in one byte.
const maxShort = 255

// Header is what precedes the body.
type Header struct {
	Type   Type
	Length int // of the message, with the header
	Bytes  int // of the header: 2, or 4 in the long form
}

// Frame finds the message of version v at the start of b. Its body aliases b; n
// is its length, which of the envelope of a 1.2 forwarder ends before what is in
// it. With ErrShort, n is how many bytes are needed: of the message when its
// length is known, otherwise of its header. Types are not judged.
func Frame(b []byte, v Version) (h Header, body []byte, n int, err error) {
	if len(b) == 0 {
		return h, nil, 2, ErrShort
	}
	h.Length, h.Bytes = int(b[0]), 2
	if b[0] == 1 {
		h.Bytes = 4
	}
	if b[0] == 0 {
		return h, nil, 0, lengthError(h, v, "a length of 0")
	}
	if len(b) < h.Bytes {
		return h, nil, h.Bytes, ErrShort
	}
	if h.Bytes == 4 {
		h.Length = int(binary.BigEndian.Uint16(b[1:]))
	}
	h.Type = v.Type(b[h.Bytes-1])
	if h.Length < h.Bytes {
		return h, nil, 0, lengthError(h, v, fmt.Sprintf("a length of %d in the long form", h.Length))
	}
	if len(b) < h.Length {
		return h, nil, h.Length, ErrShort
	}
	return h, b[h.Bytes:h.Length:h.Length], h.Length, nil
}

func lengthError(h Header, v Version, reason string) *Malformed {
	return &Malformed{Message: h.Type, Clause: v.section("SN-5.2.1"), Reason: reason}
}

// messageSize is the size of a message whose body has n bytes.
func messageSize(n int) int {
	if n+2 <= maxShort {
		return n + 2
	}
	return n + 4
}

// appendHeader starts a message whose body has n bytes, in the shorter form. SN-5.2.1
func appendHeader(dst []byte, t Type, n int) ([]byte, error) {
	size := messageSize(n)
	switch {
	case size > MaxMessage:
		return dst, fmt.Errorf("append %v: %d bytes: %w", t, size, ErrTooLong)
	case size > maxShort:
		return append(dst, 1, byte(size>>8), byte(size), t.Octet()), nil
	}
	return append(dst, byte(size), t.Octet()), nil
}

func appendUint16(dst []byte, n uint16) []byte { return append(dst, byte(n>>8), byte(n)) }

func appendUint32(dst []byte, n uint32) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func unencodable(t Type, format string, args ...any) error {
	return fmt.Errorf("append %v: %s: %w", t, fmt.Sprintf(format, args...), ErrUnencodable)
}
