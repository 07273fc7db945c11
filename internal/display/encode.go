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
	"strconv"
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
		if f.Of != nil && f.Mask == 0 && (f.form() == "unsigned" || f.form() == "varint") {
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
	b := m.current(f.Offset, f.Size)
	var whole uint64
	for _, c := range b {
		whole = whole<<8 | uint64(c)
	}
	if f.given && len(f.raw) == f.Size {
		var was uint64
		for _, c := range f.raw {
			was = was<<8 | uint64(c)
		}
		if was&f.Mask>>shift == n {
			return nil
		}
	}
	whole = whole&^f.Mask | n<<shift
	for i := range b {
		b[i] = byte(whole >> (8 * (len(b) - 1 - i)))
	}
	return m.replace(f, b)
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
	if f.given && f.reads(f.raw, n) {
		return nil
	}
	b, err := f.write(n)
	if err != nil {
		return err
	}
	return m.replace(f, b)
}

// reads reports whether b, which may be longer than it need be, is n.
func (f *codedField) reads(b []byte, n uint64) bool {
	var got uint64
	if f.form() == "varint" {
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
	for _, c := range b {
		got = got<<8 | uint64(c)
	}
	return got == n
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
			b, err := f.write(uint64(max(n, 0)))
			if err != nil {
				return &EncodeError{Field: f.Name, Reason: fmt.Sprintf("what it counts now has %s, which does not fit", appendBytes(nil, n))}
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
