package iottext

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLine: what is accepted survives append and parse, however it was typed,
// and framing agrees with itself for every prefix.
func FuzzLine(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.text), uint8(s.line.From), 0)
	}
	f.Add([]byte("start|value = \\x7C|variable=a||command=pub|END|\r\n"), uint8(Either), 50)
	f.Fuzz(func(t *testing.T, b []byte, side uint8, limit int) {
		from := Side(side % 4)
		before := slices.Clone(b)
		raw, n, err := Frame(b, limit)
		checkError(t, err)
		for cut := range min(len(b), 8) {
			if _, m, early := Frame(b[:cut], limit); !errors.Is(early, ErrShort) && m != n {
				t.Fatalf("%d bytes of the prefix, %d of all", m, n)
			}
		}
		if err != nil {
			return
		}
		l, err := Parse(raw, from)
		checkError(t, err)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		out, err := l.Append(nil)
		if err != nil || len(out) != l.Size() {
			t.Fatalf("%+v: %q, size %d, %v", l, out, l.Size(), err)
		}
		again, n, err := Frame(out, 0)
		if err != nil {
			if len(out) > MaxLine {
				return
			}
			t.Fatalf("%q: %v", out, err)
		}
		if n != len(out) {
			t.Fatalf("%q is more than one line", out)
		}
		same, err := Parse(again, l.From)
		if diff := cmp.Diff(normal(l), normal(same)); err != nil || diff != "" {
			t.Fatalf("%q: %v\n%s", out, err, diff)
		}
	})
}

// normal makes no difference between an optional value that is empty and none.
func normal(l Line) Line {
	for k := keyVariable; k < keyCommand; k++ {
		if len(*l.at(k)) == 0 {
			*l.at(k) = nil
		}
	}
	return l
}

func checkError(t *testing.T, err error) {
	t.Helper()
	if m := (*Malformed)(nil); err != nil && !errors.Is(err, ErrShort) && !errors.As(err, &m) {
		t.Fatalf("error %T: %v", err, err)
	}
}
