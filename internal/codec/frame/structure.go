package frame

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// window reads b, which stands at off, with read and comes back.
func (r *Record) window(b []byte, off int, turned bool, read func() error) error {
	outer := r.cursor
	r.cursor = cursor{data: b, end: len(b), base: off, turned: turned}
	err := read()
	r.cursor = outer
	return err
}

// inside reads with the end of the cursor moved to n bytes from here.
func (r *Record) inside(f *field, n int, fields []field) error {
	if n > r.end-r.pos {
		return r.fail(f, "%d bytes wanted, %d left", n, r.end-r.pos)
	}
	outer := r.end
	r.end = r.pos + n
	err := r.list(fields)
	r.pos, r.end = r.end, outer
	return err
}

// readGroup reads fields, in a size of their own if there is one.
func readGroup(r *Record, f *field) error {
	open, first := -1, r.first
	if !f.flat {
		if len(r.Values) >= maxValues {
			return r.fail(f, "more than %d values", maxValues)
		}
		open = r.begin(f, Object)
		r.first = len(r.Values)
	}
	err := r.group(f)
	r.first = first
	if open >= 0 {
		r.finish(open)
	}
	return err
}

func (r *Record) group(f *field) error {
	if f.size.kind == sizeFixed && f.size.n == 0 {
		return r.list(f.sub.fields)
	}
	n, behind, err := r.measure(f, &f.size)
	if err != nil {
		return err
	}
	if f.ops == nil {
		err = r.inside(f, n, f.sub.fields)
		r.pos += behind
		return err
	}
	off := r.offset(r.pos, n)
	b, err := r.take(f, n)
	if err != nil {
		return err
	}
	r.pos += behind
	return r.window(b, off, f.ops.reverse, func() error { return r.list(f.sub.fields) })
}

// readSwitch continues with the case that an earlier field chooses.
func readSwitch(r *Record, f *field) error {
	c := f.sub.choice
	by := r.at(c.by)
	if by == nil {
		m := direct(c.other, r.dir)
		if m == nil {
			return r.fail(f, "it depends on %s, which this frame has not", c.byName)
		}
		return r.chosen(f, m)
	}
	m := c.find(r, by)
	if m == nil {
		return r.fail(f, "no case for %s %s, and no default", c.byName, r.text(by))
	}
	return r.chosen(f, m)
}

// chosen reads the case of a switch.
func (r *Record) chosen(f *field, m *message) error {
	if f.flat {
		return r.message(m)
	}
	open, first := r.begin(f, Object), r.first
	r.first = len(r.Values)
	err := r.message(m)
	r.first = first
	r.finish(open)
	return err
}

// find returns the case for a value in the direction of the frame, or the
// default, or nil.
func (c *choice) find(r *Record, by *Value) *message {
	var i int16
	switch {
	case by.textual():
		i = c.words[string(r.text(by))]
	case by.raw < 256:
		i = c.dense[by.raw]
	default:
		i = c.sparse[by.raw]
	}
	if i > 0 {
		if m := direct(c.cases[i-1], r.dir); m != nil {
			return m
		}
	}
	return direct(c.other, r.dir)
}

func direct(alternatives []*message, dir Direction) *message {
	for _, m := range alternatives {
		if m.dir == Any || dir == Any || m.dir == dir {
			return m
		}
	}
	return nil
}

// textual reports whether a value is text rather than a number.
func (v *Value) textual() bool {
	if v.def == nil {
		return v.Kind == String || v.Kind == JSON
	}
	return v.def.textual
}

// readArray reads values or objects, counted or to the end.
func readArray(r *Record, f *field) error {
	outer := r.end
	if f.size.kind != sizeFixed || f.size.n > 0 {
		n, _, err := r.measure(f, &f.size)
		if err != nil {
			return err
		}
		if n > r.end-r.pos {
			return r.fail(f, "%d bytes wanted, %d left", n, r.end-r.pos)
		}
		r.end = r.pos + n
	}
	open, first := r.begin(f, Array), r.first
	err := r.elements(f)
	r.first = first
	r.finish(open)
	if err == nil && r.end != outer {
		r.pos = r.end
	}
	r.end = outer
	return err
}

