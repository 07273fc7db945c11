package selector

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/router"
)

// literal is a value in an expression, in every way that it can be meant.
type literal struct {
	text    string
	mode    mode
	pattern *regexp.Regexp // of resembles

	numeric, exact bool
	whole          int64
	real           float64
	flag           int8 // 0 or 1, -1 if it is no word for either
	instant        int64
	timed          bool
}

// mode is how a text is compared.
type mode uint8

const (
	exactly mode = iota
	byTopic
	byShell
	byWord // upper and lower case alike, and blanks like dashes
)

// modeOf is how name and text are compared.
func modeOf(name, text string) mode {
	last := name[strings.LastIndexAny(name, "-./")+1:]
	switch {
	case (strings.Contains(name, "topic") || strings.Contains(name, "filter")) && strings.ContainsAny(text, "+#"):
		return byTopic
	case (last == "client" || last == "id" && strings.HasPrefix(name, "client") || last == "identifier" && strings.HasPrefix(name, "client")) &&
		strings.ContainsAny(text, "*?["):
		return byShell
	case name == NameType || name == NameDirection || name == "protocol" || name == "code" || last == "code" || last == "codes":
		return byWord
	}
	return exactly
}

// newLiteral reads text as the value of name. A quoted one is text only.
func newLiteral(name, text string, quoted bool) literal {
	l := literal{text: text, mode: modeOf(name, text), flag: -1}
	if quoted {
		return l
	}
	switch strings.ToLower(text) {
	case "yes", "true", "on", "1":
		l.flag = 1
	case "no", "false", "off", "0":
		l.flag = 0
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		l.instant, l.timed = t.UnixNano(), true
	}
	l.number(text)
	return l
}

// units are what a number may have behind it, as factors to what values have.
var units = map[string]float64{
	"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400,
	"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}

// number reads text as a number with or without a unit, or as a sum like 1m30s.
func (l *literal) number(text string) {
	if i, err := strconv.ParseInt(text, 0, 64); err == nil && !strings.HasPrefix(strings.TrimLeft(text, "+-"), "0") || err == nil && isPrefixed(text) {
		l.numeric, l.exact, l.whole, l.real = true, true, i, float64(i)
		return
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "xXpPiInN_") {
		l.set(f)
		return
	}
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµ")
	factor, known := units[strings.ToLower(text[len(digits):])]
	if f, err := strconv.ParseFloat(digits, 64); err == nil && known && !strings.ContainsAny(digits, "xXiInN_") {
		l.set(f * factor)
	} else if d, err := time.ParseDuration(text); err == nil {
		l.set(d.Seconds())
	}
}

// isPrefixed reports whether an integer says its base: 0x10, 0b11, 0o7, or is 0.
func isPrefixed(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return digits == "0" || len(digits) > 2 && strings.ContainsRune("xXbBoO", rune(digits[1]))
}

func (l *literal) set(f float64) {
	l.numeric, l.real = true, f
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		l.exact, l.whole = true, int64(f)
	}
}

// holds reports whether v op l.
func (l *literal) holds(op operator, v *Value) bool {
	switch {
	case op == resembles:
		return l.resembles(v)
	case v.kind == text || v.kind == octets:
		return l.compareText(op, v)
	case v.kind == instant:
		return l.timed && is(op, cmp.Compare(v.whole, l.instant))
	case v.kind == boolean && l.flag >= 0:
		return is(op, cmp.Compare(v.whole, int64(l.flag)))
	case !l.numeric:
		return false
	case v.kind != fraction && l.exact:
		return is(op, cmp.Compare(v.whole, l.whole))
	}
	return is(op, cmp.Compare(v.real, l.real))
}

// is reports whether op is true of two values that compare as c.
func is(op operator, c int) bool {
	switch op {
	case equals:
		return c == 0
	case below:
		return c < 0
	case most:
		return c <= 0
	case above:
		return c > 0
	case least:
		return c >= 0
	}
	return false
}

// compareText compares as numbers where both sides are numbers and the order is
// asked for.
func (l *literal) compareText(op operator, v *Value) bool {
	if op == equals {
		if v.kind == octets {
			return string(v.bytes) == l.text
		}
		return l.equals(v.text)
	}
	if l.numeric {
		f, ok := numberIn(v)
		return ok && is(op, cmp.Compare(f, l.real))
	}
	if v.kind == octets {
		return is(op, compareBytes(v.bytes, l.text))
	}
	return is(op, strings.Compare(v.text, l.text))
}

func (l *literal) equals(s string) bool {
	switch l.mode {
	case byTopic:
		return s == l.text || router.Match(l.text, s)
	case byShell:
		return glob(l.text, s)
	case byWord:
		return sameWords(l.text, s)
	}
	return s == l.text
}

// longestNumber is how long a text may be to be read as a number.
const longestNumber = 32

// numberIn reads all of v as a number.
func numberIn(v *Value) (float64, bool) {
	if len(v.text)+len(v.bytes) > longestNumber {
		return 0, false
	}
	var room [longestNumber]byte
	digits := append(append(room[:0], v.text...), v.bytes...)
	for _, c := range digits {
		if (c < '0' || c > '9') && strings.IndexByte("+-.eE", c) < 0 {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(digits), 64)
	return f, err == nil
}

// compareBytes is strings.Compare of b and s.
func compareBytes(b []byte, s string) int {
	switch {
	case string(b) < s:
		return -1
	case string(b) > s:
		return 1
	}
	return 0
}

// resembles applies the regular expression: to numbers as they are written.
func (l *literal) resembles(v *Value) bool {
	switch v.kind {
	case text:
		return l.pattern.MatchString(v.text)
	case octets:
		return l.pattern.Match(v.bytes)
	case integer:
		var room [20]byte
		return l.pattern.Match(strconv.AppendInt(room[:0], v.whole, 10))
	case fraction:
		var room [32]byte
		return l.pattern.Match(strconv.AppendFloat(room[:0], v.real, 'g', -1, 64))
	}
	return false
}

// sameWords compares letters without regard to case, and blanks and underscores
// like dashes. * and ? of pattern stand for any.
func sameWords(pattern, s string) bool { return match(pattern, s, foldWord) }

// glob is the pattern of a shell: *, ?, [a-z], [!a-z] and \ in front of one of
// these.
func glob(pattern, s string) bool { return match(pattern, s, func(c byte) byte { return c }) }

func foldWord(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	case c == ' ' || c == '_':
		return '-'
	}
	return c
}

// match goes back to the last star only, which is enough: what came before that
// has matched at its earliest place.
func match(pattern, s string, fold func(byte) byte) bool {
	p, i, star, from := 0, 0, -1, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, from = p, i
			p++
			continue
		}
		if n, ok := one(pattern[p:], s[i], fold); ok {
			p += n
			i++
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star+1, from
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// one matches c with the n bytes of pattern that stand for one byte.
func one(pattern string, c byte, fold func(byte) byte) (n int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, fold(pattern[1]) == fold(c)
		}
	case '[':
		if end := strings.IndexByte(pattern, ']'); end > 1 {
			return end + 1, inClass(pattern[1:end], fold(c))
		}
	}
	return 1, fold(pattern[0]) == fold(c)
}

// inClass reports whether c is in "a-z_", or not in "!a-z_".
func inClass(class string, c byte) bool {
	negated := class[0] == '!' || class[0] == '^'
	if negated {
		class = class[1:]
	}
	for class != "" {
		low, high := class[0], class[0]
		class = class[1:]
		if len(class) > 1 && class[0] == '-' {
			high, class = class[1], class[2:]
		}
		if low <= c && c <= high {
			return !negated
		}
	}
	return negated
}
