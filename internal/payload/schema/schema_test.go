package schema_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/schema"
)

func load(t testing.TB, text string, others ...string) (*schema.Schema, error) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i+1 < len(others); i += 2 {
		write(t, filepath.Join(dir, others[i]), others[i+1])
	}
	file := filepath.Join(dir, "schema.json")
	write(t, file, text)
	return schema.Load(file)
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func validate(t testing.TB, s *schema.Schema, value string) error {
	t.Helper()
	v, err := payload.ParseJSON([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

const reading = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["temperature", "at"],
  "properties": {
    "temperature": {"type": "number", "minimum": -40, "exclusiveMaximum": 85, "multipleOf": 0.1},
    "at": {"type": "string", "format": "date-time"},
    "id": {"type": "integer", "maximum": 18446744073709551615},
    "mode": {"enum": ["heat", "cool", 1.0]},
    "samples": {"type": "array", "items": {"$ref": "#/$defs/sample"}, "maxItems": 3, "uniqueItems": true}
  },
  "patternProperties": {"^x-": {"type": "string", "minLength": 2, "pattern": "^é"}},
  "additionalProperties": false,
  "dependentRequired": {"samples": ["mode"]},
  "$defs": {"sample": {"type": ["integer", "null"]}}
}`

func TestValues(t *testing.T) {
	s, err := load(t, reading)
	if err != nil {
		t.Fatal(err)
	}
	const at = `"at":"2026-11-22T02:50:00.5Z"`
	for value, want := range map[string]string{
		`{"temperature":21.3,` + at + `}`:                                              "",
		`{"temperature":0.3,` + at + `}`:                                               "",
		`{"temperature":-40,` + at + `,"id":18446744073709551615,"mode":1,"x-a":"éa"}`: "",
		`{"temperature":85,` + at + `}`:                                                "temperature is 85, not below 85",
		`{"temperature":-40.1,` + at + `}`:                                             "temperature is -40.1, below -40",
		`{"temperature":21.35,` + at + `}`:                                             "temperature is 21.35, and no multiple of 0.1",
		`{"temperature":"21",` + at + `}`:                                              "temperature is string, and number is to be",
		`{"temperature":21,` + at + `,"id":18446744073709551616}`:                      "id is 18446744073709551616, above 18446744073709551615",
		`{"temperature":21,` + at + `,"id":1.5}`:                                       "id is 1.5, and integer is to be",
		`{"temperature":21,"at":"yesterday"}`:                                          `at is "yesterday", and no date-time`,
		`{"temperature":21,` + at + `,"extra":1}`:                                      "extra is not allowed",
		`{"temperature":21,` + at + `,"mode":"off"}`:                                   `mode is none of ["heat","cool",1.0]`,
		`{"temperature":21,` + at + `,"samples":[]}`:                                   `the value lacks "mode", which "samples" needs`,
		`{"temperature":21,` + at + `,"mode":1,"samples":[1,null,true]}`:               "samples[2] is true, and integer or null is to be",
		`{"temperature":21,` + at + `,"mode":1,"samples":[1,2,1.0]}`:                   "samples has the same twice, as items 0 and 2",
		`{"temperature":21,` + at + `,"x-a":"e"}`:                                      `x-a has 1 characters, fewer than 2; x-a is "e", and does not match ^é`,
		`{}`:   `the value lacks "temperature"; the value lacks "at"`,
		`[1]`:  "the value is array, and object is to be",
		`null`: "the value is null, and object is to be",
	} {
		err := validate(t, s, value)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s:\n%v, want\n%s", value, err, want)
		}
	}
	if wrong := (*schema.Invalid)(nil); !errors.As(validate(t, s, "{}"), &wrong) || len(wrong.Problems) != 2 {
		t.Error("problems are not told apart")
	}
}

func TestSchemasWithinSchemas(t *testing.T) {
	for _, tt := range []struct{ schema, value, want string }{
		{`{"oneOf":[{"type":"string"},{"type":"object","required":["a"]}]}`, `{}`, `the value fits none of the 2 schemas of oneOf (the value lacks "a")`},
		{`{"oneOf":[{"type":"number"},{"minimum":1}]}`, `2`, "the value fits 2 of the schemas of oneOf"},
		{`{"anyOf":[{"minimum":5},{"type":"string"}]}`, `4`, "the value fits none of the 2 schemas of anyOf (the value is 4, below 5)"},
		{`{"not":{"type":"null"}}`, `null`, "the value fits the schema of not"},
		{`{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{"a":1}`, `the value lacks "b"`},
		{`{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{}`, `the value lacks "c"`},
		{`{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}`, `["a",1,"b"]`, "[2] is string, and number is to be"},
		{`{"contains":{"const":5},"minContains":2}`, `[5,1]`, "the value has 1 items that contains asks for, fewer than 2"},
		{`{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`, "b is not allowed"},
		{`{"prefixItems":[true],"unevaluatedItems":false}`, `[1,2]`, "[1] is not allowed"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":false}`, `["a",1]`, "[1] is not allowed"},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b"],"c":{"required":["d"]}}}`, `{"a":1,"b":1,"c":1}`, `the value lacks "d"`},
		{`{"properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}`, `{"next":{"next":{"v":"x"}}}`, "next.next.v is string, and number is to be"},
		{`{"$ref":"#here","$defs":{"x":{"$anchor":"here","type":"null"}}}`, `1`, "the value is 1, and null is to be"},
		{`{"$ref":"other.json#/$defs/~1a"}`, `1`, "the value is 1, and string is to be"},
		{`{"$ref":"urn:x:text","$defs":{"x":{"$id":"urn:x:text","type":"string"}}}`, `1`, "the value is 1, and string is to be"},
		{`false`, `1`, "the value is not allowed"},
		{`{"const":{"b":[1.0],"a":null}}`, `{"a":null,"b":[1]}`, ""},
		{`{"propertyNames":{"pattern":"^[a-z]+$"}}`, `{"A":1}`, "A has a name that is not allowed"},
		{`{"minProperties":2,"maxProperties":2}`, `{"A":1}`, "the value has 1 members, fewer than 2"},
		{`{"format":"uuid"}`, `"12345678-1234-1234-1234-12345678901x"`, `the value is "12345678-1234-1234-1234-12345678901x", and no uuid`},
		{`{"format":"ipv4"}`, `"::1"`, `the value is "::1", and no ipv4`},
		{`{"maximum":5}`, `1e2000`, "the value is too large to be compared"},
	} {
		s, err := load(t, tt.schema, "other.json", `{"$defs":{"/a":{"type":"string"}}}`)
		if err != nil {
			t.Errorf("%s: %v", tt.schema, err)
			continue
		}
		err = validate(t, s, tt.value)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
			t.Errorf("%s of %s:\n%v, want\n%s", tt.schema, tt.value, err, tt.want)
		}
	}
}

func TestSchemasThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:               "a schema is an object, or true or false",
		`{`:                "schema.json: byte 1: the end where a name",
		`{"type":"nmber"}`: `type: there is no type "nmber"`,
		`{"properties":{"a":{"$ref":"#/$defs/x"}}}`: `#/properties/a: $ref "#/$defs/x": there is no /$defs`,
		`{"$ref":"https://example.com/x.json"}`:     "nothing is fetched from the network",
		`{"$ref":"absent.json"}`:                    "no such file",
		`{"pattern":"(?=x)"}`:                       "is no pattern of RE2",
		`{"minLength":-1}`:                          "minLength: is no count",
		`{"multipleOf":0}`:                          "multipleOf: is not above 0",
		`{"anyOf":[]}`:                              "anyOf: is no list of schemas",
	} {
		_, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestWhatASchemaCostsIsBounded(t *testing.T) {
	loop, err := load(t, `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, loop, "1"); err == nil || !strings.Contains(err.Error(), "may refer to itself") {
		t.Error(err)
	}
	// Each level doubles the work.
	many, err := load(t, `{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"items":{"$ref":"#/$defs/a"},"minItems":9},{"items":{"$ref":"#/$defs/a"},"minItems":9}]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, many, strings.Repeat("[", 100)+strings.Repeat("]", 100)); err == nil || !strings.Contains(err.Error(), "steps") {
		t.Error(err)
	}
	all, err := load(t, `{"items":{"type":"string"}}`)
	if err != nil {
		t.Fatal(err)
	}
	wrong := (*schema.Invalid)(nil)
	if !errors.As(validate(t, all, "["+strings.Repeat("1,", 1000)+"1]"), &wrong) || len(wrong.Problems) != 10 || !strings.HasSuffix(wrong.Error(), "and perhaps more") {
		t.Error(wrong)
	}
}

