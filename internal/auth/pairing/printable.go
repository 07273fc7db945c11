package pairing

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Printable is s as one word of printable ASCII. Everything else is escaped, as
// in Go and in JSON: names come from strangers, and may hold control characters,
// characters that change the direction of the text, and letters of other
// scripts that look like those of a name that is known.
func Printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r > ' ' && r < 0x7f:
			b.WriteRune(r)
		case r == utf8.RuneError && n == 1, r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}
