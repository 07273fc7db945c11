package coap

import (
	"encoding/binary"
	"fmt"
)

// Message is a message over any transport. Its slices alias what was parsed.
type Message struct {
	Type      Type // over UDP alone
	Code      Code
	MessageID uint16 // over UDP alone
	Token     []byte
	Options   Options
	Payload   []byte
}

const (
	version = 1
	// HeaderBytes is the size of the header over UDP.
	HeaderBytes = 4
	// MaxToken is the size of the largest token that needs no agreement.
	MaxToken = 8
	// MaxExtendedToken is the size of the largest token of all. RFC 8974 §2.1
	MaxExtendedToken = 269 + 0xffff
)

// Parse reads a datagram. With an error m has what could be read.
func Parse(b []byte, mode *Mode) (m Message, err error) {
	r := reader{b: b, mode: mode}
	if len(b) < HeaderBytes {
		r.short(0, HeaderBytes, "RFC 7252 §3", "header")
		return m, r.result()
	}
	m.Type, m.Code, m.MessageID = Type(b[0]>>4&3), Code(b[1]), binary.BigEndian.Uint16(b[2:])
	if v := b[0] >> 6; v != version {
		r.stop(Unknown, 0, 1, "RFC 7252 §3", fmt.Sprintf("version %d", v))
		return m, r.result()
	}
	r.off = HeaderBytes
	r.code(1, m.Code, true)
	r.delivery(m.Type, m.Code)
	if m.Code == Empty && len(b) > HeaderBytes {
		r.flag(FormatError, HeaderBytes, len(b)-HeaderBytes, "RFC 7252 §4.1", fmt.Sprintf("%d bytes follow the header of an empty message", len(b)-HeaderBytes))
	}
	r.body(&m, int(b[0]&15), false)
	return m, r.result()
}

// Size is the exact number of bytes that Append adds.
func (m *Message) Size() int { return HeaderBytes + m.bodySize() }

func (m *Message) bodySize() int {
	n := tokenExtra(len(m.Token)) + len(m.Token) + len(m.Options) + len(m.Payload)
	if len(m.Payload) > 0 {
		n++
	}
	return n
}

// Append appends m as a datagram. On error dst is returned as it was given.
func (m *Message) Append(dst []byte) ([]byte, error) {
	if err := m.check(true); err != nil {
		return dst, err
	}
	dst = append(dst, version<<6|byte(m.Type)<<4|nibble(len(m.Token)), byte(m.Code))
	dst = binary.BigEndian.AppendUint16(dst, m.MessageID)
	return m.appendBody(dst), nil
}

// check says what keeps m from the wire.
func (m *Message) check(datagram bool) error {
	switch {
	case len(m.Token) > MaxExtendedToken:
		return fmt.Errorf("append CoAP: token of %d bytes: %w", len(m.Token), ErrUnencodable)
	case datagram && m.Type > Reset:
		return fmt.Errorf("append CoAP: type %d: %w", uint8(m.Type), ErrUnencodable)
	case datagram && m.Code == Empty && m.bodySize() > 0:
		return fmt.Errorf("append CoAP: an empty message with %d bytes: %w", m.bodySize(), ErrUnencodable)
	case !m.Options.readable():
		return fmt.Errorf("append CoAP: options that cannot be read: %w", ErrUnencodable)
	}
	return nil
}

func (m *Message) appendBody(dst []byte) []byte {
	dst = appendExtended(dst, len(m.Token))
	dst = append(append(dst, m.Token...), m.Options...)
	if len(m.Payload) > 0 {
		dst = append(append(dst, marker), m.Payload...)
	}
	return dst
}

// tokenExtra is the size of what stands between the header and a token of n bytes.
func tokenExtra(n int) int {
	switch nibble(n) {
	case 13:
		return 1
	case 14:
		return 2
	}
	return 0
}
