package sparkplug

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/payloadtest"
)

func newCodec() *codec {
	at := time.UnixMilli(1486144502122)
	return &codec{nodes: newNodes(4, 40, 1<<16), now: func() time.Time { return at }}
}

// bytes reads hex; what stands behind a semicolon is a comment.
func bytesOf(t testing.TB, lines string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(lines) {
		line, _, _ = strings.Cut(line, ";")
		part, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}

func decode(t *testing.T, k *codec, topic string, b []byte) (string, []string) {
	t.Helper()
	c := payload.Content{Topic: topic, Bytes: b}
	if err := k.Decode(&c); err != nil {
		t.Fatalf("%s: %v", topic, err)
	}
	return string(c.AppendText(nil)), c.Notes
}

func encode(t *testing.T, k *codec, topic, text string) []byte {
	t.Helper()
	c := payload.Content{Topic: topic, Text: []byte(text)}
	if err := k.Encode(&c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c.Bytes
}

const (
	nodeTopic   = "spBv1.0/G1/%s/N1"
	deviceTopic = "spBv1.0/G1/%s/N1/D1"
)

func at(kind string) string {
	if kind[0] == 'D' {
		return fmt.Sprintf(deviceTopic, kind)
	}
	return fmt.Sprintf(nodeTopic, kind)
}

// TestBytes holds both ways to a birth that was put together by hand.
func TestBytes(t *testing.T) {
	b := bytesOf(t, `
		08 aa c1 dc 89 a0 2b       ; timestamp
		12 0d                      ; a metric
		   0a 05 62 64 53 65 71    ;   name bdSeq
		   18 01                   ;   timestamp 1
		   20 04                   ;   datatype Int64
		   58 03                   ;   long_value 3
		12 17
		   0a 02 54 31             ;   name T1
		   10 07                   ;   alias 7
		   20 01                   ;   datatype Int8
		   42 07 12 03 61 2f 62 20 09 ; metadata: content_type a/b, seq 9
		   50 fb ff ff ff 0f       ;   int_value 0xfffffffb: -5
		18 00                      ; seq 0`)
	payloadtest.Run(t, Format(), "", payloadtest.Sample{
		Topic: at("NBIRTH"), Payload: b,
		Text: `{"timestamp":1486079074474,"metrics":[` +
			`{"name":"bdSeq","timestamp":1,"datatype":"Int64","value":3},` +
			`{"name":"T1","alias":7,"datatype":"Int8","metadata":{"content_type":"a/b","seq":9},"value":-5}],"seq":0}`,
	})
}

// TestValues: what every data type looks like, and that it comes back.
func TestValues(t *testing.T) {
	var samples []payloadtest.Sample
	for _, tt := range []struct{ metric, hex string }{
		{`"datatype":"Int8","value":-128`, "20 01 50 80 ff ff ff 0f"},
		{`"datatype":"Int16","value":-2`, "20 02 50 fe ff ff ff 0f"},
		{`"datatype":"Int32","value":-2147483648`, "20 03 50 80 80 80 80 08"},
		{`"datatype":"Int64","value":-9223372036854775808`, "20 04 58 80 80 80 80 80 80 80 80 80 01"},
		{`"datatype":"UInt8","value":255`, "20 05 50 ff 01"},
		{`"datatype":"UInt16","value":65535`, "20 06 50 ff ff 03"},
		{`"datatype":"UInt32","value":4294967295`, "20 07 50 ff ff ff ff 0f"},
		{`"datatype":"UInt64","value":18446744073709551615`, "20 08 58 ff ff ff ff ff ff ff ff ff 01"},
		{`"datatype":"Float","value":1.1`, "20 09 65 cd cc 8c 3f"},
		{`"datatype":"Double","value":1.1`, "20 0a 69 9a 99 99 99 99 99 f1 3f"},
		{`"datatype":"Double","value":"-Infinity"`, "20 0a 69 00 00 00 00 00 00 f0 ff"},
		{`"datatype":"Boolean","value":true`, "20 0b 70 01"},
		{`"datatype":"String","value":"é"`, "20 0c 7a 02 c3 a9"},
		{`"datatype":"DateTime","value":1256102875335`, "20 0d 58 c7 a1 c3 ac c7 24"},
		{`"datatype":"Text","value":""`, "20 0e 7a 00"},
		{`"datatype":"UUID","value":"a"`, "20 0f 7a 01 61"},
		{
			`"datatype":"DataSet","value":{"columns":["a","b"],"types":["Int8","String"],"rows":[[-1,"x"],[null,"y"]]}`,
			"20 10 8a 01 24 08 02 12 01 61 12 01 62 18 01 18 0c" +
				"22 0d 0a 06 08 ff ff ff ff 0f 0a 03 32 01 78 22 07 0a 00 0a 03 32 01 79",
		},
		{`"datatype":"Bytes","value":"AP8="`, "20 11 82 01 02 00 ff"},
		{`"datatype":"File","metadata":{"file_name":"f"},"value":"AA=="`, "20 12 42 03 2a 01 66 82 01 01 00"},
		{`"datatype":"Int8Array","value":[-23,123]`, "20 16 82 01 02 e9 7b"},
		{`"datatype":"Int16Array","value":[-30000,30000]`, "20 17 82 01 04 d0 8a 30 75"},
		{`"datatype":"Int32Array","value":[-1,315338746]`, "20 18 82 01 08 ff ff ff ff fa af cb 12"},
		{`"datatype":"UInt8Array","value":[23,250]`, "20 1a 82 01 02 17 fa"},
		{`"datatype":"UInt64Array","value":[52,16444743074749521625]`, "20 1d 82 01 10 34 00 00 00 00 00 00 00 d9 9e 02 d1 b2 76 37 e4"},
		{`"datatype":"FloatArray","value":[1.23,89.341]`, "20 1e 82 01 08 a4 70 9d 3f 98 ae b2 42"},
		{`"datatype":"BooleanArray","value":[false,false,true,true,false,true,false,false,true,true,false,true]`, "20 20 82 01 06 0c 00 00 00 34 d0"},
		{`"datatype":"StringArray","value":["ABC","hello"]`, "20 21 82 01 0a 41 42 43 00 68 65 6c 6c 6f 00"},
		{`"datatype":"DateTimeArray","value":[1256102875335,1656107875000]`, "20 22 82 01 10 c7 d0 90 75 24 01 00 00 b8 ba b8 97 81 01 00 00"},
		{`"datatype":"Int32","is_historical":true,"is_transient":false,"value":null`, "20 03 28 01 30 00 38 01"},
		{`"properties":{"u":{"type":"String","value":"C"},"q":{"type":"Int32","value":192}}`, "4a 14 0a 01 75 0a 01 71 12 05 08 0c 42 01 43 12 05 08 03 18 c0 01"},
		{`"datatype":99,"value":7`, "20 63 50 07"},
		{`"value":-5`, "69 00 00 00 00 00 00 14 c0"},
		{`"datatype":"Int8","string_value":"x"`, "20 01 7a 01 78"},
		{`"datatype":"UInt8","int_value":256`, "20 05 50 80 02"},
		{`"datatype":"Int32Array","bytes_value":"AA=="`, "20 18 82 01 01 00"},
	} {
		text := `{"metrics":[{` + tt.metric + `}]}`
		b := appendBytes(nil, 2, bytesOf(t, tt.hex))
		if got := encode(t, newCodec(), "", text); !cmp.Equal(got, b) {
			t.Errorf("%s: encoded % x, want % x", tt.metric, got, b)
		}
		samples = append(samples, payloadtest.Sample{Payload: b, Text: text})
	}
	payloadtest.Run(t, Format(), "", samples...)
}

func TestState(t *testing.T) {
	for _, tt := range []struct{ topic, in, want, note string }{
		{"spBv1.0/STATE/h", `{"online":true,"timestamp":1668114759262}`, "", ""},
		{"STATE/h", "ONLINE", `"ONLINE"`, ""},
		{"STATE/h", "OFFLINE", `"OFFLINE"`, ""},
		{"spBv1.0/STATE/h", `{"online":true}`, "", "STATE has no members online and timestamp"},
	} {
		got, notes := decode(t, newCodec(), tt.topic, []byte(tt.in))
		if tt.want == "" {
			tt.want = tt.in
		}
		if got != tt.want || strings.Join(notes, "") != tt.note {
			t.Errorf("%s: %s %q", tt.in, got, notes)
		}
		if back := string(encode(t, newCodec(), tt.topic, got)); back != tt.in {
			t.Errorf("%s became %s", tt.in, back)
		}
	}
	for _, bad := range []string{"online", "", "{"} {
		if err := newCodec().Decode(&payload.Content{Topic: "STATE/h", Bytes: []byte(bad)}); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// TestTemplates: templates hold metrics, which hold templates, but not for ever.
func TestTemplates(t *testing.T) {
	nested := func(n int) string {
		s := `{"name":"x","datatype":"Int8","value":1}`
		for range n {
			s = `{"datatype":"Template","value":{"version":"1","template_ref":"T","is_definition":false,` +
				`"parameters":[{"name":"p","type":"Int16","value":-3},{"name":"q","type":"String"}],"metrics":[` + s + `]}}`
		}
		return `{"metrics":[` + s + `]}`
	}
	const sets = `{"metrics":[{"properties":{"a":{"type":"PropertySet","value":{"b":{"type":"Boolean","value":true}}},` +
		`"c":{"type":"PropertySetList","value":[{"d":{"type":"Float","value":null}},{}]}}}]}`
	for _, text := range []string{nested(1), nested(maxDepth), sets} {
		k := newCodec()
		if got, notes := decode(t, k, "", encode(t, k, "", text)); got != text || notes != nil {
			t.Errorf("%s\n%q, want\n%s", got, notes, text)
		}
	}
	k := newCodec()
	m := []byte{}
	for range 2 * maxDepth {
		m = appendBytes(nil, 18, appendBytes(nil, 2, m))
	}
	b := appendBytes(nil, 2, m)
	if err := k.Decode(&payload.Content{Bytes: b}); err == nil || !strings.Contains(err.Error(), "levels") {
		t.Errorf("templates without end: %v", err)
	}
}

func TestWhatIsWrongIsSaidAndWhere(t *testing.T) {
	for in, want := range map[string]string{
		`{"metrics":[{"name":1}]}`:                                 `metrics[0].name: 1 is no text`,
		`{"metrics":[{"name":"x","datatype":"Int8","value":128}]}`: `metrics[0].value: 128 does not fit Int8`,
		`{"metrics":[{"datatype":"Int9"}]}`:                        `metrics[0].datatype: there is no data type "Int9": they are Int8, `,
		`{"metrics":[{"datatype":"UInt8Array","value":[1,-1]}]}`:   `metrics[0].value: element 2: -1 does not fit UInt8Array`,
		`{"metrics":[{"datatype":"Boolean","value":"true"}]}`:      `metrics[0].value: "true" is neither true nor false`,
		`{"metrics":[{"value":{}}]}`:                               `metrics[0].value: {} is no base64`,
		`{"metric":[]}`:                                            `payload: member "metric" is none of timestamp, metrics, seq, uuid and body`,
		`{"metrics":{}}`:                                           `metrics: {} is no array`,
		`[]`:                                                       `payload: [] is no object with members such as`,
		`{"timestamp":"tomorrow"}`:                                 `timestamp: "tomorrow" is no time: give milliseconds since 1970, "now", or as in`,
		`{"seq":1.5}`:                                              `seq: 1.5 is no integer`,
		`{"seq":1e999}`:                                            `seq: 1e999 does not fit UInt64`,
		`{"seq":1e99999}`:                                          `seq: 1e99999 is no integer`,
		`{"metrics":[{"properties":{"a":{"type":"DataSet","value":{}}}}]}`:    `metrics[0].properties.a.value: no DataSet can stand here`,
		`{"metrics":[{"datatype":"DataSet","value":{"columns":[1]}}]}`:        `metrics[0].value.columns: 1 is no text`,
		`{"metrics":[{"datatype":"DataSet","value":{"rows":[[{"x":1}]]}}]}`:   `metrics[0].value.rows[0][0]: {"x":1} is no element of a table`,
		`{"metrics":[{"datatype":"Float","value":1e39}]}`:                     `metrics[0].value: 1e39 does not fit 32 bits`,
		`{"metrics":[{"datatype":"Template","value":{"metrics":[{"a":1}]}}]}`: `metrics[0].value.metrics[0]: member "a" is none of name,`,
		`{"metrics":[{"metadata":{"size":-1}}]}`:                              `metrics[0].metadata.size: -1 does not fit UInt64`,
		`{"metrics":[{"datatype":"StringArray","value":["a\u0000b"]}]}`:       `metrics[0].value: element 1: "a\u0000b" is no text that a StringArray can have`,
	} {
		err := newCodec().Encode(&payload.Content{Text: []byte(in)})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"08":                "byte 0: payload: field 1 is cut short or broken",
		"00":                "byte 0: payload: no tag of a field",
		"12 03 0a 05 61":    "byte 2: metric: field 1 is cut short or broken",
		"12 04 4a 02 0a 00": "byte 4: 1 keys and 0 values in a property set",
	} {
		err := newCodec().Decode(&payload.Content{Bytes: bytesOf(t, in)})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// TestWhatIsUnknownIsSaid: fields beyond 3.0, and more notes than anybody reads.
func TestWhatIsUnknownIsSaid(t *testing.T) {
	_, notes := decode(t, newCodec(), "", bytesOf(t, "38 01 12 03 a2 01 00"))
	want := []string{"payload: field 7 (varint) is not of Sparkplug B", "metric: field 20 (bytes) is not of Sparkplug B"}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Error(diff)
	}
	var b []byte
	for num := 20; num < 50; num++ {
		b = appendVarint(b, num, 1)
	}
	if _, notes = decode(t, newCodec(), "", b); len(notes) != maxNotes+1 || notes[maxNotes] != "and 14 more" {
		t.Errorf("%q", notes)
	}
}

func FuzzBirth(f *testing.F) {
	payloadtest.Fuzz(f, Format(), "", payloadtest.Sample{Topic: at("NBIRTH"), Payload: bytesOf(f, `
		12 0f 0a 05 62 64 53 65 71 18 01 20 04 58 03 12 09 20 0a 69 9a 99 99 99 99 99 f1 3f`)})
}

func FuzzData(f *testing.F) {
	var samples []payloadtest.Sample
	for _, text := range []string{
		`{"metrics":[{"alias":1,"int_value":7},{"name":"x","alias":2,"value":1.5}],"seq":1}`,
		`{"metrics":[{"datatype":"DataSet","value":{"columns":["a"],"types":["Int8"],"rows":[[1],[{"string_value":"x"}]]}}]}`,
		`{"metrics":[{"datatype":"Template","value":{"parameters":[{"name":"p","type":"Int16","value":-3}],"metrics":[{"name":"x"}]}}]}`,
		`{"metrics":[{"properties":{"c":{"type":"PropertySetList","value":[{"d":{"type":"Float","value":null}}]}}}]}`,
		`{"metrics":[{"datatype":"BooleanArray","value":[true]},{"datatype":"StringArray","value":["a"]}]}`,
	} {
		c := payload.Content{Text: []byte(text)}
		if err := newCodec().Encode(&c); err != nil {
			f.Fatal(err)
		}
		samples = append(samples, payloadtest.Sample{Topic: at("NDATA"), Payload: c.Bytes})
	}
	payloadtest.Fuzz(f, Format(), "", samples...)
}
