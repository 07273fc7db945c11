package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of a record: what it holds, and how many elements of arrays are
// looked at, for those that leave nothing behind.
const (
	maxValues = 65536
	maxSteps  = 4 * maxValues
)

// A record that has grown beyond this is not kept for the next frame.
const keptValues = 4096

// DecodeError says which field of a frame cannot be what the definition says.
type DecodeError struct {
	Field  string // "" for the frame as a whole
	Off    int    // in Frame.Data
	Reason string
}

func (e *DecodeError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("decode byte %d: %s", e.Off, e.Reason)
	}
	return fmt.Sprintf("decode %s at byte %d: %s", e.Field, e.Off, e.Reason)
}

// cursor is a place in the bytes that fields are read from.
type cursor struct {
	data     []byte
	pos, end int
	base     int  // offset in Frame.Data of data[0]
	turned   bool // data runs backwards from base+len(data)
}

func (c *cursor) offset(pos, n int) int {
	if c.turned {
		return c.base + len(c.data) - pos - n
	}
	return c.base + pos
}

// Decode reads a frame of dir into r. The error is a *[DecodeError]; r then
// holds what was read before it.
func (c *Codec) Decode(f Frame, dir Direction, r *Record) error {
	v := f.variant
	if v == nil {
		return errors.New("the frame does not come from this codec's splitter")
	}
	r.reset(f, dir, c.slots)
	r.c = c
	r.cursor = cursor{data: f.Data, pos: v.front, end: len(f.Data) - v.tail}
	if r.pos > r.end {
		return &DecodeError{Off: r.pos, Reason: "the frame has no room for its body"}
	}
	m := v.plan
	err := r.message(m)
	for _, i := range r.later {
		r.negate(&r.Values[i])
	}
	return err
}

// message reads the fields of a case and takes over what goes with them. What
// an inner case says counts more.
func (r *Record) message(m *message) error {
	if m.name != "" {
		r.Message = m.name
	}
	if m.device >= 0 {
		r.device = m.device
	}
	if m.reply != nil || m.silent {
		r.reply = m.reply
	}
	if m.refuse != nil {
		r.refuse = m.refuse
	}
	if r.trace != nil {
		r.trace(m)
	}
	if err := r.list(m.fields); err != nil {
		return err
	}
	if m.exact && r.pos < r.end {
		return &DecodeError{Off: r.offset(r.pos, 0), Reason: fmt.Sprintf("%d bytes follow the last field", r.end-r.pos)}
	}
	return nil
}

func (r *Record) list(fields []field) error {
	for i := range fields {
		f := &fields[i]
		if f.placed {
			if err := r.aside(f); err != nil {
				return err
			}
			continue
		}
		if f.may && r.pos >= r.end {
			continue
		}
		if err := f.read(r, f); err != nil {
			return err
		}
	}
	return nil
}

// aside reads a field at a place of its own and comes back.
func (r *Record) aside(f *field) error {
	at := place(f.at, len(r.data))
	if at < 0 || at >= len(r.data) {
		if f.may {
			return nil
		}
		return r.fail(f, "the frame has %d bytes, at is %d", len(r.data), f.at)
	}
	pos, end := r.pos, r.end
	r.pos, r.end = at, len(r.data)
	err := f.read(r, f)
	r.pos, r.end = pos, end
	return err
}

func (r *Record) fail(f *field, format string, args ...any) error {
	return &DecodeError{Field: f.name, Off: r.offset(r.pos, 0), Reason: fmt.Sprintf(format, args...)}
}

