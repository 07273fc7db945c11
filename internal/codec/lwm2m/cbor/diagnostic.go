package cbor

import (
	"encoding/hex"
	"math"
	"strconv"
)

// Diagnostic returns the item at the start of b in diagnostic notation (RFC 8949
// §8), and its size. With an error the text has what could be read. What is longer
// than limit bytes ends in "…"; 0: no limit.
func Diagnostic(b []byte, limit int) (text string, n int, err error) {
	p := printer{b: b, limit: limit}
	n, skipErr := Skip(b, 0)
	p.item(0, 0)
	if p.full() {
		p.out = append(p.out[:runeStart(p.out, limit)], "…"...)
	}
	if skipErr != nil {
		return string(p.out), 0, skipErr
	}
	return string(p.out), n, nil
}

// runeStart is the last beginning of a rune at or before at.
func runeStart(b []byte, at int) int {
	for at > 0 && b[at]&0xc0 == 0x80 {
		at--
	}
	return at
}

type printer struct {
	b     []byte
	out   []byte
	limit int
}

func (p *printer) full() bool { return p.limit > 0 && len(p.out) > p.limit }

// item writes the item at off and returns where it ends; not ok if it cannot be
// read, or there is enough.
func (p *printer) item(off, depth int) (end int, ok bool) {
	h, err := ParseHead(p.b, off)
	if err != nil || h.Break() || depth >= MaxDepth || p.full() {
		return off, false
	}
	at := off + h.Bytes
	switch h.Major {
	case Unsigned:
		p.out = strconv.AppendUint(p.out, h.Arg, 10)
	case Negative:
		if h.Arg == math.MaxUint64 {
			p.out = append(p.out, "-18446744073709551616"...)
			break
		}
		p.out = strconv.AppendUint(append(p.out, '-'), h.Arg+1, 10)
	case Bytes, Text:
		return p.string(off, h)
	case Array:
		return p.list(at, h, '[', ']', depth)
	case Map:
		return p.list(at, h, '{', '}', depth)
	case Tag:
		p.out = append(strconv.AppendUint(p.out, h.Arg, 10), '(')
		end, ok = p.item(at, depth+1)
		if ok {
			p.out = append(p.out, ')')
		}
		return end, ok
	default:
		p.simple(h)
	}
	return at, true
}

func (p *printer) simple(h Head) {
	if v, ok := h.Float(); ok {
		p.out = appendFloat(p.out, v)
		return
	}
	switch h.Arg {
	case False:
		p.out = append(p.out, "false"...)
	case True:
		p.out = append(p.out, "true"...)
	case Null:
		p.out = append(p.out, "null"...)
	case Undefined:
		p.out = append(p.out, "undefined"...)
	default:
		p.out = append(strconv.AppendUint(append(p.out, "simple("...), h.Arg, 10), ')')
	}
}

// appendFloat writes v so that it is not taken for an integer.
func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.AppendFloat(dst, v, 'f', 1, 64)
	case math.Abs(v) >= 1e-4 && math.Abs(v) < 1e15:
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

func (p *printer) list(at int, h Head, open, shut byte, depth int) (int, bool) {
	p.out = append(p.out, open)
	if h.Indefinite {
		p.out = append(p.out, "_ "...)
	}
	n := h.Arg
	if h.Major == Map && !h.Indefinite {
		n = min(n, math.MaxInt64) * 2
	}
	for i := uint64(0); h.Indefinite || i < n; i++ {
		if h.Indefinite && at < len(p.b) && p.b[at] == 0xff {
			at++
			break
		}
		switch {
		case h.Major == Map && i%2 != 0:
			p.out = append(p.out, ": "...)
		case i > 0:
			p.out = append(p.out, ", "...)
		}
		var ok bool
		if at, ok = p.item(at, depth+1); !ok {
			return at, false
		}
	}
	p.out = append(p.out, shut)
	return at, true
}

func (p *printer) string(off int, h Head) (int, bool) {
	at := off + h.Bytes
	if h.Indefinite {
		p.out = append(p.out, "(_ "...)
		for i := 0; ; i++ {
			chunk, err := ParseHead(p.b, at)
			if err != nil || !chunk.Break() && (chunk.Major != h.Major || chunk.Indefinite) || p.full() {
				return at, false
			}
			if chunk.Break() {
				p.out = append(p.out, ')')
				return at + 1, true
			}
			if i > 0 {
				p.out = append(p.out, ", "...)
			}
			var ok bool
			if at, ok = p.string(at, chunk); !ok {
				return at, false
			}
		}
	}
	left := uint64(len(p.b) - at)
	end := at + int(min(h.Arg, left))
	v := p.b[at:end]
	if p.limit > 0 && len(v) > p.limit {
		v = v[:p.limit] // as much as is shown at most
	}
	if h.Major == Text {
		p.out = strconv.AppendQuote(p.out, string(v))
	} else {
		p.out = append(hex.AppendEncode(append(p.out, "h'"...), v), '\'')
	}
	return end, h.Arg <= left
}
