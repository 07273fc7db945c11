package format

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

var sameTime = cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })

// recorded is m as ParseRecord finds it.
func recorded(m *Message) Record {
	r := Record{
		Time: m.Arrived, Topic: m.Topic, QoS: m.QoS, HasQoS: true, Retain: m.Retain, HasRetain: !m.Unflagged,
		Properties: m.Properties, Payload: m.Payload,
	}
	if m.QoS > 0 {
		r.PacketID = m.PacketID
	}
	if m.Decoded != nil {
		r.Decoded = *m.Decoded
	}
	return r
}

func TestRecordsAreReadBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		m := randomMessage(random)
		for _, pretty := range []bool{false, true} {
			line := AppendRecord(nil, m, pretty)
			got, err := ParseRecord(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if diff := cmp.Diff(recorded(m), got, sameTime); diff != "" {
				t.Fatalf("%s\n-want +got:\n%s", line, diff)
			}
		}
	}
}

// randomMessage has properties as a broker sends them: those that repeat stand
// together.
func randomMessage(r *rand.Rand) *Message {
	m := &Message{
		Topic: strings.ReplaceAll(randomText(r), "\x00", "") + "t", QoS: uint8(r.IntN(3)), Retain: r.IntN(2) == 0,
		Payload: randomPayload(r), Arrived: arrived.Add(time.Duration(r.Int64N(1e15))),
	}
	m.Topic = strings.Map(func(c rune) rune {
		if c == '+' || c == '#' {
			return -1
		}
		return c
	}, m.Topic)
	if m.QoS > 0 {
		m.PacketID = uint16(r.IntN(0xFFFF) + 1)
	}
	text := func() string { return strings.ReplaceAll(randomText(r), "\x00", "") }
	for _, some := range []func(p mqtt.Properties) mqtt.Properties{
		func(p mqtt.Properties) mqtt.Properties { return p.AppendByte(mqtt.PropPayloadFormat, uint8(r.IntN(2))) },
		func(p mqtt.Properties) mqtt.Properties {
			return p.AppendUint32(mqtt.PropMessageExpiryInterval, r.Uint32())
		},
		func(p mqtt.Properties) mqtt.Properties { return p.AppendString(mqtt.PropContentType, text()) },
		func(p mqtt.Properties) mqtt.Properties {
			return p.AppendBytes(mqtt.PropCorrelationData, randomPayload(r))
		},
		func(p mqtt.Properties) mqtt.Properties { return p.AppendUint16(mqtt.PropTopicAlias, 7) },
		func(p mqtt.Properties) mqtt.Properties {
			return p.AppendUserProperty(text(), text()).AppendUserProperty("a", "1").AppendUserProperty("a", text())
		},
		func(p mqtt.Properties) mqtt.Properties {
			return p.AppendVarint(mqtt.PropSubscriptionIdentifier, 3).AppendVarint(mqtt.PropSubscriptionIdentifier, 300)
		},
	} {
		if r.IntN(3) == 0 {
			m.Properties = some(m.Properties)
		}
	}
	if r.IntN(4) == 0 {
		m.Decoded = &Decoded{Format: "gzip|json", Value: []byte(`{"a":[1,{}]}`), Notation: text(), Notes: []string{text(), "b"}}
	}
	return m
}

