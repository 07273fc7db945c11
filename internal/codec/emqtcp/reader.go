package emqtcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// inHeader is the offset of findings about the first byte.
const inHeader = 0

// reader walks over one frame behind its header. Its first fatal finding stays:
// the reads after it return zero values, so that frames need one check at the
// end.
type reader struct {
	b   []byte
	off int // in b
	typ Type
	o   *Options
	err *Malformed
}

// newReader checks who sends the type.
func newReader(t Type, body []byte, o *Options) reader {
	r := reader{b: body, typ: t, o: o}
	switch {
	case o.EitherSide:
	case o.FromServer && t.fromClient():
		r.flag(inHeader, "sent by a server")
	case !o.FromServer && t.fromServer():
		r.flag(inHeader, "sent by a client")
	}
	return r
}

// reserved judges flags that mean nothing.
func (r *reader) reserved(flags uint8) {
	if flags != 0 && (r.o.StrictFlags || r.o.Lenient) {
		r.flag(inHeader, fmt.Sprintf("reserved flags %#x are set", flags))
	}
}

// at is where the next field begins in the frame.
func (r *reader) at() int { return headBytes + r.off }

// flag records a violation that does not keep the rest from being read.
func (r *reader) flag(off int, reason string) {
	if r.err != nil {
		return
	}
	m := Malformed{Type: r.typ, Offset: off, Reason: reason}
	switch {
	case !r.o.Lenient:
		r.err = &m
	case r.o.Notes != nil:
		*r.o.Notes = append(*r.o.Notes, m)
	}
}

// stop records a violation after which nothing can be read.
func (r *reader) stop(off int, reason string) {
	if r.err == nil {
		r.err = &Malformed{Type: r.typ, Offset: off, Reason: reason}
	}
}

func (r *reader) result() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

func (r *reader) left() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.off
}

// need reports whether n more bytes are there, and stops if not.
func (r *reader) need(n int, what string) bool {
	if r.err != nil {
		return false
	}
	if len(r.b)-r.off < n {
		r.stop(r.at(), fmt.Sprintf("%s: %d of %d bytes", what, len(r.b)-r.off, n))
		return false
	}
	return true
}

func (r *reader) uint8(what string) uint8 {
	if !r.need(1, what) {
		return 0
	}
	r.off++
	return r.b[r.off-1]
}

// bytes reads binary data behind its two-byte length.
func (r *reader) bytes(what string) []byte {
	if !r.need(2, what+" length") {
		return nil
	}
	n, start := int(binary.BigEndian.Uint16(r.b[r.off:])), r.off+2
	if len(r.b)-start < n {
		r.stop(r.at(), fmt.Sprintf("%s: %d of %d bytes", what, len(r.b)-start, n))
		return nil
	}
	r.off = start + n
	return r.b[start:r.off:r.off]
}

// text reads a string, which is UTF-8 without NUL.
func (r *reader) text(what string) string {
	off := r.at()
	b := r.bytes(what)
	if !utf8.Valid(b) {
		r.flag(off, what+" is not UTF-8")
	}
	if bytes.IndexByte(b, 0) >= 0 {
		r.flag(off, what+" contains NUL")
	}
	return string(b)
}

func appendField[B ~string | ~[]byte](dst []byte, b B) []byte {
	return append(append(dst, byte(len(b)>>8), byte(len(b))), b...)
}