func FuzzSchema(f *testing.F) {
	f.Add(reading, `{"temperature":21.3}`)
	f.Add(`{"oneOf":[{"$ref":"#"}],"contains":{},"unevaluatedItems":false,"unevaluatedProperties":{"type":"null"}}`, `[{"a":1}]`)
	f.Fuzz(func(t *testing.T, text, value string) {
		v, err := payload.ParseJSON([]byte(value))
		if err != nil || strings.Contains(text, "file:") {
			return
		}
		s, err := load(t, text)
		if err != nil {
			return
		}
		if err := s.Validate(v); err != nil && err.Error() == "" {
			t.Fatal("an error that says nothing")
		}
	})
}

func TestEnumAndConstBothCount(t *testing.T) {
	for _, text := range []string{`{"enum": [1, 2], "const": 2}`, `{"const": 2, "enum": [1, 2]}`, `{"const": 2, "enum": [2.0]}`} {
		s, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		for value, fits := range map[string]bool{"1": false, "2": true, "2.0": true, "3": false, "null": false} {
			if err := validate(t, s, value); (err == nil) != fits {
				t.Errorf("%s, %s: %v", text, value, err)
			}
		}
	}
}

// To write the value down for each of them would take minutes.
func TestLongTextIsComparedWithManyAtOnce(t *testing.T) {
	s, err := load(t, `{"enum": ["`+strings.Repeat(`x","`, 20_000)+`y"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, s, `"`+strings.Repeat("z", 4<<20)+`"`); err == nil {
		t.Fatal("it fits")
	}
}

func TestComparingLongValuesIsBounded(t *testing.T) {
	s, err := load(t, `{"uniqueItems": true, "items": {"$ref": "#"}}`)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("[", 120) + `"` + strings.Repeat("x", 8<<20) + `"` + strings.Repeat("]", 120)
	if err := validate(t, s, value); err == nil || !strings.Contains(err.Error(), "steps") {
		t.Fatalf("120 times 8 MB: %v", err)
	}
	if err := validate(t, s, `[1, 1.0]`); err == nil {
		t.Fatal("the same twice")
	}
	if err := validate(t, s, `[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]`); err == nil {
		t.Fatal("the same twice, in another order")
	}
}
