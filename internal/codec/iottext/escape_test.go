package iottext

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for _, c := range []struct{ value, text string }{
		{"", ""},
		{"21.5", "21.5"},
		{"on", "on"},
		{"50%", "50%"},
		{"a=b", "a=b"},
		{`C:\data`, `C:\data`},
		{`\`, `\`},
		{`\\`, `\\`},
		{`\x4`, `\x4`},
		{`\xgg`, `\xgg`},
		{"end", "end"},
		{"EN D", "EN D"},
		{`a b`, `a b`},
		{"a|b", `a\x7cb`},
		{"a\nb", `a\x0ab`},
		{"a\r\nb", `a\x0d\x0ab`},
		{"\t", `\x09`},
		{"\x00\x7f", `\x00\x7f`},
		{" a ", `\x20a\x20`},
		{"  ", `\x20\x20`},
		{"   ", `\x20 \x20`},
		{"END", `\x45ND`},
		{"SENDER", `S\x45NDER`},
		{"ENDEND", `\x45ND\x45ND`},
		{"\x0eND", `\x0eND`},
		{"21°C", `21\xc2\xb0C`},
		{"\xff", `\xff`},
		{`\x41`, `\x5cx41`},
		{`\xEND`, `\x\x45ND`},
		{`\xEEND`, `\x5cxE\x45ND`},
		{`\\x41`, `\\x5cx41`},
		{`\|`, `\\x7c`},
	} {
		if got := string(AppendValue([]byte("="), []byte(c.value))); got != "="+c.text {
			t.Errorf("%q is written %q, want %q", c.value, got[1:], c.text)
		}
		if n := ValueSize([]byte(c.value)); n != len(c.text) {
			t.Errorf("%q: size %d, want %d", c.value, n, len(c.text))
		}
		if got := string(Value([]byte(c.text))); got != c.value {
			t.Errorf("%q is read as %q, want %q", c.text, got, c.value)
		}
	}
	if got := string(Value([]byte(`\x4E\x4e`))); got != "NN" {
		t.Errorf("digits in capitals are read as %q", got)
	}
}

func TestValueLeavesItsInputAlone(t *testing.T) {
	text := []byte(`a\x7cb`)
	if v := Value(text); string(v) != "a|b" || string(text) != `a\x7cb` {
		t.Errorf("%q out of %q", v, text)
	}
}

func checkEscape(t *testing.T, value []byte) {
	t.Helper()
	text := AppendValue(nil, value)
	if len(text) != ValueSize(value) {
		t.Fatalf("%q: size %d, appended %q", value, ValueSize(value), text)
	}
	if strings.ContainsAny(string(text), "|\r\n") || strings.Contains(string(text), "END") || string(trim(text)) != string(text) {
		t.Fatalf("%q is written %q", value, text)
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			t.Fatalf("%q is written %q, which is not ASCII", value, text)
		}
	}
	if got := Value(text); string(got) != string(value) {
		t.Fatalf("%q is written %q and read as %q", value, text, got)
	}
}

// FuzzEscape: any bytes at all survive a line, and nothing in it ends them.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"21.5", "a|b", `\x41`, `\xEEND`, "\x0eND", " ", "\r\n", "°", "START | COMMAND=OK | END\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkEscape)
}
