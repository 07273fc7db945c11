package frame

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeFormat is how a time stands in a frame: parts in a row, each in binary,
// BCD or digits; or a count since 1970.
type timeFormat struct {
	text  string
	unit  time.Duration // of a count: a second or a millisecond; 0 for parts
	bytes int           // of a count, or of binary and BCD parts; text: digits and separators
	style timeStyle
	parts []timePart
	zone  *time.Location
	le    bool
}

type timeStyle uint8

const (
	timeBinary timeStyle = iota
	timeBCD
	timeText
)

type timePart struct {
	what    byte // y m d w h M s f, 0 for a separator
	size    int  // bytes, or digits
	literal byte
}

// parseTime reads a format: unix-s, unix-ms, or parts such as
// yyyy yy mm dd ww hh mm ss ms followed by -bin, -bcd or -text.
func parseTime(s string, zone *time.Location, le bool) (*timeFormat, error) {
	t := &timeFormat{text: s, zone: zone, le: le}
	switch s {
	case "unix-s":
		t.unit, t.bytes = time.Second, 4
		return t, nil
	case "unix-ms":
		t.unit, t.bytes = time.Millisecond, 8
		return t, nil
	}
	parts, style := s, "text"
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		if after := s[i+1:]; after == "bin" || after == "bcd" || after == "text" {
			parts, style = s[:i], after
		}
	}
	t.style = map[string]timeStyle{"bin": timeBinary, "bcd": timeBCD, "text": timeText}[style]
	hours := false
	for len(parts) > 0 {
		p := timePart{size: 2}
		step := 2
		switch {
		case strings.HasPrefix(parts, "yyyy"):
			p.what, p.size, step = 'y', 4, 4
		case strings.HasPrefix(parts, "yy"):
			p.what = 'y'
		case strings.HasPrefix(parts, "mm") && !hours:
			p.what = 'm'
		case strings.HasPrefix(parts, "mm"):
			p.what = 'M'
		case strings.HasPrefix(parts, "dd"):
			p.what = 'd'
		case strings.HasPrefix(parts, "ww"):
			p.what = 'w'
		case strings.HasPrefix(parts, "hh"):
			p.what, hours = 'h', true
		case strings.HasPrefix(parts, "ss"):
			p.what = 's'
		case strings.HasPrefix(parts, "ms"):
			p.what, p.size = 'f', 3
		case t.style == timeText:
			p.literal, p.size, step = parts[0], 1, 1
		default:
			return nil, fmt.Errorf("time format %q: %q is none of yyyy yy mm dd ww hh mm ss ms", s, parts)
		}
		if t.style != timeText { // two digits per byte, or two bytes where a number needs them
			p.size = (p.size + 1) / 2
		}
		t.bytes += p.size
		t.parts = append(t.parts, p)
		parts = parts[step:]
	}
	if len(t.parts) == 0 || t.style == timeText && !strings.ContainsAny(s, "ymdhs") {
		return nil, fmt.Errorf("time format %q: want unix-s, unix-ms or parts such as yymmddhhmmss-bcd", s)
	}
	return t, nil
}

// parseZone reads UTC, an offset such as +08:00, or a name such as Asia/Shanghai.
func parseZone(s string) (*time.Location, error) {
	if s == "" || s == "UTC" {
		return time.UTC, nil
	}
	if s[0] == '+' || s[0] == '-' {
		t, err := time.Parse("-07:00", s)
		if err != nil {
			return nil, fmt.Errorf("tz: %q: want an offset such as +08:00", s)
		}
		_, offset := t.Zone()
		return time.FixedZone(s, offset), nil
	}
	zone, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		return nil, fmt.Errorf("tz: %q is unknown: want UTC, an offset such as +08:00, or a name such as Asia/Shanghai", s)
	}
	return zone, nil
}

