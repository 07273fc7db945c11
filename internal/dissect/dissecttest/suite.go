// Package dissecttest is what every dissector is held to.
package dissecttest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Sample is the bytes of one packet that breaks no rule.
type Sample struct {
	Name      string
	Bytes     []byte
	Direction dissect.Direction
	// EndsAnywhere: a part of it may be a packet, too.
	EndsAnywhere bool
	// Unbounded: it ends where its datagram does, and nowhere else.
	Unbounded bool
	// Unlike: what it is cannot be told from its bytes.
	Unlike bool
}

// Run holds d to its contract with each sample, which it cuts, joins, spoils and
// hides in others.
func Run(t *testing.T, d dissect.Dissector, samples []Sample) {
	if d.Name() == "" || strings.ToLower(d.Name()) != d.Name() {
		t.Errorf("Name is %q", d.Name())
	}
	if len(samples) == 0 {
		t.Fatal("there is no sample")
	}
	for _, s := range samples {
		t.Run(s.Name, func(t *testing.T) {
			t.Run("whole", func(t *testing.T) { whole(t, d, s) })
			t.Run("cut", func(t *testing.T) { cut(t, d, s) })
			if !s.Unbounded {
				t.Run("twice", func(t *testing.T) { twice(t, d, s) })
			}
			t.Run("spoilt", func(t *testing.T) { spoilt(t, d, s) })
			t.Run("copied", func(t *testing.T) { copied(t, d, s) })
			t.Run("sniffed", func(t *testing.T) { sniffed(t, d, s) })
			t.Run("sized", func(t *testing.T) { sized(t, d, s) })
			t.Run("quick", func(t *testing.T) { quick(t, d, s) })
		})
	}
	t.Run("nothing", func(t *testing.T) {
		if _, n, err := Dissect(t, d, nil, nil); n != 0 || !errors.Is(err, dissect.ErrShort) {
			t.Errorf("%d, %v", n, err)
		}
		if c, why := d.Sniff(nil, dissect.Hint{}); c != dissect.No || why != "" {
			t.Errorf("Sniff: %v, %q", c, why)
		}
	})
}

func stream(s Sample) *dissect.Stream { return &dissect.Stream{Direction: s.Direction} }

func whole(t *testing.T, d dissect.Dissector, s Sample) {
	p, n, err := Dissect(t, d, s.Bytes, stream(s))
	if err != nil || n != len(s.Bytes) {
		t.Fatalf("%d of %d bytes, %v\n%s", n, len(s.Bytes), err, Text(p))
	}
	if len(p.Problems) > 0 {
		t.Errorf("problems %v", p.Problems)
	}
	alone, n, err := Dissect(t, d, s.Bytes, nil)
	if err != nil || n != len(s.Bytes) || alone.Type == "" {
		t.Errorf("of unknown direction: %q, %d of %d bytes, %v", alone.Type, n, len(s.Bytes), err)
	}
}

// cut: with less than all of it, what is there is shown.
func cut(t *testing.T, d dissect.Dissector, s Sample) {
	for i := 1; i < len(s.Bytes); i++ {
		p, n, err := Dissect(t, d, s.Bytes[:i], stream(s))
		switch {
		case err == nil && !s.EndsAnywhere:
			t.Errorf("%d of %d bytes are a packet of %d:\n%s", i, len(s.Bytes), n, Text(p))
		case errors.Is(err, dissect.ErrShort) && len(p.Fields) == 0:
			t.Errorf("of %d bytes nothing is shown", i)
		case err != nil && !errors.Is(err, dissect.ErrShort) && !s.EndsAnywhere:
			t.Errorf("%d bytes: %v, want ErrShort", i, err)
		}
	}
}

