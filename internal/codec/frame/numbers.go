package frame

import (
	"math"
	"strconv"
)

// readNumber reads an integer or float with everything that may follow.
func readNumber(r *Record, f *field) error {
	off := r.offset(r.pos, f.width)
	b, err := r.take(f, f.width)
	if err != nil {
		return err
	}
	n := number(b, f.le)
	if f.float {
		v := math.Float64frombits(n)
		if f.width == 4 {
			v = float64(math.Float32frombits(uint32(n)))
		}
		return r.emitFloat(f, v, off, f.width)
	}
	if f.signed {
		shift := 64 - 8*f.width
		n = uint64(int64(n<<shift) >> shift)
	}
	return r.emit(f, n&f.mask, f.signed, uint(8*f.width), off, f.width)
}

// readVarint reads 7 bits per byte, the lowest first.
func readVarint(r *Record, f *field) error {
	var n uint64
	for i := range 10 {
		if r.pos+i >= r.end {
			return r.fail(f, "the last byte of a varint is missing")
		}
		c := r.data[r.pos+i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			off := r.offset(r.pos, i+1)
			r.pos += i + 1
			return r.emit(f, n, false, 64, off, i+1)
		}
	}
	return r.fail(f, "a varint of more than 10 bytes")
}

// emit appends an integer of so many bits that stood at off.
func (r *Record) emit(f *field, n uint64, signed bool, width uint, off, size int) error {
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	raw, rule := n, f.num
	if rule != nil && rule.magnitude {
		minus := n>>(width-1)&1 == 1
		n &= 1<<(width-1) - 1
		if signed = true; minus {
			n = -n
		}
	}
	if f.checks != nil && !f.checks.has(asFloat(n, signed)) {
		r.pos -= size
		return r.fail(f, "the value %s is not allowed", strconv.AppendFloat(nil, asFloat(n, signed), 'f', -1, 64))
	}
	if len(f.bits) > 0 {
		r.emitBits(f, raw, off, size)
		return nil
	}
	kind := Uint
	if signed {
		kind = Int
	}
	v := r.add(f, kind, off, size)
	v.raw, v.num = raw, n
	if rule != nil {
		r.convert(rule, v, signed)
	}
	return nil
}

func asFloat(n uint64, signed bool) float64 {
	if signed {
		return float64(int64(n))
	}
	return float64(n)
}

// emitFloat appends a floating-point number.
func (r *Record) emitFloat(f *field, n float64, off, size int) error {
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	if f.checks != nil && !f.checks.has(n) {
		r.pos -= size
		return r.fail(f, "the value %v is not allowed", n)
	}
	v := r.add(f, Float, off, size)
	v.setFloat(n)
	if n >= 0 && n < 1<<63 {
		v.raw = uint64(n)
	}
	if f.num != nil {
		r.scale(f.num, v, n)
	}
	return nil
}

func (v *Value) setFloat(n float64) {
	v.Kind, v.num = Float, math.Float64bits(n)
	if n-n != 0 { // infinite or not a number
		v.Kind = Null
	}
}

// convert applies null_if, map, scale and as.
func (r *Record) convert(rule *numberRule, v *Value, signed bool) {
	for _, n := range rule.null {
		if v.raw == n {
			v.Kind = Null
			return
		}
	}
	if label, ok := rule.labels[v.raw]; ok {
		v.Kind, v.Text = String, label
		return
	}
	if !rule.whole {
		r.scale(rule, v, asFloat(v.num, signed))
		return
	}
	if rule.offset != 0 {
		v.Kind, v.num = Int, v.num+uint64(int64(rule.offset))
	}
	r.finishNumber(rule, v)
}

func (r *Record) scale(rule *numberRule, v *Value, n float64) {
	n = n*rule.mul/rule.div + rule.offset
	if rule.round >= 0 {
		p := math.Pow10(rule.round)
		n = math.Round(n*p) / p
	}
	v.setFloat(n)
	r.finishNumber(rule, v)
}

// finishNumber notes a sign that is decided later, and applies as.
func (r *Record) finishNumber(rule *numberRule, v *Value) {
	if rule.negate >= 0 {
		r.later = append(r.later, int32(len(r.Values)-1))
	}
	switch {
	case rule.as == "string":
		from := len(r.arena)
		r.arena = v.appendNumber(r.arena)
		v.Kind, v.Text = String, r.arena[from:len(r.arena):len(r.arena)]
	case rule.as == "int" && v.Kind == Float:
		n := math.Round(v.Float())
		if math.Abs(n) < 1<<63 {
			v.Kind, v.num = Int, uint64(int64(n))
		}
	}
}

// negate gives a number its minus once the whole frame has been read.
func (r *Record) negate(v *Value) {
	sign := r.at(v.def.num.negate)
	if sign == nil || sign.raw != v.def.num.negateIf {
		return
	}
	switch v.Kind {
	case Float:
		if n := v.Float(); n != 0 {
			v.setFloat(-n)
		}
	case Uint, Int:
		v.Kind, v.num = Int, -v.num
	}
}

// emitBits appends the parts of an integer, in an object of their own unless
// the field is flat.
func (r *Record) emitBits(f *field, raw uint64, off, size int) {
	v := r.add(f, Object, off, size)
	open := len(r.Values) - 1
	v.raw, v.num = raw, raw
	if f.flat { // the number itself is there to be referred to, and not shown
		v.Kind, v.hidden = Uint, true
	}
	for i := range f.bits {
		b := &f.bits[i]
		part := r.add(&b.field, Uint, off, size)
		part.raw, part.bits = b.of(raw), true
		part.num = part.raw
		if f.hidden {
			part.hidden = true
		}
		if b.num != nil {
			r.convert(b.num, part, false)
		}
	}
	if !f.flat {
		r.Values[open].End = len(r.Values)
	}
}
