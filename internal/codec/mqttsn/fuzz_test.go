package mqttsn

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: what strict mode accepts survives append and parse; lenient mode
// accepts it as well; and nothing is read beyond a datagram.
func FuzzParse(f *testing.F) {
	for _, s := range allSamples() {
		if raw := unhex(f, s.hex); len(raw) < 100 {
			f.Add(raw, s.from == server, s.options().Version == Version20, s.named)
		}
	}
	for _, s := range []string{"00", "0100", "01000316", "021600", "030730", "090c03000500006162", "05fe00aabb05fe00ccdd0216", "0b0c6000ff0000", "0e030005504c41494e0061006263"} {
		f.Add(unhex(f, s), false, false, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, server, draft, named bool) {
		before := slices.Clone(b)
		o := Options{FromServer: server, NamedPublish: named, AuthExtension: named}
		if draft {
			o.Version = Version20
		}
		p, n, err := Parse(b, o)
		if n > len(b) || err == nil && n == 0 {
			t.Fatalf("used %d of %d bytes", n, len(b))
		}
		var m *Malformed
		if err != nil && !errors.As(err, &m) {
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
		if err == nil && (lenient != nil || k != n || cmp.Diff(p, q) != "") {
			t.Fatalf("strict accepts it, lenient says %v", lenient)
		}
		if err != nil && lenient == nil && len(notes) == 0 {
			t.Fatalf("strict says %v, lenient nothing", err)
		}
		for _, m := range notes {
			if m.Offset < 0 || m.Offset > len(b) {
				t.Fatalf("offset %d of %d bytes", m.Offset, len(b))
			}
		}
		if g, ok := q.(GWInfo); ok {
			g.AddrPort()
		}
		DetectVersion(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
	})
}

func checkRoundTrip(t *testing.T, p Message, o Options) {
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
	again, err := q.Append(nil)
	if err != nil || !bytes.Equal(out, again) {
		t.Fatalf("%x, then %x, %v", out, again, err)
	}
}