// twice: the second packet is not part of the first.
func twice(t *testing.T, d dissect.Dissector, s Sample) {
	one, _, _ := Dissect(t, d, s.Bytes, stream(s))
	both, st := append(slices.Clone(s.Bytes), s.Bytes...), stream(s)
	for i := range 2 {
		p, n, err := Dissect(t, d, both, st)
		if err != nil || n != len(s.Bytes) {
			t.Fatalf("packet %d: %d of %d bytes, %v", i+1, n, len(s.Bytes), err)
		}
		if diff := cmp.Diff(one, p); i == 0 && diff != "" {
			t.Errorf("alone, and before another:\n%s", diff)
		}
		both = both[n:]
	}
}

// spoilt: whatever a byte becomes, the contract holds.
func spoilt(t *testing.T, d dissect.Dissector, s Sample) {
	b := slices.Clone(s.Bytes)
	for i, was := range b {
		for _, c := range []byte{0, 1, 0x7f, 0xff, ^was, was + 1, was ^ 0x10} {
			b[i] = c
			_, _, _ = Dissect(t, d, b, stream(s))
			_, _, _ = Dissect(t, d, b, &dissect.Stream{Whole: true})
		}
		b[i] = was
	}
}

// copied: the packet is its own.
func copied(t *testing.T, d dissect.Dissector, s Sample) {
	b := slices.Clone(s.Bytes)
	p, _, _ := Dissect(t, d, b, stream(s))
	before := Text(p)
	for i := range b {
		b[i] ^= 0xff
	}
	if after := Text(p); after != before {
		t.Errorf("the packet changes with the input:\n%s", cmp.Diff(before, after))
	}
}

func sniffed(t *testing.T, d dissect.Dissector, s Sample) {
	h := dissect.Hint{Direction: s.Direction}
	for i := range len(s.Bytes) + 1 {
		c, why := d.Sniff(s.Bytes[:i], h)
		if c > dissect.Certain || (c == dissect.No) != (why == "") {
			t.Errorf("%d bytes: %v, because of %q", i, c, why)
		}
		if i == len(s.Bytes) && c == dissect.No && !s.Unlike {
			t.Error("it does not look like what it is")
		}
	}
}

// sized: the beginning of a packet tells its length, or does not, but never wrongly.
func sized(t *testing.T, d dissect.Dissector, s Sample) {
	sizer, ok := d.(dissect.Sizer)
	if !ok {
		return
	}
	known := false
	for i := range len(s.Bytes) + 1 {
		n := sizer.Size(s.Bytes[:i])
		if n != len(s.Bytes) && (n != 0 || known) {
			t.Errorf("the first %d of %d bytes tell a length of %d", i, len(s.Bytes), n)
		}
		known = n != 0
	}
}

// quick: the quick way agrees with the other, on the first packet of a stream and
// on the next.
func quick(t *testing.T, d dissect.Dissector, s Sample) {
	if _, ok := d.(dissect.Liner); !ok {
		return
	}
	a, b := stream(s), stream(s)
	for range 3 {
		_, _, _ = Both(t, d, s.Bytes, a, b)
	}
}

// Both has the packet at the start of b read by Dissect with st, and by Line with
// quick where that can, and compares the two. The streams have had the same
// packets. It returns what Dissect does.
func Both(t testing.TB, d dissect.Dissector, b []byte, st, quick *dissect.Stream) (dissect.Packet, int, error) {
	t.Helper()
	const before = "before "
	line, l, ok := d.(dissect.Liner).Line([]byte(before), b, quick)
	if !ok {
		if string(line) != before {
			t.Errorf("% x: Line refuses, and leaves %q", b[:min(len(b), 100)], line)
		}
		p, n, err := d.Dissect(b, quick)
		q, m, failure := Dissect(t, d, b, st)
		if diff := cmp.Diff(q, p); diff != "" || n != m || fmt.Sprint(err) != fmt.Sprint(failure) {
			t.Errorf("% x: after Line, Dissect returns %d, %v instead of %d, %v:\n%s", b[:min(len(b), 100)], n, err, m, failure, diff)
		}
		return q, m, failure
	}
	p, n, err := Dissect(t, d, b, st)
	got := dissect.Packet{Protocol: p.Protocol, Version: l.Version, Type: l.Type, Answers: l.Answers, After: l.After}
	got.Summary = strings.TrimPrefix(strings.TrimPrefix(string(line), before+l.Type), " ")
	got.Fields = p.Fields // Line has none
	if diff := cmp.Diff(p, got); diff != "" || err != nil || n != l.Size {
		t.Errorf("% x: Line, %d bytes, and Dissect, %d bytes, %v, differ:\n%s", b[:min(len(b), 100)], l.Size, n, err, diff)
	}
	return p, n, err
}

