// Package format is the output language of mosquitto_sub's option -F, and the
// JSON object that is part of it.
//
//	%[-][0][width][.precision][separator]X   a part of the message, see parts
//	%%  @@                                   these characters
//	@c                                       what strftime makes of %c
//	\\ \0 \a \e \n \r \t \v                  the usual characters
//
// Parse checks a format once; appending a message to a caller's buffer then
// allocates nothing except for JSON payloads. A Format may be used by several
// goroutines.
//
// Dialect chooses between the forms of mosquitto 2.0 and 2.1 where they
// differ, and Exact between mosquitto's way with JSON and one that loses
// nothing. Locales are left out: months and days have their English names.
package format

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Dialect is the release of mosquitto whose forms are wanted.
type Dialect uint8

const (
	// V21 is mosquitto 2.1.
	V21 Dialect = iota
	// V20 is mosquitto 2.0. It differs in these: the width of %x and %X counts
	// hex digits to be kept, not bytes of the payload; no separators; no %f
	// and %d; in JSON, retain is 0 or 1, user properties are one object and
	// the time has a Z before its zone.
	V20
)

// Options of a Format. The zero value is usable.
type Options struct {
	Dialect Dialect
	// Exact repeats what mosquitto does to JSON: strings end at NUL, numbers
	// go through float64. Without it strings keep every character, invalid
	// UTF-8 becomes U+FFFD, and numbers keep every digit.
	Exact bool
	// Pretty spreads JSON over several lines.
	Pretty bool
}

// Message is what a format shows. Its slices are only read.
type Message struct {
	Topic      string
	Payload    []byte
	QoS        uint8
	Retain     bool
	Unflagged  bool   // nobody knows Retain: a record leaves it out
	PacketID   uint16 // 0 at QoS 0
	Properties mqtt.Properties
	Arrived    time.Time // in the zone to be shown
	Decoded    *Decoded  // what a rule has made of the payload; nil: no rule fits
}

// decoded tells that a rule has made a value of the payload.
func (m *Message) decoded() bool {
	return m.Decoded != nil && m.Decoded.Value != nil && m.Decoded.Problem == ""
}

// readable is what a rule has made of the payload as people write it, or else the
// payload.
func (m *Message) readable() []byte {
	switch {
	case !m.decoded():
		return m.Payload
	case m.Decoded.Notation != "":
		return []byte(m.Decoded.Notation)
	}
	return m.Decoded.Value
}

// A SyntaxError tells what is wrong with a format.
type SyntaxError struct {
	Offset int // of the offending byte
	Reason string
}

func (e *SyntaxError) Error() string { return e.Reason }

// Format is a parsed format.
type Format struct {
	items []item
	opts  Options
}

// item is one piece of a format: literal text, a conversion of strftime, or a
// part of the message.
type item struct {
	literal string
	time    byte // the conversion character after @, 0 if none
	part    byte // the letter after %, 0 if none
	field
}

// field is how a part is fitted into its place.
type field struct {
	left      bool
	zero      bool
	width     int
	precision int // -1 if not given
	separator byte
}

// parts are the letters after % in 2.0, and those that 2.1 adds.
const (
	parts20 = "ACDEFIJPRSUXjlmpqrtx"
	parts21 = parts20 + "df"
)

// maxWidth bounds width and precision, so that a format cannot ask for
// gigabytes of blanks.
const maxWidth = 1 << 20

// Parse reads a format. The error is a *SyntaxError.
func Parse(s string, o Options) (*Format, error) {
	f := &Format{opts: o}
	var text []byte
	flush := func() {
		if len(text) > 0 {
			f.items = append(f.items, item{literal: string(text)})
			text = text[:0]
		}
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '%':
			it, n, err := parsePart(s, i, o.Dialect)
			if err != nil {
				return nil, err
			}
			i = n
			if it.part == '%' {
				text = append(text, '%')
				continue
			}
			flush()
			f.items = append(f.items, it)
		case '@':
			if i++; i == len(s) {
				return nil, &SyntaxError{i, "Incomplete format specifier."}
			}
			if s[i] == '@' {
				text = append(text, '@')
				continue
			}
			flush()
			f.items = append(f.items, item{time: s[i]})
		case '\\':
			if i++; i == len(s) {
				return nil, &SyntaxError{i, "Incomplete escape specifier."}
			}
			c, ok := unescape(s[i])
			if !ok {
				return nil, &SyntaxError{i, fmt.Sprintf("Invalid escape specifier '%c'.", s[i])}
			}
			text = append(text, c)
		default:
			text = append(text, s[i])
		}
	}
	flush()
	return f, nil
}

// parsePart reads the specifier that begins at s[i] and returns the index of
// its letter.
func parsePart(s string, i int, d Dialect) (item, int, error) {
	it := item{field: field{precision: -1, separator: ' '}}
	at := func() byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	number := func() (n int) {
		for ; at() >= '0' && at() <= '9'; i++ {
			n = min(n*10+int(at()-'0'), maxWidth)
		}
		return n
	}
	i++
	if at() == '-' {
		it.left = true
		i++
	}
	if at() == '0' {
		it.zero = true
		i++
	}
	it.width = number()
	if at() == '.' {
		i++
		it.precision = number()
	}
	known := parts20
	if d == V21 {
		known = parts21
		if c := at(); isSeparator(c) && i+1 < len(s) && (s[i+1] == 'x' || s[i+1] == 'X') {
			it.separator = c
			i++
		}
	}
	if i >= len(s) {
		return it, i, &SyntaxError{i, "Incomplete format specifier."}
	}
	c := s[i]
	if c != '%' && !contains(known, c) {
		return it, i, &SyntaxError{i, fmt.Sprintf("Invalid format specifier '%c'.", c)}
	}
	it.part = c
	return it, i, nil
}

func isSeparator(c byte) bool {
	return c == ' ' || c > ' ' && c < 0x7f && c != '%' &&
		(c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z')
}

func contains(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

func unescape(c byte) (byte, bool) {
	switch c {
	case '\\':
		return '\\', true
	case '0':
		return 0, true
	case 'a':
		return '\a', true
	case 'e':
		return 0x1b, true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'v':
		return '\v', true
	}
	return 0, false
}
