package display

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// Bounds of what Encode takes.
const (
	maxEncodedField = 256 << 20
	maxFieldDepth   = 64
)

// coded is a packet as [JSON] has it, as far as bytes come from it.
type coded struct {
	Note   *string       `json:"note"` // of NoteJSON: no packet
	Fields *[]codedField `json:"fields"`
	Size   int           `json:"size"`
}

type codedField struct {
	Name     string          `json:"name"`
	Offset   int             `json:"offset"`
	Size     int             `json:"size"`
	Kind     string          `json:"kind"`
	Value    json.RawMessage `json:"value"`
	Text     *string         `json:"text"`
	Note     string          `json:"note"`
	Raw      *string         `json:"raw"`
	Mask     uint64          `json:"mask"`
	Form     string          `json:"form"`
	Encoding string          `json:"encoding"`
	Hidden   bool            `json:"hidden"`
	Of       *codedSpan      `json:"of"`
	Kids     []codedField    `json:"kids"`

	raw    []byte
	given  bool // raw was
	parent *codedField
}

type codedSpan struct {
	Offset int `json:"offset"`
	Size   int `json:"size"`
}

func (f *codedField) end() int { return f.Offset + f.Size }

// EncodeError is why a packet cannot become bytes.
type EncodeError struct {
	Field  string // "" for the packet
	Reason string
	Hint   string
}

// Error implements error.
func (e *EncodeError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return fmt.Sprintf("field %q: %s", e.Field, e.Reason)
}

// Encode appends the bytes of a packet that [JSON] has written. A field whose value
// no longer fits its raw bytes, or that has none, is written anew by its form, and
// the lengths that count it become right. Of a value and raw bytes that differ the
// value counts, if it has a form. The error is an *EncodeError.
func Encode(dst, packet []byte) ([]byte, error) {
	var c coded
	d := json.NewDecoder(bytes.NewReader(packet))
	if err := d.Decode(&c); err != nil {
		return dst, &EncodeError{Reason: jsonReason(err), Hint: "iotctl decode --json --secrets writes what encode reads"}
	}
	if c.Note != nil && c.Fields == nil {
		return dst, nil
	}
	if c.Fields == nil {
		return dst, &EncodeError{Reason: "an object without fields is no packet of decode", Hint: "iotctl decode --json --secrets writes what encode reads"}
	}
	m := maker{}
	if err := m.load(*c.Fields, nil, 0); err != nil {
		return dst, err
	}
	if err := m.place(*c.Fields, c.Size); err != nil {
		return dst, err
	}
	if err := m.edits(*c.Fields); err != nil {
		return dst, err
	}
	if err := m.lengths(); err != nil {
		return dst, err
	}
	return m.write(dst), nil
}