func (r *Record) elements(f *field) error {
	count := -1 // to the end
	if f.sub.count.kind != sizeRest {
		n, _, err := r.measure(f, &f.sub.count)
		if err != nil {
			return err
		}
		count = n
	}
	if count > f.sub.items {
		return r.fail(f, "%d elements; max_items is %d", count, f.sub.items)
	}
	for i := 0; i != count; i++ {
		if count < 0 && r.pos >= r.end {
			return nil
		}
		if r.steps++; r.steps > maxSteps {
			return r.fail(f, "more than %d elements in one frame", maxSteps)
		}
		if i >= f.sub.items {
			return r.fail(f, "more than %d elements (max_items)", f.sub.items)
		}
		at, open := r.pos, -1
		if !f.sub.scalar {
			if len(r.Values) >= maxValues {
				return r.fail(f, "more than %d values", maxValues)
			}
			open = r.begin(f.sub.element(), Object)
			r.first = len(r.Values)
		}
		err := r.list(f.sub.fields)
		if open >= 0 {
			r.finish(open)
		}
		if err != nil {
			return err
		}
		if count < 0 && r.pos == at {
			return r.fail(f, "an element without bytes has no end")
		}
	}
	return nil
}

// element is the definition of an object in an array, which has no name.
func (n *nested) element() *field { return &n.tag }

// known reports whether the object being filled has a member of that name;
// one that is not shown counts only if hidden is set.
func (r *Record) known(name string, hidden bool) bool {
	for i := r.first; i < len(r.Values); i = r.Values[i].End {
		if v := &r.Values[i]; v.Name == name && (hidden || !v.hidden) {
			return true
		}
	}
	return false
}

