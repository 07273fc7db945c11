package dissect

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// walk takes fields off the front of a packet until its bytes end. After the
// first field that is not all there it takes nothing more.
type walk struct {
	b      []byte
	at     int
	ended  bool
	fields []Field
}

// room reports whether n bytes are left; if not, what is left becomes the field.
func (w *walk) room(name string, n int) bool {
	if w.ended {
		return false
	}
	if left := len(w.b) - w.at; left < n {
		w.ended = true
		if left > 0 {
			w.add(Field{Name: name, Kind: Bytes, Len: left, Value: bytes.Clone(w.b[w.at:]), Note: fmt.Sprintf("%d of %d bytes", left, n), Form: Raw})
		}
		return false
	}
	return true
}

// add appends a field at the present place, which moves behind it, and returns
// it.
func (w *walk) add(f Field) *Field {
	f.Off = w.at
	w.at += f.Len
	w.fields = append(w.fields, f)
	return &w.fields[len(w.fields)-1]
}

// number takes a big-endian number of 1 to 4 bytes.
func (w *walk) number(name string, kind Kind, size int, note string) (n int, ok bool) {
	if !w.room(name, size) {
		return 0, false
	}
	var v uint64
	for _, c := range w.b[w.at : w.at+size] {
		v = v<<8 | uint64(c)
	}
	w.add(Field{Name: name, Kind: kind, Len: size, Value: v, Note: note, Form: Unsigned})
	return int(v), true
}

// prefixed takes a value behind its length of size bytes.
func (w *walk) prefixed(name string, kind Kind, size int) *Field {
	n, ok := w.number(name+" length", Length, size, "bytes")
	if !ok || !w.room(name, n) {
		return nil
	}
	w.last().Of = Span{w.at, n}
	return w.take(name, kind, n)
}

// last is the field that was added last.
func (w *walk) last() *Field { return &w.fields[len(w.fields)-1] }

// take takes n bytes that are there. Text that is none becomes bytes.
func (w *walk) take(name string, kind Kind, n int) *Field {
	f := Field{Name: name, Kind: kind, Len: n, Form: Raw}
	f.hold(w.b[w.at : w.at+n])
	return w.add(f)
}

// hold makes b the value: as a string, unless the field is of bytes or b is no
// text.
func (f *Field) hold(b []byte) {
	if f.Kind != Bytes && utf8.Valid(b) {
		f.Value = string(b)
		return
	}
	if f.Kind == Text {
		f.Kind = Bytes
	}
	f.Value = bytes.Clone(b)
}

// rest takes all that is left; nil if nothing is.
func (w *walk) rest(name, note string) *Field {
	n := len(w.b) - w.at
	if n == 0 {
		return nil
	}
	w.ended = true
	return w.add(Field{Name: name, Kind: Bytes, Len: n, Value: bytes.Clone(w.b[w.at:]), Note: note, Form: Raw})
}

// payload takes all that is left as what it seems to be.
func (w *walk) payload(name string) {
	if n := len(w.b) - w.at; n > 0 {
		kind := Bytes
		if printable(w.b[w.at:]) {
			kind = Text
		}
		w.take(name, kind, n)
	}
}

// named is a name that comes out of the packet, fit to be a field's.
func named(s string) string {
	switch {
	case s == "":
		return "field"
	case printable([]byte(s)):
		return s
	}
	return strconv.Quote(s)
}

// printable reports whether b is text that a terminal shows as it is.
func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return false
		}
	}
	return true
}

// malformed makes the error.
func malformed(off int, format string, args ...any) *Malformed {
	return &Malformed{Problem{Off: off, Text: fmt.Sprintf(format, args...)}}
}
