package cbor_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	reference "github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/cbor"
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

// RFC 8949, appendix A. Of floats of 4 bytes the notation has the digits that
// they need.
var examples = [][2]string{
	{"00", "0"},
	{"17", "23"},
	{"1818", "24"},
	{"1903e8", "1000"},
	{"1a000f4240", "1000000"},
	{"1b000000e8d4a51000", "1000000000000"},
	{"1bffffffffffffffff", "18446744073709551615"},
	{"c249010000000000000000", "18446744073709551616"},
	{"3bffffffffffffffff", "-18446744073709551616"},
	{"c349010000000000000000", "-18446744073709551617"},
	{"20", "-1"},
	{"3863", "-100"},
	{"3903e7", "-1000"},
	{"f90000", "0.0"},
	{"f98000", "-0.0"},
	{"f93c00", "1.0"},
	{"fb3ff199999999999a", "1.1"},
	{"f93e00", "1.5"},
	{"f97bff", "65504.0"},
	{"fa47c35000", "100000.0"},
	{"fa7f7fffff", "3.4028235e+38_2"},
	{"fb7e37e43c8800759c", "1e+300"},
	{"f90001", "5.960464477539063e-08"},
	{"f90400", "6.103515625e-05"},
	{"f9c400", "-4.0"},
	{"fbc010666666666666", "-4.1"},
	{"f97c00", "Infinity"},
	{"f97e00", "NaN"},
	{"f9fc00", "-Infinity"},
	{"fa7f800000", "Infinity_2"},
	{"fa7fc00000", "NaN_2"},
	{"faff800000", "-Infinity_2"},
	{"fb7ff0000000000000", "Infinity_3"},
	{"fb7ff8000000000000", "NaN_3"},
	{"fbfff0000000000000", "-Infinity_3"},
	{"f4", "false"},
	{"f5", "true"},
	{"f6", "null"},
	{"f7", "undefined"},
	{"f0", "simple(16)"},
	{"f8ff", "simple(255)"},
	{"c074323031332d30332d32315432303a30343a30305a", `0("2013-03-21T20:04:00Z")`},
	{"c11a514b67b0", "1(1363896240)"},
	{"c1fb41d452d9ec200000", "1(1363896240.5)"},
	{"d74401020304", "23(h'01020304')"},
	{"d818456449455446", "24(h'6449455446')"},
	{"40", "h''"},
	{"4401020304", "h'01020304'"},
	{"60", `""`},
	{"6449455446", `"IETF"`},
	{"62225c", `"\"\\"`},
	{"62c3bc", `"ü"`},
	{"64f0908591", `"𐅑"`},
	{"80", "[]"},
	{"8301820203820405", "[1, [2, 3], [4, 5]]"},
	{"a0", "{}"},
	{"a201020304", "{1: 2, 3: 4}"},
	{"a26161016162820203", `{"a": 1, "b": [2, 3]}`},
	{"5f42010243030405ff", "(_ h'0102', h'030405')"},
	{"7f657374726561646d696e67ff", `(_ "strea", "ming")`},
	{"9fff", "[_ ]"},
	{"9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]"},
	{"83018202039f0405ff", "[1, [2, 3], [_ 4, 5]]"},
	{"bf61610161629f0203ffff", `{_ "a": 1, "b": [_ 2, 3]}`},
	// Longer than they have to be.
	{"1800", "0_0"},
	{"1b0000000000000001", "1_3"},
	{"3900ff", "-256_1"},
	{"fa41aa6666", "21.3_2"},
	{"fb3ff8000000000000", "1.5_3"},
	{"f97e01", "float'7e01'"},
	{"5801 00", "h'00'_0"},
	{"9a00000001 01", "[_2 1]"},
	{"b801 01 02", "{_0 1: 2}"},
	{"d80b 00", "11_0(0)"},
	{"5fff", "''_"},
	{"7fff", `""_`},
	{"c2420100", "2(h'0100')"},
}

func TestExamplesOfTheStandard(t *testing.T) {
	var samples []payloadtest.Sample
	for _, e := range examples {
		samples = append(samples, payloadtest.Sample{Payload: unhex(t, e[0]), Text: e[1]})
	}
	payloadtest.Run(t, cbor.Format(), "", samples...)
}

func TestSequence(t *testing.T) {
	payloadtest.Run(t, cbor.Format(), "seq",
		payloadtest.Sample{Payload: unhex(t, "01 6161 80"), Text: `1, "a", []`},
		payloadtest.Sample{Payload: []byte{}})
}

