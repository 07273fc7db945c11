package capture

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// element is a byte of an array.
const element = `(0[xX][0-9a-fA-F]{1,2}|-?\d{1,3}|'\\?[^']{1,3}')`

var (
	pythonBytes = pattern(`(^|[^\w"'\\])[bB][rR]?["']`)
	goBytes     = pattern(`\[(\d+|\.\.\.)?\](byte|uint8)\s*[{(]`)
	goString    = pattern("(byte|uint8)\\s*\\(\\s*[\"`]")
	cEscape     = pattern(`"[^"]*\\(x[0-9a-fA-F]|[0-7abfnrtv\\"?e])`)
	bareEscape  = pattern(`\\x[0-9a-fA-F]{2}|\\[0-7]{3}`)
	array       = pattern(`[{\[(]\s*(/\*.*?\*/\s*)*` + element + `\s*,\s*(/\*.*?\*/\s*)*` + element + `\s*[,}\])]|\{\s*` + element + `\s*,?\s*\}`)
	declared    = pattern(`\[\s*\d+\s*\]\s*(=|byte|uint8|u8)|\(\d+\)\s*\[`)
	// What Go prints of a []byte.
	spacedArray = pattern(`^\s*\[(\d{1,3} )*\d{1,3}\]\s*$`)
	leadingZero = pattern(`\b0\d`)
	buffer      = pattern(`<Buffer((?: [0-9a-f]{2})*)( \.\.\. \d+ more bytes?)?>`)
)

func looksPython(p *pasting) string {
	if pythonBytes().MatchString(p.all()) {
		return "a bytes literal"
	}
	return ""
}

func looksGo(p *pasting) string {
	if goBytes().MatchString(p.all()) {
		return "[]byte"
	}
	return ""
}

func looksC(p *pasting) string {
	if cEscape().MatchString(p.all()) {
		return "escapes between quotation marks"
	}
	return ""
}

func looksEscapes(p *pasting) string {
	if bareEscape().MatchString(p.all()) {
		return "escapes like \\x0a"
	}
	return ""
}

func looksArray(p *pasting) string {
	if array().MatchString(p.all()) || spacedArray().MatchString(p.first()) && !leadingZero().MatchString(p.first()) {
		return "numbers between brackets"
	}
	return ""
}

func looksBuffer(p *pasting) string {
	if buffer().MatchString(p.all()) {
		return "<Buffer ...>"
	}
	return ""
}

// readGo reads []byte("...") and []byte{...}.
func readGo(p *pasting) error {
	if goString().MatchString(p.all()) {
		return readLiterals(p)
	}
	return readArrays(p)
}

// readBuffers reads what Node.js prints of a Buffer.
func readBuffers(p *pasting) error {
	for n, line := range p.lines {
		for _, m := range buffer().FindAllStringSubmatchIndex(line, -1) {
			if m[4] >= 0 {
				return p.fail(n, m[4], "print it with toString('hex')", "bytes were left out:%s", line[m[4]:m[5]])
			}
			p.add(appendHex(nil, strings.ReplaceAll(line[m[2]:m[3]], " ", "")))
		}
	}
	return nil
}

// readLiterals reads strings between quotation marks. Those with nothing but blanks, +
// or a backslash between them are one packet, as C and Python have it; Python's that
// begin a line by themselves are packets of their own.
func readLiterals(p *pasting) error {
	var packet []byte
	python := p.form == "python"
	found, fresh := false, true // fresh: what comes does not continue a literal
	alone := python && !strings.Contains(p.all(), "(")
	for n, line := range p.lines {
		continued := strings.HasSuffix(strings.TrimRight(line, " \t"), "\\")
		for i := 0; i < len(line); {
			c := line[i]
			raw := python && i > 0 && (line[i-1] == 'r' || line[i-1] == 'R')
			switch {
			case c == '"' || python && c == '\'' || c == '`' && p.form == "go":
				b, end, err := p.literal(n, i, raw || c == '`')
				if err != nil {
					return err
				}
				if fresh {
					p.add(packet)
					packet = nil
				}
				packet = append(packet, b...)
				found, fresh, i = true, false, end
				continue
			case strings.IndexByte(" \t+\\()", c) >= 0:
			case python && strings.IndexByte("bBrR", c) >= 0 && i+1 < len(line) && strings.IndexByte("\"'rRbB", line[i+1]) >= 0:
			case strings.HasPrefix(line[i:], "//") || python && c == '#':
				i = len(line)
				continue
			default:
				fresh = true
			}
			i++
		}
		if strings.TrimSpace(line) == "" || alone && !continued {
			fresh = true
		}
	}
	if !found {
		return p.fail(0, 0, "", "no string between quotation marks")
	}
	p.add(packet)
	return nil
}

