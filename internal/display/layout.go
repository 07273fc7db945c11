package display

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/dissect"
)

// add puts r behind the others.
func (v *sheet) add(r row) {
	if !r.bare && r.bits == "" && r.off < v.shown { // they were shown before
		r.bare = true
	}
	if !r.bare {
		v.shown = max(v.shown, r.off+r.n)
	}
	v.rows = append(v.rows, r)
}

// fields lays out siblings, see siblings.
func (v *sheet) fields(fields []dissect.Field, prefix string, branches bool) {
	v.siblings(fields, prefix, branches, false)
}

// siblings lays out fields. prefix is what stands in front of their names; branches
// says that they hang on something, and more that others of them follow.
func (v *sheet) siblings(fields []dissect.Field, prefix string, branches, more bool) {
	for i := 0; i < len(fields); i++ {
		f := &fields[i]
		last := i == len(fields)-1 && !more
		var g *dissect.Field // the value behind its length
		if f.Kind == dissect.Length && i < len(fields)-1 && isLengthOf(f, &fields[i+1], branches) {
			g = &fields[i+1]
			i++
			last = i == len(fields)-1 && !more
		}
		name, below := prefix, prefix
		if branches {
			name += branch(last)
			below += stem(last)
		}
		if g == nil {
			if own := *f; own.Name == "value length" && strings.HasSuffix(prefix, "│ ") {
				own.Name = "length"
				f = &own
			}
			v.field(f, name, below, branches)
			continue
		}
		label := Safe(g.Name)
		if label == "value" && i == 1 && strings.HasSuffix(prefix, "│ ") {
			label = "length" // of the only value of what is named above
		}
		v.add(row{off: f.Off, n: f.Len, name: name + label, value: v.lengthValue(f), kind: f.Kind})
		v.value(g, below)
	}
}

func branch(last bool) string {
	if last {
		return "└ "
	}
	return "├ "
}

func stem(last bool) string {
	if last {
		return "  "
	}
	return "│ "
}

// isLengthOf reports whether f is the length of g, which is shown under one name.
func isLengthOf(f, g *dissect.Field, within bool) bool {
	if f.End() != g.Off || len(f.Kids) > 0 {
		return false
	}
	return f.Name == g.Name+" length" || f.Name == strings.TrimSuffix(g.Name, "ies")+"y length" || f.Name == "length" && within && f.Of.Off == g.Off && f.Of.Len == g.Len
}

// lengthValue is "5 bytes" of a length that has no note of its own.
func (v *sheet) lengthValue(f *dissect.Field) string {
	n, ok := f.Value.(uint64)
	if !ok {
		return string(appendValue(nil, f))
	}
	dst := appendBytes(nil, int(n))
	if f.Note != "" && !strings.HasPrefix(f.Note, "byte") {
		dst = appendSafe(append(dst, ", "...), f.Note)
	}
	return string(dst)
}

// value lays out what has its name above: with │, or its kids.
func (v *sheet) value(f *dissect.Field, below string) {
	if parts(f) && f.Value == nil {
		v.kids(f, below)
		return
	}
	below = strings.TrimSuffix(below, "│ ")
	v.field(f, below+"│", below, false)
}

// field lays out f. name precedes its own, and is all of it if it ends with │.
func (v *sheet) field(f *dissect.Field, name, below string, branches bool) {
	if !strings.HasSuffix(name, "│") {
		name += Safe(f.Name)
	}
	r := row{off: f.Off, n: f.Len, name: name, kind: f.Kind, hidden: f.Secret && !v.Secrets, more: strings.TrimSuffix(below, "│ ") + "│", bare: f.Len == 0}
	switch {
	case r.hidden:
		r.value = "hidden (--secrets)"
		v.add(r)
		return
	case f.Kind == dissect.Length && f.Of.Len > 0 && f.Note == "" && len(f.Kids) == 0 && branches:
		r.value = v.lengthValue(f)
	default:
		r.value = string(appendValue(nil, f))
	}
	if _, ok := f.Value.([]byte); ok && f.Len > rowBytes {
		r.ascii = true
	}
	switch {
	case !parts(f) || v.folds(f):
		v.add(r)
		v.bits(f, below)
	case heads(f):
		r.n = f.Kids[0].Len
		r.ascii = false
		if _, ok := f.Value.(string); ok {
			r.value = Safe(f.Note) // the value has a row of its own
		}
		v.add(r)
		v.shown = max(v.shown, f.Kids[0].End())
		v.fields(f.Kids[1:], below+"│ ", false)
		v.tail(f)
	default:
		r.n = f.Kids[0].Off - f.Off
		r.bare, r.ascii = r.n == 0, false
		if _, ok := f.Value.(string); ok {
			r.value = cmp.Or(f.Note, strconv.Itoa(f.Len)+" bytes")
		}
		v.add(r)
		v.kids(f, below)
	}
}