// Dissect calls d and checks what holds whatever b is.
func Dissect(t testing.TB, d dissect.Dissector, b []byte, st *dissect.Stream) (dissect.Packet, int, error) {
	t.Helper()
	given := bytes.Clone(b)
	p, n, err := d.Dissect(b, st)
	complain := func(format string, args ...any) {
		t.Helper()
		t.Errorf("% x: %s\n%s", given[:min(len(given), 100)], fmt.Sprintf(format, args...), Text(p))
	}
	if !bytes.Equal(b, given) {
		complain("the input has been changed")
	}
	bad := (*dissect.Malformed)(nil)
	switch {
	case !utf8.ValidString(p.Type + p.Summary):
		complain("type %q or summary %q is not in UTF-8", p.Type, p.Summary)
	case p.Protocol != d.Name():
		complain("the protocol is %q", p.Protocol)
	case err == nil && (n <= 0 || n > len(b) || p.Type == ""):
		complain("%d of %d bytes, type %q", n, len(b), p.Type)
	case errors.Is(err, dissect.ErrShort):
		if n != 0 {
			complain("ErrShort with %d bytes", n)
		}
	case errors.As(err, &bad):
		if n < 0 || n > len(b) || !sound(bad.Problem, len(b)) {
			complain("%d of %d bytes, %+v", n, len(b), bad.Problem)
		}
	case err != nil:
		complain("the error is a %T: %v", err, err)
	}
	for _, q := range p.Problems {
		if !sound(q, len(b)) {
			complain("problem %+v", q)
		}
	}
	covered := 0
	for i := range p.Fields {
		f := &p.Fields[i]
		if f.Off > covered {
			complain("no field covers bytes %d to %d", covered, f.Off)
		}
		if i > 0 && f.Off < p.Fields[i-1].Off {
			complain("%q is out of order", f.Name)
		}
		covered = max(covered, f.End())
		if problem := checkField(f, b, 0, len(b)); problem != "" {
			complain("%s", problem)
		}
	}
	if n > 0 && covered != n || covered > len(b) {
		complain("the fields cover %d of %d bytes", covered, n)
	}
	return p, n, err
}

// sound reports whether q has a text and lies within size bytes.
func sound(q dissect.Problem, size int) bool {
	return q.Off >= 0 && q.Len >= 0 && q.Off+q.Len <= size && q.Text != "" && utf8.ValidString(q.Text+q.Rule+q.Advice)
}

// checkField says what is wrong with f, which lies between from and to of b.
func checkField(f *dissect.Field, b []byte, from, to int) string {
	switch f.Value.(type) {
	case nil, bool, int64, uint64, float64, string, []byte, time.Time:
	default:
		return fmt.Sprintf("the value of %q is a %T", f.Name, f.Value)
	}
	if s, ok := f.Value.(string); ok && !utf8.ValidString(s) || !utf8.ValidString(f.Name+f.Note) {
		return fmt.Sprintf("field %q, with %q and %q, is not in UTF-8", f.Name, f.Value, f.Note)
	}
	if f.Name == "" || f.Kind > dissect.Bytes || f.Len < 0 || f.Off < from || f.End() > to {
		return fmt.Sprintf("field %q, %v, is at %d to %d, within %d to %d", f.Name, f.Kind, f.Off, f.End(), from, to)
	}
	if problem := checkForm(f, b[f.Off:f.End()]); problem != "" {
		return fmt.Sprintf("field %q, at %d to %d: %s", f.Name, f.Off, f.End(), problem)
	}
	for i := range f.Kids {
		if problem := checkField(&f.Kids[i], b, f.Off, f.End()); problem != "" {
			return problem
		}
	}
	return ""
}

