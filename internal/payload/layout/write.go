package layout

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

func (d codec) Encode(c *payload.Content) error {
	v, err := c.Typed()
	if err != nil {
		return err
	}
	w := writer{}
	if err := w.fields(d.all, v, ""); err != nil {
		return err
	}
	c.Bytes = w.b
	if c.Bytes == nil {
		c.Bytes = []byte{}
	}
	return nil
}

type writer struct {
	b      []byte
	at     int // in bits
	scopes []scope
}

// number writes n bits, as reader.number reads them.
func (w *writer) number(v uint64, n int, little bool) {
	for done := 0; done < n; {
		in := w.at % 8
		if in == 0 {
			w.b = append(w.b, 0)
		}
		take := min(8-in, n-done)
		mask := uint64(1)<<take - 1
		last := &w.b[len(w.b)-1]
		if little {
			*last |= byte(v >> done & mask << in)
		} else {
			*last |= byte(v >> (n - done - take) & mask << (8 - in - take))
		}
		done += take
		w.at += take
	}
}

func (w *writer) data(b []byte, little bool) {
	if w.at%8 == 0 {
		w.b = append(w.b, b...)
		w.at += 8 * len(b)
		return
	}
	for _, c := range b {
		w.number(uint64(c), 8, little)
	}
}

func wrong(where, format string, a ...any) error {
	if where == "" {
		where = "the value"
	}
	return &payload.Malformed{Where: where, Reason: fmt.Sprintf(format, a...)}
}

func join(where, name string) string {
	if where == "" {
		return name
	}
	return where + "." + name
}

func (w *writer) fields(all *fields, v any, where string) error {
	s := scope{}
	w.scopes = append(w.scopes, s)
	defer func() { w.scopes = w.scopes[:len(w.scopes)-1] }()
	values, err := all.values(v, where)
	if err != nil {
		return err
	}
	for i := range all.all {
		f := &all.all[i]
		place := join(where, f.title())
		if f.hidden() {
			if err := w.blank(f, place); err != nil {
				return err
			}
			continue
		}
		value := values[i]
		if f.counts != nil {
			n, ok := elements(f.counts, values[slices.IndexFunc(all.all, func(o field) bool { return o.name == f.counts.name })])
			given, isNumber := value.(json.Number)
			switch {
			case ok && value == nil:
				value = json.Number(strconv.Itoa(n))
			case ok && isNumber && string(given) != strconv.Itoa(n):
				return wrong(place, "%s, and %s has %d", given, f.counts.name, n)
			}
		}
		if value == nil {
			return wrong(place, "is missing")
		}
		if err := w.field(f, value, place, s); err != nil {
			return err
		}
	}
	return nil
}

// values are those of all, by their place; nil where there is none.
func (all *fields) values(v any, where string) ([]any, error) {
	values := make([]any, len(all.all))
	if all.named {
		o, ok := v.(payload.Object)
		if !ok {
			return nil, wrong(where, "is no object")
		}
		for _, m := range o {
			i := slices.IndexFunc(all.all, func(f field) bool { return f.name == m.Name && !f.hidden() })
			if i < 0 {
				return nil, wrong(join(where, m.Name), "there is no such field")
			}
			values[i] = m.Value
		}
		return values, nil
	}
	list, ok := v.([]any)
	if all.single() {
		list, ok = []any{v}, true
	}
	if !ok {
		return nil, wrong(where, "is no list")
	}
	for i := range all.all {
		if all.all[i].hidden() {
			continue
		}
		if len(list) == 0 {
			return nil, wrong(where, "has too few values: %s is missing", all.all[i].title())
		}
		values[i], list = list[0], list[1:]
	}
	if len(list) > 0 {
		return nil, wrong(where, "has %d values too many", len(list))
	}
	return values, nil
}

// elements is how many elements or bytes v has for f.
func elements(f *field, v any) (int, bool) {
	if list, ok := v.([]any); ok && f.isList() {
		return len(list), true
	}
	b, err := f.bytes(v, "")
	return len(b), err == nil && !f.isList()
}

// blank writes zeros for what nobody wants to know.
func (w *writer) blank(f *field, where string) error {
	n := 1
	if f.repeat == repeatCount {
		n = f.count
	}
	switch {
	case f.kind == group || f.kind == terminated || f.repeat == repeatBy || f.repeat == repeatRest:
		return wrong(where, "a field called _ has a length of its own")
	case f.kind == text || f.kind == bin || f.kind == digits || f.kind == pad:
		w.data(make([]byte, n), f.little)
	default:
		for range n {
			w.number(0, f.bits, f.little)
		}
	}
	return nil
}

func (w *writer) field(f *field, v any, where string, s scope) error {
	if !f.isList() {
		return w.one(f, v, where, s)
	}
	list, ok := v.([]any)
	if !ok {
		return wrong(where, "is no list")
	}
	if err := w.fits(f, len(list), where); err != nil {
		return err
	}
	for i, e := range list {
		if err := w.one(f, e, fmt.Sprintf("%s[%d]", where, i), s); err != nil {
			return err
		}
	}
	return nil
}

// fits checks a length against what the layout or a field before says.
func (w *writer) fits(f *field, n int, where string) error {
	want := n
	switch f.repeat {
	case repeatCount:
		want = f.count
	case repeatBy:
		for i := len(w.scopes) - 1; i >= 0; i-- {
			if given, ok := w.scopes[i][f.by]; ok {
				want = int(min(given, mostBits/8))
				break
			}
		}
	}
	if n != want {
		return wrong(where, "has %d, and %d are to be", n, want)
	}
	return nil
}

