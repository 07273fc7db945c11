package payload

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseJSON reads one JSON text (RFC 8259). Members keep their order, repeated
// ones too, and numbers all their digits. An error is a *Malformed.
func ParseJSON(b []byte) (any, error) {
	p := parser{b: b}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(b) {
		return nil, Malformedf(p.at, "%s behind the value", p.found())
	}
	return v, nil
}

type parser struct {
	b      []byte
	at     int
	values int
}

func (p *parser) space() {
	for p.at < len(p.b) && (p.b[p.at] == ' ' || p.b[p.at] == '\n' || p.b[p.at] == '\r' || p.b[p.at] == '\t') {
		p.at++
	}
}

// peek is the next byte that is no space, 0 at the end.
func (p *parser) peek() byte {
	if p.space(); p.at < len(p.b) {
		return p.b[p.at]
	}
	return 0
}

// found says what stands at p.at.
func (p *parser) found() string {
	if p.at >= len(p.b) {
		return "the end"
	}
	r, _ := utf8.DecodeRune(p.b[p.at:])
	if r == utf8.RuneError || r < ' ' {
		return "byte 0x" + strconv.FormatUint(uint64(p.b[p.at]), 16)
	}
	return strconv.QuoteRune(r)
}

func (p *parser) value(depth int) (any, error) {
	if p.values++; p.values > MaxValues {
		return nil, Malformedf(p.at, "more than %d values", MaxValues)
	}
	switch b := p.peek(); {
	case b == '{' || b == '[':
		if depth >= MaxDepth {
			return nil, Malformedf(p.at, "more than %d levels", MaxDepth)
		}
		p.at++
		if b == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	case b == '"':
		return p.text()
	case b == '-' || b >= '0' && b <= '9':
		return p.number()
	}
	for _, word := range []struct {
		text  string
		value any
	}{{"null", nil}, {"true", true}, {"false", false}} {
		if bytes.HasPrefix(p.b[p.at:], []byte(word.text)) {
			p.at += len(word.text)
			return word.value, nil
		}
	}
	return nil, Malformedf(p.at, "%s where a value is to be", p.found())
}

// next takes a comma, or shut. It reports whether the list goes on.
func (p *parser) next(shut byte) (bool, error) {
	switch p.peek() {
	case ',':
		p.at++
		return true, nil
	case shut:
		p.at++
		return false, nil
	}
	return false, Malformedf(p.at, "%s where a comma or %c is to be", p.found(), shut)
}

func (p *parser) array(depth int) (any, error) {
	list := []any{}
	if p.peek() == ']' {
		p.at++
		return list, nil
	}
	for {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if more, err := p.next(']'); err != nil || !more {
			return list, err
		}
	}
}

func (p *parser) object(depth int) (any, error) {
	o := Object{}
	if p.peek() == '}' {
		p.at++
		return o, nil
	}
	for {
		if p.peek() != '"' {
			return nil, Malformedf(p.at, "%s where a name in quotes is to be", p.found())
		}
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		if p.peek() != ':' {
			return nil, Malformedf(p.at, "%s where a colon is to be", p.found())
		}
		p.at++
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		o = append(o, Member{name, v})
		if more, err := p.next('}'); err != nil || !more {
			return o, err
		}
	}
}

func (p *parser) number() (any, error) {
	start := p.at
	digits := func() int {
		from := p.at
		for p.at < len(p.b) && p.b[p.at] >= '0' && p.b[p.at] <= '9' {
			p.at++
		}
		return p.at - from
	}
	at := func(set string) bool { return p.at < len(p.b) && bytes.IndexByte([]byte(set), p.b[p.at]) >= 0 }
	if at("-") {
		p.at++
	}
	zero := at("0")
	if n := digits(); n == 0 || zero && n > 1 {
		return nil, Malformedf(start, "a number of which the digits are missing, or begin with 0")
	}
	if at(".") {
		p.at++
		if digits() == 0 {
			return nil, Malformedf(p.at, "%s where a digit is to be", p.found())
		}
	}
	if at("eE") {
		p.at++
		if at("+-") {
			p.at++
		}
		if digits() == 0 {
			return nil, Malformedf(p.at, "%s where a digit is to be", p.found())
		}
	}
	return json.Number(p.b[start:p.at]), nil
}

// text reads a string; the quote is at p.at.
func (p *parser) text() (string, error) {
	p.at++
	start := p.at
	var out []byte // once there is an escape
	for p.at < len(p.b) {
		switch b := p.b[p.at]; {
		case b == '"':
			s := p.b[start:p.at]
			if p.at++; out != nil {
				return string(append(out, s...)), nil
			}
			return string(s), nil
		case b == '\\':
			out = append(out, p.b[start:p.at]...)
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
			start = p.at
		case b < ' ':
			return "", Malformedf(p.at, "a control character in a string")
		case b < utf8.RuneSelf:
			p.at++
		default:
			r, n := utf8.DecodeRune(p.b[p.at:])
			if r == utf8.RuneError && n == 1 {
				return "", Malformedf(p.at, "text that is not UTF-8")
			}
			p.at += n
		}
	}
	return "", Malformedf(p.at, "a string without its end")
}

// escape reads what a backslash at p.at begins.
func (p *parser) escape(dst []byte) ([]byte, error) {
	start := p.at
	if p.at += 2; p.at > len(p.b) {
		return dst, Malformedf(start, "a string without its end")
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.b[p.at-1]
	if i := bytes.IndexByte([]byte(from), c); i >= 0 {
		return append(dst, to[i]), nil
	}
	if c != 'u' {
		return dst, Malformedf(start, "\\%c is no escape", c)
	}
	r, ok := p.unit()
	if !ok {
		return dst, Malformedf(start, "\\u without four hex digits")
	}
	if utf16.IsSurrogate(r) {
		high, back := r, p.at
		r = utf8.RuneError
		if p.at+1 < len(p.b) && p.b[p.at] == '\\' && p.b[p.at+1] == 'u' {
			p.at += 2
			if low, ok := p.unit(); ok {
				r = utf16.DecodeRune(high, low)
			}
		}
		if r == utf8.RuneError {
			p.at = back
		}
	}
	return utf8.AppendRune(dst, r), nil
}

// unit reads four hex digits.
func (p *parser) unit() (rune, bool) {
	if len(p.b)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.b[p.at:p.at+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	p.at += 4
	return rune(n), true
}
