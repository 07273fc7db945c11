package format

import (
	"encoding/json"
	"math"
	"strconv"
)

// scanner walks over JSON that is known to be valid.
type scanner struct {
	b []byte
	i int
}

// next skips blanks and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// literal takes a string, number or word.
func (s *scanner) literal() []byte {
	start := s.i
	if s.b[s.i] == '"' {
		for s.i++; s.b[s.i] != '"'; s.i++ {
			if s.b[s.i] == '\\' {
				s.i++
			}
		}
		s.i++
		return s.b[start:s.i]
	}
	for s.i < len(s.b) && !contains(" \t\r\n,:]}", s.b[s.i]) {
		s.i++
	}
	return s.b[start:s.i]
}

// value rewrites the value that s stands at.
func (w *jsonWriter) value(s *scanner) {
	switch c := s.next(); c {
	case '{', '[':
		w.container(s, c)
	case '"':
		w.quoted(s.literal())
	case 't', 'f', 'n':
		w.raw(s.literal())
	default:
		w.jsonNumber(s.literal())
	}
}

func (w *jsonWriter) container(s *scanner, open byte) {
	end := open + 2 // ] and } follow two places after [ and {
	s.i++
	w.open(open)
	for s.next() != end {
		if s.b[s.i] == ',' {
			s.i++
			s.next()
		}
		if open == '{' {
			w.member()
			w.quoted(s.literal())
			s.next()
			s.i++ // the colon
			w.colon()
		} else {
			w.element()
		}
		w.value(s)
	}
	s.i++
	w.close(end)
}

// quoted writes a string literal: as it is, or as mosquitto would.
func (w *jsonWriter) quoted(lit []byte) {
	if !w.exact {
		w.raw(lit)
		return
	}
	var text string
	if json.Unmarshal(lit, &text) != nil {
		w.raw(lit)
		return
	}
	w.text([]byte(text))
}

// jsonNumber writes a number: as it is, or as mosquitto would, by way of
// float64.
func (w *jsonWriter) jsonNumber(lit []byte) {
	v, err := strconv.ParseFloat(string(lit), 64)
	if !w.exact {
		w.raw(lit)
		return
	}
	if err != nil || math.IsInf(v, 0) {
		w.raw([]byte("null"))
		return
	}
	w.buf = appendDouble(w.buf, v)
}

// appendDouble is printf's %1.15g, or %1.17g when 15 digits do not suffice.
func appendDouble(dst []byte, v float64) []byte {
	if v == math.Trunc(v) && v >= math.MinInt32 && v <= math.MaxInt32 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	for _, digits := range []int{15, 17} {
		s := appendG(nil, v, digits)
		if back, err := strconv.ParseFloat(string(s), 64); digits == 17 || err == nil && sameDouble(back, v) {
			return append(dst, s...)
		}
	}
	return dst
}

func sameDouble(a, b float64) bool {
	return math.Abs(a-b) <= max(math.Abs(a), math.Abs(b))*0x1p-52
}

// appendG is C's %.{digits}g: Go's has no trailing zeros either, but takes the
// exponent for large numbers sooner or later than C does.
func appendG(dst []byte, v float64, digits int) []byte {
	e := strconv.FormatFloat(v, 'e', digits-1, 64)
	exp := 0
	for i := range len(e) {
		if e[i] == 'e' {
			exp, _ = strconv.Atoi(e[i+1:])
			e = e[:i]
			break
		}
	}
	if exp < -4 || exp >= digits {
		dst = append(dst, trimZeros(e)...)
		sign := byte('+')
		if exp < 0 {
			sign, exp = '-', -exp
		}
		dst = append(dst, 'e', sign)
		return appendPadded(dst, int64(exp), 2, '0')
	}
	return append(dst, trimZeros(strconv.FormatFloat(v, 'f', digits-1-exp, 64))...)
}

// trimZeros drops zeros behind the point, and the point when it is last.
func trimZeros(s string) string {
	if !contains(s, '.') {
		return s
	}
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}
