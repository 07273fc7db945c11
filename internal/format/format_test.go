package format

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/message"
)

var arrived = time.Date(2026, 3, 4, 5, 6, 7, 8009, time.FixedZone("XYZ", 5400))

func sample(payload string) *Message {
	return &Message{Topic: "a/b", Payload: []byte(payload), QoS: 1, Retain: true, PacketID: 7, Arrived: arrived}
}

func show(t *testing.T, f string, o Options, m *Message) (string, error) {
	t.Helper()
	parsed, err := Parse(f, o)
	if err != nil {
		t.Fatalf("%q: %v", f, err)
	}
	b, err := parsed.Append(nil, m)
	return string(b), err
}

// TestReleasesDiffer lists where mosquitto 2.1 and 2.0 differ.
func TestReleasesDiffer(t *testing.T) {
	user := mqtt.Properties(nil).AppendUserProperty("a", "1").AppendUserProperty("a", "2")
	for _, tt := range []struct{ format, v21, v20 string }{
		{"%x", "414243444546", "414243444546"},
		{"%10x", "414243444546", "    414243"},
		{"%3x", "414243", " 41"},
		{"%020x", "00000000414243444546", "00000000000000414243"},
		{"%.2x", "41 42 43 44 45 46", "414243444546"},
		{"%.4X", "4142 4344 4546", "414243444546"},
		{
			"%j",
			`{"tst":"2026-03-04T05:06:07.000008+0130","topic":"a/b","qos":1,"retain":true,"payloadlen":6,"mid":7,"properties":{"user-properties":[{"a":"1"},{"a":"2"}]},"payload":"ABCDEF"}`,
			`{"tst":"2026-03-04T05:06:07.000008Z+0130","topic":"a/b","qos":1,"retain":1,"payloadlen":6,"mid":7,"properties":{"user-properties":{"a":"1","a":"2"}},"payload":"ABCDEF"}`,
		},
	} {
		m := sample("ABCDEF")
		m.Properties = user
		if got, err := show(t, tt.format, Options{}, m); got != tt.v21 || err != nil {
			t.Errorf("2.1 %s: %q, %v, want %q", tt.format, got, err, tt.v21)
		}
		if got, err := show(t, tt.format, Options{Dialect: V20}, m); got != tt.v20 || err != nil {
			t.Errorf("2.0 %s: %q, %v, want %q", tt.format, got, err, tt.v20)
		}
	}
	for _, only21 := range []string{"%.2:x", "%:x", "%f", "%d"} {
		if _, err := Parse(only21, Options{}); err != nil {
			t.Errorf("2.1 %s: %v", only21, err)
		}
		if _, err := Parse(only21, Options{Dialect: V20}); err == nil {
			t.Errorf("2.0 accepts %s", only21)
		}
	}
	if got, _ := show(t, "%.2:x|%.4-X", Options{}, sample("ABC")); got != "41:42:43|4142-43" {
		t.Errorf("separators: %q", got)
	}
}

func TestFloatPayloads(t *testing.T) {
	f := string(binary.NativeEndian.AppendUint32(nil, math.Float32bits(1.5)))
	d := string(binary.NativeEndian.AppendUint64(nil, math.Float64bits(-2.25)))
	for _, tt := range []struct{ format, payload, want string }{
		{"%f", f, "1.500000"},
		{"%.2f", f, "1.50"},
		{"%8.1f|", f, "     1.5|"},
		{"%-8.1f|", f, "1.5     |"},
		{"%08.1f", f, "000001.5"},
		{"%d", d, "-2.250000"},
		{"%.0d", d, "-2"},
	} {
		if got, err := show(t, tt.format, Options{}, sample(tt.payload)); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tt.format, got, err, tt.want)
		}
	}
	for _, bad := range []string{"%f", "%d"} {
		problem := (*PayloadError)(nil)
		if got, err := show(t, "["+bad+"]", Options{}, sample("abc")); !errors.As(err, &problem) || got != "[]" || problem.Topic != "a/b" {
			t.Errorf("%s: %q, %v", bad, got, err)
		}
	}
}

func TestExactnessIsForMosquittoAlone(t *testing.T) {
	for _, tt := range []struct{ format, payload, own, exact string }{
		{"%J", "12345678901234567890", "12345678901234567890", "1.2345678901234567e+19"},
		{"%J", "1.0", "1.0", "1"},
		{"%J", "1e3", "1e3", "1000"},
		{"%J", `"\u00e9\/"`, `"\u00e9\/"`, `"é/"`},
		{"%j", "a\x00b", `"a\u0000b"`, `"a"`},
		{"%j", "a\xffb", "\"a\uFFFDb\"", "\"a\xffb\""},
		{"%j", "", "null", "null"},
		{"%J", "", "null", "null"},
	} {
		for i, want := range []string{tt.own, tt.exact} {
			got, err := show(t, tt.format, Options{Exact: i == 1}, sample(tt.payload))
			if _, payload, _ := strings.Cut(got, `"payload":`); payload != want+"}" || err != nil {
				t.Errorf("%s of %q, exact %v: %s, %v, want %s", tt.format, tt.payload, i == 1, got, err, want)
			}
		}
	}
}