func codec(t *testing.T) payload.Codec {
	t.Helper()
	c, err := cbor.Format().New("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNotationThatPeopleType(t *testing.T) {
	for typed, want := range map[string]string{
		`{"temp": 21.5, "id": 7, }`:   "a2 6474656d70 f94d60 626964 07",
		"  / here /  {1: 'abc'} # so": "a1 01 43616263",
		"h'01 02\n03'":                "43010203",
		"b64'AQID'":                   "43010203",
		"b32'AEBAG==='":               "43010203",
		"h32'04106'":                  "43010203",
		"<<1, [2]>>":                  "43018102",
		"0x10":                        "10",
		"-0b11":                       "22",
		"0o17":                        "0f",
		"1e3":                         "f963d0",
		"dt'2013-03-21T20:04:00Z'":    "1a514b67b0",
		"DT'2013-03-21T20:04:00Z'":    "c11a514b67b0",
		"DT'2013-03-21T20:04:00.5Z'":  "c1fb41d452d9ec200000",
		"55799([true])":               "d9d9f7 81f5",
		`"\u00fc\ud83d\ude00"`:        "66c3bcf09f9880",
		"simple(32)":                  "f820",
		`[_1 1]`:                      "99000101",
		"340282366920938463463374607431768211456": "c2 51 0100000000000000000000000000000000",
	} {
		c := payload.Content{Text: []byte(typed)}
		if err := codec(t).Encode(&c); err != nil {
			t.Errorf("%s: %v", typed, err)
			continue
		}
		if diff := cmp.Diff(hex.EncodeToString(unhex(t, want)), hex.EncodeToString(c.Bytes)); diff != "" {
			t.Errorf("%s: %s", typed, diff)
		}
	}
}

func TestNotationThatIsWrong(t *testing.T) {
	for typed, want := range map[string]string{
		"":                                      "byte 0: 0 items, and one is to be",
		"1, 2":                                  "byte 0: 2 items",
		"{1 2}":                                 "byte 3: '2' where a colon is to be",
		"[1 2]":                                 "byte 3: '2' where a comma or ] is to be",
		"[1":                                    "byte 2: the end where a comma or ] is to be",
		"hello":                                 `byte 0: "hello" is no item; text stands in double quotes`,
		`"a`:                                    "byte 0: a string without its end",
		"h'0'":                                  "byte 0: h'…' with digits that are none",
		"q'0'":                                  "byte 0: q'…' is unknown",
		"300_0":                                 "300 does not fit 1 bytes",
		"0.1_1":                                 "0.1 is no float of 2 bytes",
		"simple(24)":                            "byte 0: simple values are",
		"1.5_0":                                 "byte 0: floats have the widths",
		"/ x":                                   "byte 0: a comment without its end",
		"ext(1, h'')":                           "CBOR has no extensions",
		"dt'tomorrow'":                          "is no time such as",
		"(_ 1)":                                 "byte 0: parts of a string",
		"-1(2)":                                 "byte 0: no number of a tag",
		"--1":                                   `byte 0: "-" is no number`,
		strings.Repeat("[", payload.MaxDepth+2): "byte 129: more than 128 levels",
		strings.Repeat("9", 20_000):             "a number of more than 10000 digits",
	} {
		err := codec(t).Encode(&payload.Content{Text: []byte(typed)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", typed, err, want)
		}
	}
}

func TestWhatIsMalformedNamesTheByte(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "byte 0: an item is missing",
		"8301 02":                 "byte 0: an array of 3 items in 2 bytes",
		"82 01 19ff":              "byte 2: argument: 1 of 2 bytes",
		"a1 01":                   "byte 0: a map of 1 pairs in 1 bytes",
		"0101":                    "byte 1: 1 bytes behind the item; cbor:seq reads sequences",
		"9b7fffffffffffffff":      "byte 0: an array of 9223372036854775807 items in 0 bytes",
		"bbffffffffffffffff":      "byte 0: a map of 18446744073709551615 pairs in 0 bytes",
		"5bffffffffffffffff00":    "byte 0: bytes: 1 of 18446744073709551615 bytes",
		"61ff":                    "byte 0: text that is not UTF-8",
		"ff":                      "byte 0: a break where nothing is to be ended",
		"1c":                      "byte 0: additional information 28 is reserved",
		"bf01ff":                  "byte 2: a key of a map has no value",
		"5f01ff":                  "byte 1: unsigned within bytes in parts",
		strings.Repeat("81", 200): "byte 129: more than 128 levels",
	} {
		err := codec(t).Decode(&payload.Content{Bytes: unhex(t, in)})
		if wrong := (*payload.Malformed)(nil); !errors.As(err, &wrong) || err.Error() != want {
			t.Errorf("%.30s: %v, want %s", in, err, want)
		}
	}
}

func TestRepeatedKeysAreNoted(t *testing.T) {
	c := payload.Content{Bytes: unhex(t, "a2 6161 01 6161 02")}
	if err := codec(t).Decode(&c); err != nil || len(c.Notes) != 1 || c.Notes[0] != `the key "a" is there more than once` {
		t.Error(c.Notes, err)
	}
}

func TestGuessIsNotMadeOfAFewBytes(t *testing.T) {
	for in, want := range map[string]bool{
		"a1 6161 01": true, "82 01 6161": true, "d9d9f7 01": true, "85 01 02 03 04 05": true, "82 f94d60 1837": true,
		"bf 6161 01 ff": true, "bfff": false, "9fff": false,
		"82 01 02": false, "a1 01 02": false, "c1 1a00": false, "83 01 02 03": false, "c24101": false,
		"01": false, "80": false, "a0": false, "6161": false, "a1 40 01": false, "82 01": false, "82 01 02 03": false,
	} {
		if got := cbor.Format().Guess(&payload.Content{Bytes: unhex(t, in)}); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

// What the reference library takes for CBOR is CBOR, and what is not is not.
func FuzzFormat(f *testing.F) {
	for _, e := range examples {
		f.Add(unhex(f, e[0]))
	}
	mode, err := reference.DecOptions{MaxNestedLevels: 128, DupMapKey: reference.DupMapKeyQuiet}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	c, err := cbor.Format().New("")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		content := payload.Content{Bytes: b}
		err := c.Decode(&content)
		if theirs := mode.Wellformed(b); (err == nil) != (theirs == nil) && !ours(err) {
			t.Fatalf("% x: %v, and the other library says %v", b, err, theirs)
		}
		if err != nil {
			return
		}
		again := payload.Content{Text: content.Text}
		if err := c.Encode(&again); err != nil || !cmp.Equal(b, again.Bytes) {
			t.Fatalf("% x is %s, and this is % x: %v", b, content.Text, again.Bytes, err)
		}
	})
}

// ours are limits that the other library has not.
func ours(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "UTF-8") || strings.Contains(err.Error(), "levels"))
}
