package protobuf

import (
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	wire "github.com/iotctl/iotctl/internal/codec/protobuf"
	"github.com/iotctl/iotctl/internal/payload"
)

// untyped reads a message of which nothing is known: an object with members such
// as "3:varint". A question mark behind the type says that it is a guess.
func (d *decoder) untyped(b []byte, off int) (payload.Object, error) {
	defer func() { d.depth-- }()
	if d.depth++; d.depth > maxDepth {
		return nil, payload.Malformedf(off, "more than %d levels", maxDepth)
	}
	slots, err := d.slots(nil, b, off)
	if err != nil {
		return nil, err
	}
	o := payload.Object{}
	for _, s := range slots {
		m, err := d.guess(s)
		if err != nil {
			return nil, err
		}
		o = append(o, m)
	}
	return o, nil
}

// guess is a field of which only the wire type is known.
func (d *decoder) guess(s *slot) (payload.Member, error) {
	var name string
	var list []any
	var err error
	switch s.typ {
	case protowire.VarintType:
		name, list = s.varints()
	case protowire.Fixed32Type:
		name, list = s.fixed("fixed32", "float?", 32)
	case protowire.Fixed64Type:
		name, list = s.fixed("fixed64", "double?", 64)
	case protowire.StartGroupType:
		name = "group"
		for _, e := range s.entries {
			o, err := d.untyped(e.b, e.off)
			if err != nil {
				return payload.Member{}, err
			}
			list = append(list, o)
		}
	default:
		name, list, err = d.guessBytes(s)
	}
	return payload.Member{Name: strconv.Itoa(s.number) + ":" + name, Value: one(list)}, err
}

// one is the only element of list, or list.
func one(list []any) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// varints are numbers, negative ones if they use all 64 bits.
func (s *slot) varints() (string, []any) {
	name := "varint"
	list := make([]any, len(s.entries))
	for _, e := range s.entries {
		if int64(e.n) < 0 {
			name = "int?"
		}
	}
	for i, e := range s.entries {
		if list[i] = any(payload.Uint(e.n)); name == "int?" {
			list[i] = payload.Int(int64(e.n))
		}
	}
	return name, list
}

// fixed are numbers, with a point if that makes each of them one that somebody
// may have measured.
func (s *slot) fixed(whole, point string, bits int) (string, []any) {
	name, list := point, make([]any, len(s.entries))
	some := false
	for i, e := range s.entries {
		f := math.Float64frombits(e.n)
		if bits == 32 {
			f = float64(math.Float32frombits(uint32(e.n)))
		}
		list[i] = payload.Float(f, bits)
		abs := math.Abs(f)
		switch {
		case e.n == 0:
		case abs >= 1e-6 && abs < 1e9:
			some = true
		default:
			name = whole
		}
	}
	if name == point && some {
		return name, list
	}
	for i, e := range s.entries {
		list[i] = payload.Uint(e.n)
	}
	return whole, list
}

func (s *slot) texts() []any {
	list := make([]any, len(s.entries))
	for i, e := range s.entries {
		list[i] = string(e.b)
	}
	return list
}

func (s *slot) bins() []any {
	list := make([]any, len(s.entries))
	for i, e := range s.entries {
		list[i] = bin(e.b)
	}
	return list
}

// guessBytes: text that can be printed, a message that comes out the same when it
// is written again, text with line ends, or bytes.
func (d *decoder) guessBytes(s *slot) (string, []any, error) {
	plain, lines, empty := true, true, true
	for _, e := range s.entries {
		printable, broken := printable(e.b)
		plain, lines = plain && printable, lines && (printable || broken)
		empty = empty && len(e.b) == 0
	}
	switch {
	case empty:
		return "bytes", s.bins(), nil
	case plain:
		return "string?", s.texts(), nil
	}
	list, err := d.nested(s)
	switch {
	case err != nil:
		return "", nil, err
	case list != nil:
		return "message?", list, nil
	case lines:
		return "string?", s.texts(), nil
	}
	return "bytes", s.bins(), nil
}

// printable reports whether b is UTF-8 that can be printed, or could but for line
// ends and tabs.
func printable(b []byte) (printable, broken bool) {
	printable = true
	for at := 0; at < len(b); {
		r, n := utf8.DecodeRune(b[at:])
		at += n
		switch {
		case r == utf8.RuneError && n == 1:
			return false, false
		case unicode.IsPrint(r):
		case r == '\n' || r == '\r' || r == '\t':
			printable, broken = false, true
		default:
			return false, false
		}
	}
	return printable, broken
}

// nested are the entries as messages, nil if one is none.
func (d *decoder) nested(s *slot) ([]any, error) {
	if d.depth >= maxDepth {
		return nil, nil
	}
	list := make([]any, len(s.entries))
	for i, e := range s.entries {
		values := d.values
		o, err := d.untyped(e.b, e.off)
		if err != nil || len(o) == 0 {
			d.values = values
			return nil, d.count(e.off)
		}
		if !asWritten(e.b) {
			return nil, nil
		}
		list[i] = o
	}
	return list, nil
}

// asWritten reports whether encoder.untyped would write b again: numbers as short
// as can be, and the entries of a field one behind the other. Messages in it have
// been looked at before.
func asWritten(b []byte) bool {
	type key struct {
		num protowire.Number
		typ protowire.Type
	}
	var last key
	seen := map[key]bool{}
	for len(b) > 0 {
		e := wire.Next(b)
		k := key{e.Num, e.Type}
		if e.Tag != protowire.SizeTag(e.Num) || e.Size != least(&e) || k != last && seen[k] || e.Type == protowire.StartGroupType && !asWritten(e.B) {
			return false
		}
		last, seen[k] = k, true
		b = b[e.Tag+e.Size:]
	}
	return true
}

// least is how many bytes what is behind the tag takes, as short as can be.
func least(e *wire.Entry) int {
	switch e.Type {
	case protowire.VarintType:
		return protowire.SizeVarint(e.N)
	case protowire.Fixed32Type:
		return protowire.SizeFixed32()
	case protowire.Fixed64Type:
		return protowire.SizeFixed64()
	case protowire.BytesType:
		return protowire.SizeBytes(len(e.B))
	}
	return protowire.SizeGroup(e.Num, len(e.B))
}
