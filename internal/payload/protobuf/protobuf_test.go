package protobuf

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/payloadtest"
)

const (
	readingArg = "testdata/reading.proto:acme.Reading:testdata/include"
	oldArg     = "testdata/old.proto:acme.old.Register"
	trackArg   = "testdata/edition.proto:Track"
)

func open(t testing.TB, arg string) payload.Codec {
	t.Helper()
	k, err := New(arg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, k payload.Codec, b []byte) (string, []string) {
	t.Helper()
	c := payload.Content{Bytes: b}
	if err := k.Decode(&c); err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	return string(c.AppendText(nil)), c.Notes
}

func encode(t testing.TB, k payload.Codec, text string) []byte {
	t.Helper()
	c := payload.Content{Text: []byte(text)}
	if err := k.Encode(&c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c.Bytes
}

func samples(t testing.TB, pairs [][2]string) (all []payloadtest.Sample) {
	for _, p := range pairs {
		all = append(all, payloadtest.Sample{Payload: bytesOf(t, p[0]), Text: p[1]})
	}
	return all
}

var untypedPairs = [][2]string{
	{"", `{}`},
	{"08 96 01", `{"1:varint":150}`},
	{"08 fb ff ff ff ff ff ff ff ff 01", `{"1:int?":-5}`},
	{"12 07 74 65 73 74 69 6e 67", `{"2:string?":"testing"}`},
	{"1a 03 08 96 01", `{"3:message?":{"1:varint":150}}`},
	{"25 00 00 ac 41", `{"4:float?":21.5}`},
	{"25 01 00 00 00", `{"4:fixed32":1}`},
	{"29 00 00 00 00 00 80 35 40", `{"5:double?":21.5}`},
	{"29 01 00 00 00 00 00 00 00", `{"5:fixed64":1}`},
	{"32 02 00 ff", `{"6:bytes":"AP8="}`},
	{"32 00", `{"6:bytes":""}`},
	{"3b 08 01 3c", `{"7:group":{"1:varint":1}}`},
	{"08 01 08 02", `{"1:varint":[1,2]}`},
	{"12 01 61 12 02 00 ff", `{"2:bytes":["YQ==","AP8="]}`},
	{"12 03 61 0a 62", `{"2:string?":"a\nb"}`},
	{"0a 07 0a 05 68 65 6c 6c 6f", `{"1:message?":{"1:string?":"hello"}}`},
	{"0a 03 08 81 00", `{"1:bytes":"CIEA"}`}, // a number that is longer than it has to be
}

func TestWithoutASchema(t *testing.T) {
	payloadtest.Run(t, Format(), "", samples(t, untypedPairs)...)
	// Entries of one field are brought together.
	if got, _ := decode(t, open(t, ""), bytesOf(t, "08 01 12 01 61 08 02")); got != `{"1:varint":[1,2],"2:string?":"a"}` {
		t.Error(got)
	}
}

var readingPairs = [][2]string{
	{"", `{}`},
	{"0a 02 6b 31 10 fb ff ff ff ff ff ff ff ff 01", `{"sensorId":"k1","i32":-5}`},
	{"18 09 20 ff ff ff ff 0f 2d ff ff ff ff 35 ff ff ff ff", `{"s32":-5,"u32":4294967295,"f32":4294967295,"sf32":-1}`},
	{"38 80 80 80 80 80 80 80 80 80 01 40 ff ff ff ff ff ff ff ff ff 01", `{"i64":-9223372036854775808,"s64":-9223372036854775808}`},
	{"48 ff ff ff ff ff ff ff ff ff 01", `{"u64":18446744073709551615}`},
	{"65 cd cc 8c 3f 69 9a 99 99 99 99 99 f1 3f 70 01", `{"temperature":1.1,"pressure":1.1,"ok":true}`},
	{"65 00 00 c0 7f 69 00 00 00 00 00 00 f0 ff", `{"temperature":"NaN","pressure":"-Infinity"}`},
	{"65 00 00 00 00 70 00", `{"temperature":0,"ok":false}`}, // what is sent is shown
	{"7a 02 00 ff 80 01 01", `{"blob":"AP8=","state":"RUNNING"}`},
	{"80 01 fe ff ff ff ff ff ff ff ff 01", `{"state":"FAILED"}`},
	{"80 01 09", `{"state":9}`},
	{"8a 01 03 01 ac 02 90 01 01 90 01 02", `{"counts":[1,300],"loose":[1,2]}`},
	{"9a 01 01 61 9a 01 00", `{"tags":["a",""]}`},
	{"a2 01 02 08 01 a2 01 00", `{"samples":[{"at":1},{}]}`},
	{"aa 01 05 0a 01 61 10 07", `{"limits":{"a":7}}`},
	{"b2 01 06 08 03 12 02 08 01 ba 01 04 08 01 10 01", `{"byPort":{"3":{"at":1}},"flags":{"true":"RUNNING"}}`},
	{"c2 01 01 75", `{"url":"u"}`},
	{"ca 01 03 1a 01 6e", `{"place":{"name":"n"}}`},
	{"d0 01 00", `{"maybe":0}`},
	{"da 01 03 da 01 00", `{"parent":{"parent":{}}}`},
	{"e0 01 05", `{"custom-name":5}`},
	{"c2 02 0c 08 95 93 db b1 06 10 80 ca b5 ee 01", `{"time":"2024-05-04T23:49:41.500Z"}`},
	{"c2 02 00", `{"time":"1970-01-01T00:00:00Z"}`},
	{"ca 02 0b 10 80 b6 ca 91 fe ff ff ff ff 01", `{"lag":"-0.500s"}`},
	{"f2 02 00", `{"limit":0}`},
	{"f2 02 09 09 00 00 00 00 00 00 f8 3f", `{"limit":1.5}`},
	{"fa 02 03 0a 01 78 82 03 03 0a 01 00", `{"label":"x","raw":"AA=="}`},
	{"8a 03 0c 0a 03 61 5f 62 0a 05 63 2e 64 5f 65", `{"mask":"aB,c.dE"}`},
	{"92 03 00 98 03 00 a2 03 02 08 01 a2 03 00", `{"nothing":{},"null":null,"wrapped":[1,0]}`},
	{"e8 03 07", `{"61:varint":7}`}, // not in the schema
	{"08 05", `{"1:varint":5}`},     // of another wire type
}

func TestBySchema(t *testing.T) {
	payloadtest.Run(t, Format(), readingArg, samples(t, readingPairs)...)
}

func TestProto2AndEditions(t *testing.T) {
	payloadtest.Run(t, Format(), oldArg, samples(t, [][2]string{
		{"0a 01 6e 18 01 18 02 22 02 03 04", `{"name":"n","counts":[1,2],"dense":[3,4]}`},
		{"0a 01 6e 2b 08 01 10 02 2c", `{"name":"n","range":{"low":1,"high":2}}`},
		{"0a 01 6e a2 06 01 43 aa 06 02 08 01", `{"name":"n","[acme.old.unit]":"C","[acme.old.Scope.scopes]":[{"id":1}]}`},
	})...)
	if _, notes := decode(t, open(t, oldArg), nil); !cmp.Equal(notes, []string{"name, which acme.old.Register has to have, is missing"}) {
		t.Errorf("%q", notes)
	}
	payloadtest.Run(t, Format(), trackArg, samples(t, [][2]string{
		{"08 01 08 02 12 02 03 04 1a 02 08 01 23 08 02 24", `{"loose":[1,2],"dense":[3,4],"plain":{"x":1},"delimited":{"x":2}}`},
		{"2a 07 0a 01 61 12 02 08 01", `{"points":{"a":{"x":1}}}`},
	})...)
}

// TestWhatIsOddIsReadAsProtobufHasIt: order, repetition and packing that others
// may write, and what becomes of it.
func TestWhatIsOddIsReadAsProtobufHasIt(t *testing.T) {
	for _, tt := range []struct{ in, want, note string }{
		{"10 01 10 02", `{"i32":2}`, "i32 is there 2 times"},
		{"ca 01 02 1a 00 ca 01 09 09 00 00 00 00 00 00 f8 3f", `{"place":{"name":"","latitude":1.5}}`, "place is there 2 times"},
		{"c2 01 01 75 ca 01 00", `{"place":{}}`, "url and place are both there, and the last of them counts"},
		{"88 01 01 8a 01 02 02 03 90 01 04 92 01 01 05", `{"counts":[1,2,3],"loose":[4,5]}`, ""},
		{"aa 01 05 0a 01 61 10 07 aa 01 05 0a 01 61 10 08", `{"limits":{"a":8}}`, ""},
		{"aa 01 00 b2 01 00", `{"limits":{"":0},"byPort":{"0":{}}}`, ""},
		{"0a 01 ff", `{"1:bytes":"/w=="}`, "field 1 (sensorId) is text, but not UTF-8: shown as bytes"},
		{"08 05 e8 03 01", `{"1:varint":5,"61:varint":1}`, "field 1 of acme.Reading (sensorId) is varint on the wire: shown as that\nfield 61 (varint) is not in acme.Reading"},
		{"c2 02 0c 08 ff ff ff ff ff ff ff ff 7f 10 01", `{"time":{"seconds":9223372036854775807,"nanos":1}}`, "a Timestamp is beyond the years 1 to 9999"},
		{"d2 02 07 0a 01 78 12 02 00 ff", `{"detail":{"@type":"x","value":"AP8="}}`, "x is not in the files: its value is bytes"},
		{"e2 02 00", `{"anyValue":null}`, "a Value is none: shown as null"},
	} {
		got, notes := decode(t, open(t, readingArg), bytesOf(t, tt.in))
		if got != tt.want || strings.Join(notes, "\n") != tt.note {
			t.Errorf("%s:\n%s\n%s", tt.in, got, strings.Join(notes, "\n"))
		}
	}
}

func TestSchemasAreFound(t *testing.T) {
	for arg, want := range map[string]string{
		"testdata/reading.proto:Reading:testdata/include":     "", // without the package
		"testdata/deep/site/plant.proto":                      "", // one message; imports from a directory above
		"testdata/reading.proto:acme.Reading":                 `acme.Reading.place: there is no type "Place"; not found are the imports acme/place.proto, options/not_here.proto: name their directory behind the message`,
		"testdata/reading.proto:acme.Readin:testdata/include": `testdata/reading.proto: there is no message "acme.Readin": did you mean acme.Reading?`,
		"testdata/reading.proto:Elephant:testdata/include":    `testdata/reading.proto: there is no message "Elephant": there is acme.Reading, acme.Reading.Sample`,
		"testdata/edition.proto":                              `testdata/edition.proto: say which message, as in :acme.edition.Point, acme.edition.Track`,
		"testdata/none.proto:A":                               `no such file`,
		"testdata:A":                                          `testdata is a directory`,
		"protobuf_test.go:A":                                  `protobuf_test.go is no descriptor set, as protoc --include_imports --descriptor_set_out=protobuf_test.go writes it; source ends in .proto`,
	} {
		_, err := New(arg)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.proto")
	if err := os.WriteFile(bad, []byte("syntax = \"proto3\";\nmessage M { int32 x }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(bad); err == nil || !strings.HasPrefix(err.Error(), bad+":2:") {
		t.Errorf("a syntax error: %v", err)
	}
	// The parser has been seen to panic at an escape that is none.
	if _, err := parse("bad.proto", []byte("\"\\\x8f\xd4\xd4\xd4")); err == nil {
		t.Error("a string with a broken escape is read")
	}
}

func TestWhatIsWrongIsSaidAndWhere(t *testing.T) {
	for in, want := range map[string]string{
		`{"senserId":"x"}`:           `senserId: acme.Reading has no such field: did you mean sensorId?`,
		`{"elephant":1}`:             `elephant: acme.Reading has no such field`,
		`{"i32":2147483648}`:         `i32: 2147483648 does not fit int32`,
		`{"u32":-1}`:                 `u32: -1 does not fit uint32`,
		`{"i32":1.5}`:                `i32: 1.5 is no integer`,
		`{"ok":1}`:                   `ok: 1 is neither true nor false`,
		`{"state":"RUNNIN"}`:         `state: "RUNNIN" is no value of acme.State: did you mean RUNNING?`,
		`{"state":"X"}`:              `state: "X" is no value of acme.State: there is FAILED, RUNNING, UNKNOWN`,
		`{"samples":{}}`:             `samples: {} is no array`,
		`{"samples":[{"at":"x"}]}`:   `samples[0].at: "x" is no integer`,
		`{"url":"x","place":{}}`:     `place: url is there, too, and only one of them can be`,
		`{"time":"yesterday"}`:       `time: "yesterday" is no time of RFC 3339, as in`,
		`{"lag":"1"}`:                `lag: "1" is no duration, as in "1.5s"`,
		`{"blob":"?"}`:               `blob: "?" is no base64`,
		`{"limits":[]}`:              `limits: [] is no object, as maps are`,
		`{"flags":{"x":1}}`:          `flags.x: the key is neither true nor false`,
		`{"place":1}`:                `place: 1 is no object, as acme.Place is`,
		`{"detail":{"@type":"a/b"}}`: `detail: a/b is not in the files, so value has to be its bytes as base64`,
		`{"temperature":1e39}`:       `temperature: 1e39 is no number of 32 bits`,
		`{"61:float":"x"}`:           `61:float: "x" is no number of 32 bits`,
		`{"61:number":1}`:            `61:number: "number" is none of varint, int,`,
		`[]`:                         `payload: [] is no object, as acme.Reading is`,
	} {
		err := open(t, readingArg).Encode(&payload.Content{Text: []byte(in)})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	if err := open(t, "").Encode(&payload.Content{Text: []byte(`{"x":1}`)}); err == nil || !strings.Contains(err.Error(), "named by number") {
		t.Error(err)
	}
	for in, want := range map[string]string{
		"0a 05 61":             "byte 0: field 1 is cut short or broken",
		"10 01 ca 01 02 1a 05": "byte 5: field 3 is cut short or broken",
		"07":                   "byte 0: no tag of a field",
		"80 80 80 80 10 01":    "byte 0: no tag of a field", // number 536870912
	} {
		if err := open(t, readingArg).Decode(&payload.Content{Bytes: bytesOf(t, in)}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func FuzzUntyped(f *testing.F) { payloadtest.Fuzz(f, Format(), "", samples(f, untypedPairs)...) }

func FuzzBySchema(f *testing.F) {
	payloadtest.Fuzz(f, Format(), readingArg, samples(f, readingPairs)...)
}

func FuzzProto2(f *testing.F) {
	payloadtest.Fuzz(f, Format(), oldArg, samples(f, [][2]string{{"0a 01 6e 2b 08 01 10 02 2c a2 06 01 43", ""}})...)
}

// FuzzSource: no file, however odd, makes New panic.
func FuzzSource(f *testing.F) {
	for _, name := range []string{"reading.proto", "old.proto", "edition.proto"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := parse("fuzz.proto", b)
		if err != nil {
			return
		}
		s := newSchema()
		s.add(file, true)
		for _, name := range s.ours {
			_, _ = s.message(name)
		}
	})
}
