package layout

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
	"github.com/iotctl/iotctl/internal/codec/lwm2m/cbor"
	"github.com/iotctl/iotctl/internal/payload"
)

func (d codec) Decode(c *payload.Content) error {
	r := reader{b: c.Bytes}
	v, err := r.fields(d.all)
	if err != nil {
		return err
	}
	if r.at < r.size() {
		return payload.Malformedf((r.at+7)/8, "%d bytes behind the last field; bytes[]:rest would take them", (r.size()-r.at)/8)
	}
	c.Value = v
	return nil
}

// reader reads bits: from the highest of each byte down, or, for little endian,
// from the lowest up.
type reader struct {
	b      []byte
	at     int // in bits
	count  int // of values
	scopes []scope
}

// scope are the numbers of a group that lengths may refer to.
type scope map[string]int64

func (r *reader) size() int { return len(r.b) * 8 }

func (r *reader) need(bits int, f *field) error {
	if left := r.size() - r.at; bits > left {
		if bits%8 == 0 && left%8 == 0 {
			return payload.Malformedf(r.at/8, "%s: %d of %d bytes", f.title(), left/8, bits/8)
		}
		return payload.Malformedf(r.at/8, "%s: %d of %d bits", f.title(), left, bits)
	}
	return nil
}

// number reads n bits, at most 64.
func (r *reader) number(n int, little bool) uint64 {
	var v uint64
	for done := 0; done < n; {
		in := r.at % 8
		take := min(8-in, n-done)
		b := uint64(r.b[r.at/8])
		mask := uint64(1)<<take - 1
		if little {
			v |= b >> in & mask << done
		} else {
			v = v<<take | b>>(8-in-take)&mask
		}
		done += take
		r.at += take
	}
	return v
}

// fields reads the values of all: an object, a list, or the one that there is.
func (r *reader) fields(all *fields) (any, error) {
	var object payload.Object
	list := []any{}
	s := scope{}
	r.scopes = append(r.scopes, s)
	defer func() { r.scopes = r.scopes[:len(r.scopes)-1] }()
	for i := range all.all {
		f := &all.all[i]
		v, raw, err := r.field(f)
		if err != nil {
			return nil, err
		}
		if f.hidden() {
			continue
		}
		if f.name != "" {
			s[f.name] = raw
			object = append(object, payload.Member{Name: f.name, Value: v})
		} else {
			list = append(list, v)
		}
	}
	switch {
	case all.named:
		return object, nil
	case all.single():
		return list[0], nil
	}
	return list, nil
}

// single tells that the value of the one field stands for itself.
func (all *fields) single() bool {
	n := 0
	for i := range all.all {
		if !all.all[i].hidden() {
			n++
		}
	}
	return n == 1 && !all.named
}

// field reads f, and as raw its number, for lengths.
func (r *reader) field(f *field) (v any, raw int64, err error) {
	n := 1
	switch f.repeat {
	case repeatCount:
		n = f.count
	case repeatBy:
		n = r.length(f.by)
		if n < 0 {
			return nil, 0, payload.Malformedf(r.at/8, "%s: %s is a negative length", f.title(), f.by)
		}
	case repeatRest:
		n = (r.size() - r.at) / 8
	}
	if !f.isList() {
		return r.one(f, n)
	}
	if f.repeat == repeatRest {
		list := []any{}
		for r.at < r.size() {
			v, _, err := r.one(f, 1)
			if err != nil {
				return nil, 0, err
			}
			list = append(list, v)
		}
		return list, 0, nil
	}
	least := f.element()
	if n > r.size()/least {
		n = r.size()/least + 1 // more than there can be, and still a number
	}
	if err := r.need(n*least, f); err != nil {
		return nil, 0, err
	}
	list := make([]any, 0, n)
	for range n {
		v, _, err := r.one(f, 1)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, v)
	}
	return list, 0, nil
}

// length is the number of a field before, of this group or of one around it.
func (r *reader) length(name string) int {
	for i := len(r.scopes) - 1; i >= 0; i-- {
		if n, ok := r.scopes[i][name]; ok {
			return int(min(n, mostBits/8))
		}
	}
	return 0
}

