package capture

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdefABCDEF"

func isHex(c byte) bool { return strings.IndexByte(hexDigits, c) >= 0 }

func allHex(s string) bool { return s != "" && strings.Trim(s, hexDigits) == "" }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func isOctal(s string) bool { return s != "" && strings.Trim(s, "01234567") == "" }

// nibble is the value of a hexadecimal digit.
func nibble(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// appendHex appends the bytes of an even number of hexadecimal digits.
func appendHex(b []byte, digits string) []byte {
	for i := 0; i+1 < len(digits); i += 2 {
		b = append(b, nibble(digits[i])<<4|nibble(digits[i+1]))
	}
	return b
}

// separators stand between bytes.
const separators = " \t,:;-.|"

// token is a word of a line, at a byte column.
type token struct {
	col  int
	text string
}

// tokens returns what stands between separators.
func tokens(line, separators string) []token {
	var all []token
	for i := 0; i < len(line); {
		if strings.IndexByte(separators, line[i]) >= 0 {
			i++
			continue
		}
		n := strings.IndexAny(line[i:], separators)
		if n < 0 {
			n = len(line) - i
		}
		all = append(all, token{i, line[i : i+n]})
		i += n
	}
	return all
}

// unquoted takes away what stands around digits in SQL, CBOR notation and reports.
func unquoted(line string) (rest string, at int) {
	rest = strings.TrimRight(line, " \t,;")
	at = len(rest) - len(strings.TrimLeft(rest, " \t"))
	rest = rest[at:]
	for _, q := range []string{"x''", "X''", "h''", "''", `""`, "``", "<>", "[]", "()", "{}"} {
		open, end := q[:len(q)-1], q[len(q)-1]
		if strings.HasPrefix(rest, open) && len(rest) > len(open) && rest[len(rest)-1] == end {
			return rest[len(open) : len(rest)-1], at + len(open)
		}
	}
	return rest, at
}

// hexToken returns the digits of a token: those of "0a", "0a0b", "0x0a", "0xa", "0ah".
func hexToken(s string) (digits string, ok bool) {
	prefixed := len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')
	if prefixed {
		s = s[2:]
	} else if len(s) == 3 && (s[2] == 'h' || s[2] == 'H') {
		s = s[:2]
	}
	if prefixed && len(s) == 1 {
		s = "0" + s
	}
	return s, allHex(s) && len(s)%2 == 0
}

func looksPrefixed(p *pasting) string {
	line, _ := unquoted(p.first())
	t := tokens(line, separators)
	if len(t) == 0 || !strings.HasPrefix(strings.ToLower(t[0].text), "0x") {
		return ""
	}
	if _, ok := hexToken(t[0].text); !ok {
		return ""
	}
	return "numbers with 0x before them"
}

func looksHex(p *pasting) string {
	digits, words, odd, decimals := 0, 0, 0, true
	for _, line := range p.lines {
		line, _ = unquoted(line)
		for _, t := range tokens(line, separators) {
			d, ok := hexToken(t.text)
			if !allHex(d) {
				return ""
			}
			if words++; !ok {
				odd++
			}
			decimals = decimals && isDigits(d)
			digits += len(d)
		}
	}
	switch {
	case digits == 0 || odd > 0 && decimals && words > 1 || odd*2 > words && words > 1:
		return ""
	case words == len(p.lines) && odd > 0 && digits%2 == 0:
		return "" // lines of an odd number of digits: not even wrapped
	case words == 1 && digits >= 4 && odd == 0:
		if _, err := base64.RawStdEncoding.DecodeString(strings.TrimSpace(p.all())); err == nil {
			return "nothing but hexadecimal digits, an even number of them, so it is not taken for Base64"
		}
	}
	return "nothing but hexadecimal digits"
}

// readHex reads digits with or without something between the bytes. A line is a packet,
// a blank line ends one, and lines as long as tools wrap them belong together.
func readHex(p *pasting) error {
	var lines [][]byte
	for n, line := range p.lines {
		text, at := unquoted(line)
		var b []byte
		for _, t := range tokens(text, separators) {
			digits, ok := hexToken(t.text)
			if !ok {
				return p.badHex(n, at+t.col, t.text)
			}
			b = appendHex(b, digits)
		}
		lines = p.line(lines, n, b)
	}
	p.joinLines(lines)
	return nil
}

// badHex says what is wrong with a token of line n.
func (p *pasting) badHex(n, col int, t string) error {
	skip := 0
	if len(t) > 2 && (t[:2] == "0x" || t[:2] == "0X") {
		skip = 2
	}
	for i := skip; i < len(t); i++ {
		if !isHex(t[i]) {
			c, _ := utf8.DecodeRuneInString(t[i:])
			return p.fail(n, col+i, "", "%q is not a hexadecimal digit", c)
		}
	}
	hint := "a byte has two digits: a digit may be missing at the end"
	if len(t) == 1 {
		hint = "write 0" + t
	}
	return p.fail(n, col+len(t)-1, hint, "an odd number of hexadecimal digits in %q", clip(t))
}

// clip shortens what is quoted.
func clip(s string) string {
	if len(s) > 24 {
		return s[:20] + "..."
	}
	return s
}

// wrapped are the numbers of bytes after which tools that print digits begin a new line.
func wrapped(n int) bool { return n == 16 || n == 30 || n == 32 }

// line appends the bytes of line n to those of the lines before it: to the last one, if
// that ends in a comma.
func (p *pasting) line(lines [][]byte, n int, b []byte) [][]byte {
	if n > 0 && len(lines) > 0 && p.split != SplitLines && strings.HasSuffix(strings.TrimRight(p.lines[n-1], " \t"), ",") {
		lines[len(lines)-1] = append(lines[len(lines)-1], b...)
		return lines
	}
	return append(lines, b)
}

// joinLines makes packets of the bytes of lines; an empty one is a blank line.
func (p *pasting) joinLines(lines [][]byte) {
	for start := 0; start < len(lines); {
		end := start
		for end < len(lines) && len(lines[end]) > 0 {
			end++
		}
		if block := lines[start:end]; p.split == SplitGuess && looksWrapped(block) {
			var all []byte
			for _, b := range block {
				all = append(all, b...)
			}
			p.add(all)
			p.note("%d lines of %d bytes are taken for one packet", len(block), len(block[0]))
		} else {
			for _, b := range block {
				p.add(b)
			}
		}
		start = end + 1
	}
}

// looksWrapped says that all lines but the last have the same length, of those at which
// tools wrap, and the last is shorter.
func looksWrapped(lines [][]byte) bool {
	if len(lines) < 2 || !wrapped(len(lines[0])) {
		return false
	}
	for _, b := range lines[:len(lines)-1] {
		if len(b) != len(lines[0]) {
			return false
		}
	}
	return len(lines[len(lines)-1]) < len(lines[0])
}

func looksDecimal(p *pasting) string {
	n := 0
	for _, line := range p.lines {
		for _, t := range tokens(line, " \t,;") {
			if _, ok := number(t.text); !ok {
				return ""
			}
			n++
		}
	}
	if n < 2 {
		return ""
	}
	return "decimal numbers from 0 to 255"
}

func readDecimal(p *pasting) error {
	var lines [][]byte
	for n, line := range p.lines {
		var b []byte
		for _, t := range tokens(line, " \t,;") {
			v, ok := number(t.text)
			if !ok {
				return p.fail(n, t.col, "", "%q is not a byte: a number from 0 to 255", clip(t.text))
			}
			b = append(b, v)
		}
		lines = p.line(lines, n, b)
	}
	p.joinLines(lines)
	return nil
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"

// base64Line returns what is Base64 of a line, and the byte column where it begins.
func base64Line(line string) (s string, at int) {
	s, at = unquoted(line)
	if i := strings.Index(s, ";base64,"); i >= 0 && strings.HasPrefix(s, "data:") {
		i += len(";base64,")
		return s[i:], at + i
	}
	return s, at
}

func looksBase64(p *pasting) string {
	n, url := 0, false
	for _, line := range p.lines {
		s, _ := base64Line(line)
		data := strings.TrimRight(s, "=")
		if strings.Trim(data, base64Alphabet) != "" || len(s)-len(data) > 2 {
			return ""
		}
		n += len(data)
		url = url || strings.ContainsAny(data, "-_")
	}
	switch {
	case n < 2 || p.readableBase64() != nil:
		return ""
	case url:
		return "the URL alphabet of Base64"
	}
	return "the alphabet of Base64"
}

func (p *pasting) readableBase64() error {
	q := *p
	q.packets, q.notes = nil, nil
	return readBase64(&q)
}

// readBase64 reads both alphabets, padded or not. Lines of one length but the last belong
// together, if none is padded before that.
func readBase64(p *pasting) error {
	type part struct {
		line, col int
		text      string
	}
	var parts []part
	joins := p.split != SplitLines
	for n, line := range p.lines {
		s, at := base64Line(line)
		if s == "" {
			continue
		}
		data := strings.TrimRight(s, "=")
		for i := range len(data) {
			if strings.IndexByte(base64Alphabet, data[i]) < 0 {
				c, _ := utf8.DecodeRuneInString(data[i:])
				return p.fail(n, at+i, "", "%q is not in the alphabet of Base64", c)
			}
		}
		if k := len(parts); k > 0 && (len(parts[k-1].text)%4 != 0 || len(parts[k-1].text) < 60 ||
			len(parts[k-1].text) != len(parts[0].text) || len(data) > len(parts[0].text)) {
			joins = false
		}
		parts = append(parts, part{n, at, data})
	}
	if joins && len(parts) > 1 {
		var all strings.Builder
		for _, q := range parts {
			all.WriteString(q.text)
		}
		parts = []part{{parts[0].line, parts[0].col, all.String()}}
	}
	std := strings.NewReplacer("-", "+", "_", "/")
	for _, q := range parts {
		b, err := base64.RawStdEncoding.Strict().DecodeString(std.Replace(q.text))
		if err != nil {
			return p.fail(q.line, q.col+len(q.text)-1, "", "Base64 that ends in the middle of a byte")
		}
		p.add(b)
	}
	return nil
}
