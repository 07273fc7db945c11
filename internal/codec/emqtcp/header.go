package emqtcp

import (
	"encoding/binary"
	"fmt"
)

// Type is the upper half of the first byte.
type Type uint8

// Types. 0 and 7 to 15 are reserved.
const (
	TypeConnect    Type = 1
	TypeConnack    Type = 2
	TypeDatatrans  Type = 3
	TypePing       Type = 4
	TypePong       Type = 5
	TypeDisconnect Type = 6
)

var typeNames = [...]string{
	TypeConnect: "CONNECT", TypeConnack: "CONNACK", TypeDatatrans: "DATATRANS",
	TypePing: "PING", TypePong: "PONG", TypeDisconnect: "DISCONNECT",
}

func (t Type) String() string {
	if t.known() {
		return typeNames[t]
	}
	return fmt.Sprintf("reserved frame type %d", uint8(t))
}

func (t Type) known() bool { return t >= TypeConnect && t <= TypeDisconnect }

// HasPayload reports whether a length and a payload follow the first byte.
func (t Type) HasPayload() bool { return t >= TypeConnect && t <= TypeDatatrans }

// fromServer and fromClient report whether only that side sends the type.
func (t Type) fromServer() bool { return t == TypeConnack || t == TypePong }
func (t Type) fromClient() bool { return t == TypeConnect || t == TypePing || t == TypeDisconnect }

// MaxPayload is the greatest length that two bytes can express.
const MaxPayload = 65535

// headBytes is the size of a header with a length.
const headBytes = 3

// Header is what precedes the payload.
type Header struct {
	Type   Type
	Flags  uint8 // the lower half of the first byte: version, code, or reserved
	Length int   // bytes after the header
}

// Frame finds the frame at the start of b. Its body aliases b; n is the size of
// the whole frame. With ErrShort, n is how many bytes are needed: of the frame
// when its length is known, otherwise of its header. limit, where above 0,
// bounds the length: a *Malformed comes as soon as that is known. A reserved
// type is malformed at its first byte.
func Frame(b []byte, limit int) (h Header, body []byte, n int, err error) {
	if len(b) == 0 {
		return Header{}, nil, 1, ErrShort
	}
	h.Type, h.Flags = Type(b[0]>>4), b[0]&0x0f
	if !h.Type.HasPayload() {
		if !h.Type.known() {
			return h, nil, 0, &Malformed{Type: h.Type, Reason: fmt.Sprintf("the first byte is %#02x", b[0])}
		}
		return h, nil, 1, nil
	}
	if len(b) < headBytes {
		return h, nil, headBytes, ErrShort
	}
	h.Length = int(binary.BigEndian.Uint16(b[1:]))
	n = headBytes + h.Length
	if limit > 0 && h.Length > limit {
		return h, nil, n, &Malformed{Type: h.Type, Offset: 1, Reason: fmt.Sprintf("length %d, limit %d", h.Length, limit)}
	}
	if len(b) < n {
		return h, nil, n, ErrShort
	}
	return h, b[headBytes:n:n], n, nil
}

// appendHeader starts a frame with a payload.
func appendHeader(dst []byte, t Type, flags uint8, length int) ([]byte, error) {
	if length > MaxPayload {
		return dst, fmt.Errorf("append %v: %w", t, ErrTooLong)
	}
	if flags > 0x0f {
		return dst, fmt.Errorf("append %v: %d: %w", t, flags, ErrUnencodable)
	}
	return append(dst, byte(t)<<4|flags, byte(length>>8), byte(length)), nil
}