func randomText(r *rand.Rand) string {
	letters := []rune("ab\"\\/\n\x01\x00\x7f é\u2028\uFFFD😀")
	b := make([]rune, r.IntN(8))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func randomPayload(r *rand.Rand) []byte {
	if r.IntN(2) == 0 {
		return []byte(randomText(r))
	}
	if r.IntN(4) == 0 {
		return []byte([]string{"{}", `{"b":1,"a":[2,{}]}`, `{"a":[1, 2]}`, "[]", `[[],"x y"]`, `{"b":1,"b":2}`}[r.IntN(6)])
	}
	pieces := []string{`{"a":`, `"b":`, "1", "1.0", "[", "]", "}", ",", " ", "\n", "null", `"x\u00e9"`, "\xff", "1e5"}
	var b []byte
	for range r.IntN(8) {
		b = append(b, pieces[r.IntN(len(pieces))]...)
	}
	if b == nil {
		return []byte{}
	}
	return b
}

func TestPayloadsThatSayTheSameComeFromRaw(t *testing.T) {
	for _, tt := range []struct{ raw, payload, want string }{
		{`{"a": 1.0}`, `{"a":1.0}`, `{"a": 1.0}`},
		{`{"a": 1.0}`, `{"a":1}`, `{"a": 1.0}`},
		{`{"a": 1.0}`, `{"a":2}`, `{"a":2}`},
		{`{"b":1,"a":1,"b":2}`, `{"a":1,"b":2}`, `{"b":1,"a":1,"b":2}`},
		{`{"b":1,"a":1,"b":2}`, `{"a":1,"b":1}`, `{"a":1,"b":1}`},
		{`12345678901234567890`, `12345678901234567000`, `12345678901234567890`},
		{`12345678901234567890`, `12345678901234567891`, `12345678901234567891`},
		{`0.1000`, `0.10000000000000001`, `0.1000`},
		{`1e1000`, `1.7976931348623157e+308`, `1e1000`},
		{`1e5`, `100000`, `1e5`},
		{`-0.0`, `0`, `-0.0`},
		{`"\u00e9\/"`, `"é/"`, `"\u00e9\/"`},
		{`"\ud800"`, "\"\uFFFD\"", `"\ud800"`},
		{`[1, 2]`, `[2,1]`, `[2,1]`},
		{`{ }`, `[]`, `[]`},
		{`no JSON`, `1`, `1`},
	} {
		line := `{"payload":` + tt.payload + `,"encoding":"json","raw":` + string(quote(tt.raw)) + `}`
		r, err := ParseRecord([]byte(line))
		if err != nil || string(r.Payload) != tt.want {
			t.Errorf("%s: %q, %v, want %q", line, r.Payload, err, tt.want)
		}
	}
}

func quote(s string) []byte {
	w := &jsonWriter{}
	w.text([]byte(s))
	return w.buf
}

func TestRecordsMayBeWrittenByHand(t *testing.T) {
	user := func(pairs ...string) (p mqtt.Properties) {
		for i := 0; i < len(pairs); i += 2 {
			p = p.AppendUserProperty(pairs[i], pairs[i+1])
		}
		return p
	}
	for line, want := range map[string]Record{
		`{}`:                                     {},
		`{"payload":"21.5"}`:                     {Payload: []byte("21.5")},
		`{"payload":21.50}`:                      {Payload: []byte("21.50")},
		`{"payload":null}`:                       {Payload: []byte("null")},
		`{"payload":""}`:                         {Payload: []byte{}},
		`{"encoding":"text","payload":{"a": 1}}`: {Payload: []byte(`{"a":1}`)},
		`{"encoding":"json","payload":"a"}`:      {Payload: []byte(`"a"`)},
		`{"payload":"AQI=","encoding":"base64"}`: {Payload: []byte{1, 2}},
		`{"raw":"{ }"}`:                          {Payload: []byte("{ }")},
		` { "retain" : 1 , "more" : [ { "topic" : 1 } , "}" ] , "qos" : 2 }`:                        {Retain: true, HasRetain: true, QoS: 2, HasQoS: true},
		`{"properties":{"user-properties":{"a":"1","b":"2","a":"3"}}}`:                              {Properties: user("a", "1", "b", "2", "a", "3")},
		`{"properties":{"user-properties":[{"a":"1"},{"name":"2"},{"value":"3","name":"b"}]}}`:      {Properties: user("a", "1", "name", "2", "b", "3")},
		`{"properties":{"correlation-data":"c\u0000d"}}`:                                            {Properties: mqtt.Properties(nil).AppendBytes(mqtt.PropCorrelationData, []byte("c\x00d"))},
		`{"format":"cbor","value":{"b":1,"a": 2},"notes":["x"],"notation":"y","problem":"z","p":1}`: {Decoded: Decoded{Format: "cbor", Value: []byte(`{"b":1,"a":2}`), Notes: []string{"x"}, Notation: "y", Problem: "z"}},
	} {
		got, err := ParseRecord([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if diff := cmp.Diff(want, got, sameTime); diff != "" {
			t.Errorf("%s\n-want +got:\n%s", line, diff)
		}
	}
}

func TestMistakesInRecordsHaveAPlace(t *testing.T) {
	for _, tt := range []struct{ line, reason string }{
		// ^ stands before the byte
		{`^`, "unexpected end of JSON input"},
		{`^[]`, "must be an object"},
		{`{"topic":^x}`, "invalid character"},
		{`{"topic":"a"} ^{"topic":"b"}`, "after top-level value"},
		{`{"topic":^1}`, "topic must be a string"},
		{`{"topic":^"a/#"}`, "topic is no topic name"},
		{"{\"topic\":\"^\xff\"}", "not UTF-8"},
		{`{"topic":"a^\ud83d"}`, "half of a surrogate pair"},
		{`{"topic":"a",^"topic":"b"}`, "topic is there twice"},
		{`{"payload":1,^"payload":2}`, "payload is there twice"},
		{`{"qos":^3}`, "qos must be a whole number from 0 to 2"},
		{`{"qos":^[]}`, "qos must be a whole number from 0 to 2"},
		{`{"qos":^-1}`, "qos must be a whole number"},
		{`{"mid":^65536}`, "mid must be a whole number from 0 to 65535"},
		{`{"retain":^"yes"}`, "retain must be true or false"},
		{`{"time":^"now"}`, "time must be a time as in RFC 3339"},
		{`{"encoding":^"hex","payload":"00"}`, `encoding must be "text", "json" or "base64", not "hex"`},
		{`{"encoding":"base64","payload":^"A"}`, "not base64"},
		{`{"encoding":"base64","payload":^1}`, "must be a string"},
		{`{"properties":^[]}`, "properties must be an object"},
		{`{"properties":{^"contenttype":"a"}}`, "is no property of a message"},
		{`{"properties":{^"server-reference":"a"}}`, "is no property of a message"},
		{`{"properties":{"content-type":^1}}`, "content-type: must be a string"},
		{`{"properties":{"content-type":"a",^"content-type":"a"}}`, "twice"},
		{`{"properties":{^"payload-format-indicator":2}}`, "payload-format-indicator: MQTT 5.0 has no such value"},
		{`{"properties":{^"response-topic":"a/+"}}`, "response-topic: MQTT 5.0 has no such value"},
		{`{"properties":{"message-expiry-interval":^4294967296}}`, "4294967295"},
		{`{"properties":{"correlation-data":^{}}}`, "no data"},
		{`{"properties":{"correlation-data":{"encoding":"base64","data":^"?"}}}`, "not base64"},
		{`{"properties":{"user-properties":^1}}`, "list of objects"},
		{`{"properties":{"user-properties":[^1]}}`, "list of objects"},
		{`{"properties":{"user-properties":[^{"name":"a","v":"b"}]}}`, "name and value"},
		{`{"properties":{"user-properties":[{"name":^1,"value":"b"}]}}`, "user-property: must be a string"},
		{`^` + strings.Repeat(`{"a":`, 201) + "1" + strings.Repeat("}", 201), "200 levels"},
		{`{"notes":^1}`, "list"},
	} {
		at := strings.IndexByte(tt.line, '^')
		line := tt.line[:at] + tt.line[at+1:]
		_, err := ParseRecord([]byte(line))
		problem := (*RecordError)(nil)
		if !errors.As(err, &problem) || problem.Offset != at || !strings.Contains(problem.Reason, tt.reason) {
			t.Errorf("%s: %v at %v, want %q at %d", line, err, problem, tt.reason, at)
		}
	}
}

func TestDeepPayloadsAreText(t *testing.T) {
	deep := []byte(strings.Repeat("[", 150) + strings.Repeat("]", 150))
	line := AppendRecord(nil, &Message{Topic: "t", Payload: deep, Decoded: &Decoded{Format: "cbor", Value: deep}}, false)
	if !bytes.Contains(line, []byte(`"encoding":"text"`)) || !bytes.HasSuffix(line, []byte(`"format":"cbor","problem":"the value is more than 100 levels deep"}`)) {
		t.Errorf("%s", line)
	}
	if r, err := ParseRecord(line); err != nil || !bytes.Equal(r.Payload, deep) {
		t.Error(err)
	}
	// jq ends at the 128th object, that of the record included.
	objects := sample(strings.Repeat(`{"a":`, 127) + "1" + strings.Repeat("}", 127))
	if line := AppendRecord(nil, objects, false); !bytes.Contains(line, []byte(`"encoding":"text"`)) {
		t.Errorf("%s", line)
	}
}

func TestPayloadsWithHalfASurrogatePairAreText(t *testing.T) {
	for payload, encoding := range map[string]string{
		`"\ud800"`: "text", `{"a":["\ud83d\ud83d"]}`: "text", `{"\udc00":1}`: "text",
		`"\ud83d\ude00"`: "json", `"\\ud800"`: "json",
	} {
		m := sample(payload)
		m.Decoded = &Decoded{Format: "json", Value: []byte(payload)}
		line := string(AppendRecord(nil, m, false))
		if !strings.Contains(line, `"encoding":"`+encoding+`"`) {
			t.Errorf("%s: %s", payload, line)
		}
		r, err := ParseRecord([]byte(line))
		if err != nil || string(r.Payload) != payload || (r.Problem == "") != (encoding == "json") {
			t.Errorf("%s came back as %q, %v: %s", payload, r.Payload, err, line)
		}
		if halfPair([]byte(line)) >= 0 {
			t.Errorf("jq ends at %s", line)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	m := sample(`{"a": 1}`)
	m.Properties = mqtt.Properties(nil).AppendUserProperty("b", "1").AppendBytes(mqtt.PropCorrelationData, []byte{0xff})
	m.Decoded = &Decoded{Format: "json", Value: []byte("1"), Notes: []string{"n"}}
	f.Add(AppendRecord(nil, m, false), []byte(`{"a": 1}`))
	f.Add(AppendRecord(nil, m, true), []byte{0xff})
	f.Add([]byte(`{"properties":{"user-properties":{"a":"\ud83d\ude00"}},"payload":"x","encoding":"base64"}`), []byte("1.0"))
	f.Fuzz(func(t *testing.T, line, payload []byte) {
		if r, err := ParseRecord(line); err == nil {
			back := Message{
				Topic: r.Topic, Payload: r.Payload, QoS: r.QoS, Retain: r.Retain, PacketID: r.PacketID,
				Properties: r.Properties, Arrived: r.Time, Decoded: &r.Decoded,
			}
			if again, err := ParseRecord(AppendRecord(nil, &back, false)); err != nil && r.Time.Year() < 10000 || err == nil && !bytes.Equal(again.Payload, r.Payload) {
				t.Errorf("%q: %v, %q became %q", line, err, r.Payload, again.Payload)
			}
		}
		r, err := ParseRecord(AppendRecord(nil, &Message{Topic: "t", Payload: payload, Arrived: arrived}, len(line)%2 == 0))
		if err != nil || !bytes.Equal(r.Payload, payload) {
			t.Errorf("%q became %q: %v", payload, r.Payload, err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	m := &Message{
		Topic: "sensors/12/temperature", QoS: 1, PacketID: 7, Arrived: arrived,
		Payload: []byte(`{"temp":21.5,"unit":"C","seq":123456}`),
	}
	line := AppendRecord(nil, m, false)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(line)))
		buf := make([]byte, 0, 1024)
		for b.Loop() {
			buf = AppendRecord(buf[:0], m, false)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(line)))
		for b.Loop() {
			if _, err := ParseRecord(line); err != nil {
				b.Fatal(err)
			}
		}
	})
}
