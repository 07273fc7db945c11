package mqttsn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// inType is the offset of findings about the message type.
const inType = -1

// reader walks over the body of one message. Its first finding stays. After one
// that ends it the reads return zero values, so that messages need one check at
// the end.
type reader struct {
	b     []byte
	off   int
	typ   Type
	o     *Options
	err   *Malformed
	ended bool
}

// newReader checks who sends the type. SN-5.4
func newReader(t Type, body []byte, o *Options) reader {
	r := reader{b: body, typ: t, o: o}
	if o.EitherSide {
		return r
	}
	switch from := t.kind().from; {
	case o.FromServer && from == client:
		r.flag(inType, Violation, Accepted, t.kind().clause, "sent by a gateway")
	case !o.FromServer && from == server:
		r.flag(inType, Violation, Accepted, t.kind().clause, "sent by a client")
	}
	return r
}

// flag records a violation that does not keep the rest from being read.
func (r *reader) flag(off int, class Class, code ReturnCode, clause, reason string) {
	if r.ended {
		return
	}
	m := Malformed{r.typ, class, code, off, clause, reason}
	switch {
	case r.o.Lenient && r.o.Notes != nil:
		*r.o.Notes = append(*r.o.Notes, m)
	case !r.o.Lenient && r.err == nil:
		r.err = &m
	}
}

// note records what only lenient mode mentions.
func (r *reader) note(off int, clause, reason string) {
	if r.o.Lenient {
		r.flag(off, Violation, Accepted, clause, reason)
	}
}

// stop records a violation after which nothing can be read.
func (r *reader) stop(off int, reason string) {
	if !r.ended {
		r.ended = true
		r.err = &Malformed{Message: r.typ, Offset: off, Clause: r.typ.kind().clause, Reason: reason}
	}
}

func (r *reader) result() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// end is the result of a message that must be used up.
func (r *reader) end() error {
	if n := r.left(); n > 0 {
		r.flag(r.off, Garbled, Accepted, r.typ.kind().clause, fmt.Sprintf("%d bytes after the last field", n))
	}
	return r.result()
}

func (r *reader) left() int {
	if r.ended {
		return 0
	}
	return len(r.b) - r.off
}

// take reads n bytes.
func (r *reader) take(n int, what string) []byte {
	if r.ended {
		return nil
	}
	if left := len(r.b) - r.off; left < n {
		r.stop(r.off, fmt.Sprintf("%s: %d of %d bytes", what, left, n))
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

func (r *reader) uint8(what string) uint8 {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// rest reads all that is left; nil after the end.
func (r *reader) rest() []byte { return r.take(r.left(), "") }

// flags reads flags of which only those in meant mean something here.
func (r *reader) flags(meant byte) byte {
	b := r.uint8("flags")
	if extra := b &^ meant; extra != 0 && r.o.Lenient {
		r.note(r.off-1, "SN-5.3.4", fmt.Sprintf("flags 0x%02x mean nothing here", extra))
	}
	return b
}

// msgID reads a message identifier that should not be 0. SN-5.3.7
func (r *reader) msgID() uint16 {
	id := r.uint16("message identifier")
	if id == 0 {
		r.note(r.off-2, "SN-5.3.7", "message identifier is 0")
	}
	return id
}

// code reads a return code. SN-5.3.10
func (r *reader) code() ReturnCode {
	c := ReturnCode(r.uint8("return code"))
	if c > NotSupported {
		r.note(r.off-1, "SN-5.3.10", c.String())
	}
	return c
}

// clientID reads all that is left as a client identifier.
func (r *reader) clientID() string {
	off := r.off
	b := r.rest()
	r.text(off, b, "SN-5.3.1", "client identifier")
	if n := utf8.RuneCount(b); r.o.Lenient && (n == 0 || n > 23) {
		r.note(off, "SN-5.3.1", fmt.Sprintf("client identifier has %d characters, not 1 to 23", n))
	}
	return string(b)
}

// text judges a name: UTF-8 without NUL.
func (r *reader) text(off int, b []byte, clause, what string) {
	if !utf8.Valid(b) {
		r.flag(off, Unsupported, NotSupported, clause, what+" is not UTF-8")
	}
	if bytes.IndexByte(b, 0) >= 0 {
		r.flag(off, Unsupported, NotSupported, clause, what+" contains NUL")
	}
}

// filter judges the name of a topic, which may hold wildcards.
func (r *reader) filter(off int, b []byte, clause, what string) {
	if r.ended {
		return
	}
	if len(b) == 0 {
		r.flag(off, Unsupported, NotSupported, clause, what+" is empty")
	}
	r.text(off, b, clause, what)
}

// name judges the name of a topic to publish to.
func (r *reader) name(off int, b []byte, clause, what string) {
	r.filter(off, b, clause, what)
	if bytes.ContainsAny(b, "#+") {
		r.flag(off, Unsupported, NotSupported, clause, what+" contains a wildcard")
	}
}
