package frame

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

func indexBytes(b, sep []byte) int { return bytes.Index(b, sep) }

// emitText appends a value of the given kind unless its content is refused.
func (r *Record) emitText(f *field, kind Kind, text []byte, off, size int) error {
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	if f.checks != nil {
		for _, null := range f.checks.nulls {
			if bytes.Equal(text, null) {
				r.add(f, Null, off, size)
				return nil
			}
		}
		ok := len(f.checks.words) == 0
		for _, w := range f.checks.words {
			ok = ok || bytes.Equal(text, w)
		}
		if !ok {
			return &DecodeError{Field: f.name, Off: off, Reason: "the value " + strconv.Quote(string(text)) + " is not allowed"}
		}
	}
	r.add(f, kind, off, size).Text = text
	return nil
}

func readHex(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	return r.emitText(f, Hex, b, off, len(b))
}

func readBase64(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	return r.emitText(f, Base64, b, off, len(b))
}

func readString(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	size := len(b)
	if t := f.text; t != nil {
		b = t.strip(b)
		if t.gbk {
			plain, err := simplifiedchinese.GBK.NewDecoder().Bytes(b)
			if err != nil {
				return r.fail(f, "no GBK text")
			}
			b = plain
		}
	}
	return r.emitText(f, String, b, off, size)
}

// strip takes off the bytes that strip_left and strip_right list.
func (t *textRule) strip(b []byte) []byte {
	for len(b) > 0 && strings.IndexByte(t.left, b[0]) >= 0 {
		b = b[1:]
	}
	for len(b) > 0 && strings.IndexByte(t.right, b[len(b)-1]) >= 0 {
		b = b[:len(b)-1]
	}
	return b
}

// readBCD reads two digits per byte. Half bytes above 9 become A to F, which
// devices use for padding and wildcards.
func readBCD(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	size, from := len(b), len(r.arena)
	minus := false
	for i, c := range b {
		if i == 0 && f.num != nil && f.num.magnitude {
			minus, c = c >= 0x80, c&0x7f
		}
		r.arena = append(r.arena, lowerHex[c>>4], lowerHex[c&15])
	}
	text := r.arena[from:len(r.arena):len(r.arena)]
	if f.text != nil {
		text = f.text.strip(text)
	}
	if f.num == nil {
		return r.emitText(f, String, text, off, size)
	}
	n, ok := parseDigits(text)
	if !ok {
		r.add(f, Null, off, size) // FF FF: no value
		return nil
	}
	if minus {
		n = -n
	}
	return r.emitDigits(f, n, off, size)
}

// parseDigits reads at most 18 decimal digits.
func parseDigits(text []byte) (n int64, ok bool) {
	if len(text) > 18 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// emitDigits appends a number that was written in digits.
func (r *Record) emitDigits(f *field, n int64, off, size int) error {
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	if f.checks != nil && !f.checks.has(float64(n)) {
		return &DecodeError{Field: f.name, Off: off, Reason: "the value " + strconv.FormatInt(n, 10) + " is not allowed"}
	}
	v := r.add(f, Int, off, size)
	v.raw, v.num = uint64(n), uint64(n)
	if f.num != nil {
		r.convert(f.num, v, true)
	}
	return nil
}

func readASCIIInt(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	text := trim(b, f.text)
	if len(text) == 0 {
		r.add(f, Null, off, len(b))
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return &DecodeError{Field: f.name, Off: off, Reason: strconv.Quote(string(text)) + " is not a whole number"}
	}
	return r.emitDigits(f, n, off, len(b))
}

func readASCIIFloat(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	text := trim(b, f.text)
	if len(text) == 0 {
		r.add(f, Null, off, len(b))
		return nil
	}
	n, ok := parseDecimal(text)
	if !ok {
		return &DecodeError{Field: f.name, Off: off, Reason: strconv.Quote(string(text)) + " is not a number"}
	}
	return r.emitFloat(f, n, off, len(b))
}

func readASCIIHex(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(trim(b, f.text)), 16, 64)
	if err != nil {
		return &DecodeError{Field: f.name, Off: off, Reason: strconv.Quote(string(b)) + " is not a number in hex"}
	}
	return r.emit(f, n, false, 64, off, len(b))
}

func trim(b []byte, t *textRule) []byte {
	if t != nil {
		b = t.strip(b)
	}
	return bytes.Trim(b, " ")
}

// parseDecimal reads what JSON calls a number, and a leading + or 0 as well.
func parseDecimal(text []byte) (float64, bool) {
	if len(text) > 64 {
		return 0, false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false // no hex, Inf, NaN or underscores
		}
	}
	n, err := strconv.ParseFloat(string(text), 64)
	return n, err == nil
}

func readIP4(r *Record, f *field) error {
	off := r.offset(r.pos, 4)
	b, err := r.take(f, 4)
	if err != nil {
		return err
	}
	from := len(r.arena)
	for i, c := range b {
		if i > 0 {
			r.arena = append(r.arena, '.')
		}
		r.arena = strconv.AppendUint(r.arena, uint64(c), 10)
	}
	return r.emitText(f, String, r.arena[from:len(r.arena):len(r.arena)], off, 4)
}

func readMAC(r *Record, f *field) error {
	off := r.offset(r.pos, 6)
	b, err := r.take(f, 6)
	if err != nil {
		return err
	}
	from := len(r.arena)
	for i, c := range b {
		if i > 0 {
			r.arena = append(r.arena, ':')
		}
		r.arena = append(r.arena, lowerHex[c>>4], lowerHex[c&15])
	}
	return r.emitText(f, String, r.arena[from:len(r.arena):len(r.arena)], off, 6)
}

func readSkip(r *Record, f *field) error {
	_, _, err := r.bytes(f)
	return err
}

// readChecksum compares a checksum over the bytes from sub.sum.from up to here.
func readChecksum(r *Record, f *field) error {
	sum, at := f.sub.sum, r.pos
	off := r.offset(at, sum.width())
	have, err := r.take(f, sum.width())
	if err != nil {
		return err
	}
	if sum.from > at {
		return r.fail(f, "it begins at %d, behind its end", sum.from)
	}
	if r.inner != nil && r.base == 0 && !r.turned {
		*r.inner = append(*r.inner, innerSum{sum, off})
	}
	var room [8]byte
	want := sum.put(room[:0], sum.sum(r.data[sum.from:at]))
	if !bytes.EqualFold(have, want) || !sum.hex && !bytes.Equal(have, want) {
		return &DecodeError{Field: f.name, Off: off, Reason: "checksum: want " +
			string(appendHex(nil, want, lowerHex)) + ", have " + string(appendHex(nil, have, lowerHex))}
	}
	return r.emitText(f, Hex, have, off, len(have))
}

// readJSON takes a JSON value; the members of a flat object become values of
// their own.
func readJSON(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	size := len(b)
	b = bytes.Trim(b, " \t\r\n")
	if !json.Valid(b) || !utf8.Valid(b) {
		return &DecodeError{Field: f.name, Off: off, Reason: "no valid JSON"}
	}
	if !f.flat {
		return r.emitText(f, JSON, b, off, size)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil {
		return &DecodeError{Field: f.name, Off: off, Reason: "the JSON is no object"}
	}
	return r.members(f, members, off)
}