// literal reads the string whose quotation mark is at byte i of line n, and returns where
// it ends.
func (p *pasting) literal(n, i int, raw bool) (b []byte, end int, err error) {
	line, quote := p.lines[n], p.lines[n][i]
	for at := i + 1; at < len(line); {
		switch {
		case line[at] == quote:
			return b, at + 1, nil
		case line[at] == '\\' && !raw:
			var size int
			if b, size, err = p.escape(b, n, at); err != nil {
				return nil, 0, err
			}
			at += size
		default:
			b = append(b, line[at])
			at++
		}
	}
	return nil, 0, p.fail(n, i, "", "no closing %c on the line", quote)
}

// escape appends what the escape at byte at of line n stands for: those of C, Go and
// Python.
func (p *pasting) escape(b []byte, n, at int) (out []byte, size int, err error) {
	s := p.lines[n][at:]
	if len(s) < 2 {
		return nil, 0, p.fail(n, at, "", "a backslash with nothing behind it")
	}
	if i := strings.IndexByte("abfnrtv0eE", s[1]); i >= 0 && s[1] != '0' {
		return append(b, "\a\b\f\n\r\t\v\x00\x1b\x1b"[i]), 2, nil
	}
	switch c := s[1]; {
	case c == 'x':
		digits := 2
		for digits < 4 && digits < len(s) && isHex(s[digits]) {
			digits++
		}
		v, err := strconv.ParseUint(s[2:digits], 16, 8)
		if err != nil {
			return nil, 0, p.fail(n, at+2, "write two digits", "no hexadecimal digits behind \\x")
		}
		return append(b, byte(v)), digits, nil
	case c >= '0' && c <= '7':
		digits := 2
		for digits < 4 && digits < len(s) && s[digits] >= '0' && s[digits] <= '7' {
			digits++
		}
		v, err := strconv.ParseUint(s[1:digits], 8, 8)
		if err != nil {
			return nil, 0, p.fail(n, at+1, "", "%s is more than a byte", s[:digits])
		}
		return append(b, byte(v)), digits, nil
	case c == 'u' && len(s) >= 6 && allHex(s[2:6]):
		v, _ := strconv.ParseUint(s[2:6], 16, 32)
		return utf8.AppendRune(b, rune(v)), 6, nil
	case c == 'U' && len(s) >= 10 && allHex(s[2:10]):
		v, _ := strconv.ParseUint(s[2:10], 16, 32)
		return utf8.AppendRune(b, rune(min(v, utf8.MaxRune+1))), 10, nil
	case strings.IndexByte("\\\"'`?/ ", c) >= 0:
		return append(b, c), 2, nil
	}
	return nil, 0, p.fail(n, at+1, "write \\\\ for a backslash", "\\%c is no escape", firstRune(s[1:]))
}

// readEscapes reads escapes without quotation marks: a line is a packet, and one that
// ends in a backslash goes on.
func readEscapes(p *pasting) error {
	var lines [][]byte
	var b []byte
	for n, full := range p.lines {
		line, at := unquoted(full)
		for _, prefix := range []string{"$'", "printf '", "echo -ne '", "echo -e '", "echo -n -e '"} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				at += len(prefix)
				line, _, _ = strings.Cut(rest, "'")
			}
		}
		end := at + len(line)
		open := false
		for i := at; i < end; {
			if full[i] != '\\' {
				b = append(b, full[i])
				i++
				continue
			}
			if open = i == end-1; open {
				break
			}
			var size int
			var err error
			if b, size, err = p.escape(b, n, i); err != nil {
				return err
			}
			i += size
		}
		if !open {
			lines, b = append(lines, b), nil
		}
	}
	p.joinLines(append(lines, b))
	return nil
}

