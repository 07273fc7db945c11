package lwm2m

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// FuzzTLV: what is read is appended so that it reads the same.
func FuzzTLV(f *testing.F) {
	for _, tc := range tlvs {
		f.Add(unhex(f, tc.hex), tc.object)
	}
	f.Fuzz(func(t *testing.T, b []byte, object uint16) {
		e, n, err := ParseTLV(b)
		if err != nil {
			if bad := (*Malformed)(nil); !errors.As(err, &bad) || bad.Offset > len(b) || n != 0 {
				t.Fatalf("%d, %v", n, err)
			}
			return
		}
		again, err := e.Append(nil)
		if err != nil || len(again) > n {
			t.Fatalf("% x becomes % x, %v", b[:n], again, err)
		}
		got, size, err := ParseTLV(again)
		if err != nil || size != len(again) || got.Kind != e.Kind || got.ID != e.ID || !bytes.Equal(got.Value, e.Value) {
			t.Fatalf("%+v, %v, want %+v", got, err, e)
		}
		r, _ := LookupResource(object, e.ID)
		for _, kind := range []Type{r.Type, String, Integer, UnsignedInteger, Float, Boolean, Opaque, Time, ObjectLink, CoreLink, Execute} {
			v, err := ParseValue(kind, e.Value)
			if err != nil || kind == Execute {
				continue
			}
			raw, err := AppendValue(nil, kind, v)
			if err != nil || len(raw) > max(len(e.Value), 4) {
				t.Fatalf("%v: % x becomes % x, %v", kind, e.Value, raw, err)
			}
			if other, err := ParseValue(kind, raw); err != nil || fmt.Sprint(other) != fmt.Sprint(v) {
				t.Fatalf("%v: %v becomes %v, %v", kind, v, other, err)
			}
		}
	})
}

// FuzzSenML: offsets lie inside, in order, and base fields are applied to
// anything.
func FuzzSenML(f *testing.F) {
	for _, p := range packs {
		f.Add([]byte(p.json))
		f.Add(unhex(f, p.cbor))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) ([]Record, error){ParseSenMLJSON, ParseSenMLCBOR} {
			records, err := parse(b)
			if bad := (*Malformed)(nil); err != nil && (!errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(b)) {
				t.Fatalf("%+v", err)
			}
			inside(t, records, len(b))
			_, notes := ResolveSenML(records)
			for _, n := range notes {
				if n.Offset < 0 || n.Offset > len(b) {
					t.Fatalf("%+v", n)
				}
			}
		}
	})
}
