package display

import (
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// JSON appends p as an object on one line. What does not apply is left out:
//
//	number, stream, from ("client", "server"), time (RFC 3339), offset, frames
//	transport, client, server, layers, why
//	protocol, version, type, summary, size
//	state       "ok", "malformed" or "incomplete", with missing
//	answers, after (in seconds)
//	fields      name, offset, size, kind, value, text, note, raw, and of those that
//	            need it mask, form, of, encoding, hidden, kids
//	problems    severity ("error", "warning"), offset, size, text, rule, advice
//
// Bytes are in hex. [Encode] takes it back.
func JSON(dst []byte, p *decode.Packet, s Style) []byte {
	o := object(append(dst, '{'))
	if p.Number > 0 {
		o = o.int("number", int64(p.Number))
	}
	o = o.origin(p)
	o = o.text("protocol", p.Protocol)
	if p.Version != "" {
		o = o.text("version", p.Version)
	}
	o = o.text("type", p.Type)
	if p.Summary != "" {
		o = o.text("summary", p.Summary)
	}
	o = o.int("size", int64(len(p.Bytes)))
	switch {
	case p.Err == nil:
		o = o.text("state", "ok")
	case errors.Is(p.Err, dissect.ErrShort):
		o = o.text("state", "incomplete")
		if p.Missing > 0 {
			o = o.int("missing", int64(p.Missing))
		}
	default:
		o = o.text("state", "malformed")
	}
	if p.Answers > 0 {
		o = o.int("answers", int64(p.Answers))
		if !p.Time.IsZero() {
			o = strconv.AppendFloat(o.key("after"), p.After.Seconds(), 'f', -1, 64)
		}
	}
	o = o.key("fields")
	o = o.fields(p.Fields, p.Bytes, s, true)
	if all := problems(p); len(all) > 0 {
		o = o.key("problems")
		o = o.problems(all)
	}
	return append(o, '}', '\n')
}

// object is JSON that is being written. Its methods append members.
type object []byte

// key appends a comma, unless the object begins here, and the name of a member.
func (o object) key(name string) object {
	if o[len(o)-1] != '{' {
		o = append(o, ',')
	}
	return append(append(append(o, '"'), name...), '"', ':')
}

func (o object) text(name, s string) object      { return appendJSON(o.key(name), s) }
func (o object) int(name string, n int64) object { return strconv.AppendInt(o.key(name), n, 10) }

// when is what packets and notes have in common: their stream, who has sent, and when.
func (o object) when(s *decode.Stream, from dissect.Direction, at time.Time) object {
	if s != nil && s.Number > 0 {
		o = o.int("stream", int64(s.Number))
	}
	switch from {
	case dissect.FromClient:
		o = o.text("from", "client")
	case dissect.FromServer:
		o = o.text("from", "server")
	}
	if !at.IsZero() {
		o = append(at.UTC().AppendFormat(append(o.key("time"), '"'), time.RFC3339Nano), '"')
	}
	return o
}

// origin is where p was found.
func (o object) origin(p *decode.Packet) object {
	s := p.Stream
	o = o.when(s, p.Direction, p.Time)
	o = o.int("offset", p.Offset)
	if len(p.Frames) > 0 {
		o = append(o.key("frames"), '[')
		for i, f := range p.Frames {
			if i > 0 {
				o = append(o, ',')
			}
			o = strconv.AppendInt(o, int64(f), 10)
		}
		o = append(o, ']')
	}
	if s == nil {
		return o
	}
	if s.Transport != "" {
		o = o.text("transport", s.Transport)
	}
	o = o.address("client", s.Client).address("server", s.Server)
	if len(s.Layers) > 0 {
		o = append(o.key("layers"), '[')
		for i, l := range s.Layers {
			if i > 0 {
				o = append(o, ',')
			}
			o = appendJSON(o, l)
		}
		o = append(o, ']')
	}
	if s.Why != "" {
		o = o.text("why", s.Why)
	}
	return o
}

func (o object) address(name string, a netip.AddrPort) object {
	if !a.IsValid() {
		return o
	}
	return append(a.AppendTo(append(o.key(name), '"')), '"')
}

// fields appends an array. Of the packet itself, what has no field is the last.
func (o object) fields(fields []dissect.Field, b []byte, s Style, whole bool) object {
	o = append(o, '[')
	end := 0
	for i := range fields {
		if i > 0 {
			o = append(o, ',')
		}
		o = o.field(&fields[i], b, s)
		end = max(end, fields[i].End())
	}
	if whole && end < len(b) {
		if len(fields) > 0 {
			o = append(o, ',')
		}
		o = o.field(&dissect.Field{Name: "unread", Kind: dissect.Bytes, Off: end, Len: len(b) - end, Value: b[end:], Form: dissect.Raw}, b, s)
	}
	return append(o, ']')
}

func (o object) field(f *dissect.Field, b []byte, s Style) object {
	o = append(o, '{').text("name", f.Name).int("offset", int64(f.Off)).int("size", int64(f.Len)).text("kind", f.Kind.String())
	hidden := f.Secret && !s.Secrets
	switch {
	case hidden:
		o = append(o.key("hidden"), "true"...)
	case f.Value != nil:
		o = o.value(f)
		if text := appendValue(nil, f); len(text) > 0 && tells(f, b) {
			o = o.text("text", string(text))
		}
	}
	if f.Note != "" && !hidden {
		o = o.text("note", f.Note)
	}
	if f.Len > 0 && f.End() <= len(b) && !hidden && !(hides(f.Kids) && !s.Secrets) {
		o = append(hex.AppendEncode(append(o.key("raw"), '"'), b[f.Off:f.End()]), '"')
	}
	if f.Mask != 0 {
		o = strconv.AppendUint(o.key("mask"), f.Mask, 10)
	}
	if f.Form != dissect.Opaque {
		o = o.text("form", f.Form.String())
	}
	if f.Of.Len > 0 || f.Of.Off > 0 {
		o = append(append(o.key("of"), '{').int("offset", int64(f.Of.Off)).int("size", int64(f.Of.Len)), '}')
	}
	if len(f.Kids) > 0 {
		o = o.key("kids").fields(f.Kids, b, s, false)
	}
	return append(o, '}')
}

// tells reports whether the value of f as text is more than its value, or than its
// bytes: then Encode sees by it that the value was changed.
func tells(f *dissect.Field, b []byte) bool {
	v, ok := f.Value.(string)
	return !ok || f.Form == dissect.Opaque && (f.End() > len(b) || v != string(b[f.Off:f.End()]))
}

// hides reports whether something in fields is secret.
func hides(fields []dissect.Field) bool {
	for i := range fields {
		if fields[i].Secret || hides(fields[i].Kids) {
			return true
		}
	}
	return false
}

// value appends the value, and how it is written where that is not what the kind
// says: bytes as hex, everything else as JSON has it.
func (o object) value(f *dissect.Field) object {
	switch v := f.Value.(type) {
	case []byte:
		o = append(hex.AppendEncode(append(o.key("value"), '"'), v), '"')
		if f.Kind != dissect.Bytes {
			o = o.text("encoding", "hex")
		}
		return o
	case string:
		o = o.text("value", v)
		if f.Kind == dissect.Bytes {
			o = o.text("encoding", "text")
		}
		return o
	case bool:
		return strconv.AppendBool(o.key("value"), v)
	case int64:
		return strconv.AppendInt(o.key("value"), v, 10)
	case uint64:
		return strconv.AppendUint(o.key("value"), v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(o.key("value"), "null"...)
		}
		return strconv.AppendFloat(o.key("value"), v, 'g', -1, 64)
	case time.Time:
		return o.text("value", v.UTC().Format(time.RFC3339Nano))
	}
	return append(o.key("value"), "null"...)
}

func (o object) problems(all []dissect.Problem) object {
	o = append(o, '[')
	for i := range all {
		q := &all[i]
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, '{')
		if q.Warning {
			o = o.text("severity", "warning")
		} else {
			o = o.text("severity", "error")
		}
		o = o.int("offset", int64(q.Off)).int("size", int64(q.Len)).text("text", q.Text)
		if q.Rule != "" {
			o = o.text("rule", q.Rule)
		}
		if q.Advice != "" {
			o = o.text("advice", q.Advice)
		}
		o = append(o, '}')
	}
	return append(o, ']')
}

// appendJSON appends s as a string. What a terminal would obey, or not show, is
// escaped; bytes that are not UTF-8 become U+FFFD.
func appendJSON(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
			if strconv.IsPrint(r) && n > 1 {
				i += n
				continue
			}
		}
		dst = appendJSONEscape(append(dst, s[from:i]...), r)
		i += n
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendJSONEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if r > 0xffff { // a pair of surrogates
		r -= 0x10000
		return appendUnit(appendUnit(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// NoteJSON appends n as an object on one line: note is its kind.
func NoteJSON(dst []byte, n *decode.Note) []byte {
	o := object(append(dst, '{')).text("note", n.Kind.String())
	o = o.when(n.Stream, n.Direction, n.Time)
	o = o.text("text", n.Text)
	if n.Hint != "" {
		o = o.text("hint", n.Hint)
	}
	return append(o, '}', '\n')
}
