package main

import (
	"bytes"
	"unicode/utf8"
)

// key is a rune, or one of those that have none.
type key rune

const (
	keyUp key = -1 - iota
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyUnknown
)

const (
	keyInterrupt key = 0x03 // Ctrl-C
	keyEndOfText key = 0x04 // Ctrl-D
	keyEnter     key = '\r'
	keyEscape    key = 0x1b
	keyErase     key = 0x7f
	keyBackspace key = 0x08
	keyKill      key = 0x15 // Ctrl-U
)

// sequences are what terminals send for keys without a rune.
var sequences = [...]struct {
	bytes string
	key   key
}{
	{"\x1b[A", keyUp},
	{"\x1bOA", keyUp},
	{"\x1b[B", keyDown},
	{"\x1bOB", keyDown},
	{"\x1b[5~", keyPageUp},
	{"\x1b[6~", keyPageDown},
	{"\x1b[H", keyHome},
	{"\x1bOH", keyHome},
	{"\x1b[1~", keyHome},
	{"\x1b[F", keyEnd},
	{"\x1bOF", keyEnd},
	{"\x1b[4~", keyEnd},
}

// parseKeys cuts what one read brought into keys. An escape with nothing behind it
// is the key of that name.
func parseKeys(b []byte) []key {
	var keys []key
next:
	for len(b) > 0 {
		for _, s := range sequences {
			if bytes.HasPrefix(b, []byte(s.bytes)) {
				keys = append(keys, s.key)
				b = b[len(s.bytes):]
				continue next
			}
		}
		if b[0] == 0x1b && len(b) > 1 && (b[1] == '[' || b[1] == 'O') {
			end := bytes.IndexFunc(b[2:], func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			keys = append(keys, keyUnknown)
			if end < 0 {
				return keys
			}
			b = b[2+end+1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		keys = append(keys, key(r))
		b = b[n:]
	}
	return keys
}
