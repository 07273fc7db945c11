package coap

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// reader walks over one message. Its first finding stays; after one that ends it
// nothing more is read.
type reader struct {
	b     []byte
	off   int
	mode  *Mode
	err   *Malformed
	ended bool
}

// maxNotes is how many findings are collected.
const maxNotes = 1024

// flag records a violation that does not keep the rest from being read.
func (r *reader) flag(class Class, off, size int, clause, reason string) {
	m := Malformed{Class: class, Offset: off, Len: size, Clause: clause, Reason: reason}
	switch {
	case r.mode.Lenient && r.mode.Notes != nil && len(*r.mode.Notes) < maxNotes:
		*r.mode.Notes = append(*r.mode.Notes, m)
	case !r.mode.Lenient && r.err == nil && class > Advice:
		r.err = &m
	}
}

// stop records a violation after which nothing can be read.
func (r *reader) stop(class Class, off, size int, clause, reason string) {
	r.halt(&Malformed{Class: class, Offset: off, Len: size, Clause: clause, Reason: reason})
}

func (r *reader) halt(m *Malformed) {
	r.ended = true
	if r.err == nil {
		r.err = m
	}
}

// short records that of need bytes from off on some are missing.
func (r *reader) short(off, need int, clause, what string) {
	left := len(r.b) - off
	r.halt(&Malformed{
		Class: FormatError, Offset: off, Len: left, Missing: need - left, Clause: clause,
		Reason: fmt.Sprintf("%s: %d of %d bytes", what, left, need),
	})
}

func (r *reader) result() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// code judges a code at off. RFC 7252 §4.2, §5.2, §5.8
func (r *reader) code(off int, c Code, datagram bool) {
	switch {
	case c.Class() == 1 || c.Class() == 6:
		r.flag(FormatError, off, 1, "RFC 7252 §4.2", fmt.Sprintf("code %v is of a reserved class", c))
	case c.Signal() && datagram:
		r.flag(FormatError, off, 1, "RFC 7252 §4.2", fmt.Sprintf("code %v is of a class that is reserved over UDP", c))
	case c.Known() || !r.mode.Lenient:
	case c.Class() == 3:
		r.flag(Advice, off, 1, "RFC 7252 §12.1", fmt.Sprintf("code %v is of a class that is not assigned", c))
	case c.Request():
		r.flag(Advice, off, 1, "RFC 7252 §5.8", fmt.Sprintf("method %v is not known here", c))
	case c.Response():
		r.flag(Advice, off, 1, "RFC 7252 §5.2", fmt.Sprintf("response code %v is not known here, and means %d.00", c, c.Class()))
	}
}

// delivery judges type and code together. RFC 7252 §4.2, §4.3
func (r *reader) delivery(t Type, c Code) {
	switch {
	case t == NonConfirmable && c == Empty:
		r.flag(FormatError, 0, 2, "RFC 7252 §4.3", "an empty message must not be non-confirmable")
	case t == Acknowledgement && c.Request():
		r.flag(FormatError, 0, 2, "RFC 7252 §4.2", "an acknowledgement carries a request")
	case t == Reset && c != Empty:
		r.flag(FormatError, 0, 2, "RFC 7252 §4.2", fmt.Sprintf("a reset must be empty, and has code %v", c))
	}
}

// body reads what follows the header, in which the nibble of the token's length
// was tkl.
func (r *reader) body(m *Message, tkl int, stream bool) {
	size := tkl
	switch {
	case tkl <= MaxToken:
	case tkl < 13 || tkl == 15 || !r.mode.ExtendedTokens:
		r.stop(FormatError, 0, 1, "RFC 7252 §3", fmt.Sprintf("token length %d: 9 to 15 are reserved", tkl))
		return
	default:
		at := r.off
		n, err := extended(r.b, tkl, &at, "token length")
		if err != nil {
			r.short(r.off, at-r.off, "RFC 8974 §2.1", "extended token length")
			return
		}
		size, r.off = n, at
	}
	if len(r.b)-r.off < size {
		r.short(r.off, size, "RFC 7252 §3", "token")
		return
	}
	m.Token = r.b[r.off : r.off+size : r.off+size]
	r.off += size
	from := r.off
	r.options(m.Code, stream)
	m.Options = Options(r.b[from:r.off:r.off])
	if r.ended || r.off == len(r.b) {
		return
	}
	r.off++
	if r.off == len(r.b) {
		r.flag(FormatError, r.off-1, 1, "RFC 7252 §3", "a payload marker with no payload")
		return
	}
	m.Payload = r.b[r.off:]
}

