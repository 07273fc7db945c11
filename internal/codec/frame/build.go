package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// scalar is a value that a template writes.
type scalar struct {
	number bool
	float  bool
	n      uint64 // the integer, two's complement; the bits of a float
	minus  bool   // n is negative
	text   []byte
	raw    []byte // the bytes that it had in the frame
	list   []scalar
	isList bool
	object bool // JSON alone can hold it
}

// values gives a template its fields; false if there is none of that name.
type values func(p *part) (scalar, bool)

// errAbsent says that a template needs a value that is not there.
var errAbsent = errors.New("is not there")

// build appends the frame that the template makes.
func (t *template) build(dst []byte, get values, payload []byte, env Env) ([]byte, error) {
	base := len(dst)
	var from [maxParts + 1]int
	var counts [maxParts]int
	var err error
	for i := range t.parts {
		p := &t.parts[i]
		from[i] = len(dst)
		if dst, counts[i], err = p.append(dst, get, payload, env); err != nil {
			return dst[:base], fmt.Errorf("%s: %w", p.source, err)
		}
	}
	from[len(t.parts)] = len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		var n int
		switch p.kind {
		case partFrameLen:
			n = t.variant.length.value(len(dst) - base - t.skip)
		case partTotal:
			n = len(dst) - base - t.skip
		case partLen:
			n = from[p.of+1] - from[p.of]
		case partCount:
			n = counts[p.of]
		default:
			continue
		}
		if err := t.patch(dst[from[i]:from[i+1]], p, n); err != nil {
			return dst[:base], fmt.Errorf("%s: %w", p.source, err)
		}
	}
	if err := t.sums(dst[base:], base, from[:]); err != nil {
		return dst[:base], err
	}
	if p := t.breaks(dst, from[:]); p != nil {
		return dst[:base], fmt.Errorf("%s: the value holds % x, which ends a frame", p.source, t.variant.end)
	}
	return t.seal(dst, base), nil
}

// patch writes a length into the room that was left for it.
func (t *template) patch(room []byte, p *part, n int) error {
	r := &lengthRule{kind: lengthUint}
	if p.kind == partFrameLen {
		r = &t.variant.length
	}
	if n < 0 {
		return fmt.Errorf("a length of %d", n)
	}
	switch {
	case r.kind == lengthASCII || r.kind == lengthASCIIHex:
		base := 10
		if r.kind == lengthASCIIHex {
			base = 16
		}
		digits := strings.ToUpper(strconv.FormatInt(int64(n), base))
		if len(digits) > len(room) {
			return fmt.Errorf("a length of %d does not fit", n)
		}
		appendPadded(room[:0], digits, len(room))
	case r.kind == lengthBCD:
		digits := strconv.Itoa(n)
		if len(digits) > 2*len(room) {
			return fmt.Errorf("a length of %d does not fit", n)
		}
		appendBCD(room[:0], digits, len(room))
	default:
		b, err := p.enc.appendInt(room[:0], uint64(n), false)
		if err != nil {
			return err
		}
		if len(b) != len(room) {
			return fmt.Errorf("a length of %d does not fit", n)
		}
	}
	return nil
}

// sums writes the checksums: those among the fields, then those of the frame.
func (t *template) sums(out []byte, base int, from []int) error {
	for i := range t.parts {
		if p := &t.parts[i]; p.kind == partInline {
			at := from[i] - base
			if p.sum.from+t.skip > at {
				return fmt.Errorf("%s: it stands in front of what it covers", p.source)
			}
			p.sum.put(out[:at], p.sum.sum(out[t.skip+p.sum.from:at]))
		}
	}
	if t.variant == nil {
		return nil
	}
	v := t.variant
	back := v.strip[1]
	if !v.keep {
		back += len(v.end)
	}
	if t.skip+v.strip[0]+back > len(out) {
		return nil
	}
	data := out[t.skip+v.strip[0] : len(out)-back]
	for k := range v.sums {
		for i := range t.parts {
			p := &t.parts[i]
			if p.kind != partSum || p.of != k {
				continue
			}
			a, b, _, ok := p.sum.bounds(len(data))
			if !ok {
				return fmt.Errorf("%s: the frame is too short for its checksum", p.source)
			}
			at := from[i] - base
			p.sum.put(out[:at], p.sum.sum(data[a:b]))
		}
	}
	return nil
}

