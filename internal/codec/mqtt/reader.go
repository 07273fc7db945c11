package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// reader walks over the body of one packet. Its first fatal finding stays: the
// reads after it return zero values, so that packets need one check at the end.
type reader struct {
	b   []byte
	off int
	typ Type
	v   Version
	o   *Options
	err *Malformed
}

// newReader checks what the fixed header of a packet says: flags, direction
// and existence in this version.
func newReader(t Type, body []byte, flags uint8, o *Options) reader {
	r := reader{b: body, typ: t, v: o.version(), o: o}
	if t != TypePublish && flags != t.Flags() {
		r.flags(flags)
	}
	if !o.EitherSide {
		r.direction()
	}
	return r
}

func (r *reader) flags(flags uint8) {
	want := r.typ.Flags()
	if r.v == V31 && want != 0 && flags&^8 == want {
		return // 3.1 repeats these with DUP
	}
	v3, v5 := "MQTT3-2.2.2-2", "MQTT-2.1.3-1"
	switch r.typ {
	case TypePubrel:
		v3, v5 = "MQTT3-3.6.1-1", "MQTT-3.6.1-1"
	case TypeSubscribe:
		v3, v5 = "MQTT3-3.8.1-1", "MQTT-3.8.1-1"
	case TypeUnsubscribe:
		v3, v5 = "MQTT3-3.10.1-1", "MQTT-3.10.1-1"
	case TypeDisconnect:
		v3, v5 = "MQTT3-3.14.1-1", "MQTT-3.14.1-1"
	case TypeAuth:
		v5 = "MQTT-3.15.1-1"
	}
	r.flag(InHeader, MalformedPacket, v3, v5, fmt.Sprintf("fixed header flags %#x instead of %#x", flags, want))
}

func (r *reader) direction() {
	switch {
	case r.o.FromServer && r.typ.clientOnly(r.v):
		r.flag(InHeader, ProtocolError, "MQTT3-2.2.1", "MQTT-2.1.2", "sent by a server")
	case !r.o.FromServer && r.typ.serverOnly():
		r.flag(InHeader, ProtocolError, "MQTT3-2.2.1", "MQTT-2.1.2", "sent by a client")
	}
}

// flag records a violation that does not keep the rest from being read.
func (r *reader) flag(off int, code ReasonCode, v3, v5, reason string) {
	if r.err != nil {
		return
	}
	m := Malformed{Packet: r.typ, Offset: off, Code: code, Clause: v5, Reason: reason}
	if r.v < V5 {
		m.Clause = v3
	}
	switch {
	case !r.o.Lenient:
		r.err = &m
	case r.o.Notes != nil && len(*r.o.Notes) < MaxNotes:
		*r.o.Notes = append(*r.o.Notes, m)
	}
}

// listens reports whether anybody hears of another violation. It saves the words
// where there may be one in each byte.
func (r *reader) listens() bool {
	return r.err == nil && (!r.o.Lenient || r.o.Notes != nil && len(*r.o.Notes) < MaxNotes)
}

// note records what only lenient mode mentions.
func (r *reader) note(off int, v3, v5, reason string) {
	if r.o.Lenient {
		r.flag(off, Success, v3, v5, reason)
	}
}

// stop records a violation after which nothing can be read.
func (r *reader) stop(off int, v3, v5, reason string) {
	if r.err != nil {
		return
	}
	r.err = &Malformed{Packet: r.typ, Offset: off, Code: MalformedPacket, Clause: v5, Reason: reason}
	if r.v < V5 {
		r.err.Clause = v3
	}
}

func (r *reader) result() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// end is the result of a packet that must be used up.
func (r *reader) end() error {
	if r.err == nil && r.off < len(r.b) {
		r.flag(r.off, MalformedPacket, "MQTT3-4.8.0-1", "MQTT-4.13.1-1", byteCount(len(r.b)-r.off)+" after the end")
	}
	return r.result()
}

