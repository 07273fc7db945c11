package display

import (
	"cmp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Style is how packets are shown.
type Style struct {
	Color      bool // with the 16 colours that every terminal has
	Secrets    bool // shows them
	HexOffsets bool
	Width      int // columns; 0: 80
	Clock      Clock
}

// Clock is how points in time are shown.
type Clock uint8

// Clocks.
const (
	SinceStart Clock = iota // seconds since the first packet
	UTC
	Local
)

const defaultWidth = 80

func (s Style) width() int { return max(cmp.Or(s.Width, defaultWidth), defaultWidth) }

// ink is a colour: the parameters of an SGR sequence.
type ink string

const (
	plain   ink = ""
	bold    ink = "1"
	dim     ink = "2"
	red     ink = "31"
	green   ink = "32"
	yellow  ink = "33"
	blue    ink = "34"
	magenta ink = "35"
	cyan    ink = "36"
	alarm   ink = "37;41"
)

// inks are the colours of kinds.
var inks = [...]ink{
	dissect.Structure: bold, dissect.Length: dim, dissect.Flags: yellow,
	dissect.Number: cyan, dissect.Text: green, dissect.Bytes: blue,
}

// start and stop enclose what has a colour.
func (s Style) start(dst []byte, c ink) []byte {
	if !s.Color || c == plain {
		return dst
	}
	return append(append(append(dst, "\x1b["...), c...), 'm')
}

func (s Style) stop(dst []byte, c ink) []byte {
	if !s.Color || c == plain {
		return dst
	}
	return append(dst, "\x1b[0m"...)
}

func (s Style) paint(dst []byte, c ink, text string) []byte {
	return s.stop(append(s.start(dst, c), text...), c)
}

// mark is the sign and the colour of what is wrong.
type mark byte

const (
	clean   mark = ' '
	warning mark = '~'
	broken  mark = '!'
)

func (m mark) ink(otherwise ink) ink {
	switch m {
	case warning:
		return magenta
	case broken:
		return alarm
	}
	return otherwise
}

// worse is the heavier of both.
func (m mark) worse(n mark) mark {
	if m == broken || n == clean {
		return m
	}
	return n
}

// appendSafe appends s with what a terminal would obey, or not show, as \x1b or
// \u202e.
func appendSafe[T string | []byte](dst []byte, s T) []byte {
	return appendEscaped(dst, s, 0)
}

// appendQuoted appends s between ", which is escaped within.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	return append(appendEscaped(append(dst, '"'), s, '"'), '"')
}

// visible are the bytes of ASCII that stand for themselves.
var visible = func() (is [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		is[c] = true
	}
	return is
}()

func appendEscaped[T string | []byte](dst []byte, s T, quote byte) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if visible[c] && (quote == 0 || c != quote && c != '\\') {
			i++
			continue
		}
		n, r := 1, rune(c)
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
				i += n
				continue
			}
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, r, c, n)
		i += n
		from = i
	}
	return append(dst, s[from:]...)
}

const hexDigits = "0123456789abcdef"

// appendEscape appends r, whose first byte is c and which has n bytes.
func appendEscape(dst []byte, r rune, c byte, n int) []byte {
	switch {
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	case c == '"' || c == '\\' || c == ',':
		return append(dst, '\\', c)
	case c < utf8.RuneSelf || n == 1:
		return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	case r > 0xffff:
		dst = append(dst, `\U`...)
		for shift := 28; shift >= 0; shift -= 4 {
			dst = append(dst, hexDigits[r>>shift&15])
		}
		return dst
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// Safe is s with what a terminal would obey, or not show, escaped.
func Safe(s string) string { return string(appendSafe(nil, s)) }

// columns is how many columns s takes, if each character takes one.
func columns(s string) int { return utf8.RuneCountInString(s) }

// appendPadded appends s and blanks up to width columns.
func appendPadded(dst []byte, s string, width int) []byte {
	return appendBlanks(append(dst, s...), width-columns(s))
}

func appendBlanks(dst []byte, n int) []byte {
	const blanks = "                                                                                "
	for ; n > len(blanks); n -= len(blanks) {
		dst = append(dst, blanks...)
	}
	return append(dst, blanks[:max(n, 0)]...)
}

// number is room for a number in columns, which is filled from the right.
type number [32]byte

// put writes n in front of at, and returns where it begins.
func (r *number) put(at int, n uint64) int {
	for {
		at--
		r[at] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return at
		}
	}
}

// appendTo appends what begins at at, with blanks in front up to width columns.
func (r *number) appendTo(dst []byte, at, width int) []byte {
	for at > len(r)-width && at > 0 {
		at--
		r[at] = ' '
	}
	return append(dst, r[at:]...)
}

// magnitude is n without its sign.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// appendRight appends n in width columns.
func appendRight(dst []byte, n int64, width int) []byte {
	var r number
	at := r.put(len(r), magnitude(n))
	if n < 0 {
		at--
		r[at] = '-'
	}
	return r.appendTo(dst, at, width)
}

// appendSeconds appends d in seconds, with three digits behind the point, in width
// columns.
func appendSeconds(dst []byte, d time.Duration, width int) []byte {
	var r number
	ms := magnitude(int64(d)) / uint64(time.Millisecond)
	at := len(r) - 3
	r[at], r[at+1], r[at+2] = byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10)
	at--
	r[at] = '.'
	at = r.put(at, ms/1000)
	if d < 0 {
		at--
		r[at] = '-'
	}
	return r.appendTo(dst, at, width)
}

// appendShort appends d with two digits or so and a unit: "1.0 ms".
func appendShort(dst []byte, d time.Duration) []byte {
	unit, name := time.Second, " s"
	switch {
	case d < 0:
		return appendShort(append(dst, '-'), -max(d, -1<<63+1))
	case d < time.Millisecond:
		unit, name = time.Microsecond, " µs"
	case d < time.Second:
		unit, name = time.Millisecond, " ms"
	}
	if d >= 100*unit {
		whole := int64(d / unit)
		if d%unit >= unit/2 {
			whole++
		}
		return append(appendRight(dst, whole, 0), name...)
	}
	tenths := int64((d + unit/20) / (unit / 10))
	dst = appendRight(dst, tenths/10, 0)
	return append(append(dst, '.', byte('0'+tenths%10)), name...)
}

// appendBytes appends n bytes for people: "1 byte", "36 kB".
func appendBytes(dst []byte, n int) []byte {
	switch {
	case n == 1:
		return append(dst, "1 byte"...)
	case n < 10_000:
		return append(strconv.AppendInt(dst, int64(n), 10), " bytes"...)
	case n < 10_000_000:
		return append(strconv.AppendInt(dst, int64(n/1000), 10), " kB"...)
	}
	return append(strconv.AppendInt(dst, int64(n/1_000_000), 10), " MB"...)
}

// counted is "1 error", "2 errors".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
