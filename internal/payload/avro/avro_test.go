package avro

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hamba "github.com/hamba/avro/v2"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/payloadtest"
)

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write puts a schema into a file of its own.
func write(t testing.TB, schema string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "s.avsc")
	if err := os.WriteFile(name, []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func decode(t testing.TB, f payload.Format, arg string, b []byte) payload.Content {
	t.Helper()
	k, err := f.New(arg)
	if err != nil {
		t.Fatal(err)
	}
	c := payload.Content{Bytes: b}
	if err := k.Decode(&c); err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	return c
}

func encode(t testing.TB, f payload.Format, arg, text string) []byte {
	t.Helper()
	k, err := f.New(arg)
	if err != nil {
		t.Fatal(err)
	}
	c := payload.Content{Text: []byte(text)}
	if err := k.Encode(&c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c.Bytes
}

// readings are by testdata/reading.avsc.
var readings = [][2]string{
	{
		"04 6b 31 0d 01 00 00 c0 3f 00 00 00 00 00 00 f0 3f 01 02 ff 00 01 02 04 02 03 00 02 02 61 00 00 00 00 00",
		`{"id":"k1","n":-7,"l":-1,"f":1.5,"d":1,"ok":true,"raw":"/w==","hash":"AAE=","state":"ON","list":[1,-2],"map":{"a":null},"maybe":null,"mixed":null,"next":null}`,
	},
	{
		"00 fe ff ff ff 0f ff ff ff ff ff ff ff ff ff 01 00 00 c0 7f 00 00 00 00 00 00 f0 ff 00 00 00 00 00 00 02 02 62 02 00 00 02 cd cc cc cc cc cc 00 40 02 02 78 00",
		`{"id":"","n":2147483647,"l":-9223372036854775808,"f":"NaN","d":"-Infinity","ok":false,"raw":"","hash":"AAA=","state":"OFF","list":[],"map":{"b":""},"maybe":2.1,"mixed":{"string":"x"},"next":null}`,
	},
}

func samples(t testing.TB, pairs [][2]string) (all []payloadtest.Sample) {
	for _, p := range pairs {
		all = append(all, payloadtest.Sample{Payload: bytesOf(t, p[0]), Text: p[1]})
	}
	return all
}

func TestRaw(t *testing.T) {
	payloadtest.Run(t, Raw(), "testdata/reading.avsc", samples(t, readings)...)
	payloadtest.Run(t, Raw(), "testdata/place.avsc,testdata/track.avsc", samples(t, [][2]string{
		{"02 00 00 00 00 00 00 f0 3f 00 00 00 00 00 00 00 40 00", `[{"lat":1,"lon":2}]`},
	})...)
}

func TestLogicalTypes(t *testing.T) {
	const text = `{"date":"2024-05-02","t3":"10:30:00.001","t6":"23:59:59.999999","ts3":"2024-05-02T10:30:00.500Z",` +
		`"ts6":"1969-12-31T23:59:59.999999Z","ts9":"2024-05-02T10:30:00.000000001Z","local":"2024-05-02T10:30:00.000",` +
		`"dec":-12.50,"fix":1.234,"uuid":"x","id":"00112233-4455-6677-8899-aabbccddeeff","dur":{"months":1,"days":2,"millis":3}}`
	b := encode(t, Raw(), "testdata/logical.avsc", text)
	payloadtest.Run(t, Raw(), "testdata/logical.avsc", payloadtest.Sample{Payload: b, Text: text})

	// What no calendar has stays a number.
	beyond := strings.NewReplacer(`"2024-05-02T10:30:00.500Z"`, "9223372036854775807", `"10:30:00.001"`, "-1", `"2024-05-02"`, "2147483647").Replace(text)
	if c := decode(t, Raw(), "testdata/logical.avsc", encode(t, Raw(), "testdata/logical.avsc", beyond)); string(c.AppendText(nil)) != beyond {
		t.Errorf("%s, want\n%s", c.AppendText(nil), beyond)
	}
}

func TestDecimals(t *testing.T) {
	arg := write(t, `{"type":"bytes","logicalType":"decimal","precision":40,"scale":2}`)
	for _, tt := range [][2]string{
		{"02 00", "0.00"},
		{"02 7f", "1.27"},
		{"04 00 80", "1.28"},
		{"02 80", "-1.28"},
		{"04 ff 7f", "-1.29"},
		{"02 ff", "-0.01"},
		{"1a 01 00 00 00 00 00 00 00 00 00 00 00 00", "792281625142643375935439503.36"},
	} {
		if c := decode(t, Raw(), arg, bytesOf(t, tt[0])); string(c.AppendText(nil)) != tt[1] {
			t.Errorf("%s: %s, want %s", tt[0], c.AppendText(nil), tt[1])
		}
		if b := encode(t, Raw(), arg, tt[1]); !bytes.Equal(b, bytesOf(t, tt[0])) {
			t.Errorf("%s: % x, want %s", tt[1], b, tt[0])
		}
	}
}

func TestBlocksWithSizesAreRead(t *testing.T) {
	arg := write(t, `{"type":"array","items":"int"}`)
	if c := decode(t, Raw(), arg, bytesOf(t, "01 02 02 04 04 06 00")); string(c.AppendText(nil)) != "[1,2,3]" {
		t.Errorf("%s", c.AppendText(nil))
	}
}

func TestDefaultsAreWritten(t *testing.T) {
	c := decode(t, Raw(), "testdata/reading.avsc", encode(t, Raw(), "testdata/reading.avsc", `{"id":"x"}`))
	want := `{"id":"x","n":7,"l":-1,"f":1.5,"d":0,"ok":true,"raw":"/w==","hash":"AAE=","state":"ON","list":[],"map":{},"maybe":null,"mixed":null,"next":null}`
	if got := string(c.AppendText(nil)); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	arg := write(t, `{"type":"record","name":"R","fields":[{"name":"u","type":["string","long"],"default":"a"},`+
		`{"name":"r","type":{"type":"record","name":"S","fields":[{"name":"b","type":"bytes"}]},"default":{"b":"\u0080"}},`+
		`{"name":"a","type":{"type":"array","items":"bytes"},"default":["\u0001"]}]}`)
	c = decode(t, Raw(), arg, encode(t, Raw(), arg, `{}`))
	if got := string(c.AppendText(nil)); got != `{"u":{"string":"a"},"r":{"b":"gA=="},"a":["AQ=="]}` {
		t.Error(got)
	}
}

// TestUnionsNameTheirBranch, or take the first that fits.
func TestUnionsNameTheirBranch(t *testing.T) {
	arg := write(t, `["null","int","string",{"type":"map","values":"int"},{"type":"enum","name":"a.E","symbols":["x"]}]`)
	for in, want := range map[string]string{
		`null`: `00`, `{"int":3}`: `02 06`, `3`: `02 06`, `"y"`: `04 02 79`, `{"string":"x"}`: `04 02 78`,
		`{"a.E":"x"}`: `08 00`, `{"k":1}`: `06 02 02 6b 02 00`, `{"map":{"int":1}}`: `06 02 06 69 6e 74 02 00`,
	} {
		if got := encode(t, Raw(), arg, in); !bytes.Equal(got, bytesOf(t, want)) {
			t.Errorf("%s: % x, want %s", in, got, want)
		}
	}
	optional := write(t, `["double","null"]`)
	for in, want := range map[string]string{`null`: `02`, `1`: `00 00 00 00 00 00 00 f0 3f`, `{"double":1}`: `00 00 00 00 00 00 00 f0 3f`} {
		if got := encode(t, Raw(), optional, in); !bytes.Equal(got, bytesOf(t, want)) {
			t.Errorf("%s: % x, want %s", in, got, want)
		}
	}
}

func TestSingleObjects(t *testing.T) {
	const arg = "testdata/reading.avsc,testdata/place.avsc"
	place := bytesOf(t, "00 00 00 00 00 00 f0 3f 00 00 00 00 00 00 00 40")
	b := encode(t, Single(), arg, `{"lat":1,"lon":2}`)
	if len(b) != 10+len(place) || b[0] != 0xc3 || b[1] != 1 || !bytes.Equal(b[10:], place) {
		t.Fatalf("% x", b)
	}
	payloadtest.Run(t, Single(), arg, payloadtest.Sample{Payload: b, Text: `{"lat":1,"lon":2}`})
	other := encode(t, Single(), "testdata/reading.avsc", readings[0][1])
	if c := decode(t, Single(), arg, other); string(c.AppendText(nil)) != readings[0][1] {
		t.Errorf("%s", c.AppendText(nil))
	}
	k, err := Single().New("testdata/place.avsc")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		hex.EncodeToString(other):       "the fingerprint ",
		"c3 01 00 00 00 00 00 00 00 01": "byte 2: the fingerprint 0100000000000000 is that of no schema given: place.avsc has ",
		"c3 01 00":                      "byte 0: no single-object encoding: that begins with c3 01 and 8 bytes of fingerprint",
	} {
		if err := k.Decode(&payload.Content{Bytes: bytesOf(t, in)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestRegistry(t *testing.T) {
	const arg = "17:testdata/reading.avsc,18:testdata/place.avsc"
	payloadtest.Run(t, Registry(), arg, payloadtest.Sample{
		Payload: bytesOf(t, "00 00 00 00 12 00 00 00 00 00 00 f0 3f 00 00 00 00 00 00 00 40"), Text: `{"lat":1,"lon":2}`,
	})
	c := decode(t, Registry(), arg, append([]byte{0, 0, 0, 0, 17}, bytesOf(t, readings[0][0])...))
	if string(c.AppendText(nil)) != readings[0][1] || c.Label != "avro-registry:17" || c.Notes != nil {
		t.Errorf("%s %s %q", c.AppendText(nil), c.Label, c.Notes)
	}
	c = decode(t, Registry(), "testdata/place.avsc", bytesOf(t, "00 00 00 01 00 00 00 00 00 00 00 f0 3f 00 00 00 00 00 00 00 40"))
	if c.Label != "avro-registry:256" || len(c.Notes) != 1 || c.Notes[0] != "schema 256 is read by place.avsc" {
		t.Errorf("%s %q", c.Label, c.Notes)
	}
	k, err := Registry().New("testdata/place.avsc")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Encode(&payload.Content{Text: []byte("{}")}); err == nil || err.Error() != "the id of the schema is missing, as in avro-registry:17:testdata/place.avsc" {
		t.Error(err)
	}
	if k, err = Registry().New(arg); err != nil {
		t.Fatal(err)
	}
	if err := k.Decode(&payload.Content{Bytes: []byte{0, 0, 0, 0, 19}}); err == nil || err.Error() != "byte 1: schema 19 is not among those given" {
		t.Error(err)
	}
}

// TestFingerprints: canonical forms and CRC-64-AVRO of the specification.
func TestFingerprints(t *testing.T) {
	for in, want := range map[string]struct {
		canonical string
		crc       int64
	}{
		`"null"`:         {`"null"`, 7195948357588979594},
		`{"type":"int"}`: {`"int"`, 8247732601305521295},
		`"boolean"`:      {`"boolean"`, -6970731678124411036},
		`"float"`:        {`"float"`, 5583340709985441680},
		`"string"`:       {`"string"`, -8142146995180207161},
		`{"type":"array","items":{"type":"enum","name":"E","symbols":["a"],"doc":"x"}}`: {
			`{"type":"array","items":{"name":"E","type":"enum","symbols":["a"]}}`, 0,
		},
		`{"type":"fixed","name":"n.s.F","size":4,"aliases":["x"]}`: {`{"name":"n.s.F","type":"fixed","size":4}`, 0},
		`{"type":"record","name":"R","namespace":"n","fields":[{"name":"next","type":["null","R"],"default":null},{"name":"m","type":{"type":"map","values":"long"}}]}`: {
			`{"name":"n.R","type":"record","fields":[{"name":"next","type":["null","n.R"]},{"name":"m","type":{"type":"map","values":"long"}}]}`, 0,
		},
		`{"type":"long","logicalType":"timestamp-millis"}`: {`"long"`, -3434872931120570953},
	} {
		s, err := (&parser{own: map[string]*schema{}}).parse([]byte(in))
		if err != nil {
			t.Error(err)
			continue
		}
		got := canonical(nil, s, map[string]bool{})
		if string(got) != want.canonical || want.crc != 0 && int64(crc64(got)) != want.crc {
			t.Errorf("%s: %s, %d, want %s, %d", in, got, int64(crc64(got)), want.canonical, want.crc)
		}
	}
}

// TestAgreesWithHamba: another program's bytes and fingerprints.
func TestAgreesWithHamba(t *testing.T) {
	b, err := os.ReadFile("testdata/reading.avsc")
	if err != nil {
		t.Fatal(err)
	}
	theirs := hamba.MustParse(string(b))
	ours, err := (&parser{own: map[string]*schema{}}).parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(canonical(nil, ours, map[string]bool{})); got != theirs.String() {
		t.Errorf("%s, theirs\n%s", got, theirs)
	}
	for _, r := range readings {
		var v map[string]any
		if err := hamba.Unmarshal(theirs, encode(t, Raw(), "testdata/reading.avsc", r[1]), &v); err != nil {
			t.Errorf("%s: %v", r[1], err)
			continue
		}
		again, err := hamba.Marshal(theirs, v)
		if err != nil {
			t.Errorf("%v: %v", v, err)
			continue
		}
		if c := decode(t, Raw(), "testdata/reading.avsc", again); string(c.AppendText(nil)) != r[1] {
			t.Errorf("of their % x: %s, want\n%s", again, c.AppendText(nil), r[1])
		}
	}
}

func TestWhatIsWrongIsSaidAndWhere(t *testing.T) {
	const arg = "testdata/reading.avsc"
	k, err := Raw().New(arg)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{}`:                        `id: acme.Reading has to have this field`,
		`{"id":1}`:                  `id: 1 is no text`,
		`{"id":"","nn":1}`:          `nn: acme.Reading has no such field: did you mean n?`,
		`{"id":"","temperature":1}`: `temperature: acme.Reading has no such field`,
		`{"id":"","n":2147483648}`:  `n: 2147483648 does not fit int`,
		`{"id":"","n":1.5}`:         `n: 1.5 is no int`,
		`{"id":"","l":1e30}`:        `l: 1e30 does not fit long`,
		`{"id":"","f":"x"}`:         `f: "x" is no number of 32 bits`,
		`{"id":"","ok":0}`:          `ok: 0 is no boolean`,
		`{"id":"","hash":"AA=="}`:   `hash: acme.Hash has 2 bytes, and these are 1`,
		`{"id":"","raw":"?"}`:       `raw: "?" is no base64`,
		`{"id":"","state":"UP"}`:    `state: "UP" is none of OFF, ON`,
		`{"id":"","list":[1,"x"]}`:  `list[1]: "x" is no int`,
		`{"id":"","map":{"k":1}}`:   `map.k: 1 is no text`,
		`{"id":"","mixed":true}`:    `mixed: true is none of null, string, long, acme.Hash, array`,
		`{"id":"","next":{}}`:       `next.id: acme.Reading has to have this field`,
		`[]`:                        `payload: [] is no object, as acme.Reading is`,
	} {
		err := k.Encode(&payload.Content{Text: []byte(in)})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	for schema, tests := range map[string]map[string]string{
		`"int"`:     {"80 80 80 80 10": "byte 0: 2147483648 does not fit an int", "02 00": "byte 1: 1 bytes behind the data: another schema, perhaps", "80": "byte 0: int is cut short, or longer than 64 bits"},
		`"boolean"`: {"02": "byte 0: 0x02 is no boolean"},
		`"string"`:  {"04 61": "byte 0: a string of 2 bytes, and there are 1", "02 ff": "byte 1: a string that is not UTF-8"},
		`["null"]`:  {"02": "byte 0: a union of 1 types, and this is number 1"},
		`{"type":"array","items":"null"}`: {
			"fe ff ff ff 0f": "byte 5: more than 1048576 values", "ff ff ff ff ff ff ff ff ff 01 00": "byte 0: a count of items that nobody has",
		},
		`{"type":"enum","name":"E","symbols":["a"]}`: {"01": "byte 0: E has 1 symbols, and this is number -1"},
	} {
		k, err := Raw().New(write(t, schema))
		if err != nil {
			t.Fatal(err)
		}
		for in, want := range tests {
			if err := k.Decode(&payload.Content{Bytes: bytesOf(t, in)}); err == nil || err.Error() != want {
				t.Errorf("%s %s: %v, want %s", schema, in, err, want)
			}
		}
	}
}

func TestSchemasAreChecked(t *testing.T) {
	for in, want := range map[string]string{
		`{`:                            "byte 1: the end where a name in quotes is to be",
		`"Elephant"`:                   `schema: there is no type "Elephant": name the file that has it before this one`,
		`["null","null"]`:              "schema[1]: null is in the union twice",
		`["null",["int"]]`:             "schema[1]: a union within a union",
		`[]`:                           "schema: a union of no types",
		`{"name":"x"}`:                 "schema: the member type is missing",
		`{"type":"array"}`:             "schema: the member items is missing",
		`{"type":"fixed","name":"F"}`:  "schema: a fixed type has a size of 0 to",
		`{"type":"enum","name":"E"}`:   "schema: the member symbols is missing",
		`{"type":"record","name":"R"}`: "schema: the member fields is missing",
		`{"type":"record","name":"9","fields":[]}`:                                           `schema: "9" is no name of a type`,
		`{"type":"record","name":"R","fields":[{"name":"a"}]}`:                               "schema.fields[0]: a field has a name of its own and a type",
		`{"type":"enum","name":"E","symbols":["a","a"]}`:                                     `schema: "a" is no symbol`,
		`{"type":"array","items":{"type":"map","values":3}}`:                                 "schema.items.values: a type is a name, an array or an object",
		`["null",{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}]`: "schema[2]: F is defined twice",
	} {
		_, err := Raw().New(write(t, in))
		if err == nil || !strings.Contains(err.Error(), "s.avsc: "+want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	for arg, want := range map[string]string{
		"": "the file of the schema is missing, as in :reading.avsc", "none.avsc": "no such file", "testdata": "testdata is a directory",
	} {
		if _, err := Raw().New(arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", arg, err)
		}
	}
	if _, err := Registry().New("x:place.avsc"); err == nil || err.Error() != `"x": an id of a schema is a number of 32 bits` {
		t.Error(err)
	}
}

func FuzzRaw(f *testing.F) {
	payloadtest.Fuzz(f, Raw(), "testdata/reading.avsc", samples(f, readings)...)
}

func FuzzLogical(f *testing.F) {
	payloadtest.Fuzz(f, Raw(), "testdata/logical.avsc", payloadtest.Sample{Payload: make([]byte, 60)})
}

func FuzzSingle(f *testing.F) {
	payloadtest.Fuzz(f, Single(), "testdata/place.avsc", payloadtest.Sample{Payload: bytesOf(f, "c3 01 00 00 00 00 00 00 00 01")})
}

func FuzzRegistry(f *testing.F) {
	payloadtest.Fuzz(f, Registry(), "1:testdata/place.avsc", payloadtest.Sample{Payload: make([]byte, 21)})
}

// FuzzSchema: no schema, however odd, makes the parser panic.
func FuzzSchema(f *testing.F) {
	for _, name := range []string{"reading", "logical", "place"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".avsc"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte("\x02\x02\x02"))
	}
	f.Fuzz(func(_ *testing.T, b, data []byte) {
		s, err := (&parser{own: map[string]*schema{}}).parse(b)
		if err != nil {
			return
		}
		canonical(nil, s, map[string]bool{})
		_, _ = (&decoder{b: data}).value(s)
	})
}

// To try all branches of all levels would take years.
func TestUnionsInEachOtherAreTriedWithinBounds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep.avsc")
	const schema = `{"type":"record","name":"R","fields":[{"name":"a","type":["null","R",
		{"type":"record","name":"S","fields":[{"name":"a","type":["null","R","S"]}]}]}]}`
	if err := os.WriteFile(file, []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := open(file, none)
	if err != nil {
		t.Fatal(err)
	}
	c := payload.Content{Text: []byte(strings.Repeat(`{"a":`, 50) + `"x"` + strings.Repeat("}", 50))}
	if err := k.Encode(&c); err == nil {
		t.Fatal("text is no branch")
	}
}
