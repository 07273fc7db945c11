package dissect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/frame"
)

// Frame reads the protocol that a definition describes.
type Frame struct {
	codec *frame.Codec
	vague bool // almost anything passes
}

// NewFrame returns the dissector of a definition.
func NewFrame(c *frame.Codec) *Frame {
	d := &Frame{codec: c}
	d.vague = d.fits([]byte("almost any text\n")) || d.fits([]byte("almost any text\r\n"))
	return d
}

// Frames returns those of the definitions that come with the program.
func Frames() ([]Dissector, error) {
	var all []Dissector
	for _, name := range frame.Builtin() {
		c, err := frame.Open(name)
		if err != nil {
			return nil, err
		}
		all = append(all, NewFrame(c))
	}
	return all, nil
}

// Name implements Dissector: that of the definition.
func (d *Frame) Name() string { return d.codec.Name() }

// fits reports whether b begins with a frame that can be read.
func (d *Frame) fits(b []byte) bool {
	s := d.codec.Splitter(frame.Any)
	f, n, err := s.Gap(b)
	if err != nil || n != len(f.Raw) {
		return false
	}
	_, err = d.decode(f, frame.Any)
	return err == nil
}

// decode reads f, of unknown direction as what comes from a device, or goes to
// one, if it cannot be read as it stands.
func (d *Frame) decode(f frame.Frame, dir frame.Direction) (*frame.Record, error) {
	r := new(frame.Record)
	err := d.codec.Decode(f, dir, r)
	if err == nil || dir != frame.Any {
		return r, err
	}
	for _, dir := range []frame.Direction{frame.Up, frame.Down} {
		if other := new(frame.Record); d.codec.Decode(f, dir, other) == nil {
			return other, nil
		}
	}
	return r, err
}

// Sniff implements Dissector: the first frame begins at the first byte, its
// markers, lengths and checksums agree, and its fields can be read.
func (d *Frame) Sniff(b []byte, h Hint) (Confidence, string) {
	s := d.codec.Splitter(frameDirection(h.Direction))
	f, n, err := d.cut(&s, b, h.Datagram)
	if err != nil || n != len(f.Raw) {
		return No, ""
	}
	switch _, err := d.decode(f, frameDirection(h.Direction)); {
	case err != nil:
		return No, ""
	case d.vague && !printable(f.Raw):
		return No, ""
	case d.vague:
		return Possible, "it can be cut into frames, as most text can"
	}
	return Likely, fmt.Sprintf("a frame of %d bytes whose markers, lengths and checksums agree", n)
}

func (d *Frame) cut(s *frame.Splitter, b []byte, whole bool) (frame.Frame, int, error) {
	if whole {
		return s.Gap(b)
	}
	return s.Next(b)
}

// Dissect implements Dissector. Bytes that belong to no frame are a packet of
// their own, of type "skipped".
func (d *Frame) Dissect(b []byte, st *Stream) (Packet, int, error) {
	p := Packet{Protocol: d.Name(), Type: "frame"}
	dir := frameDirection(st.direction())
	s := stateOf(st, func() *frame.Splitter {
		s := d.codec.Splitter(dir)
		return &s
	})
	before := *s
	f, n, err := d.cut(s, b, st != nil && st.Whole)
	w := walk{b: b}
	if skipped := n - len(f.Raw); skipped > 0 {
		p.Problems = []Problem{{Len: skipped, Text: fmt.Sprintf("%d bytes belong to no frame", skipped)}}
		if s.Dropped() > before.Dropped() {
			p.Problems = []Problem{{Len: skipped, Text: "the checksum of what would be a frame is wrong", Advice: "A receiver drops the frame."}}
		}
		if err == nil { // the frame is for the next call
			*s = before
		}
		w.b = b[:skipped]
		w.rest("skipped", "belongs to no frame")
		p.Type, p.Fields = "skipped", w.fields
		return p, skipped, nil
	}
	switch {
	case errors.Is(err, frame.ErrShort):
		w.rest("frame", fmt.Sprintf("%d or more bytes are missing", s.Need()))
		p.Fields = w.fields
		return p, 0, ErrShort
	case err != nil:
		w.rest("bytes", "")
		p.Fields = w.fields
		return p, 0, malformed(0, "%s", err)
	}
	r, err := d.decode(f, dir)
	if r.Message != "" {
		p.Type = r.Message
	}
	if id := r.DeviceID(); id != nil {
		p.Summary = fmt.Sprintf("device %q", id)
	}
	if f.BadChecksum {
		p.Problems = append(p.Problems, Problem{Off: len(f.Raw), Text: "the checksum is wrong", Advice: "A receiver drops the frame."})
	}
	v := values{f: &f, r: r, password: d.codec.Session().Password}
	p.Fields = cover(f.Raw, v.fields("", 0, len(r.Values)))
	if bad := (*frame.DecodeError)(nil); errors.As(err, &bad) {
		text := bad.Reason
		if bad.Field != "" {
			text = bad.Field + ": " + text
		}
		off := min(f.RawOffset(bad.Off), n)
		return p, n, &Malformed{Problem{Off: off, Len: min(lengthAt(p.Fields, off), n-off), Text: text}}
	}
	return p, n, err
}

