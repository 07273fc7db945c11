package display

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// edits finds what was changed.
func (m *maker) edits(fields []codedField) error {
	for i := range fields {
		f := &fields[i]
		if err := m.edit(f); err != nil {
			return err
		}
		if err := m.edits(f.Kids); err != nil {
			return err
		}
		if f.Of != nil {
			m.sizes = append(m.sizes, f)
		}
	}
	return nil
}

// edit compares the value of f with its bytes.
func (m *maker) edit(f *codedField) error {
	if f.given && len(f.raw) != f.Size {
		return m.replace(f, f.raw) // raw itself was edited
	}
	if f.Value == nil || string(f.Value) == "null" {
		if !f.given && f.Size > 0 && f.form() != "" {
			return &EncodeError{Field: f.Name, Reason: "it has neither raw nor a value"}
		}
		return nil
	}
	switch f.form() {
	case "bits":
		return m.editBits(f)
	case "unsigned", "varint":
		return m.editNumber(f)
	case "raw":
		b, err := f.bytes()
		if err != nil {
			return err
		}
		if !f.given || !bytes.Equal(b, f.raw) {
			return m.replace(f, b)
		}
		return nil
	}
	return m.editOpaque(f)
}

// replace says that the bytes of f become by.
func (m *maker) replace(f *codedField, by []byte) error {
	if f.end() > len(m.b) {
		return &EncodeError{Field: f.Name, Reason: "it lies outside of the packet"}
	}
	for i := range m.cuts {
		c := &m.cuts[i]
		if c.off == f.Offset && c.n == f.Size && (f.Size > 0 || bytes.Equal(c.by, by)) {
			c.by, c.field = by, f
			return nil
		}
		if f.Offset < c.off+c.n && c.off < f.end() {
			return &EncodeError{Field: f.Name, Reason: fmt.Sprintf("it was changed, and so was %q, which has the same bytes", c.field.Name), Hint: "change one of them"}
		}
	}
	m.cuts = append(m.cuts, cut{off: f.Offset, n: f.Size, by: by, field: f})
	return nil
}

// number is the value of f as a number.
func (f *codedField) number() (uint64, error) {
	text := string(f.Value)
	switch text {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return uint64(n), nil
	}
	return 0, &EncodeError{Field: f.Name, Reason: fmt.Sprintf("%s is not a whole number", shortened(text))}
}

// bytes is the value of f as bytes.
func (f *codedField) bytes() ([]byte, error) {
	var s string
	if err := json.Unmarshal(f.Value, &s); err != nil {
		return nil, &EncodeError{Field: f.Name, Reason: fmt.Sprintf("%s is not a text in quotes", shortened(string(f.Value)))}
	}
	if f.Encoding == "text" || f.Encoding == "" && f.Kind != "bytes" {
		return []byte(s), nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		return nil, &EncodeError{Field: f.Name, Reason: fmt.Sprintf("%q is not hex", shortened(s)), Hint: `add "encoding": "text" to give it as a text`}
	}
	return b, nil
}

// editBits puts the value of f between the other bits.
func (m *maker) editBits(f *codedField) error {
	n, err := f.number()
	if err != nil || f.Size > 8 || f.end() > len(m.b) {
		return err
	}
	shift := bits.TrailingZeros64(f.Mask)
	if n > f.Mask>>shift {
		return &EncodeError{Field: f.Name, Reason: fmt.Sprintf("%d does not fit its bits", n)}
	}
	if f.given && len(f.raw) == f.Size && wholeNumber(f.raw)&f.Mask>>shift == n {
		return nil
	}
	return m.replace(f, withBits(m.current(f.Offset, f.Size), f.Mask, n<<shift))
}

// current is what n bytes at off are by now.
func (m *maker) current(off, n int) []byte {
	for _, c := range m.cuts {
		if c.off == off && c.n == n && len(c.by) == n {
			return slices.Clone(c.by)
		}
	}
	return slices.Clone(m.b[off : off+n])
}

func (m *maker) editNumber(f *codedField) error {
	n, err := f.number()
	if err != nil {
		return err
	}
	if f.given && f.reads(f.raw, n) || f.Size == 0 && n == 0 {
		return nil
	}
	if f.form() == "unsigned" && m.flexible(f) {
		return m.replace(f, shortest(n))
	}
	b, err := f.write(n)
	if err != nil {
		return err
	}
	return m.replace(f, b)
}