func TestBadFormatsAreRefused(t *testing.T) {
	for _, bad := range []string{"%", "%-", "%0", "%12", "%.", "%1.2", "%z", "%-z", "%.2:p", "%é", `\`, `\q`, "@", "x@"} {
		syntax := (*SyntaxError)(nil)
		if _, err := Parse(bad, Options{}); !errors.As(err, &syntax) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Parse("%99999999999999999999t", Options{}); err != nil {
		t.Errorf("a large width: %v", err)
	}
}

func TestRecordsLoseNothing(t *testing.T) {
	for payload, want := range map[string]string{
		"x y":                 `"size":3,"encoding":"text","payload":"x y"`,
		"":                    `"size":0,"encoding":"text","payload":""`,
		"a\x00\n\"\\\x7f":     `"size":6,"encoding":"text","payload":"a\u0000\n\"\\` + "\x7f" + `"`,
		"\xff\xfe":            `"size":2,"encoding":"base64","payload":"//4="`,
		"\"\xff\"":            `"size":3,"encoding":"base64","payload":"Iv8i"`,
		" [1, 2.50 ,\n{}] ":   `"size":16,"encoding":"json","payload":[1,2.50,{}],"raw":" [1, 2.50 ,\n{}] "`,
		`{"a":1,"a":1e99999}`: `"size":19,"encoding":"json","payload":{"a":1,"a":1e99999},"raw":"{\"a\":1,\"a\":1e99999}"`,
		"true":                `"size":4,"encoding":"json","payload":true`,
	} {
		got := string(AppendRecord(nil, sample(payload), false))
		want := `{"time":"2026-03-04T05:06:07.000008009+01:30","topic":"a/b","qos":1,"retain":true,"mid":7,` + want + `}`
		if got != want {
			t.Errorf("%q: %s\nwant %s", payload, got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%q: not JSON", payload)
		}
		if pretty := AppendRecord(nil, sample(payload), true); !json.Valid(pretty) {
			t.Errorf("%q: not JSON: %s", payload, pretty)
		}
	}
}

func TestRecordsHaveEveryProperty(t *testing.T) {
	m := sample("x")
	m.Properties = mqtt.Properties(nil).
		AppendVarint(mqtt.PropSubscriptionIdentifier, 3).AppendUserProperty("b", "1").
		AppendByte(mqtt.PropPayloadFormat, 1).AppendUint32(mqtt.PropMessageExpiryInterval, 60).
		AppendUserProperty("a", "2").AppendVarint(mqtt.PropSubscriptionIdentifier, 4).
		AppendBytes(mqtt.PropCorrelationData, []byte{0xff}).AppendString(mqtt.PropContentType, "t").
		AppendUserProperty("b", "3").AppendUint16(mqtt.PropTopicAlias, 9)
	got := string(AppendRecord(nil, m, false))
	want := `"properties":{"subscription-identifiers":[3,4],"user-properties":[{"name":"b","value":"1"},{"name":"a","value":"2"},{"name":"b","value":"3"}],` +
		`"payload-format-indicator":1,"message-expiry-interval":60,"correlation-data":{"encoding":"base64","data":"/w=="},"content-type":"t","topic-alias":9}`
	if !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestStrftimeThroughTheYear(t *testing.T) {
	for _, tt := range []struct {
		at   string
		want string // %U %W %V %G %g %u %w %j %I %l %p %P %C %e
	}{
		{"2026-01-01T00:30:00Z", "00 00 01 2026 26 4 4 001 12 12 AM am 20  1"},
		{"2027-01-03T12:00:00Z", "01 00 53 2026 26 7 0 003 12 12 PM pm 20  3"},
		{"2024-12-30T13:05:00Z", "52 53 01 2025 25 1 1 365 01  1 PM pm 20 30"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := show(t, "@U @W @V @G @g @u @w @j @I @l @p @P @C @e", Options{}, &Message{Arrived: at})
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.at, got, tt.want)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	f, err := Parse("@H:@M:@S.@N %t %6l %p %x %P", Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := sample("payload")
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf, _ = f.Append(buf[:0], m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%t %p", "@H@M", `%-010.2:x\n`, "%J%j%%@@", "%d%f"} {
		f.Add(s, []byte(`{"a":[1,"b"]}`), true)
	}
	f.Fuzz(func(t *testing.T, s string, payload []byte, exact bool) {
		for _, d := range []Dialect{V21, V20} {
			p, err := Parse(s, Options{Dialect: d, Exact: exact, Pretty: len(payload)%2 == 0})
			if err != nil {
				continue
			}
			for i := range p.items {
				p.items[i].width, p.items[i].precision = p.items[i].width%100, min(p.items[i].precision, 100)
			}
			_, _ = p.Append(nil, &Message{Topic: "t", Payload: payload, Arrived: arrived})
		}
		record := AppendRecord(nil, &Message{Topic: "t", Payload: payload, Arrived: arrived}, exact)
		if !json.Valid(record) {
			t.Errorf("not JSON: %q", record)
		}
	})
}

func TestStoredMessagesLoseNothing(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, tt := range []struct {
		m    message.Message
		want string
	}{
		{
			message.Message{Topic: "a", QoS: 1, Payload: []byte(`{"n": 1}`), Published: at},
			`{"time":"2026-01-02T03:04:05.000000006Z","topic":"a","qos":1,"retain":false,"size":8,"encoding":"json","payload":{"n":1},"raw":"{\"n\": 1}"}`,
		},
		{
			message.Message{
				Topic: "b", Retain: true, Payload: []byte{0xFF}, Published: at, Expires: at.Add(time.Minute),
				Publisher: `p"`, Owner: "ann", Properties: []byte{byte(mqtt.PropContentType), 0, 1, 'x'},
			},
			`{"time":"2026-01-02T03:04:05.000000006Z","topic":"b","qos":0,"retain":true,"expires":"2026-01-02T03:05:05.000000006Z",` +
				`"publisher":"p\"","owner":"ann","properties":{"content-type":"x"},"size":1,"encoding":"base64","payload":"/w=="}`,
		},
	} {
		if diff := cmp.Diff(tt.want, string(AppendStored(nil, &tt.m))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