// byteCount is n bytes in words.
func byteCount(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
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
		r.stop(r.off, "MQTT3-4.8.0-1", "MQTT-4.13.1-1", fmt.Sprintf("%s: %d of %d bytes", what, len(r.b)-r.off, n))
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

func (r *reader) uint16(what string) uint16 {
	if !r.need(2, what) {
		return 0
	}
	r.off += 2
	return binary.BigEndian.Uint16(r.b[r.off-2:])
}

// packetID reads a packet identifier, which is never 0.
func (r *reader) packetID() uint16 {
	id := r.uint16("packet identifier")
	if id == 0 && r.err == nil {
		r.flag(r.off-2, MalformedPacket, "MQTT3-2.3.1-1", "MQTT-2.2.1-3", "packet identifier 0")
	}
	return id
}

// bytes reads binary data behind its two-byte length.
func (r *reader) bytes(what string) []byte {
	if !r.need(2, what) {
		return nil
	}
	n := int(binary.BigEndian.Uint16(r.b[r.off:]))
	if len(r.b)-r.off-2 < n {
		r.stop(r.off, "MQTT3-4.8.0-1", "MQTT-4.13.1-1", fmt.Sprintf("%s: %d of %d bytes", what, len(r.b)-r.off-2, n))
		return nil
	}
	start := r.off + 2
	r.off = start + n
	return r.b[start:r.off:r.off]
}

// text reads a UTF-8 encoded string.
func (r *reader) text(what string) []byte {
	off := r.off
	b := r.bytes(what)
	r.utf8(off, b, what)
	return b
}

func (r *reader) utf8(off int, b []byte, what string) {
	if r.err != nil {
		return
	}
	if !utf8.Valid(b) {
		r.flag(off, MalformedPacket, "MQTT3-1.5.3-1", "MQTT-1.5.4-1", what+" is not UTF-8")
	}
	if bytes.IndexByte(b, 0) >= 0 {
		r.flag(off, MalformedPacket, "MQTT3-1.5.3-2", "MQTT-1.5.4-2", what+" contains U+0000") // [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
	}
}

// name judges a topic name that is to be published to.
func (r *reader) name(off int, b []byte, v3, v5, what string) {
	r.utf8(off, b, what)
	if bytes.IndexByte(b, '+') >= 0 || bytes.IndexByte(b, '#') >= 0 {
		r.flag(off, TopicNameInvalid, v3, v5, what+" contains a wildcard")
	}
	if !r.o.FromServer && !r.o.EitherSide && nonCharacter(b) { // may be refused, says §1.5.4 (§1.5.3 of 3.1.1)
		r.flag(off, TopicNameInvalid, "", "", what+" contains a noncharacter")
	}
}

// nonCharacter finds code points that Unicode reserves for internal use: U+FDD0
// to U+FDEF and the last two of each plane.
func nonCharacter(b []byte) bool {
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case c < 0x90 || c > 0xBF: // the last byte of none of them
		case b[i-1] == 0xB7 && b[i-2] == 0xEF && c <= 0xAF:
			return true
		case c >= 0xBE && b[i-1] == 0xBF && (b[i-2] == 0xEF || i > 2 && b[i-3] >= 0xF0 && b[i-2]&0x0F == 0x0F):
			return true
		}
	}
	return false
}

// properties reads the property length and that many bytes. Before 5.0 there
// are none.
func (r *reader) properties(where Where) Properties {
	if r.v < V5 || r.err != nil {
		return nil
	}
	v, n := parseVarint(r.b[r.off:])
	if n <= 0 {
		r.stop(r.off, "", "MQTT-2.2.2-1", "property length is missing or cut short")
		return nil
	}
	if n != sizeVarint(int(v)) {
		r.flag(r.off, MalformedPacket, "", "MQTT-1.5.5-1", "property length is not in its shortest form")
	}
	r.off += n
	if r.left() < int(v) {
		r.stop(r.off, "", "MQTT-2.2.2.1", fmt.Sprintf("properties: %d of %d bytes", r.left(), v))
		return nil
	}
	if v == 0 {
		return nil
	}
	start := r.off
	r.off += int(v)
	p := Properties(r.b[start:r.off:r.off])
	good := r.checkProperties(p, start, where)
	return p[:good:good]
}

// declaredText judges a payload whose properties declare it to be text.
func (r *reader) declaredText(off int, p Properties, payload []byte, what string) {
	if !r.o.CheckPayload && !r.o.Lenient {
		return
	}
	if f, _ := p.Byte(PropPayloadFormat); f == 1 && !utf8.Valid(payload) {
		r.flag(off, PayloadFormatInvalid, "", "MQTT-3.3.2.3.2", what+" is declared as text and is not UTF-8")
	}
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b)))
	return append(dst, b...)
}

// appendString writes s without touching it, a leading U+FEFF included.
func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// fits returns ErrTooLong for t if one of the field sizes has no two-byte
// form. [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
func fits(t Type, sizes ...int) error {
	for _, n := range sizes {
		if n > MaxFieldBytes {
			return fmt.Errorf("append %v: %w", t, ErrTooLong)
		}
	}
	return nil
}
