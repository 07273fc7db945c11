package emqtcp

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: what strict mode accepts survives append and parse; lenient mode
// accepts it without notes; and a frame never reads beyond itself.
func FuzzParse(f *testing.F) {
	for _, s := range samples {
		if s.packet.Size() < 100 {
			f.Add(unhex(f, s.hex), s.server, false)
		}
	}
	for _, s := range []string{"10 0007 3c 0004 61626364", "11 0008 3c 0004 61626364 00", "11 0007 3c 0005 61626364", "34 0000", "7e", "30 ffff 00"} {
		f.Add(unhex(f, s), false, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, server, liberal bool) {
		before := slices.Clone(b)
		o := Options{FromServer: server, AcceptVersion0: liberal, StrictFlags: !liberal}
		p, n, err := Parse(b, o)
		if n > len(b) || err == nil && n == 0 {
			t.Fatalf("used %d of %d bytes", n, len(b))
		}
		var m *Malformed
		if err != nil && !errors.Is(err, ErrShort) && !errors.As(err, &m) {
			t.Fatalf("%T", err)
		}
		if m != nil && (m.Offset < 0 || m.Offset > len(b)) {
			t.Fatalf("offset %d of %d bytes", m.Offset, len(b))
		}
		if err == nil {
			checkRoundTrip(t, p, o)
		}
		var notes []Malformed
		o.Lenient, o.Notes = true, &notes
		q, k, lenient := Parse(b, o)
		if err == nil && !liberal && (lenient != nil || k != n || cmp.Diff(p, q) != "") {
			t.Fatalf("strict accepts it, lenient says %v", lenient)
		}
		if err != nil && n > 0 && lenient == nil && len(notes) == 0 {
			t.Fatalf("strict says %v, lenient nothing", err)
		}
		HexText(b)
		if len(b) > 0 && (CheckFirst(b) == nil) != (b[0]>>4 == 1) {
			t.Fatal("the first byte is misjudged")
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
	})
}

func checkRoundTrip(t *testing.T, p Packet, o Options) {
	t.Helper()
	out, err := p.Append(nil)
	if err != nil || len(out) != p.Size() {
		t.Fatalf("append %+v: %d of %d bytes, %v", p, len(out), p.Size(), err)
	}
	q, n, err := Parse(out, o)
	if err != nil || n != len(out) {
		t.Fatalf("parse %x again: %v", out, err)
	}
	if d := cmp.Diff(p, q); d != "" {
		t.Fatalf("round trip:\n%s", d)
	}
}