// breaks finds a value that ends the frame too early for its receiver because
// it holds the delimiter, nil if there is none.
func (t *template) breaks(dst []byte, from []int) *part {
	v := t.variant
	if v == nil || v.mode != byDelimiter && v.mode != byMarker || v.escapes != nil && v.escapes.cover(v.end) {
		return nil
	}
	for i := range t.parts {
		p := &t.parts[i]
		if p.kind != partField && p.kind != partDevice && p.kind != partPayload || from[i] == from[i+1] {
			continue
		}
		around := len(v.end) - 1 // the delimiter may begin before the value, or end behind it
		if bytes.Contains(dst[max(from[i]-around, from[0]):min(from[i+1]+around, len(dst))], v.end) {
			return p
		}
	}
	return nil
}

// seal escapes the frame.
func (t *template) seal(dst []byte, base int) []byte {
	v, head := t.variant, base+t.skip
	if v == nil || v.escapes == nil || len(dst)-head < v.head()+len(v.end) {
		return dst
	}
	inner := append([]byte(nil), dst[head+v.head():len(dst)-len(v.end)]...)
	tail := append([]byte(nil), dst[len(dst)-len(v.end):]...)
	return append(v.escapes.do(dst[:head+v.head()], inner), tail...)
}

// append writes one part; lengths and checksums leave room.
func (p *part) append(dst []byte, get values, payload []byte, env Env) ([]byte, int, error) {
	var zero [8]byte
	switch p.kind {
	case partLiteral:
		return append(dst, p.literal...), 1, nil
	case partPayload:
		return append(dst, payload...), 1, nil
	case partNow:
		return p.time.append(dst, env.Now), 1, nil
	case partSum, partInline:
		return append(dst, zero[:p.sum.width()]...), 1, nil
	case partFrameLen:
		for range p.enc.width {
			dst = append(dst, 0)
		}
		return dst, 1, nil
	case partTotal, partLen, partCount:
		if p.enc.width == 0 {
			return appendPadded(dst, "", max(p.enc.size, 1)), 1, nil
		}
		return append(dst, zero[:p.enc.width]...), 1, nil
	case partSeq:
		n := uint64(env.Seq)
		if p.enc.width > 0 && p.enc.width < 8 {
			n &= 1<<(8*p.enc.width) - 1 // it wraps round
		}
		dst, err := p.enc.append(dst, scalar{number: true, n: n})
		return dst, 1, err
	}
	v, ok := get(p)
	if !ok {
		if p.kind == partDevice {
			v = scalar{text: []byte(env.DeviceID)}
			ok = env.DeviceID != ""
		} else if p.preset != nil {
			v, ok = presetValue(*p.preset), true
		}
		if !ok {
			return dst, 0, errAbsent
		}
	}
	switch {
	case p.raw:
		return append(dst, v.raw...), 1, nil
	case p.enc.list && v.isList:
		for _, e := range v.list {
			var err error
			if dst, err = p.enc.append(dst, e); err != nil {
				return dst, 0, err
			}
		}
		return dst, len(v.list), nil
	case v.isList && p.enc.typ != "json":
		return dst, 0, fmt.Errorf("a list, where one value is wanted ({%s:%s[]} takes lists)", p.name, p.enc.typ)
	}
	dst, err := p.enc.append(dst, v)
	return dst, 1, err
}

// presetValue reads what stands behind = in a placeholder.
func presetValue(s string) scalar {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return scalar{number: true, n: uint64(n), minus: n < 0, text: []byte(s), raw: []byte(s)}
	}
	return scalar{text: []byte(s), raw: []byte(s)}
}

