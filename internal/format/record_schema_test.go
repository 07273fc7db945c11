package format

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/message"
)

// recordSchema tells whether a record is what the schema says.
func recordSchema(t *testing.T) func(line string) error {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(RecordSchema), &s); err != nil {
		t.Fatal(err)
	}
	if s.ID != "urn:iotctl:record:1" {
		t.Fatalf("$id %q", s.ID)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(line string) error {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			return err
		}
		return r.Validate(v)
	}
}

func TestRecordMembersAreThoseOfTheSchema(t *testing.T) {
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(RecordSchema), &s); err != nil {
		t.Fatal(err)
	}
	delete(s.Properties, "gap") // is about no message
	want := slices.Sorted(maps.Keys(s.Properties))
	if got := slices.Sorted(slices.Values(RecordMembers)); !slices.Equal(got, want) {
		t.Errorf("%q, in the schema %q", got, want)
	}
}

func TestMembersAreThoseOfTheRecord(t *testing.T) {
	for src, want := range map[string]string{
		"{{.topic}} {{.payload.temp | round 1}}":              "topic payload",
		"{{if .qos}}{{.Topic}}{{end}}":                        "qos",
		"{{with .payload}}{{.temp}}{{end}}{{level 1 .topic}}": "payload topic",
		"{{(index .payload 0).temp}}{{$.time}}":               "",
		"text":                                                "",
	} {
		p, err := ParseTemplate(src)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Members(), " "); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
	table, err := ParseTable(`a=topic[1],payload.x, ["odd, name"]`, ',')
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(table.Members(), "|"); got != "topic|payload|odd, name" {
		t.Errorf("of a table %q", got)
	}
}

func TestRecordsAreWhatTheSchemaSays(t *testing.T) {
	check := recordSchema(t)
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		m := randomMessage(random)
		if i := strings.Index(string(m.Payload), "1e5"); i >= 0 && json.Valid(m.Payload) {
			continue // encoding/json makes a float64 of it
		}
		for _, pretty := range []bool{false, true} {
			line := string(AppendRecord(nil, m, pretty))
			if err := check(line); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
	}
	for _, line := range []string{
		string(AppendRecord(nil, &Message{Unflagged: true, Arrived: arrived}, false)),
		string(AppendStored(nil, &message.Message{Topic: "a", Published: arrived, Expires: arrived.Add(time.Hour), Publisher: "p", Owner: "o"})),
		`{"gap":{"from":"2026-01-01T00:00:00Z"}}`,
	} {
		if err := check(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// What the schema does not allow is no record, or not one of ours.
func TestTheSchemaRefuses(t *testing.T) {
	check := recordSchema(t)
	m := sample(`{"a": 1}`)
	m.Properties = mqtt.Properties(nil).AppendUserProperty("a", "b").AppendBytes(mqtt.PropCorrelationData, []byte("c")).
		AppendByte(mqtt.PropPayloadFormat, 1).AppendVarint(mqtt.PropSubscriptionIdentifier, 1)
	good := string(AppendRecord(nil, m, false))
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"topic":"a/b",`, ``},
		{`"topic":"a/b"`, `"topic":"a/#"`},
		{`"qos":1`, `"qos":3`},
		{`"retain":true`, `"retain":1`},
		{`"mid":7`, `"mid":0`},
		{`"encoding":"json"`, `"encoding":"hex"`},
		{`"encoding":"json"`, `"encoding":"text"`},
		{`,"payload":{"a":1}`, ``},
		{`"raw":"{\"a\": 1}"`, `"raw":1`},
		{`"size":8`, `"size":-1`},
		{`{"name":"a","value":"b"}`, `{"name":"a"}`},
		{`{"name":"a","value":"b"}`, ``},
		{`"payload-format-indicator":1`, `"payload-format-indicator":2`},
		{`"payload-format-indicator":1`, `"server-reference":"a"`},
		{`"data":"c"`, `"data":1`},
		{`"subscription-identifiers":[1]`, `"subscription-identifiers":[0]`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Errorf("%s does not stand in %s", change[0], good)
		}
		if check(bad) == nil {
			t.Errorf("the schema allows %s", bad)
		}
	}
}

// Every property of a message has its place in the schema.
func TestTheSchemaKnowsEveryProperty(t *testing.T) {
	var s struct {
		Defs struct {
			Properties struct {
				Properties map[string]any `json:"properties"`
			} `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(RecordSchema), &s); err != nil {
		t.Fatal(err)
	}
	known := s.Defs.Properties.Properties
	n := 0
	for id := range 256 {
		id := mqtt.PropertyID(id)
		if id.Wire() == mqtt.WireNone || !id.AllowedIn(mqtt.In(mqtt.TypePublish)) {
			continue
		}
		name := id.String()
		switch id {
		case mqtt.PropUserProperty:
			name = "user-properties"
		case mqtt.PropSubscriptionIdentifier:
			name = "subscription-identifiers"
		}
		n++
		if known[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if n != len(known) {
		t.Errorf("%d properties, the schema has %d", n, len(known))
	}
}
