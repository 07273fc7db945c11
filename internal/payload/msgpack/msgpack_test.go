package msgpack_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	reference "github.com/vmihailenco/msgpack/v5"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/msgpack"
	"github.com/iotctl/iotctl/internal/payload/payloadtest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var examples = [][2]string{
	{"c0", "null"},
	{"c2", "false"},
	{"c3", "true"},
	{"00", "0"},
	{"7f", "127"},
	{"cc80", "128"},
	{"cdffff", "65535"},
	{"ceffffffff", "4294967295"},
	{"cfffffffffffffffff", "18446744073709551615"},
	{"ff", "-1"},
	{"e0", "-32"},
	{"d0df", "-33"},
	{"d1ff7f", "-129"},
	{"d2ffff7fff", "-32769"},
	{"d3ffffffff7fffffff", "-2147483649"},
	{"d38000000000000000", "-9223372036854775808"},
	{"ca41aa6666", "21.3_2"},
	{"ca3fc00000", "1.5_2"},
	{"cb3ff8000000000000", "1.5"},
	{"cb4035800000000000", "21.5"},
	{"ca7fc00000", "NaN_2"},
	{"cb7ff0000000000000", "Infinity"},
	{"cb7ff8000000000001", "float'7ff8000000000001'"},
	{"a0", `""`},
	{"a3c3bc22", `"ü\""`},
	{"c400", "h''"},
	{"c40300ff61", "h'00ff61'"},
	{"90", "[]"},
	{"9301a16180", `[1, "a", {}]`},
	{"80", "{}"},
	{"82a474656d70cb4035800000000000a16205", `{"temp": 21.5, "b": 5}`},
	{"810102", "{1: 2}"},
	{"d40599", "ext(5, h'99')"},
	{"c70380010203", "ext(-128, h'010203')"},
	{"d6ff514b67b0", "dt'2013-03-21T20:04:00Z'"},
	{"d7ff7735940 0514b67b0", "dt'2013-03-21T20:04:00.5Z'"},
	{"c70cff000000 01ffffffffffffffff", "dt'1969-12-31T23:59:59.000000001Z'"},
	{"d7ff00000000514b67b0", "ext(-1, h'00000000514b67b0')"},
}

func TestFormat(t *testing.T) {
	samples := []payloadtest.Sample{
		{Payload: unhex(t, "cd0001"), Text: "1", Loose: true},
		{Payload: unhex(t, "d90161"), Text: `"a"`, Loose: true},
		{Payload: append([]byte{0xdc, 0, 100}, make([]byte, 100)...)},
		{Payload: append([]byte{0xda, 1, 0}, bytes.Repeat([]byte("x"), 256)...)},
	}
	for _, e := range examples {
		samples = append(samples, payloadtest.Sample{Payload: unhex(t, e[0]), Text: e[1]})
	}
	payloadtest.Run(t, msgpack.Format(), "", samples...)
}

func TestWhatIsMalformedNamesTheByte(t *testing.T) {
	c, _ := msgpack.Format().New("")
	for in, want := range map[string]string{
		"":                        "byte 0: a value is missing",
		"93 01":                   "byte 0: an array of 3 values in 1 bytes",
		"dfffffffff":              "byte 0: a map of 4294967295 pairs in 0 bytes",
		"92 01 cd01":              "byte 3: 1 of 2 bytes of a number",
		"c1":                      "byte 0: 0xc1 begins nothing",
		"c6ffffffff00":            "byte 5: 1 of 4294967295 bytes of bytes",
		"a1ff":                    "byte 1: text that is not UTF-8",
		"0101":                    "byte 1: 1 bytes behind the value",
		"c70101":                  "byte 3: 0 of 1 bytes of an extension",
		strings.Repeat("91", 200): "byte 129: more than 128 levels",
	} {
		err := c.Decode(&payload.Content{Bytes: unhex(t, in)})
		if wrong := (*payload.Malformed)(nil); !errors.As(err, &wrong) || err.Error() != want {
			t.Errorf("%.30s: %v, want %s", in, err, want)
		}
	}
}

func TestNotationThatMessagePackHasNot(t *testing.T) {
	c, _ := msgpack.Format().New("")
	for typed, want := range map[string]string{
		"1(2)":                  "MessagePack has no 1(2)",
		"undefined":             "MessagePack has no undefined",
		"18446744073709551616":  "MessagePack has no 18446744073709551616",
		"-18446744073709551616": "less than the 64 bits",
		"ext(300, h'')":         "types of extensions are -128 to 127",
		"[1,":                   "byte 3: the end where an item is to be",
	} {
		err := c.Encode(&payload.Content{Text: []byte(typed)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", typed, err, want)
		}
	}
}

func TestGuessIsNotMadeOfAFewBytes(t *testing.T) {
	for in, want := range map[string]bool{
		"81a16101": true, "92a16105": true, "9501020304 05": true,
		"9105": false, "80": false, "90": false, "00": false, "a161": false, "c0": false, "9201": false, "930102 03": false, "81c00102": false,
	} {
		if got := msgpack.Format().Guess(&payload.Content{Bytes: unhex(t, in)}); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

// What the usual library writes is read, and what is written it reads.
func TestTheOtherLibraryAgrees(t *testing.T) {
	c, _ := msgpack.Format().New("")
	theirs, err := reference.Marshal(map[string]any{"list": []any{int64(-5), uint8(200), float32(0.5), "x", []byte{1}, nil, true}})
	if err != nil {
		t.Fatal(err)
	}
	content := payload.Content{Bytes: theirs}
	if err := c.Decode(&content); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"list": [-5, 200, 0.5_2, "x", h'01', null, true]}`, string(content.Text)); diff != "" {
		t.Error(diff)
	}
	for _, e := range examples {
		var v any
		if strings.Contains(e[1], "ext(") {
			continue // it wants types that somebody has registered
		}
		if err := reference.Unmarshal(unhex(t, e[0]), &v); err != nil && !strings.Contains(e[1], "{1") {
			t.Errorf("%s: %v", e[1], err)
		}
	}
}

func FuzzFormat(f *testing.F) {
	var samples []payloadtest.Sample
	for _, e := range examples {
		samples = append(samples, payloadtest.Sample{Payload: unhex(f, e[0])})
	}
	payloadtest.Fuzz(f, msgpack.Format(), "", samples...)
}
