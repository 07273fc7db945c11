package diagnostic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/diagnostic"
)

func TestWhatIsWrittenIsWhatWasRead(t *testing.T) {
	for typed, want := range map[string]string{
		` { "a" :1,/x/ 2: [_ 'b', (_ "x","y") ] } `: `{"a": 1, 2: [_ h'62', (_ "x", "y")]}`,
		"-1":                   "-1",
		"1.50_2":               "1.5_2",
		"0.1_2":                "0.1_2",
		"1e40":                 "1e+40",
		"{_2 }":                "{_2 }",
		"ext(-1, h'00')":       "ext(-1, h'00')",
		"<<1, 2>>":             "<<1, 2>>",
		`"\t\u0001\u007f"`:     `"\t\u0001\u007f"`,
		"1_3(simple(99))":      "1_3(simple(99))",
		"99999999999999999999": "99999999999999999999",
		"dt'x'":                "dt'x'",
		"float'7E01'":          "float'7e01'",
		"0xFF_1":               "255_1",
		"[1, 2,]":              "[1, 2]",
		"12_i":                 "12_i",
	} {
		items, err := diagnostic.ParseSequence([]byte(typed))
		if err != nil {
			t.Errorf("%s: %v", typed, err)
			continue
		}
		if got := string(diagnostic.AppendSequence(nil, items)); got != want {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}

func TestSyntaxErrorNamesTheByte(t *testing.T) {
	_, err := diagnostic.ParseSequence([]byte(`[1, "a", x]`))
	if wrong := (*diagnostic.SyntaxError)(nil); !errors.As(err, &wrong) || wrong.Offset != 9 {
		t.Error(err)
	}
}

func TestTreesAreBounded(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[", 10_000), strings.Repeat("1(", 10_000), strings.Repeat("<<", 10_000), strings.Repeat("{1:", 10_000),
		strings.Repeat("(_ ", 10_000), strings.Repeat("simple(", 10_000), strings.Repeat("ext(", 10_000), strings.Repeat("0,", diagnostic.MaxItems+1),
	} {
		if _, err := diagnostic.ParseSequence([]byte(text)); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%.20s…: %.100v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a": [1, -2.5e3, h'00', "\u00e9"], 3: (_ 'x')}`, "1_2(simple(5))", "<<NaN, -Infinity_1>>",
		"ext(5, b64'AA==')", "dt'2026-01-01T00:00:00Z'", "float'7e01' # x", "[_ ]", "{_1 }", "''_", "0x1f, 0b1, / / 2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		items, err := diagnostic.ParseSequence([]byte(text))
		if err != nil {
			return
		}
		once := diagnostic.AppendSequence(nil, items)
		again, err := diagnostic.ParseSequence(once)
		if err != nil {
			t.Fatalf("%q is %q: %v", text, once, err)
		}
		if twice := diagnostic.AppendSequence(nil, again); string(once) != string(twice) {
			t.Fatalf("%q is %q and %q", text, once, twice)
		}
	})
}

func TestRoomIsMadeForNoMoreThanMaxItems(t *testing.T) {
	var room diagnostic.Room
	if kids := room.Kids(diagnostic.MaxItems - 1); cap(kids) < diagnostic.MaxItems-1 || len(kids) != 0 {
		t.Fatalf("room for %d of %d", cap(kids), diagnostic.MaxItems-1)
	}
	for _, n := range []uint64{2, diagnostic.MaxItems, 1 << 63} {
		if kids := room.Kids(n); kids == nil || cap(kids) != 0 {
			t.Fatalf("room for %d more: %d", n, cap(kids))
		}
	}
	if kids := room.Kids(1); cap(kids) != 1 {
		t.Fatalf("no room for the last one: %d", cap(kids))
	}
}
