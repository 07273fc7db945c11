package dissect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/coap"
)

// mostParts is how many options, elements or records are fields of their own.
const mostParts = 2048

// options takes the options up to the marker or the end.
func (w *coapWalk) options() {
	prev := coap.Number(0)
	for i := 0; w.at < len(w.b) && w.b[w.at] != 0xff; i++ {
		if i == mostParts {
			w.moreOptions(prev)
			return
		}
		o, n, err := coap.ParseOption(w.b[w.at:], prev)
		if err != nil {
			w.ended = true
			if errors.Is(err, coap.ErrShort) {
				w.rest("option", fmt.Sprintf("%d of %d bytes", len(w.b)-w.at, n))
			}
			return
		}
		w.optionHeader(o, prev)
		w.optionValue(o)
		prev = o.Number
	}
}

// moreOptions takes all options behind one of number prev as one field.
func (w *coapWalk) moreOptions(prev coap.Number) {
	end := w.at
	for end < len(w.b) && w.b[end] != 0xff {
		o, n, err := coap.ParseOption(w.b[end:], prev)
		if err != nil {
			w.ended, end = true, len(w.b)
			break
		}
		end, prev = end+n, o.Number
	}
	w.take("more options", Bytes, end-w.at)
}

// optionName is "Uri-Path", or "option 65000".
func (w *coapWalk) optionName(n coap.Number) string {
	if d, ok := coap.Define(w.code, n); ok {
		return d.Name
	}
	return "option " + strconv.Itoa(int(n))
}

// optionHeader takes what stands before the value of o: in a byte, delta and
// length, and then what extends them. RFC 7252 §3.1
func (w *coapWalk) optionHeader(o coap.Option, prev coap.Number) {
	first := w.b[w.at]
	value := Span{w.at + o.HeaderBytes, len(o.Value)}
	delta := Field{Name: "delta", Kind: Number, Len: 1, Mask: 0xf0, Form: Unsigned, Value: uint64(first >> 4)}
	size := Field{Name: "length", Kind: Length, Len: 1, Mask: 0x0f, Form: Unsigned, Value: uint64(first & 15)}
	f := Field{
		Name: w.optionName(o.Number) + " length", Kind: Length, Len: o.HeaderBytes, Value: uint64(len(o.Value)),
		Note: fmt.Sprintf("option %d (+%d)", o.Number, o.Number-prev),
	}
	if o.HeaderBytes == 1 {
		f.Mask, f.Form, f.Of = 0x0f, Unsigned, value
		w.add(f)
		return
	}
	at := w.at + 1
	delta.Off, size.Off = w.at, w.at
	f.Kids = []Field{delta}
	extend := func(name string, kind Kind, nibble byte) {
		if nibble < 13 {
			return
		}
		n := int(nibble - 12)
		v, _ := coap.Uint(w.b[at : at+n])
		f.Kids = append(f.Kids, Field{Name: name, Kind: kind, Off: at, Len: n, Value: v, Form: Unsigned, Note: "and " + [...]string{"13", "269"}[n-1]})
		at += n
	}
	if first&15 < 13 {
		size.Of = value
	} else {
		f.Of = value
	}
	f.Kids = append(f.Kids, size)
	extend("extended delta", Number, first>>4)
	extend("extended length", Length, first&15)
	w.add(f)
}

// optionValue takes the value of o.
func (w *coapWalk) optionValue(o coap.Option) {
	d, ok := coap.Define(w.code, o.Number)
	f := Field{Name: w.optionName(o.Number), Kind: Bytes, Len: len(o.Value), Form: Raw}
	n, isUint := coap.Uint(o.Value)
	switch {
	case !ok || d.Format == coap.FormatOpaque:
		f.hold(o.Value)
		f.Note = w.opaqueNote(o, ok)
	case d.Format == coap.FormatString:
		f.Kind = Text
		f.hold(o.Value)
	case d.Format == coap.FormatEmpty:
		f.Kind = Structure
		f.hold(o.Value)
	case !isUint || len(o.Value) > d.Max:
		f.hold(o.Value)
	default:
		f.Kind, f.Form, f.Value = Number, Unsigned, n
		f.Note = w.uintNote(o, n)
		if d.Format == coap.FormatBlock && len(o.Value) > 0 {
			f.Kids = blockBits(w.at, len(o.Value), n)
		}
	}
	w.add(f)
}

// blockBits are the parts of a block option. RFC 7959 §2.2
func blockBits(off, size int, v uint64) []Field {
	all := uint64(1)<<(8*size) - 1
	return []Field{
		{Name: "number", Kind: Number, Off: off, Len: size, Mask: all &^ 15, Value: v >> 4, Form: Unsigned},
		{Name: "more", Kind: Flags, Off: off, Len: size, Mask: 8, Value: v&8 != 0, Form: Unsigned},
		{Name: "size exponent", Kind: Number, Off: off, Len: size, Mask: 7, Value: v & 7, Form: Unsigned},
	}
}

// uintNote is what a number means, for people.
func (w *coapWalk) uintNote(o coap.Option, n uint64) string {
	if w.code.Signal() {
		return ""
	}
	switch o.Number {
	case coap.ContentFormat, coap.Accept:
		if m := coap.MediaType(n); m.Known() {
			return m.String()
		}
	case coap.MaxAge:
		return "s"
	case coap.Size1, coap.Size2:
		return "bytes"
	case coap.Block1, coap.Block2, coap.QBlock1, coap.QBlock2:
		b, _ := coap.ParseBlock(o.Value)
		return blockText(b)
	case coap.Observe:
		if w.code.Request() && n < 2 {
			return [...]string{"register", "deregister"}[n]
		}
	}
	return ""
}

// blockText is "block 3 of 64 bytes, more follow".
func blockText(b coap.Block) string {
	s := fmt.Sprintf("block %d of %d bytes", b.Number, b.Size())
	if b.Exponent == coap.BERT {
		s = fmt.Sprintf("from block %d of 1024 bytes (BERT)", b.Number)
	}
	if b.More {
		s += ", more follow"
	}
	return s
}

// opaqueNote is what an opaque value says, for people.
func (w *coapWalk) opaqueNote(o coap.Option, known bool) string {
	switch {
	case o.Number == coap.OSCORE && known:
		return oscoreText(o.Value)
	case !known && o.Number.Critical():
		return "critical, not known"
	case !known:
		return "elective, not known"
	case len(o.Value) > 0 && len(o.Value) <= 8:
		return hex.EncodeToString(o.Value)
	}
	return ""
}

// oscoreText is what an OSCORE option says. RFC 8613 §6.1
func oscoreText(v []byte) string {
	if len(v) == 0 {
		return "a response without partial IV"
	}
	flags, rest := v[0], v[1:]
	n := int(flags & 7)
	if n > 5 || len(rest) < n {
		return ""
	}
	var said []string
	if n > 0 {
		said = append(said, "partial IV "+hex.EncodeToString(rest[:n]))
	}
	rest = rest[n:]
	if flags&0x10 != 0 {
		if len(rest) == 0 || len(rest) <= int(rest[0]) {
			return ""
		}
		said = append(said, "context "+hex.EncodeToString(rest[1:1+int(rest[0])]))
		rest = rest[1+int(rest[0]):]
	}
	if flags&0x08 != 0 {
		said = append(said, "key '"+hex.EncodeToString(rest[:min(len(rest), 16)])+"'")
	}
	return strings.Join(said, ", ")
}