// number reads one part.
func (t *timeFormat) number(b []byte) (n int, ok bool) {
	switch t.style {
	case timeBinary:
		return int(number(b, t.le)), true
	case timeBCD:
		for _, c := range b {
			if c>>4 > 9 || c&15 > 9 {
				return 0, false
			}
			n = n*100 + int(c>>4)*10 + int(c&15)
		}
		return n, true
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// parse reads a time; not ok for what is none, such as month 0, which devices
// send until they have one.
func (t *timeFormat) parse(b []byte) (time.Time, bool) {
	year, month, day, hour, minute, second, milli := 1970, 1, 1, 0, 0, 0, 0
	for _, p := range t.parts {
		field := b[:p.size]
		b = b[p.size:]
		if p.what == 0 {
			if field[0] != p.literal {
				return time.Time{}, false
			}
			continue
		}
		n, ok := t.number(field)
		if !ok {
			return time.Time{}, false
		}
		switch p.what {
		case 'y':
			year = n
			if n < 100 {
				year += 2000
			}
		case 'm':
			month = n
		case 'd':
			day = n
		case 'h':
			hour = n
		case 'M':
			minute = n
		case 's':
			second = n
		case 'f':
			milli = n
		}
	}
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || milli > 999 || year > 2261 || year < 1678 {
		return time.Time{}, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, milli*int(time.Millisecond), t.zone)
	return at, at.Day() == day || second == 60
}

// append writes a time in the format.
func (t *timeFormat) append(dst []byte, at time.Time) []byte {
	if t.unit != 0 {
		return appendUint(dst, uint64(at.UnixNano()/int64(t.unit)), t.bytes, t.le)
	}
	at = at.In(t.zone)
	for _, p := range t.parts {
		n := 0
		switch p.what {
		case 0:
			dst = append(dst, p.literal)
			continue
		case 'y':
			n = at.Year()
			if t.style == timeBinary && p.size == 1 || t.style == timeBCD && p.size == 1 || t.style == timeText && p.size == 2 {
				n %= 100
			}
		case 'm':
			n = int(at.Month())
		case 'd':
			n = at.Day()
		case 'w':
			n = int(at.Weekday())
		case 'h':
			n = at.Hour()
		case 'M':
			n = at.Minute()
		case 's':
			n = at.Second()
		case 'f':
			n = at.Nanosecond() / int(time.Millisecond)
		}
		switch t.style {
		case timeBinary:
			dst = appendUint(dst, uint64(n), p.size, t.le)
		case timeBCD:
			dst = appendBCD(dst, strconv.Itoa(n), p.size)
		case timeText:
			dst = appendPadded(dst, strconv.Itoa(n), p.size)
		}
	}
	return dst
}

// appendUint writes the lowest size bytes of n.
func appendUint(dst []byte, n uint64, size int, le bool) []byte {
	for i := range size {
		shift := 8 * (size - 1 - i)
		if le {
			shift = 8 * i
		}
		dst = append(dst, byte(n>>shift))
	}
	return dst
}

// appendPadded writes digits with zeros in front of them.
func appendPadded(dst []byte, digits string, size int) []byte {
	for range size - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// appendBCD writes the last 2*size digits, with zeros in front.
func appendBCD(dst []byte, digits string, size int) []byte {
	for i := range 2 * size {
		d := byte(0)
		if at := len(digits) - 2*size + i; at >= 0 {
			d = byte(max(hexDigit(digits[at]), 0))
		}
		if i%2 == 0 {
			dst = append(dst, d<<4)
		} else {
			dst[len(dst)-1] |= d
		}
	}
	return dst
}

func readTime(r *Record, f *field) error {
	t := f.time
	off := r.offset(r.pos, t.bytes)
	b, err := r.take(f, t.bytes)
	if err != nil {
		return err
	}
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	var at time.Time
	var ok bool
	if t.unit != 0 {
		n := number(b, t.le)
		limit := uint64(1<<63-1) / uint64(t.unit)
		at, ok = time.Unix(0, int64(min(n, limit))*int64(t.unit)), n <= limit
	} else {
		at, ok = t.parse(b)
	}
	v := r.add(f, Null, off, t.bytes)
	if ok {
		v.Kind, v.num = Time, uint64(at.UnixNano())
	}
	return nil
}
