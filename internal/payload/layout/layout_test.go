package layout_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/layout"
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

var examples = []struct{ fields, in, text string }{
	// One value, and Python's letters.
	{"<f", "0000ac41", "21.5"},
	{">f", "41aa6666", "21.3"},
	{"d", "4035800000000000", "21.5"},
	{">HhI", "ffff ffff 00000001", "[65535,-1,1]"},
	{"<2Hb?", "0100 0200 ff 01", "[1,2,-1,true]"},
	{"4sxe", "61620000 00 3c00", `["ab",1.0]`},
	{"qQ", "8000000000000000 ffffffffffffffff", "[-9223372036854775808,18446744073709551615]"},
	// Names and scaling: the digits are those of the scale.
	{">i16:temperature*0.1 u8:humidity", "00d7 37", `{"temperature":21.5,"humidity":55}`},
	{"u8:t-40,u16:v/1000,u8:p/2.55", "00 0ce4 ff", `{"t":-40,"v":3.300,"p":100}`},
	{"u8:n/3", "01", `{"n":0.3333333333333333}`},
	{"u16:x*0.1+0.25", "0003", `{"x":0.55}`},
	{"i24:a <u24:b", "ffff00 010000", `{"a":-256,"b":1}`},
	{"u64*0.001:t", "ffffffffffffffff", `{"t":18446744073709551.615}`},
	// Bits: from the top, or with little endian from the bottom.
	{"u3:mode u5:fan", "a1", `{"mode":5,"fan":1}`},
	{"<u3:mode u5:fan", "0d", `{"mode":5,"fan":1}`},
	{"u12:a u12:b", "123456", `{"a":291,"b":1110}`},
	{"<u12:a u12:b", "236145", `{"a":291,"b":1110}`},
	{"flag:on i7:x", "ff", `{"on":true,"x":-1}`},
	{"u4:a f32:b u4:c", "141ac00007", `{"a":1,"b":21.5,"c":7}`},
	{"flag[8]", "a5", "[true,false,true,false,false,true,false,true]"},
	{"u1:_ u7:x pad[2]", "05 0000", `{"x":5}`},
	// Names of values, strings, bytes.
	{"u8:state{0:off,1:on, 0xff:broken down}", "ff", `{"state":"broken down"}`},
	{"u8:state{0:off}", "07", `{"state":7}`},
	{"str[5]:a strz:b hex[2]:c bytes[]:d", "4142000000 c3bc00 00ff 0102", `{"a":"AB","b":"ü","c":"00ff","d":"AQI="}`},
	// Arrays and groups.
	{"u16[3]:x", "000100020003", `{"x":[1,2,3]}`},
	{"u8:n str[n]:name u16[]:rest", "02 4142 0001 0002", `{"n":2,"name":"AB","rest":[1,2]}`},
	{"u8:n (u8:id i16:v*0.1)[n]:readings", "02 01 0064 02 ffff", `{"n":2,"readings":[{"id":1,"v":10.0},{"id":2,"v":-0.1}]}`},
	{"(u8:n str[n]:s)[]:all", "01 41 00 02 4242", `{"all":[{"n":1,"s":"A"},{"n":0,"s":""},{"n":2,"s":"BB"}]}`},
	{"u8:n (u8:x u8[n]:y)[2]:g", "01 05 06 07 08", `{"n":1,"g":[{"x":5,"y":[6]},{"x":7,"y":[8]}]}`},
	{"(u8 u8)[]", "01020304", "[[1,2],[3,4]]"},
	{"f64:x f16:y", "7ff0000000000000 fc00", `{"x":"Infinity","y":"-Infinity"}`},
}

func TestLayouts(t *testing.T) {
	for _, e := range examples {
		payloadtest.RoundTrip(t, layout.Format(), e.fields, payloadtest.Sample{Payload: unhex(t, e.in), Text: e.text})
	}
	for _, fields := range []string{
		everything, "u8:n u64[n]:x", "u32:n (u8:a u8:k str[k]:b)[n]:g", "u64:n str[n]:s", "flag[]", "(u8 u8)[]", "strz:a bytes[]:b", "u16:n (u16:m u8[m]:x)[n]:g",
	} {
		t.Run(fields, func(t *testing.T) { payloadtest.Run(t, layout.Format(), fields) })
	}
	payloadtest.Run(t, layout.Format(), everything, payloadtest.Sample{Payload: unhex(t, everyByte)})
}