// jsonReason is err without the words of the library.
func jsonReason(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return "a " + wrong.Value + " is no packet of decode"
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s is a %s", wrong.Field, wrong.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON ends within an object"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// maker makes the bytes of one packet.
type maker struct {
	b     []byte // as they were, before edits
	cuts  []cut
	all   []*codedField
	sizes []*codedField // those that count others
}

// cut is a run of bytes of maker.b and what takes its place.
type cut struct {
	off, n int
	by     []byte
	field  *codedField
}

// load reads the raw bytes.
func (m *maker) load(fields []codedField, parent *codedField, depth int) error {
	if depth > maxFieldDepth {
		return &EncodeError{Reason: "too many fields in each other"}
	}
	for i := range fields {
		f := &fields[i]
		f.parent = parent
		m.all = append(m.all, f)
		switch {
		case f.Hidden:
			return &EncodeError{Field: f.Name, Reason: "its value is hidden", Hint: "iotctl decode --json --secrets"}
		case f.Offset < 0 || f.Size < 0 || f.Size > maxEncodedField || f.Offset > maxEncodedField:
			return &EncodeError{Field: f.Name, Reason: "its offset or size cannot be"}
		}
		if f.Raw != nil {
			raw, err := hex.DecodeString(strings.ReplaceAll(*f.Raw, " ", ""))
			if err != nil {
				return &EncodeError{Field: f.Name, Reason: fmt.Sprintf("raw %q is not hex", shortened(*f.Raw))}
			}
			f.raw, f.given = raw, true
		}
		if err := m.load(f.Kids, f, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func shortened(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// place puts the raw bytes of the fields, which follow each other, where they were.
func (m *maker) place(fields []codedField, size int) error {
	known := max(size, 0)
	for i := range fields {
		known = max(known, reach(&fields[i]))
	}
	if known > maxEncodedField {
		return &EncodeError{Reason: "too many bytes"}
	}
	var have spans
	m.b = make([]byte, min(known, sum(fields)))
	if known > len(m.b) {
		return m.hole(fields, len(m.b))
	}
	for i := range fields {
		have = m.put(&fields[i], have)
	}
	at := 0
	for _, s := range have {
		if s.Offset > at {
			return m.hole(fields, at)
		}
		at = max(at, s.Offset+s.Size)
	}
	if at < known {
		return m.hole(fields, at)
	}
	return nil
}

type spans []codedSpan

// reach is where f, or one of its kids, ends.
func reach(f *codedField) int {
	n := f.end()
	for i := range f.Kids {
		n = max(n, reach(&f.Kids[i]))
	}
	return n
}

// sum bounds how many bytes fields can be about, so that nothing is made of offsets
// that are out of this world.
func sum(fields []codedField) (n int) {
	for i := range fields {
		f := &fields[i]
		n += max(f.Size, len(f.raw), sum(f.Kids))
	}
	return n
}

// put copies what f has, and its kids.
func (m *maker) put(f *codedField, have spans) spans {
	if f.given && f.Size > 0 && f.end() <= len(m.b) {
		copy(m.b[f.Offset:f.end()], f.raw)
		have = have.with(codedSpan{f.Offset, f.Size})
	} else if !f.given && f.Value != nil && f.Mask == 0 && f.form() != "" {
		have = have.with(codedSpan{f.Offset, f.Size}) // edits writes it
	}
	for i := range f.Kids {
		k := &f.Kids[i]
		have = m.put(k, have)
	}
	return have
}

// with adds s in order of offsets.
func (a spans) with(s codedSpan) spans {
	i, _ := slices.BinarySearchFunc(a, s.Offset, func(x codedSpan, off int) int { return cmp.Compare(x.Offset, off) })
	return slices.Insert(a, i, s)
}

// hole is the error for bytes at offset at that nothing says.
func (m *maker) hole(fields []codedField, at int) error {
	name := ""
	for i := range fields {
		if f := &fields[i]; f.Offset <= at && at < f.end() {
			name = f.Name
		}
	}
	return &EncodeError{Field: name, Reason: fmt.Sprintf("nothing says what byte %d is", at), Hint: "leave raw where it is, or give the value of a field that has a form"}
}

// form is how the value of f is written: unsigned, varint, raw, bits; "" if that is
// not to be told.
func (f *codedField) form() string {
	if f.Mask != 0 {
		return "bits"
	}
	return f.Form
}

// lengths makes each length that was not changed itself what it counts, until all
// are right: a longer length is counted by others.
func (m *maker) lengths() error {
	edited := map[*codedField]bool{}
	for _, c := range m.cuts {
		edited[c.field] = true
	}
	for range len(m.sizes) + 2 {
		settled := true
		for _, f := range m.sizes {
			delta := m.growth(f.Of.Offset, f.Of.Size)
			if edited[f] || delta == 0 && !m.replaced(f) {
				continue
			}
			n := f.Of.Size + delta
			b, err := m.length(f, uint64(max(n, 0)))
			if err != nil {
				return &EncodeError{
					Field: f.Name, Reason: fmt.Sprintf("what it counts now has %s, which does not fit", appendBytes(nil, n)),
					Hint: "change raw, of it and of what is around it",
				}
			}
			if bytes.Equal(b, m.now(f)) {
				continue
			}
			settled = false
			if err := m.replace(f, b); err != nil {
				return err
			}
		}
		if settled {
			break
		}
	}
	return nil
}

// mostNibble is the longest length in four bits: CoAP says with more that it stands
// elsewhere.
const mostNibble = 12

// length is n as f has it.
func (m *maker) length(f *codedField, n uint64) ([]byte, error) {
	if f.Mask == 0 && (f.Form == "unsigned" || f.Form == "varint") {
		return f.write(n)
	}
	shift := bits.TrailingZeros64(f.Mask)
	if most := f.Mask >> shift; f.Mask == 0 || n > most || most == 15 && n > mostNibble || f.end() > len(m.b) || f.Size > 8 {
		return nil, &EncodeError{Field: f.Name, Reason: "it does not fit"}
	}
	return withBits(m.current(f.Offset, f.Size), f.Mask, n<<shift), nil
}

// withBits puts v between the other bits of b.
func withBits(b []byte, mask, v uint64) []byte {
	whole := wholeNumber(b)&^mask | v
	for i := range b {
		b[i] = byte(whole >> (8 * (len(b) - 1 - i)))
	}
	return b
}

// wholeNumber is b as a big-endian number.
func wholeNumber(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

func (m *maker) replaced(f *codedField) bool {
	return slices.ContainsFunc(m.cuts, func(c cut) bool { return c.field == f })
}

// now is what the bytes of f are by now.
func (m *maker) now(f *codedField) []byte {
	for _, c := range m.cuts {
		if c.field == f {
			return c.by
		}
	}
	return f.raw
}

// growth is by how much n bytes at off grow.
func (m *maker) growth(off, n int) (d int) {
	for i := range m.cuts {
		if c := &m.cuts[i]; c.off >= off && c.off+c.n <= off+n && (c.n > 0 || m.within(c, off, n)) {
			d += len(c.by) - c.n
		}
	}
	return d
}

// within reports whether what was empty, at an edge of n bytes at off, is a part of
// them: not if they are another field, which it only follows.
func (m *maker) within(c *cut, off, n int) bool {
	if n == 0 || c.off > off && c.off < off+n {
		return true
	}
	for _, f := range m.all {
		if f.Offset != off || f.Size != n {
			continue
		}
		for p := c.field; p != nil; p = p.parent {
			if p == f {
				return true
			}
		}
		return false
	}
	return c.off > off
}

// write appends the bytes with what was changed.
func (m *maker) write(dst []byte) []byte {
	slices.SortStableFunc(m.cuts, func(a, b cut) int { return cmp.Or(cmp.Compare(a.off, b.off), cmp.Compare(a.n, b.n)) })
	at := 0
	for _, c := range m.cuts {
		dst = append(append(dst, m.b[at:c.off]...), c.by...)
		at = c.off + c.n
	}
	return append(dst, m.b[at:]...)
}