// options reads up to the marker or the end.
func (r *reader) options(c Code, stream bool) {
	prev, first := Number(0), true
	for r.off < len(r.b) && r.b[r.off] != marker {
		opt, n, err := ParseOption(r.b[r.off:], prev)
		if err != nil {
			r.broken(err, n)
			return
		}
		r.option(c, opt, n, !first && opt.Number == prev, stream)
		r.off += n
		prev, first = opt.Number, false
	}
}

// broken ends the reading at an option that would need n bytes.
func (r *reader) broken(err error, n int) {
	if bad := (*Malformed)(nil); errors.As(err, &bad) {
		bad.Offset = r.off
		r.halt(bad)
		return
	}
	r.short(r.off, n, "RFC 7252 §3.1", "option")
}

// option judges one of n bytes. RFC 7252 §5.4
func (r *reader) option(c Code, o Option, n int, again, stream bool) {
	class := Ignored
	if o.Number.Critical() {
		class = BadOptions
	}
	d, ok := Define(c, o.Number)
	if !ok {
		if class == BadOptions && r.mode.Lenient {
			r.flag(Advice, r.off, n, "RFC 7252 §5.4.1", fmt.Sprintf("critical option %d is not known here", uint16(o.Number)))
		}
		return
	}
	at := r.off + o.HeaderBytes
	if again && !d.Repeatable {
		r.flag(class, r.off, n, "RFC 7252 §5.4.5", d.Name+" is repeated")
	}
	if len(o.Value) < d.Min || len(o.Value) > d.Max {
		r.flag(class, r.off, n, "RFC 7252 §5.4.3", fmt.Sprintf("%s has %d bytes, not %s", d.Name, len(o.Value), d.sizes()))
		return
	}
	switch d.Format {
	case FormatUint, FormatBlock:
		if len(o.Value) > 0 && o.Value[0] == 0 && d.Min == 0 && r.mode.Lenient {
			r.flag(Advice, at, len(o.Value), "RFC 7252 §3.2", d.Name+" has leading zeros")
		}
	case FormatString:
		if !utf8.Valid(o.Value) {
			r.flag(class, at, len(o.Value), "RFC 7252 §3.2", d.Name+" is not UTF-8")
		}
	}
	if !c.Signal() {
		r.meaning(c, o, at, stream)
	}
}

// meaning judges a value of the right size at off.
func (r *reader) meaning(c Code, o Option, off int, stream bool) {
	v := o.Value
	switch o.Number {
	case URIPath, LocationPath:
		if string(v) == "." || string(v) == ".." {
			clause := "RFC 7252 §5.10.1"
			if o.Number == LocationPath {
				clause = "RFC 7252 §5.10.7"
			}
			r.flag(BadContent, off, len(v), clause, fmt.Sprintf("%v must not be %q", o.Number, v))
		}
	case Block1, Block2, QBlock1, QBlock2:
		b, _ := ParseBlock(v)
		if b.Exponent == BERT && (!stream || o.Number == QBlock1 || o.Number == QBlock2) {
			r.flag(BadContent, off, len(v), "RFC 7959 §2.2", fmt.Sprintf("%v: block size exponent 7 is reserved", o.Number))
		}
	case Observe:
		if n, _ := Uint(v); c.Request() && n > 1 {
			r.flag(Ignored, off, len(v), "RFC 7641 §2", fmt.Sprintf("Observe %d in a request is neither 0 nor 1", n))
		}
	case HopLimit:
		if v[0] == 0 {
			r.flag(BadContent, off, 1, "RFC 8768 §3", "Hop-Limit is 0")
		}
	}
}

// sizes says how many bytes a value has.
func (d Definition) sizes() string {
	if d.Min == d.Max {
		return fmt.Sprint(d.Min)
	}
	return fmt.Sprintf("%d to %d", d.Min, d.Max)
}