func frameDirection(d Direction) frame.Direction {
	switch d {
	case FromClient:
		return frame.Up
	case FromServer:
		return frame.Down
	}
	return frame.Any
}

// values turns a record into fields.
type values struct {
	f        *frame.Frame
	r        *frame.Record
	password string // with its dots
}

func (v *values) fields(prefix string, from, to int) []Field {
	var all []Field
	for i := from; i < to; i = v.r.Values[i].End {
		all = append(all, v.field(prefix, i, len(all)))
	}
	return all
}

func (v *values) field(prefix string, i, place int) Field {
	x := &v.r.Values[i]
	f := Field{Name: named(x.Name), Off: v.f.RawOffset(x.Off), Note: x.Unit()}
	f.Len = max(v.f.RawOffset(x.Off+x.Len)-f.Off, 0)
	path := prefix + x.Name
	switch {
	case x.Name == "":
		f.Name = fmt.Sprintf("[%d]", place)
	case x.Hidden() && x.Name == "_":
		f.Name = "not used"
	}
	v.value(&f, x)
	if len(x.Text) > 0 || f.Value != nil {
		f.settle(v.f.Raw)
	}
	f.Secret = v.password != "" && path == v.password
	if x.End > i+1 {
		f.Kids = v.fields(path+".", i+1, x.End)
		f.embrace()
	}
	return f
}

func (v *values) value(f *Field, x *frame.Value) {
	f.Kind = Number
	switch x.Kind {
	case frame.Bool:
		f.Kind, f.Value = Flags, x.Uint() != 0
	case frame.Int:
		f.Value = x.Int()
	case frame.Uint:
		f.Value = x.Uint()
	case frame.Float:
		f.Value = x.Float()
	case frame.Time:
		f.Value = x.Time()
	case frame.String, frame.JSON:
		f.Kind = Text
		f.hold(x.Text)
	case frame.Hex, frame.Base64:
		f.Kind, f.Value = Bytes, bytes.Clone(x.Text)
	default: // Null, Object, Array
		f.Kind = Structure
	}
}

// settle says how the value becomes its bytes, where it is one of the usual ways.
func (f *Field) settle(packet []byte) {
	if f.Off < 0 || f.End() > len(packet) {
		return
	}
	b, n := packet[f.Off:f.End()], uint64(0)
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	switch v := f.Value.(type) {
	case string:
		if v == string(b) {
			f.Form = Raw
		}
	case []byte:
		if bytes.Equal(v, b) {
			f.Form = Raw
		}
	case uint64:
		if v == n && len(b) <= 8 {
			f.Form = Unsigned
		}
	case int64:
		if len(b) <= 8 && uint64(v)<<(64-8*len(b)) == n<<(64-8*len(b)) {
			f.Form = Unsigned
		}
	}
}

// embrace makes a field as large as its kids: what stands at a place of its own
// may be far from the rest.
func (f *Field) embrace() {
	from, to := f.Off, f.End()
	for i := range f.Kids {
		from, to = min(from, f.Kids[i].Off), max(to, f.Kids[i].End())
	}
	f.Off, f.Len = from, to-from
}

// cover sorts fields and puts what no field describes in between: markers,
// lengths and checksums of the framing, and bytes that a definition leaves out.
func cover(raw []byte, fields []Field) []Field {
	slices.SortStableFunc(fields, func(a, b Field) int { return a.Off - b.Off })
	all, at := make([]Field, 0, len(fields)+2), 0
	gap := func(to int) {
		if to > at {
			all = append(all, Field{Name: "framing", Kind: Structure, Off: at, Len: to - at, Value: bytes.Clone(raw[at:to]), Form: Raw})
			at = to
		}
	}
	for _, f := range fields {
		gap(f.Off)
		at = max(at, f.End())
		all = append(all, f)
	}
	gap(len(raw))
	return all
}