const (
	everything = "<u8:n (u3:a i5:b)[n]:g u16:t*0.1-40 i12:x u4:s{0:off,1:on} f32:f e:h strz:z u8:k hex[k]:y bytes[]:rest"
	everyByte  = "02 0d ff d700 ff0f 0000ac41 003c 4100 01 ff 0102"
)

func codec(t testing.TB, fields string) payload.Codec {
	t.Helper()
	c, err := layout.Format().New(fields)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFieldsOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meter.struct")
	if err := os.WriteFile(file, []byte("# a meter\n>u16:volts/10   # decivolts\nu8:phase{1:L1,2:L2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	payloadtest.Run(t, layout.Format(), "@"+file, payloadtest.Sample{Payload: unhex(t, "08fc 02"), Text: `{"volts":230.0,"phase":"L2"}`})
	if _, err := layout.Format().New("@" + file + ".not"); err == nil {
		t.Error("a file that is not there")
	}
}

func TestWhatIsMalformedNamesByteAndField(t *testing.T) {
	for _, tt := range []struct{ fields, in, want string }{
		{"u8:a u32:b", "01 0203", "byte 1: b: 2 of 4 bytes"},
		{"u8:a", "0102", "byte 1: 1 bytes behind the last field; bytes[]:rest would take them"},
		{"u8:n u16[n]:x", "ff 0001", "byte 1: x: 2 of 4 bytes"},
		{"u8:n str[n]:x", "ff 41", "byte 1: x: 1 of 255 bytes"},
		{"u64:n (u8:x)[n]:g", "ffffffffffffffff 00", "byte 8: g: 1 of 10 bytes"},
		{"i8:n str[n]:x", "ff", "byte 1: x: n is a negative length"},
		{"str[1]:x", "ff", "byte 0: x: text that is not UTF-8; bytes or hex take any"},
		{"u8:a strz:x", "01 41", "byte 1: x: the zero at the end is missing"},
		{"u4:a u12:b", "01", "byte 0: b: 4 of 12 bits"},
	} {
		err := codec(t, tt.fields).Decode(&payload.Content{Bytes: unhex(t, tt.in)})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s of %s: %v, want %s", tt.fields, tt.in, err, tt.want)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, tt := range []struct{ fields, typed, want string }{
		{">i16:t*0.1", `{"t":21.53}`, "00d7"}, // the nearest
		{">i16:t*0.1", `{"t":-0.05}`, "ffff"},
		{"u8:n u8[n]:x", `{"x":[7,8]}`, "020708"}, // the length is counted
		{"u8:s{0:off,1:on}", `{"s":1}`, "01"},
		{"u8:a u8:b", `{"b":1,"a":2.0}`, "0201"},
		{"e", `"NaN"`, "7e00"},
		{"e", `65504`, "7bff"},
		{"e", `0.1`, "2e66"},
		{"f", `1e-50`, "00000000"},
		{"hex[2]:x u8:_", `{"x":"00 ff"}`, "00ff00"},
	} {
		c := payload.Content{Text: []byte(tt.typed)}
		err := codec(t, tt.fields).Encode(&c)
		if got := hex.EncodeToString(c.Bytes); err != nil || got != tt.want {
			t.Errorf("%s of %s: %s, %v, want %s", tt.fields, tt.typed, got, err, tt.want)
		}
	}
}

func TestWhatCannotBeEncodedNamesTheMember(t *testing.T) {
	for _, tt := range []struct{ fields, typed, want string }{
		{"u8:a u8:b", `{"a":1}`, "b: is missing"},
		{"u8:a", `{"a":1,"c":2}`, "c: there is no such field"},
		{"u8:a", `{"a":256}`, "a: 256 does not fit u8"},
		{"u8:a", `{"a":1.5}`, "a: 1.5 is no whole number"},
		{"i4:a u4:b", `{"a":8,"b":0}`, "a: 8 does not fit i4"},
		{"u8:a*0.1", `{"a":25.6}`, "a: 25.6 does not fit u8"},
		{"u8:a", `{"a":1e999999999}`, "a: 1e999999999 is too large"},
		{"u8:a", `[1]`, "the value: is no object"},
		{"u8 u8", `[1]`, "the value: has too few values: u8 is missing"},
		{"u8 u8", `[1,2,3]`, "the value: has 1 values too many"},
		{"u8:s{0:off}", `{"s":"on"}`, `s: "on" is none of its names`},
		{"u8:n u8[n]:x", `{"n":3,"x":[1]}`, "n: 3, and x has 1"},
		{"u8[2]:x", `{"x":[1]}`, "x: has 1, and 2 are to be"},
		{"(u8:v)[]:g", `{"g":[{"v":1},{"v":-1}]}`, "g[1].v: -1 does not fit u8"},
		{"str[2]:x", `{"x":"abc"}`, "x: has 3, and 2 are to be"},
		{"strz:x", `{"x":"a\u0000"}`, "x: has a zero in it"},
		{"bool:x", `{"x":1}`, "x: is neither true nor false"},
		{"f:x", `{"x":1e39}`, "x: 1e39 does not fit f32"},
		{"e:x", `{"x":65520}`, "x: 65520 does not fit f16"},
		{"f:x", `{"x":"high"}`, "x: is no number"},
	} {
		err := codec(t, tt.fields).Encode(&payload.Content{Text: []byte(tt.typed)})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s of %s: %v, want %s", tt.fields, tt.typed, err, tt.want)
		}
	}
}

func TestLayoutsThatAreNone(t *testing.T) {
	for fields, want := range map[string]string{
		"":                      "no fields; give some",
		"u8:a u16":              "some fields have names",
		"u8:a u8:a":             "two fields are called a",
		"u3:a":                  "5 bits are left, add u5:_",
		"u4:a <u4:b":            "the byte order changes within a byte",
		"u65:a":                 "there are u1 to u64",
		"zz:a":                  `"zz" is no type`,
		"HH:a":                  "give each its name, as in H:a H:b",
		"str:a":                 "str of how many bytes?",
		"u8[]:a u8:b":           "a goes up to the end, and b follows it",
		"u8[n]:a":               "n is no whole number of a field before it",
		"u4[n]:a":               "n is no whole number",
		"u8:n u4[n]:a":          "a repeats parts of bytes",
		"(u8:a":                 "a ( without its )",
		"u8:a)":                 "a ) without its (",
		"u8:a*0":                "*0",
		"u8:a+1*2":              "scale first",
		"u8:a*x":                `"" behind * is no number`,
		"str[2]:a*2":            "str is no number",
		"u8:a{0}":               `"0" is no name of a value`,
		"u8:a{0:x,0:y}":         "is there twice",
		"u8[0]:a":               "an array of 0 elements",
		"(u8[])[]":              "a group may be of no bytes at all",
		"u8:n (u8[n]:a)[2]:g":   "a group may be of no bytes at all",
		"99999999999999H":       "is no type",
		"9999999H":              "is no type",
		"?:":                    "a name is missing",
		strings.Repeat("(", 20): "more than 8 levels",
	} {
		_, err := layout.Format().New(fields)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "character ") {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	payloadtest.Fuzz(f, layout.Format(), everything,
		payloadtest.Sample{Payload: unhex(f, everyByte)},
		payloadtest.Sample{Payload: unhex(f, "00 0000 0000 00000000 0000 00 00")})
}

func FuzzLayout(f *testing.F) {
	for _, e := range examples {
		f.Add(e.fields, unhex(f, e.in))
	}
	f.Fuzz(func(t *testing.T, fields string, b []byte) {
		if strings.HasPrefix(fields, "@") {
			return
		}
		c, err := layout.Format().New(fields)
		if err != nil {
			return
		}
		content := payload.Content{Bytes: b}
		if c.Decode(&content) == nil {
			_, _ = payload.ParseJSON(content.AppendText(nil))
		}
	})
}
