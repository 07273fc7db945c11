package emqtcp

import (
	"encoding/hex"
	"fmt"
)

// CheckFirst judges the first byte of a connection before any length is read
// from what follows: it returns a *Malformed unless a CONNECT, of whatever
// version, begins there. b is not empty; more of it makes for a better hint.
func CheckFirst(b []byte) error {
	t := Type(b[0] >> 4)
	if t == TypeConnect {
		return nil
	}
	reason := fmt.Sprintf("first frame must be CONNECT; got 0x%02X", b[0])
	if b[0] > ' ' && b[0] < 0x7f {
		reason += fmt.Sprintf(" (%q)", b[0])
	}
	switch raw, ok := HexText(b); {
	case ok && Type(raw[0]>>4) == TypeConnect:
		reason += "; this is hex as text, send raw bytes"
	case b[0] >= ' ' && b[0] < 0x7f:
		reason += "; if you typed hex as text, send raw bytes"
	}
	return &Malformed{Type: t, Reason: reason}
}

// HexText decodes bytes that were typed as hexadecimal text: pairs of digits,
// with or without spaces, line ends or commas between them, "0x" before each or
// all of them. A pair that is cut short ends the text. ok is false for
// everything else, and for less than one byte.
func HexText(b []byte) (raw []byte, ok bool) {
	for len(b) > 0 {
		switch {
		case b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n' || b[0] == ',':
			b = b[1:]
		case len(b) > 1 && b[0] == '0' && b[1]|0x20 == 'x':
			b = b[2:]
		case len(b) == 1:
			return raw, len(raw) > 0 && hexDigit(b[0])
		default:
			var pair [1]byte
			if _, err := hex.Decode(pair[:], b[:2]); err != nil {
				return nil, false
			}
			raw = append(raw, pair[0])
			b = b[2:]
		}
	}
	return raw, len(raw) > 0
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
