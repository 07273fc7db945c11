package cbor

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Of RFC 8949, appendix A.
var examples = []struct{ hex, text string }{
	{"00", "0"},
	{"17", "23"},
	{"1818", "24"},
	{"1903e8", "1000"},
	{"1bffffffffffffffff", "18446744073709551615"},
	{"20", "-1"},
	{"3903e7", "-1000"},
	{"3bffffffffffffffff", "-18446744073709551616"},
	{"f90000", "0.0"},
	{"f93c00", "1.0"},
	{"fb3ff199999999999a", "1.1"},
	{"f93e00", "1.5"},
	{"f97bff", "65504.0"},
	{"fa47c35000", "100000.0"},
	{"fb7e37e43c8800759c", "1e+300"},
	{"f90001", "5.960464477539063e-08"},
	{"f90400", "6.103515625e-05"},
	{"f9c400", "-4.0"},
	{"fbc010666666666666", "-4.1"},
	{"f97c00", "Infinity"},
	{"f97e00", "NaN"},
	{"f9fc00", "-Infinity"},
	{"f4", "false"},
	{"f5", "true"},
	{"f6", "null"},
	{"f7", "undefined"},
	{"f0", "simple(16)"},
	{"f8ff", "simple(255)"},
	{"c074323031332d30332d32315432303a30343a30305a", `0("2013-03-21T20:04:00Z")`},
	{"c1fb41d452d9e8e00000", "1(1363896227.5)"},
	{"d74401020304", "23(h'01020304')"},
	{"40", "h''"},
	{"4401020304", "h'01020304'"},
	{"60", `""`},
	{"62225c", `"\"\\"`},
	{"62c3bc", `"ü"`},
	{"80", "[]"},
	{"8301820203820405", "[1, [2, 3], [4, 5]]"},
	{"a0", "{}"},
	{"a201020304", "{1: 2, 3: 4}"},
	{"a26161016162820203", `{"a": 1, "b": [2, 3]}`},
	{"5f42010243030405ff", "(_ h'0102', h'030405')"},
	{"7f657374726561646d696e67ff", `(_ "strea", "ming")`},
	{"9fff", "[_ ]"},
	{"9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]"},
	{"bf61610161629f0203ffff", `{_ "a": 1, "b": [_ 2, 3]}`},
}

func TestDiagnostic(t *testing.T) {
	for _, e := range examples {
		b := unhex(t, e.hex)
		text, n, err := Diagnostic(append(b, 0xff), 0)
		if err != nil || n != len(b) || text != e.text {
			t.Errorf("%s: %s, %d, %v, want %s", e.hex, text, n, err, e.text)
		}
		for i := range b {
			bad := (*Malformed)(nil)
			if _, err := Skip(b[:i], 0); !errors.As(err, &bad) || bad.Missing == 0 {
				t.Errorf("%s, %d bytes: %v", e.hex, i, err)
			}
		}
	}
}

// Of RFC 8949, appendix F.
func TestNotWellFormed(t *testing.T) {
	for _, s := range []string{
		"1c", "1d", "1e", "3c", "5c", "7c", "9c", "bc", "dc", "fc", "f800", "f81f", "ff", "81ff", "8200ff", "a1ff", "a1ff00", "bf00ff",
		"bf000000ff", "9f829f819f9fffffffff", "5f00ff", "5f21ff", "5f6100ff", "5f80ff", "7f4100ff", "5f5f4100ffff", "1f", "3f", "df",
		"61ff", "7f61c3ff", strings.Repeat("81", 40) + "00", "bbffffffffffffffff00", "9b7fffffffffffffff00", "5b7fffffffffffffff00",
	} {
		b := unhex(t, s)
		if _, err := Skip(b, 0); err == nil {
			t.Errorf("%s is taken", s)
		}
		if text, n, err := Diagnostic(b, 100); err == nil || n != 0 {
			t.Errorf("%s: %s", s, text)
		}
	}
}

func TestDiagnosticHasALimit(t *testing.T) {
	long := append([]byte{0x59, 0x10, 0}, make([]byte, 4096)...)
	text, n, err := Diagnostic(long, 20)
	if err != nil || n != len(long) || len(text) > 25 || !strings.HasSuffix(text, "…") {
		t.Errorf("%s, %d, %v", text, n, err)
	}
}

func TestFloat(t *testing.T) {
	for s, want := range map[string]float64{"f95190": 44.5, "fb4033666666666666": 19.4, "fa3fc00000": 1.5, "f98000": math.Copysign(0, -1)} {
		h, err := ParseHead(unhex(t, s), 0)
		if v, ok := h.Float(); err != nil || !ok || v != want {
			t.Errorf("%s: %v, %v", s, v, err)
		}
	}
}

func FuzzDiagnostic(f *testing.F) {
	for _, e := range examples {
		f.Add(unhex(f, e.hex), 0)
	}
	f.Add(unhex(f, "bf6161"), 3)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = max(0, min(limit, 1<<16))
		text, n, err := Diagnostic(b, limit)
		if !utf8.ValidString(text) || n > len(b) || (err == nil) != (n > 0) {
			t.Fatalf("%q, %d, %v", text, n, err)
		}
		if limit > 0 && len(text) > limit+4 || len(text) > 40+25*len(b) {
			t.Fatalf("%d bytes of text of %d", len(text), len(b))
		}
		if bad := (*Malformed)(nil); err != nil && (!errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(b) || bad.Missing < 0) {
			t.Fatalf("%+v", err)
		}
	})
}