// append writes one value.
func (e *encoding) append(dst []byte, v scalar) ([]byte, error) {
	from := len(dst)
	dst, err := e.appendPlain(dst, v)
	if err != nil {
		return dst[:from], err
	}
	b := dst[from:]
	if e.reverse {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	for i := range b {
		b[i] += e.add
		if len(e.xor) > 0 {
			b[i] ^= e.xor[i%len(e.xor)]
		}
	}
	return dst, nil
}

func (e *encoding) appendPlain(dst []byte, v scalar) ([]byte, error) {
	if (v.object || v.isList) && e.typ != "json" {
		return dst, fmt.Errorf("%.32q, where one value is wanted", v.raw)
	}
	switch e.typ {
	case "str":
		text := v.text
		if e.gbk {
			var err error
			if text, err = simplifiedchinese.GBK.NewEncoder().Bytes(text); err != nil {
				return dst, fmt.Errorf("%q has no GBK form", v.text)
			}
		}
		return e.pad(dst, text)
	case "json":
		return append(dst, v.raw...), nil
	case "hex", "bytes":
		b, err := hex.DecodeString(strings.ReplaceAll(string(v.text), " ", ""))
		if err != nil {
			return dst, fmt.Errorf("%q is no hex", v.text)
		}
		return e.pad(dst, b)
	case "bcd":
		for _, c := range v.text {
			if hexDigit(c) < 0 {
				return dst, fmt.Errorf("%q is not made of digits", v.text)
			}
		}
		if len(v.text) > 2*e.size {
			return dst, fmt.Errorf("%q has more than %d digits", v.text, 2*e.size)
		}
		return appendBCD(dst, string(v.text), e.size), nil
	case "ip4":
		a, err := netip.ParseAddr(string(v.text))
		if err != nil || !a.Is4() {
			return dst, fmt.Errorf("%q is no IPv4 address", v.text)
		}
		b := a.As4()
		return append(dst, b[:]...), nil
	case "mac":
		b, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(string(v.text)))
		if err != nil || len(b) != 6 {
			return dst, fmt.Errorf("%q is no MAC address", v.text)
		}
		return append(dst, b...), nil
	}
	if e.typ[0] == 'f' || e.typ == "ascii_float" {
		return e.appendFloat(dst, v)
	}
	if !v.number || v.float {
		n, err := strconv.ParseInt(string(v.text), 0, 64)
		if err != nil {
			return dst, fmt.Errorf("%q is not a whole number", v.text)
		}
		v.n, v.minus = uint64(n), n < 0
	}
	return e.appendInt(dst, v.n, v.minus)
}

// pad writes text in the size that is asked for, with zeros behind it.
func (e *encoding) pad(dst, text []byte) ([]byte, error) {
	if e.size < 0 {
		return append(dst, text...), nil
	}
	if len(text) > e.size {
		return dst, fmt.Errorf("%q has more than %d bytes", text, e.size)
	}
	dst = append(dst, text...)
	for range e.size - len(text) {
		dst = append(dst, 0)
	}
	return dst, nil
}

// appendInt writes an integer after adding delta.
func (e *encoding) appendInt(dst []byte, n uint64, minus bool) ([]byte, error) {
	if e.delta != 0 {
		n += uint64(e.delta)
		minus = int64(n) < 0 && (minus || e.delta < 0)
	}
	text := func() string {
		if minus {
			return strconv.FormatInt(int64(n), 10)
		}
		return strconv.FormatUint(n, 10)
	}
	switch e.typ {
	case "ascii_int":
		return e.padDigits(dst, text())
	case "ascii_hex":
		return e.padDigits(dst, strings.ToUpper(strconv.FormatUint(n, 16)))
	}
	bits := 8 * e.width
	fits := bits == 64 && !minus || n>>bits == 0 && !minus && (!e.signed || n>>(bits-1) == 0)
	if minus && e.signed {
		fits = int64(n) >= -1<<(bits-1)
	}
	if !fits {
		return dst, fmt.Errorf("%s does not fit into %s", text(), e.typ)
	}
	if e.max > 0 && !minus && n > e.max {
		return dst, fmt.Errorf("%s is more than %d", text(), e.max)
	}
	return appendUint(dst, n, e.width, e.le), nil
}

func (e *encoding) padDigits(dst []byte, digits string) ([]byte, error) {
	if e.size > 0 && len(digits) > e.size {
		return dst, fmt.Errorf("%s has more than %d digits", digits, e.size)
	}
	return appendPadded(dst, digits, e.size), nil
}

func (e *encoding) appendFloat(dst []byte, v scalar) ([]byte, error) {
	var n float64
	switch {
	case v.number && v.float:
		n = math.Float64frombits(v.n)
	case v.number && v.minus:
		n = float64(int64(v.n))
	case v.number:
		n = float64(v.n)
	default:
		var err error
		if n, err = strconv.ParseFloat(string(v.text), 64); err != nil {
			return dst, fmt.Errorf("%q is not a number", v.text)
		}
	}
	switch {
	case e.typ == "ascii_float":
		return strconv.AppendFloat(dst, n, 'f', -1, 64), nil
	case e.width == 4 && e.le:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(n))), nil
	case e.width == 4:
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(n))), nil
	case e.le:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(n)), nil
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(n)), nil
}
