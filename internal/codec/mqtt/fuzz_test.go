package mqtt

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func addSamples(f *testing.F) {
	for _, s := range samples {
		f.Add(unhex(f, s.hex), uint8(s.version), s.server)
	}
	for _, tc := range violations {
		b := unhex(f, tc.body)
		f.Add(append(appendVarint(unhex(f, tc.first), len(b)), b...), uint8(tc.version), tc.server)
	}
}

func fuzzVersion(v uint8) Version { return V31 + Version(v%3) }

// FuzzParse: what strict mode accepts survives append and parse; lenient mode
// accepts it without notes; and a packet never reads beyond itself.
func FuzzParse(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, b []byte, version uint8, server bool) {
		o := Options{Version: fuzzVersion(version), FromServer: server}
		before := slices.Clone(b)
		p, n, err := Parse(b, o)
		checkError(t, err)
		if n > len(b) {
			t.Fatalf("used %d of %d bytes", n, len(b))
		}
		var notes []Malformed
		o.Lenient, o.Notes = true, &notes
		q, m, lenientErr := Parse(b, o)
		if err == nil {
			checkRoundTrip(t, p, o.Version)
			notes = slices.DeleteFunc(notes, func(n Malformed) bool { return n.Code == Success || n.Code == PayloadFormatInvalid })
			if lenientErr != nil || len(notes) > 0 || m != n {
				t.Fatalf("strict accepts it, lenient says %v, %v in %d of %d bytes", lenientErr, notes, m, n)
			}
			if d := cmpDiff(p, q); d != "" {
				t.Fatalf("lenient reads something else:\n%s", d)
			}
		} else if n > 0 && lenientErr == nil && len(notes) == 0 {
			t.Fatalf("strict says %v, lenient nothing", err)
		}
		if q != nil {
			Describe(q, o.Version)
			if out, err := q.Append(nil, o.Version); err == nil && len(out) != q.Size(o.Version) {
				t.Fatalf("Size %d, appended %d", q.Size(o.Version), len(out))
			}
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
	})
}

// FuzzFrame: framing agrees with itself for every prefix of the input.
func FuzzFrame(f *testing.F) {
	for _, s := range samples {
		f.Add(unhex(f, s.hex), 0)
	}
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 100)
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0}, 0)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		h, body, n, err := Frame(b, limit)
		checkError(t, err)
		if err == nil && (n > len(b) || len(body) != h.Remaining || limit > 0 && n > limit) {
			t.Fatalf("%+v: body %d, size %d of %d, limit %d", h, len(body), n, len(b), limit)
		}
		if errors.Is(err, ErrShort) && n > 0 && n <= len(b) {
			t.Fatalf("short of %d bytes with %d there", n, len(b))
		}
		for cut := range min(len(b), 6) {
			_, _, m, early := Frame(b[:cut], limit)
			if early == nil && m != n {
				t.Fatalf("%d bytes of the prefix, %d of all", m, n)
			}
			if early != nil && !errors.Is(early, ErrShort) && err == nil {
				t.Fatalf("%v for a prefix of something valid", early)
			}
		}
	})
}

// FuzzProperties: valid properties survive being taken apart and put together,
// and the accessors are safe on everything else.
func FuzzProperties(f *testing.F) {
	for _, s := range standardProperties {
		for _, w := range allPlaces() {
			f.Add([]byte(props().Append(value(s.id)).AppendUserProperty("k", "v")), uint8(w))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, where uint8) {
		p := Properties(b)
		err := p.Validate(Where(where%17), &Options{EitherSide: true})
		checkError(t, err)
		var again Properties
		for q := range p.All() {
			again = again.Append(q)
		}
		if err == nil && !bytes.Equal(again, p) {
			t.Fatalf("%x became %x", p, again)
		}
		kept := p.Without(PropUserProperty, PropTopicAlias)
		if err == nil && (kept.Has(PropUserProperty) || kept.Has(PropTopicAlias)) {
			t.Fatalf("%x keeps what was dropped from %x", kept, p)
		}
		for id := range PropertyID(maxPropertyID + 2) {
			_, had := p.Uint32(id)
			if had != p.Has(id) {
				t.Fatalf("%v: %v", id, had)
			}
		}
	})
}
