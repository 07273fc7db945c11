// Package dissecttest is what every dissector is held to.
package dissecttest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
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
			t.Run("twice", func(t *testing.T) { twice(t, d, s) })
			t.Run("spoilt", func(t *testing.T) { spoilt(t, d, s) })
			t.Run("copied", func(t *testing.T) { copied(t, d, s) })
			t.Run("sniffed", func(t *testing.T) { sniffed(t, d, s) })
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
		if n < 0 || n > len(b) || bad.Off < 0 || bad.Off > len(b) || bad.Text == "" {
			complain("%d of %d bytes, %+v", n, len(b), bad.Problem)
		}
	case err != nil:
		complain("the error is a %T: %v", err, err)
	}
	for _, q := range p.Problems {
		if q.Off < 0 || q.Off > len(b) || q.Text == "" {
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
		if problem := checkField(f, 0, len(b)); problem != "" {
			complain("%s", problem)
		}
	}
	if n > 0 && covered != n || covered > len(b) {
		complain("the fields cover %d of %d bytes", covered, n)
	}
	return p, n, err
}

// checkField says what is wrong with f, which lies between from and to.
func checkField(f *dissect.Field, from, to int) string {
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
	for i := range f.Kids {
		if problem := checkField(&f.Kids[i], f.Off, f.End()); problem != "" {
			return problem
		}
	}
	return ""
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
		fmt.Fprintf(&out, "problem at %d: %s\n", q.Off, strings.TrimSpace(q.Text+" "+q.Rule))
	}
	return out.String()
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