// one reads an element; n is the length of what has bytes.
func (r *reader) one(f *field, n int) (v any, raw int64, err error) {
	if r.count++; r.count > payload.MaxValues {
		return nil, 0, payload.Malformedf(r.at/8, "more than %d values", payload.MaxValues)
	}
	switch f.kind {
	case group:
		v, err = r.fields(f.kids)
		return v, 0, err
	case text, bin, digits, pad:
		v, err = r.data(f, n)
		return v, 0, err
	case terminated:
		v, err = r.zero(f)
		return v, 0, err
	}
	if err := r.need(f.bits, f); err != nil {
		return nil, 0, err
	}
	bits := r.number(f.bits, f.little)
	switch f.kind {
	case boolean:
		return bits != 0, 0, nil
	case float:
		return f.float(bits), 0, nil
	case signed:
		raw = int64(bits<<(64-f.bits)) >> (64 - f.bits)
		return f.whole(big.NewInt(raw)), raw, nil
	}
	return f.whole(new(big.Int).SetUint64(bits)), int64(min(bits, math.MaxInt64)), nil
}

func (r *reader) data(f *field, n int) (any, error) {
	if err := r.need(n*8, f); err != nil {
		return nil, err
	}
	start := r.at / 8
	var b []byte
	if r.at%8 == 0 {
		b = r.b[start : start+n]
		r.at += n * 8
	} else {
		b = make([]byte, n)
		for i := range b {
			b[i] = byte(r.number(8, f.little))
		}
	}
	switch f.kind {
	case bin:
		return payload.Bin(b), nil
	case digits:
		return hex.EncodeToString(b), nil
	case pad:
		return nil, nil
	}
	s := string(b)
	if f.repeat == repeatCount {
		s = strings.TrimRight(s, "\x00")
	}
	return valid(s, f, start)
}

func valid(s string, f *field, start int) (any, error) {
	if !utf8.ValidString(s) {
		return nil, payload.Malformedf(start, "%s: text that is not UTF-8; bytes or hex take any", f.title())
	}
	return s, nil
}

func (r *reader) zero(f *field) (any, error) {
	start := r.at / 8
	var b []byte
	for {
		if r.size()-r.at < 8 {
			return nil, payload.Malformedf(start, "%s: the zero at the end is missing", f.title())
		}
		c := byte(r.number(8, f.little))
		if c == 0 {
			return valid(string(b), f, start)
		}
		b = append(b, c)
	}
}

// whole is the value of an integer.
func (f *field) whole(n *big.Int) any {
	for _, l := range f.names {
		if n.IsInt64() && n.Int64() == l.value {
			return l.name
		}
	}
	if f.scale == nil {
		return json.Number(n.String())
	}
	v := f.scaled(new(big.Rat).SetInt(n))
	if f.places >= 0 {
		return json.Number(v.FloatString(f.places))
	}
	return inexact(v)
}

func (f *field) scaled(raw *big.Rat) *big.Rat {
	v := new(big.Rat).Mul(raw, f.scale)
	return v.Add(v, f.offset)
}

// inexact is a number that no decimal says: with the digits of a float64.
func inexact(v *big.Rat) any {
	near, _ := v.Float64()
	return json.Number(strconv.FormatFloat(near, 'g', -1, 64))
}

func (f *field) float(bits uint64) any {
	var v float64
	w := diagnostic.EightBytes
	switch f.bits {
	case 16:
		v, w = cbor.Half(uint16(bits)), diagnostic.TwoBytes
	case 32:
		v, w = float64(math.Float32frombits(uint32(bits))), diagnostic.FourBytes
	default:
		v = math.Float64frombits(bits)
	}
	text := diagnostic.AppendFloat(nil, v, w)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return string(text)
	}
	if f.scale == nil {
		return json.Number(text)
	}
	exact, ok := payload.Rat(json.Number(text))
	if !ok {
		return json.Number(text)
	}
	return inexact(f.scaled(exact))
}