func (w *writer) one(f *field, v any, where string, s scope) error {
	switch f.kind {
	case group:
		return w.fields(f.kids, v, where)
	case text, terminated, bin, digits:
		b, err := f.bytes(v, where)
		if err != nil {
			return err
		}
		switch {
		case f.kind == terminated && slices.Contains(b, 0):
			return wrong(where, "has a zero in it")
		case f.kind == terminated:
			b = append(b, 0)
		case f.kind == text && f.repeat == repeatCount && len(b) < f.count:
			b = append(b, make([]byte, f.count-len(b))...)
		}
		if f.kind != terminated {
			if err := w.fits(f, len(b), where); err != nil {
				return err
			}
		}
		w.data(b, f.little)
		return nil
	case boolean:
		b, ok := v.(bool)
		if !ok {
			return wrong(where, "is neither true nor false")
		}
		if b {
			w.number(1, f.bits, f.little)
		} else {
			w.number(0, f.bits, f.little)
		}
		return nil
	case float:
		bits, err := f.floatBits(v, where)
		if err != nil {
			return err
		}
		w.number(bits, f.bits, f.little)
		return nil
	}
	n, err := f.integer(v, where)
	if err != nil {
		return err
	}
	if f.repeat == once && n.IsInt64() {
		s[f.name] = n.Int64()
	}
	w.number(bitsOf(n), f.bits, f.little)
	return nil
}

// bitsOf is n in two's complement.
func bitsOf(n *big.Int) uint64 {
	if n.Sign() < 0 {
		return uint64(n.Int64())
	}
	return n.Uint64()
}

// bytes is v for a field that has a length in bytes.
func (f *field) bytes(v any, where string) ([]byte, error) {
	if b, ok := v.(payload.Bin); ok {
		return slices.Clone(b), nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, wrong(where, "is no string")
	}
	var b []byte
	var err error
	switch f.kind {
	case bin:
		b, err = base64.StdEncoding.DecodeString(s)
	case digits:
		b, err = hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	default:
		b = []byte(s)
	}
	if err != nil {
		return nil, wrong(where, "is no %s", map[kind]string{bin: "Base64", digits: "hex"}[f.kind])
	}
	return b, nil
}

// integer is v, scaled back and rounded to the nearest that there is.
func (f *field) integer(v any, where string) (*big.Int, error) {
	if name, ok := v.(string); ok && f.names != nil {
		i := slices.IndexFunc(f.names, func(l label) bool { return l.name == name })
		if i < 0 {
			return nil, wrong(where, "%q is none of its names", name)
		}
		return f.inRange(big.NewInt(f.names[i].value), v, where)
	}
	n, ok := v.(json.Number)
	if !ok {
		return nil, wrong(where, "is no number")
	}
	r, ok := payload.Rat(n)
	if !ok {
		return nil, wrong(where, "%.40s is too large", n)
	}
	if f.scale == nil {
		if !r.IsInt() {
			return nil, wrong(where, "%s is no whole number", n)
		}
		return f.inRange(r.Num(), v, where)
	}
	r = f.back(r)
	twice := new(big.Int).Lsh(r.Num(), 1) // (2n + d) / 2d, away from zero
	if r.Sign() < 0 {
		twice.Sub(twice, r.Denom())
	} else {
		twice.Add(twice, r.Denom())
	}
	return f.inRange(twice.Quo(twice, new(big.Int).Lsh(r.Denom(), 1)), v, where)
}

// back undoes the scaling.
func (f *field) back(v *big.Rat) *big.Rat {
	r := new(big.Rat).Sub(v, f.offset)
	return r.Quo(r, f.scale)
}

func (f *field) inRange(n *big.Int, v any, where string) (*big.Int, error) {
	low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(f.bits))
	if f.kind == signed {
		high.Rsh(high, 1)
		low.Neg(high)
	}
	if n.Cmp(low) < 0 || n.Cmp(high) >= 0 {
		return nil, wrong(where, "%s does not fit %s", payload.AppendJSON(nil, v), f.typeName())
	}
	return n, nil
}

func (f *field) floatBits(v any, where string) (uint64, error) {
	var x float64
	switch v := v.(type) {
	case string:
		special, ok := map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[v]
		if !ok {
			return 0, wrong(where, "is no number")
		}
		x = special
	case json.Number:
		r, ok := payload.Rat(v)
		if !ok {
			return 0, wrong(where, "%.40s is too large", v)
		}
		if f.scale != nil {
			r = f.back(r)
		}
		x, _ = r.Float64()
		if f.scale == nil && x == 0 && strings.HasPrefix(string(v), "-") {
			x = math.Copysign(0, -1)
		}
		if f.bits == 32 && !math.IsInf(x, 0) {
			near, _ := r.Float32()
			x = math.Copysign(float64(near), x)
		}
		if math.IsInf(x, 0) || f.bits == 16 && math.Abs(x) >= 65520 {
			return 0, wrong(where, "%s does not fit %s", v, f.typeName())
		}
	default:
		return 0, wrong(where, "is no number")
	}
	switch f.bits {
	case 16:
		return uint64(halfBits(x)), nil
	case 32:
		return uint64(math.Float32bits(float32(x))), nil
	}
	return math.Float64bits(x), nil
}

// halfBits is the float of 16 bits that is nearest to x; ties go to even.
func halfBits(x float64) uint16 {
	sign := uint16(math.Float64bits(x)>>48) & 0x8000
	abs := math.Abs(x)
	switch {
	case math.IsNaN(x):
		return 0x7e00
	case math.IsInf(x, 0):
		return sign | 0x7c00
	case abs < 0x1p-14:
		return sign | uint16(math.RoundToEven(abs*0x1p24))
	}
	fraction, exp := math.Frexp(abs)
	n := uint16(math.RoundToEven(fraction * 0x1p11)) // 1024 to 2048
	return sign | (uint16(exp+13)<<10 + n)
}