// checkForm says what keeps an editor from writing f again, whose bytes are b.
func checkForm(f *dissect.Field, b []byte) string {
	v, number := f.Value.(uint64)
	if on, ok := f.Value.(bool); ok && f.Mask != 0 {
		number = true
		if v = 0; on {
			v = 1
		}
	}
	if f.Of != (dissect.Span{}) && (!number || f.Of.Off < 0 || v != uint64(f.Of.Len)) {
		return fmt.Sprintf("value %v counts %+v", f.Value, f.Of)
	}
	if f.Mask != 0 && (len(b) == 0 || len(b) > 8 || len(b) < 8 && f.Mask>>(8*len(b)) != 0) {
		return fmt.Sprintf("the mask %#x is not within %d bytes", f.Mask, len(b))
	}
	switch {
	case f.Form == dissect.Opaque:
		return ""
	case f.Mask != 0:
		var all uint64
		for _, c := range b {
			all = all<<8 | uint64(c)
		}
		if set := all & f.Mask >> bits.TrailingZeros64(f.Mask); !number || v != set {
			return fmt.Sprintf("value %v, the bits are %#x", f.Value, set)
		}
		return ""
	}
	got, ok := encode(f, v, number)
	if !ok || !bytes.Equal(got, b) {
		return fmt.Sprintf("value %v in form %q is % x, not % x", f.Value, f.Form, got, b)
	}
	return ""
}

// encode is the value in its form. v is the value if it is a number.
func encode(f *dissect.Field, v uint64, number bool) (b []byte, ok bool) {
	switch f.Form {
	case dissect.Unsigned:
		if i, ok := f.Value.(int64); ok {
			v, number = uint64(i), true
		}
		return binary.BigEndian.AppendUint64(nil, v)[max(8-f.Len, 0):], number && f.Len <= 8
	case dissect.Varint:
		b = binary.AppendUvarint(nil, v)
		for len(b) < f.Len { // not in its shortest form
			b[len(b)-1] |= 0x80
			b = append(b, 0)
		}
		return b, number
	case dissect.Raw:
		switch v := f.Value.(type) {
		case string:
			return []byte(v), true
		case []byte:
			return v, true
		}
	}
	return nil, false
}

// Text is p for golden files, a line for each field: offset, length, kind, name,
// value and note.
func Text(p dissect.Packet) string {
	var out strings.Builder
	fmt.Fprintln(&out, strings.Join(strings.Fields(p.Protocol+" "+p.Version+" "+p.Type+" | "+p.Summary), " "))
	for i := range p.Fields {
		writeField(&out, &p.Fields[i], "")
	}
	for _, q := range p.Problems {
		fmt.Fprintf(&out, "%s at %d: %s\n", severity(q), q.Off, strings.TrimSpace(q.Text+" "+q.Rule))
	}
	return out.String()
}

func severity(q dissect.Problem) string {
	if q.Warning {
		return "warning"
	}
	return "problem"
}

func writeField(out *strings.Builder, f *dissect.Field, indent string) {
	name := indent + f.Name
	if f.Secret {
		name += " (secret)"
	}
	line := fmt.Sprintf("%4d %4d  %-9s  %-28s  %s", f.Off, f.Len, f.Kind, name, value(f.Value))
	if f.Note != "" {
		line += "  [" + f.Note + "]"
	}
	fmt.Fprintln(out, strings.TrimRight(line, " "))
	for i := range f.Kids {
		writeField(out, &f.Kids[i], indent+"  ")
	}
}

func value(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return fmt.Sprintf("%q", v)
	case []byte:
		return hex.EncodeToString(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}
