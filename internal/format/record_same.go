package format

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// inspect walks over valid JSON. depth is how deep its objects and arrays go. plain
// tells that it comes out of jq as it went in: compact, no member twice in an
// object, numbers and strings in their shortest form.
func inspect(b []byte) (depth int, plain bool) {
	var nameBuf [24][]byte
	var startBuf [8]int
	names := nameBuf[:0]   // of the objects that are open
	starts := startBuf[:0] // where in names they begin; -1: an array
	name := false          // a member's name comes next
	plain = true
	s := scanner{b: b}
	for s.i < len(b) {
		switch c := b[s.i]; c {
		case '{', '[':
			start := -1
			if name = c == '{'; name {
				start = len(names)
			}
			starts = append(starts, start)
			depth = max(depth, len(starts))
			s.i++
		case '}', ']':
			if start := starts[len(starts)-1]; start >= 0 {
				plain = plain && !repeats(names[start:])
				names = names[:start]
			}
			starts = starts[:len(starts)-1]
			s.i++
		case ',':
			name = starts[len(starts)-1] >= 0
			s.i++
		case ':':
			name = false
			s.i++
		case ' ', '\t', '\r', '\n':
			plain = false
			s.i++
		case '"':
			lit := s.literal()
			plain = plain && plainString(lit)
			if name {
				names = append(names, lit)
			}
		case 't', 'f', 'n':
			s.literal()
		default:
			plain = plainNumber(s.literal()) && plain
		}
	}
	return depth, plain
}

// repeats tells whether a name is there twice. It may put names in order.
func repeats(names [][]byte) bool {
	if len(names) <= 8 {
		for i, a := range names {
			for _, b := range names[:i] {
				if bytes.Equal(a, b) {
					return true
				}
			}
		}
		return false
	}
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return true
		}
	}
	return false
}

// plainString tells whether a literal has no escape that could be left out, and
// no character that some escape.
func plainString(lit []byte) bool {
	for i := 1; i < len(lit)-1; i++ {
		switch c := lit[i]; {
		case c == 0x7f:
			return false
		case c != '\\':
		case contains(`"\bfnrt`, lit[i+1]):
			i++
		default: // u, or a slash
			return false
		}
	}
	return true
}

// plainNumber tells whether a literal is how everybody writes that number: at most
// 15 digits, no exponent, no zeros that say nothing.
func plainNumber(lit []byte) bool {
	digits := bytes.TrimPrefix(lit, []byte{'-'})
	if len(digits) > 16 || bytes.IndexByte(digits, 'e') >= 0 || bytes.IndexByte(digits, 'E') >= 0 {
		return false
	}
	point := bytes.IndexByte(digits, '.')
	if point < 0 {
		return len(digits) <= 15 && (digits[0] != '0' || len(lit) == 1)
	}
	return digits[len(digits)-1] != '0' && !bytes.HasPrefix(digits, []byte("0.0000"))
}

// sameJSON tells whether is, valid JSON, is what a program may have made of was
// that has read and written it: members in another order, the last of those that
// are there twice, numbers as far as a float64 goes.
func sameJSON(was, is []byte) bool {
	if bytes.Equal(was, is) {
		return true
	}
	a, b := anyJSON(was), anyJSON(is)
	return sameValue(a, b)
}

func anyJSON(b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	_ = d.Decode(&v) // valid, so it cannot fail
	return v
}

func sameValue(was, is any) bool {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok || len(is) != len(was) {
			return false
		}
		for name, v := range was {
			if other, ok := is[name]; !ok || !sameValue(v, other) {
				return false
			}
		}
		return true
	case []any:
		is, ok := is.([]any)
		return ok && slices.EqualFunc(was, is, sameValue)
	case json.Number:
		is, ok := is.(json.Number)
		return ok && sameNumber(string(was), string(is))
	}
	return was == is
}

// sameNumber tells whether is says was, or what the float64 nearest to was is
// written as.
func sameNumber(was, is string) bool {
	d := decimalOf(is)
	if was == is || decimalOf(was) == d {
		return true
	}
	f, _ := strconv.ParseFloat(was, 64)
	f = max(min(f, math.MaxFloat64), -math.MaxFloat64)
	return decimalOf(strconv.FormatFloat(f, 'e', -1, 64)) == d || decimalOf(strconv.FormatFloat(f, 'e', 16, 64)) == d
}

// decimal is a number: 0.digits × 10^exponent.
type decimal struct {
	negative bool
	digits   string // neither begin nor end with 0; "" is 0
	exponent int
}

func decimalOf(lit string) decimal {
	lit, negative := strings.CutPrefix(lit, "-")
	mantissa, power := lit, ""
	if i := strings.IndexAny(lit, "eE"); i >= 0 {
		mantissa, power = lit[:i], lit[i+1:]
	}
	exponent, _ := strconv.Atoi(power) // out of range: the nearest int
	exponent = max(min(exponent, math.MaxInt32), math.MinInt32)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent += len(digits) - len(fraction)
	if digits = strings.TrimRight(digits, "0"); digits == "" {
		return decimal{}
	}
	return decimal{negative, digits, exponent}
}
