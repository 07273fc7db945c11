package iottext

const hexDigits = "0123456789abcdef"

// AppendValue appends value as it stands in a line. See the package comment for
// the escape.
func AppendValue(dst, value []byte) []byte {
	for i, c := range value {
		if needsEscape(value, i) {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// ValueSize is the exact number of bytes that AppendValue adds.
func ValueSize(value []byte) int {
	n := len(value)
	for i := range value {
		if needsEscape(value, i) {
			n += 3
		}
	}
	return n
}

// needsEscape reports whether value[i] must not stand for itself.
func needsEscape(value []byte, i int) bool {
	switch c := value[i]; {
	case c < ' ', c > '~', c == '|':
		return true
	case c == ' ':
		return i == 0 || i == len(value)-1
	case c == 'E':
		return len(value)-i >= 3 && value[i+1] == 'N' && value[i+2] == 'D'
	case c == '\\':
		_, ok := escaped(value[i:])
		return ok
	}
	return false
}

// escaped reads the escape at the start of b.
func escaped(b []byte) (c byte, ok bool) {
	if len(b) < 4 || b[0] != '\\' || b[1] != 'x' {
		return 0, false
	}
	hi, ok1 := unhex(b[2])
	lo, ok2 := unhex(b[3])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (n byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Value is what a value in a line stands for: text itself when it holds no
// escape, else a copy.
func Value(text []byte) []byte {
	for i := range text {
		if _, ok := escaped(text[i:]); ok {
			return unescape(append(make([]byte, 0, len(text)), text[:i]...), text[i:])
		}
	}
	return text
}

func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if c, ok := escaped(text[i:]); ok {
			dst = append(dst, c)
			i += 4
		} else {
			dst = append(dst, text[i])
			i++
		}
	}
	return dst
}