// number reads a byte: "10", "0x0a", "012" as decimal, "-1" as 255, "'A'".
func number(s string) (byte, bool) {
	if len(s) >= 3 && s[0] == '\'' && s[len(s)-1] == '\'' {
		if len(s) == 3 {
			return s[1], true
		}
		q := pasting{lines: []string{s}}
		b, size, err := q.escape(nil, 0, 1)
		return append(b, 0)[0], err == nil && len(b) == 1 && size == len(s)-2 && s[1] == '\\'
	}
	base, digits := 10, s
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		base, digits = 16, s[2:]
	} else if len(s) > 2 && s[0] == '0' && (s[1] == 'b' || s[1] == 'B') {
		base, digits = 2, s[2:]
	}
	if strings.HasPrefix(digits, "+") || strings.HasPrefix(digits, "-") && base != 10 {
		return 0, false
	}
	v, err := strconv.ParseInt(digits, base, 16)
	return byte(v), err == nil && v >= -128 && v <= 255
}

// readArrays reads numbers between brackets, of C, Go, Rust, Java, JavaScript, Python and
// JSON. The innermost brackets are a packet. Comments are skipped.
func readArrays(p *pasting) error {
	text := declared().ReplaceAllStringFunc(p.all(), func(s string) string {
		if s[0] == '(' {
			return blank(s[:len(s)-1]) + "["
		}
		return blank(s)
	})
	line, begin := 0, 0 // of the line, and its first byte in text
	var packet []byte
	open, bad := false, error(nil)
	at := func(i int) (int, int) { return line, i - begin }
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\n':
			line, begin = line+1, i+1
			i++
		case strings.HasPrefix(text[i:], "/*"):
			n := strings.Index(text[i:], "*/")
			if n < 0 {
				l, col := at(i)
				return p.fail(l, col, "", "a comment without an end")
			}
			if k := strings.LastIndexByte(text[i:i+n], '\n'); k >= 0 {
				line, begin = line+strings.Count(text[i:i+n], "\n"), i+k+1
			}
			i += n + 2
		case strings.HasPrefix(text[i:], "//") || c == '#':
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
		case strings.IndexByte("{[(", c) >= 0:
			packet, open, bad = nil, true, nil
			i++
		case strings.IndexByte("}])", c) >= 0:
			if open && bad == nil {
				p.add(packet)
			} else if open && len(packet) > 1 {
				return bad
			}
			packet, open, bad = nil, false, nil
			i++
		case strings.IndexByte(" \t\r,;", c) >= 0:
			i++
		default:
			n := elementEnd(text[i:])
			if v, ok := number(text[i : i+n]); ok && open {
				packet = append(packet, v)
			} else if open && bad == nil {
				l, col := at(i)
				bad = p.fail(l, col, "", "%q is not a byte: a number from 0 to 255", clip(text[i:i+n]))
			}
			i += n
		}
	}
	if open && len(packet) > 0 {
		return p.fail(line, len(text)-begin, "", "no closing bracket")
	}
	if len(p.packets) == 0 {
		return p.fail(0, 0, "", "no numbers between brackets")
	}
	return nil
}

// elementEnd is where an element of an array ends; a quotation mark may hold a bracket.
func elementEnd(s string) int {
	if s[0] == '\'' {
		for i := 1; i < min(len(s), 6); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '\'' {
				return i + 1
			}
		}
	}
	if n := strings.IndexAny(s, " \t\r\n,;{}[]()"); n > 0 {
		return n
	}
	return len(s)
}

// blank returns as many blanks as s has bytes.
func blank(s string) string { return strings.Repeat(" ", len(s)) }