// take consumes n bytes.
func (r *Record) take(f *field, n int) ([]byte, error) {
	if n > r.end-r.pos || n < 0 {
		return nil, r.fail(f, "%d bytes wanted, %d left", n, r.end-r.pos)
	}
	b := r.data[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	if f.ops != nil {
		b = f.ops.apply(r, b)
	}
	return b, nil
}

// apply returns a changed copy.
func (o *byteOps) apply(r *Record, b []byte) []byte {
	from := len(r.arena)
	for i, c := range b {
		c += o.add
		if len(o.xor) > 0 {
			c ^= o.xor[i%len(o.xor)]
		}
		r.arena = append(r.arena, c)
	}
	b = r.arena[from:len(r.arena):len(r.arena)]
	if o.reverse {
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	return b
}

// measure finds the size of a field. With sizePrefix the prefix is consumed;
// with sizeUntil the delimiter stands behind, and behind says how long it is.
func (r *Record) measure(f *field, s *size) (n, behind int, err error) {
	switch s.kind {
	case sizeFixed:
		return s.n, 0, nil
	case sizeRest:
		n = r.end - r.pos - s.n
	case sizeField:
		v := r.at(s.slot)
		if v == nil {
			return 0, 0, r.fail(f, "its size is %s, which this frame has not", s.name)
		}
		if v.raw >= 1<<31 {
			return 0, 0, r.fail(f, "a size of %d", v.raw)
		}
		n = int(v.raw) + s.n
	case sizePrefix:
		if r.end-r.pos < s.width {
			return 0, 0, r.fail(f, "%d bytes of length wanted, %d left", s.width, r.end-r.pos)
		}
		v := number(r.data[r.pos:r.pos+s.width], s.le)
		if v > uint64(r.end) {
			return 0, 0, r.fail(f, "%d bytes wanted, %d left", v, r.end-r.pos-s.width)
		}
		r.pos += s.width
		n = int(v)
	case sizeUntil:
		n, behind = indexBytes(r.data[r.pos:r.end], s.until), len(s.until)
		if n < 0 {
			return 0, 0, r.fail(f, "% x does not follow", s.until)
		}
	}
	if n < 0 {
		return 0, 0, r.fail(f, "a size of %d", n)
	}
	return n, behind, nil
}

// bytes consumes the field's bytes and what limits them.
func (r *Record) bytes(f *field) ([]byte, int, error) {
	n, behind, err := r.measure(f, &f.size)
	if err != nil {
		return nil, 0, err
	}
	off := r.offset(r.pos, n)
	b, err := r.take(f, n)
	r.pos += behind
	return b, off, err
}

// add appends a value and returns its index.
func (r *Record) add(f *field, kind Kind, off, n int) *Value {
	i := len(r.Values)
	if i < cap(r.Values) {
		r.Values = r.Values[:i+1]
	} else {
		r.Values = append(r.Values, Value{})
	}
	v := &r.Values[i]
	v.Name, v.Text, v.Kind, v.Off, v.Len, v.End = f.name, nil, kind, off, n, i+1
	v.raw, v.num, v.def, v.hidden, v.bits = 0, 0, f, f.hidden, false
	if f.slot >= 0 {
		r.slot[f.slot] = int32(i + 1)
	}
	return v
}

// begin opens an object or array at the cursor; end closes it.
func (r *Record) begin(f *field, kind Kind) int {
	r.add(f, kind, r.offset(r.pos, 0), 0)
	return len(r.Values) - 1
}

func (r *Record) finish(i int) {
	v := &r.Values[i]
	v.End = len(r.Values)
	v.Len = max(r.offset(r.pos, 0)-v.Off, 0)
}

// readUint reads an integer, the most common field by far.
func readUint(r *Record, f *field) error {
	pos, w := r.pos, f.width
	if w > r.end-pos {
		return r.fail(f, "%d bytes wanted, %d left", w, r.end-pos)
	}
	if len(r.Values) >= maxValues {
		return r.fail(f, "more than %d values", maxValues)
	}
	b := r.data[pos : pos+w]
	r.pos += w
	var n uint64
	switch {
	case w == 1:
		n = uint64(b[0])
	case w == 2 && !f.le:
		n = uint64(binary.BigEndian.Uint16(b))
	case w == 4 && !f.le:
		n = uint64(binary.BigEndian.Uint32(b))
	default:
		n = number(b, f.le)
	}
	v := r.add(f, Uint, r.offset(pos, w), w)
	v.raw, v.num = n, n
	return nil
}
