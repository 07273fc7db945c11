package coap

import (
	"encoding/binary"
	"fmt"
)

// Header is what precedes the token over TCP and WebSocket. RFC 8323 §3.2, §4.2
type Header struct {
	TokenLength int // the nibble
	Length      int // of options, marker and payload; over WebSocket 0
	LengthBytes int // behind the first byte: 0, 1, 2 or 4
	Code        Code
	Bytes       int // all of it
}

// maxLength32 is what a length of 4 bytes begins at. RFC 8323 §3.2
const maxLength32 = 65805

// maxFrame is the largest length of 4 bytes that is not taken for rubbish.
const maxFrame = 1 << 30

// FrameTCP finds the message at the start of b. size is all of it, with its
// token; with ErrShort, how many bytes are needed, as far as that is known. Codes
// and token lengths are not judged, but for those that leave its size unknown.
func FrameTCP(b []byte, mode *Mode) (h Header, size int, err error) {
	if len(b) == 0 {
		return h, 2, ErrShort
	}
	h.TokenLength = int(b[0] & 15)
	switch n := int(b[0] >> 4); n {
	case 13, 14, 15:
		h.LengthBytes = 1 << (n - 13)
	default:
		h.Length = n
	}
	h.Bytes = 2 + h.LengthBytes
	if len(b) < h.Bytes {
		return h, h.Bytes, ErrShort
	}
	switch h.LengthBytes {
	case 1:
		h.Length = 13 + int(b[1])
	case 2:
		h.Length = 269 + int(binary.BigEndian.Uint16(b[1:]))
	case 4:
		n := binary.BigEndian.Uint32(b[1:])
		if n > maxFrame {
			return h, 0, &Malformed{Class: FormatError, Len: 5, Clause: "RFC 8323 §3.2", Reason: fmt.Sprintf("a length of %d, more than a message has", uint64(n)+maxLength32)}
		}
		h.Length = maxLength32 + int(n)
	}
	h.Code = Code(b[h.Bytes-1])
	token, extra := h.TokenLength, 0
	if token > MaxToken {
		if token < 13 || token == 15 || !mode.ExtendedTokens {
			return h, 0, &Malformed{Class: FormatError, Len: 1, Clause: "RFC 7252 §3", Reason: fmt.Sprintf("token length %d: 9 to 15 are reserved", token)}
		}
		at := h.Bytes
		if token, err = extended(b, token, &at, "token length"); err != nil {
			return h, at, err
		}
		extra = at - h.Bytes
	}
	size = h.Bytes + extra + token + h.Length
	if mode.MaxBytes > 0 && size > mode.MaxBytes {
		return h, 0, &Malformed{Class: FormatError, Len: 1 + h.LengthBytes, Clause: "RFC 8323 §5.3.1", Reason: fmt.Sprintf("a message of %d bytes, with a limit of %d", size, mode.MaxBytes)}
	}
	if len(b) < size {
		return h, size, ErrShort
	}
	return h, size, nil
}

// ParseTCP reads the message at the start of b, a stream, and returns its size;
// 0 with ErrShort, and where the size cannot be told. With another error m has
// what could be read.
func ParseTCP(b []byte, mode *Mode) (m Message, n int, err error) {
	h, size, err := FrameTCP(b, mode)
	if err != nil {
		return m, 0, err
	}
	m, err = parseFrame(b[:size:size], h, mode)
	return m, size, err
}

// ParseWebSocket reads a message of WebSocket. With an error m has what could be
// read.
func ParseWebSocket(b []byte, mode *Mode) (m Message, err error) {
	r := reader{b: b, mode: mode}
	if len(b) < 2 {
		r.short(0, 2, "RFC 8323 §4.2", "header")
		return m, r.result()
	}
	h := Header{TokenLength: int(b[0] & 15), Code: Code(b[1]), Bytes: 2}
	if b[0]>>4 != 0 {
		r.stop(FormatError, 0, 1, "RFC 8323 §4.2", fmt.Sprintf("length %d over WebSocket, not 0", b[0]>>4))
		return m, r.result()
	}
	return parseFrame(b, h, mode)
}

func parseFrame(b []byte, h Header, mode *Mode) (m Message, err error) {
	r := reader{b: b, off: h.Bytes, mode: mode}
	m.Code = h.Code
	r.code(h.Bytes-1, m.Code, false)
	if m.Code.Signal() && !m.Code.Known() && mode.Lenient {
		r.flag(Advice, h.Bytes-1, 1, "RFC 8323 §5.1", fmt.Sprintf("signal %v is not known here", m.Code))
	}
	r.body(&m, h.TokenLength, true)
	return m, r.result()
}

// SizeTCP is the exact number of bytes that AppendTCP adds.
func (m *Message) SizeTCP() int {
	return 2 + lengthBytes(m.streamLength()) + m.bodySize()
}

// streamLength is what the length of m over TCP says.
func (m *Message) streamLength() int {
	return m.bodySize() - tokenExtra(len(m.Token)) - len(m.Token)
}

func lengthBytes(n int) int {
	switch {
	case n < 13:
		return 0
	case n < 269:
		return 1
	case n < maxLength32:
		return 2
	}
	return 4
}

// AppendTCP appends m for a stream. On error dst is returned as it was given.
func (m *Message) AppendTCP(dst []byte) ([]byte, error) {
	n := m.streamLength()
	if err := m.check(false); err != nil {
		return dst, err
	}
	if n-maxLength32 > maxFrame {
		return dst, fmt.Errorf("append CoAP: %d bytes: %w", n, ErrUnencodable)
	}
	tkl := nibble(len(m.Token))
	switch lengthBytes(n) {
	case 0:
		dst = append(dst, byte(n)<<4|tkl)
	case 1:
		dst = append(dst, 13<<4|tkl, byte(n-13))
	case 2:
		dst = binary.BigEndian.AppendUint16(append(dst, 14<<4|tkl), uint16(n-269))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 15<<4|tkl), uint32(n-maxLength32))
	}
	return m.appendBody(append(dst, byte(m.Code))), nil
}

// AppendWebSocket appends m as a message of WebSocket. On error dst is returned as
// it was given.
func (m *Message) AppendWebSocket(dst []byte) ([]byte, error) {
	if err := m.check(false); err != nil {
		return dst, err
	}
	return m.appendBody(append(dst, nibble(len(m.Token)), byte(m.Code))), nil
}