// parts reports whether f has kids with bytes of their own.
func parts(f *dissect.Field) bool {
	return slices.ContainsFunc(f.Kids, func(k dissect.Field) bool {
		return k.Mask == 0 && k.Len > 0 && (k.Off != f.Off || k.Len != f.Len || len(k.Kids) > 0)
	})
}

// heads reports whether the first part of f says what f is.
func heads(f *dissect.Field) bool {
	k := &f.Kids[0]
	return k.Kind == dissect.Structure && k.Off == f.Off && len(k.Kids) == 0 && len(f.Kids) > 1
}

// folds reports whether f and its parts are one row: an identifier and a value.
func (v *sheet) folds(f *dissect.Field) bool {
	return f.Value != nil && f.Len <= rowBytes && len(f.Kids) == 2 && heads(f) && len(f.Kids[1].Kids) == 0 &&
		f.Kids[0].End() == f.Kids[1].Off && f.Kids[1].End() == f.End()
}

// kids lays out the parts of f, and the bytes between and behind them.
func (v *sheet) kids(f *dissect.Field, below string) {
	from, end := 0, max(f.Off, v.shown)
	for i := range f.Kids {
		k := &f.Kids[i]
		if k.Off > end && k.Mask == 0 {
			v.siblings(f.Kids[from:i], below, true, true)
			v.add(row{off: end, n: k.Off - end, name: below + "│", kind: f.Kind, ascii: k.Off-end > rowBytes})
			from = i
		}
		end = max(end, k.End())
	}
	v.siblings(f.Kids[from:], below, true, false)
	v.tail(f)
}

// tail lays out the bytes of f behind its last part.
func (v *sheet) tail(f *dissect.Field) {
	if v.shown >= f.Off && v.shown < f.End() {
		v.add(row{off: v.shown, n: f.End() - v.shown, name: "rest", kind: dissect.Bytes, ascii: f.End()-v.shown > rowBytes})
	}
}

// bits lays out the flags in f.
func (v *sheet) bits(f *dissect.Field, below string) {
	if len(f.Kids) == 0 || v.folds(f) || f.Kind == dissect.Structure && f.Note != "" && v.markOf(f.Off, f.Len) == clean {
		return
	}
	for i := range f.Kids {
		k := &f.Kids[i]
		last := i == len(f.Kids)-1
		v.add(row{
			off: k.Off, n: k.Len, bits: picture(f, k), bare: true,
			name: below + branch(last) + Safe(k.Name), value: string(appendValue(nil, k)), kind: k.Kind,
		})
		v.bits(k, below+stem(last))
	}
}

// mostPictured is how many bytes of bits have room in a row.
const mostPictured = 2

// picture is the bits of k among those of f: "..10....".
func picture(f, k *dissect.Field) string {
	n, ok := wholeOf(f)
	if k.Mask == 0 || f.Len > mostPictured || !ok {
		return ""
	}
	var b strings.Builder
	for i := 8*f.Len - 1; i >= 0; i-- {
		switch {
		case k.Mask>>i&1 == 0:
			b.WriteByte('.')
		case n>>i&1 == 1:
			b.WriteByte('1')
		default:
			b.WriteByte('0')
		}
		if i%8 == 0 && i > 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// wholeOf is the number that all bits of f make.
func wholeOf(f *dissect.Field) (uint64, bool) {
	switch v := f.Value.(type) {
	case uint64:
		return v, true
	case int64:
		return uint64(v), true
	}
	return 0, false
}
