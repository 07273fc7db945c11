package frame

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the record as a JSON object: {"message":"login","imei":"..."}.
func (r *Record) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	if r.Message != "" && !r.hasMember("message") {
		dst = append(dst, `"message":`...)
		dst = appendQuoted(dst, r.Message)
	}
	dst = r.appendMembers(dst, 0, len(r.Values))
	return append(dst, '}')
}

func (r *Record) hasMember(name string) bool {
	for i := 0; i < len(r.Values); i = r.Values[i].End {
		if v := &r.Values[i]; v.Name == name && !v.hidden {
			return true
		}
	}
	return false
}

func (r *Record) appendMembers(dst []byte, from, to int) []byte {
	for i := from; i < to; i = r.Values[i].End {
		v := &r.Values[i]
		if v.hidden {
			continue
		}
		if v.def != nil && v.def.dotted {
			dst = r.appendDotted(dst, from, i, to)
			continue
		}
		dst = comma(dst)
		if v.def != nil && v.def.json != "" {
			dst = append(dst, v.def.json...)
		} else {
			dst = append(appendQuoted(dst, v.Name), ':')
		}
		dst = r.appendValue(dst, i)
	}
	return dst
}

// appendDotted appends the object that the dotted name at i stands in, with
// every other member that stands in it; nothing if that was done before.
func (r *Record) appendDotted(dst []byte, from, i, to int) []byte {
	prefix, _, _ := strings.Cut(r.Values[i].Name, ".")
	inside := func(v *Value) (string, bool) {
		if v.hidden || v.def == nil || !v.def.dotted {
			return "", false
		}
		head, rest, _ := strings.Cut(v.Name, ".")
		return rest, head == prefix
	}
	for k := from; k < i; k = r.Values[k].End {
		if _, ok := inside(&r.Values[k]); ok {
			return dst
		}
	}
	dst = append(appendQuoted(comma(dst), prefix), ':', '{')
	for k := i; k < to; k = r.Values[k].End {
		if rest, ok := inside(&r.Values[k]); ok {
			dst = append(appendQuoted(comma(dst), rest), ':')
			dst = r.appendValue(dst, k)
		}
	}
	return append(dst, '}')
}

// comma separates from what stands before, if anything does.
func comma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}

// appendValue appends the value at index i and what is in it.
func (r *Record) appendValue(dst []byte, i int) []byte {
	v := &r.Values[i]
	switch v.Kind {
	case Object:
		dst = append(dst, '{')
		dst = r.appendMembers(dst, i+1, v.End)
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		for k := i + 1; k < v.End; k = r.Values[k].End {
			if !r.Values[k].hidden {
				dst = r.appendValue(comma(dst), k)
			}
		}
		return append(dst, ']')
	case String:
		return appendQuoted(dst, v.Text)
	case JSON:
		return append(dst, v.Text...)
	case Hex, Base64, Time:
		dst = append(dst, '"')
		dst = v.appendText(dst)
		return append(dst, '"')
	case Null:
		return append(dst, "null"...)
	case Bool:
		return strconv.AppendBool(dst, v.num == 1)
	}
	return v.appendNumber(dst)
}

func (v *Value) appendNumber(dst []byte) []byte {
	switch v.Kind {
	case Uint:
		return strconv.AppendUint(dst, v.num, 10)
	case Int:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case Float:
		bits := 64
		if v.def != nil && v.def.float && v.def.width == 4 && v.def.num == nil {
			bits = 32
		}
		format := byte('f')
		if n := math.Abs(v.Float()); n != 0 && (n < 1e-6 || n >= 1e21) {
			format = 'e'
		}
		return strconv.AppendFloat(dst, v.Float(), format, -1, bits)
	}
	return dst
}

// appendText appends the value as text without quotes.
func (v *Value) appendText(dst []byte) []byte {
	switch v.Kind {
	case String, JSON:
		return append(dst, v.Text...)
	case Hex:
		return appendHex(dst, v.Text, lowerHex)
	case Base64:
		return base64.StdEncoding.AppendEncode(dst, v.Text)
	case Time:
		return v.Time().AppendFormat(dst, time.RFC3339Nano)
	case Bool:
		return strconv.AppendBool(dst, v.num == 1)
	}
	return v.appendNumber(dst)
}

// text is the value as text: its bytes where they are text already.
func (r *Record) text(v *Value) []byte {
	if v.Kind == String || v.Kind == JSON {
		return v.Text
	}
	from := len(r.arena)
	r.arena = v.appendText(r.arena)
	return r.arena[from:len(r.arena):len(r.arena)]
}

// appendQuoted appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			from = i
			continue
		}
		i += n
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