// readTLV reads elements of tag, length and value up to the end. Of elements
// with one tag the first counts.
func readTLV(r *Record, f *field) error {
	return r.object(f, func() error {
		for n := 0; r.pos < r.end; n++ {
			if n == f.sub.items {
				return r.fail(f, "more than %d elements (max_items)", n)
			}
			if err := r.element(f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Record) element(f *field) error {
	from := len(r.Values)
	if err := f.sub.tag.read(r, &f.sub.tag); err != nil {
		return err
	}
	if err := f.sub.length.read(r, &f.sub.length); err != nil {
		return err
	}
	tag, size := r.Values[from].raw, r.Values[from+1].raw
	by := r.Values[from]
	r.Values = r.Values[:from]
	if size > uint64(r.end-r.pos) {
		return r.fail(f, "tag %#x: %d bytes wanted, %d left", tag, size, r.end-r.pos)
	}
	if m := f.sub.choice.find(r, &by); m != nil {
		if len(m.fields) > 0 && r.known(m.fields[0].name, true) {
			r.pos += int(size)
			return nil
		}
		outer := r.end
		r.end = r.pos + int(size)
		err := r.message(m)
		r.pos, r.end = r.end, outer
		return err
	}
	off := r.offset(r.pos, int(size))
	b, err := r.take(f, int(size))
	if err != nil || f.sub.cut {
		return err
	}
	name := "tag_" + strconv.FormatUint(tag, 16)
	again := r.known(name, false)
	v := r.loose(f, name, Hex, off, len(b))
	v.Text, v.hidden = b, again
	return nil
}

// loose appends a value whose name came out of the frame.
func (r *Record) loose(f *field, name string, kind Kind, off, n int) *Value {
	own := int32(0)
	if f.slot >= 0 {
		own = r.slot[f.slot]
	}
	v := r.add(f, kind, off, n)
	v.Name, v.def, v.hidden = name, nil, f.hidden
	if f.slot >= 0 {
		r.slot[f.slot] = own // f is the object, not its member
	}
	if slot, ok := f.sub.refs[name]; ok {
		r.slot[slot] = int32(len(r.Values))
	}
	return v
}

// object runs fill inside an object of the field's name, or in place.
func (r *Record) object(f *field, fill func() error) error {
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	if f.flat {
		return fill()
	}
	open, first := r.begin(f, Object), r.first
	r.first = len(r.Values)
	err := fill()
	r.first = first
	r.finish(open)
	return err
}

// readKV reads text such as a=1;b=2.
func readKV(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	return r.object(f, func() error {
		for n, at := 0, 0; at < len(b); n++ {
			if n == f.sub.items {
				return r.fail(f, "more than %d pairs (max_items)", n)
			}
			piece := b[at:]
			if i := bytes.IndexAny(piece, f.sub.sep); i >= 0 {
				piece = piece[:i]
			}
			if err := r.pair(f, piece, off+at); err != nil {
				return err
			}
			at += len(piece) + 1
		}
		return nil
	})
}

func (r *Record) pair(f *field, piece []byte, off int) error {
	key, value, _ := bytes.Cut(piece, f.sub.eq)
	from := off + len(piece) - len(value)
	if key = bytes.Trim(key, " \r\n"); len(key) == 0 {
		return nil
	}
	if def := f.sub.keys[string(key)]; def != nil {
		if r.known(def.name, true) {
			return r.fail(def, "%q is given twice", key)
		}
		return r.window(value, from, false, func() error { return def.read(r, def) })
	}
	name := string(key)
	if r.known(name, false) {
		return r.fail(f, "%q is given twice", key)
	}
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	v := r.loose(f, name, String, from, len(value))
	v.Text = value
	if f.sub.numbers {
		v.guess()
	}
	return nil
}

// guess turns text that JSON would take for a number into one.
func (v *Value) guess() {
	t := bytes.TrimPrefix(v.Text, []byte{'-'})
	if len(t) == 0 || t[0] < '0' || t[0] > '9' || len(t) > 1 && t[0] == '0' && t[1] != '.' && t[1] != 'e' && t[1] != 'E' {
		return
	}
	if n, err := strconv.ParseInt(string(v.Text), 10, 64); err == nil {
		v.Kind, v.num, v.raw = Int, uint64(n), uint64(n)
	} else if n, ok := parseDecimal(v.Text); ok && t[len(t)-1] != '.' {
		v.setFloat(n)
	}
}

// members appends what a JSON object holds, by name.
func (r *Record) members(f *field, members map[string]json.RawMessage, off int) error {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw := members[name]
		if len(r.Values) >= maxValues || r.known(name, false) {
			return r.fail(f, "%q is given twice", name)
		}
		v := r.loose(f, name, JSON, off, 0)
		v.Text = raw
		switch raw[0] {
		case '"':
			var s string
			if json.Unmarshal(raw, &s) == nil {
				v.Kind, v.Text = String, []byte(s)
			}
		case 'n':
			v.Kind, v.Text = Null, nil
		case 't', 'f':
			v.Kind, v.Text = Bool, nil
			if raw[0] == 't' {
				v.num, v.raw = 1, 1
			}
		case '{', '[':
		default:
			v.guess()
		}
	}
	return nil
}

// readRegex matches text; each named part of the pattern is a field.
func readRegex(r *Record, f *field) error {
	b, off, err := r.bytes(f)
	if err != nil {
		return err
	}
	at := f.sub.pattern.FindSubmatchIndex(b)
	if at == nil {
		return &DecodeError{Field: f.name, Off: off, Reason: "the text does not match " + strings.TrimSpace(f.sub.pattern.String())}
	}
	return r.object(f, func() error {
		for i := range f.sub.fields {
			part := &f.sub.fields[i]
			from, to := at[2*part.at], at[2*part.at+1]
			if from < 0 {
				continue
			}
			if err := r.window(b[from:to], off+from, false, func() error { return part.read(r, part) }); err != nil {
				return err
			}
		}
		return nil
	})
}