// flexible reports whether f has just the bytes that its number needs: a length in
// some bits in front of it says how many, as in CoAP.
func (m *maker) flexible(f *codedField) bool {
	return slices.ContainsFunc(m.all, func(l *codedField) bool {
		return l.Of != nil && l.Mask != 0 && l.Of.Offset == f.Offset && l.Of.Size == f.Size
	})
}

// shortest is n without zeros in front; nothing for 0.
func shortest(n uint64) (b []byte) {
	for ; n > 0; n >>= 8 {
		b = append(b, byte(n))
	}
	slices.Reverse(b)
	return b
}

// reads reports whether b, which may be longer than it need be, is n.
func (f *codedField) reads(b []byte, n uint64) bool {
	if f.form() == "varint" {
		var got uint64
		for i, c := range b {
			if i < 9 {
				got |= uint64(c&0x7f) << (7 * i)
			}
		}
		return got == n
	}
	if len(b) < 8 { // a negative value
		n &= 1<<(8*len(b)) - 1
	}
	return wholeNumber(b) == n
}

// write is n in the form of f.
func (f *codedField) write(n uint64) ([]byte, error) {
	if f.form() == "varint" {
		if n >= 1<<28 {
			return nil, &EncodeError{Field: f.Name, Reason: fmt.Sprintf("%d is more than a variable byte integer can be", n)}
		}
		var b []byte
		for n >= 0x80 {
			b, n = append(b, byte(n)|0x80), n>>7
		}
		return append(b, byte(n)), nil
	}
	size := f.Size
	if size == 0 || size > 8 {
		return nil, &EncodeError{Field: f.Name, Reason: "its size is not known"}
	}
	if signed := int64(n); size < 8 && n>>(8*size) != 0 && !(signed < 0 && signed>>(8*size-1) == -1) {
		return nil, &EncodeError{Field: f.Name, Reason: fmt.Sprintf("%s does not fit its %s", shortened(string(f.Value)), appendBytes(nil, size))}
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n >> (8 * (size - 1 - i)))
	}
	return b, nil
}

// editOpaque finds out whether the value is still what it was. If not, the part
// that it is the value of is meant.
func (m *maker) editOpaque(f *codedField) error {
	part := f.part()
	switch {
	case part == nil && f.given && f.unchanged():
		return nil
	case part == nil:
		return &EncodeError{Field: f.Name, Reason: "how its value is written cannot be told", Hint: "change its raw, or a part of it that has a form"}
	case f.Text != nil && f.unchanged(), bytes.Equal(f.Value, part.Value):
		return nil
	}
	part.Value = f.Value
	return nil // edits comes to the part
}

// part is the only part of f that can be its value; nil if there is none.
func (f *codedField) part() (only *codedField) {
	for i := range f.Kids {
		k := &f.Kids[i]
		if k.Kind == "structure" || k.Kind == "length" || k.Mask != 0 || k.Form == "" || len(k.Kids) > 0 {
			continue
		}
		if only != nil {
			return nil
		}
		only = k
	}
	return only
}

// unchanged reports whether the value is that of text.
func (f *codedField) unchanged() bool {
	if f.Text == nil { // of bytes, whose value is raw
		b, err := f.bytes()
		return err != nil || bytes.Equal(b, f.raw)
	}
	v := string(f.Value)
	switch {
	case v == "true":
		v = "yes"
	case v == "false":
		v = "no"
	case strings.HasPrefix(v, `"`):
		var s string
		if json.Unmarshal(f.Value, &s) != nil {
			return false
		}
		if f.Kind == "bytes" || f.Encoding == "hex" {
			return true // text is its note
		}
		return strings.HasPrefix(*f.Text, s) || strings.HasPrefix(*f.Text, string(appendQuoted(nil, s)))
	case f.Kind == "flags":
		return true // text has names in their place
	}
	rest, ok := strings.CutPrefix(*f.Text, v)
	return ok && (rest == "" || rest[0] == ',' || rest[0] == ' ')
}
