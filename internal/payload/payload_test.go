package payload_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/plain"
)

func formats() []payload.Format {
	all := []payload.Format{plain.JSON(), plain.Text(), plain.Base64(), plain.UnHex(), plain.UnBase64(), plain.Hex()}
	return append(all, payload.Auto(all))
}

func rules(t *testing.T, all ...string) *payload.Rules {
	t.Helper()
	var parsed []payload.Rule
	for _, one := range all {
		r, err := payload.ParseRule(one)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	r, err := payload.NewRules(formats(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFirstRuleForTheTopicCounts(t *testing.T) {
	r := rules(t, "a/+=hex", "$share/g/b/#=unhex|json", "text")
	for topic, want := range map[string]string{"a/1": "hex", "b/x": "unhex|json", "c": "text", "$SYS/x": "text"} {
		c, ok, err := r.Decode(topic, "", []byte("3432"))
		if err != nil || !ok || c.Label != want {
			t.Errorf("%s: %q, %v, %v, want %q", topic, c.Label, ok, err, want)
		}
	}
	c, _, _ := r.Decode("b/x", "", []byte("3432"))
	if diff := cmp.Diff(json.Number("42"), c.Value); diff != "" {
		t.Error(diff)
	}
	if _, ok, _ := rules(t, "a=json").Decode("b", "", []byte("1")); ok {
		t.Error("a rule for another topic")
	}
	if _, ok, _ := r.Decode("b/x", "", nil); ok {
		t.Error("nothing has been read as JSON")
	}
	if _, ok, _ := (*payload.Rules)(nil).Decode("a", "", []byte("1")); ok {
		t.Error("no rules, and one fits")
	}
}

func TestEncodeGoesThroughThePipelineBackwards(t *testing.T) {
	r := rules(t, "a=unbase64|unhex|json", "b=hex")
	for _, tt := range []struct{ topic, typed, want string }{
		{"a", "[1.0]", "NWIzMTJlMzA1ZA=="},
		{"b", "68:65 6C6c6F", "hello"},
		{"c", "as it is", "as it is"},
	} {
		b, err := r.Encode(tt.topic, "", []byte(tt.typed))
		if err != nil || string(b) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.topic, b, err, tt.want)
		}
	}
	if _, err := r.Encode("a", "", []byte("{")); err == nil {
		t.Error("half an object has been encoded")
	}
}

func TestRulesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"a/#/b=json":     "#",
		"=json":          "missing",
		"a=jsom":         `no format "jsom"`,
		"json|text":      "both read",
		"json|unhex":     "made a value",
		"unhex":          "only unpacks",
		"json:x":         "no argument",
		"a=":             "missing",
		"unhex||json":    "missing",
		"a/b=unhex|nope": "nope",
	} {
		r, err := payload.ParseRule(text)
		if err == nil {
			_, err = payload.NewRules(formats(), []payload.Rule{r})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestWhatIsWrongNamesStepAndOffset(t *testing.T) {
	_, ok, err := rules(t, "unhex|json").Decode("a", "", []byte("7b22612"))
	if !ok || err == nil || err.Error() != "unhex: byte 7: the second digit of a byte is missing" {
		t.Error(err)
	}
	_, _, err = rules(t, "json").Decode("a", "", []byte(`{"a": 01}`))
	wrong := (*payload.Malformed)(nil)
	if !errors.As(err, &wrong) || wrong.Offset != 6 {
		t.Error(err)
	}
}

func TestAutoSaysThatItHasGuessed(t *testing.T) {
	r := rules(t, "auto")
	for _, tt := range []struct{ contentType, in, label, text string }{
		{"", `{"b":1.0,"a":12345678901234567890}`, "json (guess)", `{"b":1.0,"a":12345678901234567890}`},
		{"", "21.5", "json (guess)", "21.5"},
		{"", "21.5 °C\n", "text (guess)", "21.5 °C\n"},
		{"text/plain; charset=utf-8", "21.5", "text (guess)", "21.5"},
		{"application/senml+json", "[]", "json (guess)", "[]"},
		{"application/json", "\xff\x00", "hex (guess)", "ff00"},
		{"", "a\x00b", "hex (guess)", "610062"},
	} {
		c, ok, err := r.Decode("a", tt.contentType, []byte(tt.in))
		if !ok || err != nil || c.Label != tt.label || string(c.AppendText(nil)) != tt.text {
			t.Errorf("%q: %q %q, %v", tt.in, c.Label, c.AppendText(nil), err)
		}
	}
	c, _, _ := r.Decode("a", "application/json", []byte("\x00"))
	if len(c.Notes) != 1 {
		t.Errorf("notes %q", c.Notes)
	}
}

func TestJSONKeepsDigitsAndOrder(t *testing.T) {
	for _, in := range []string{
		`{"z":1.0,"a":-0,"z":[1e400,12345678901234567890.10,{}],"é":"\u007f\n\\\""}`,
		`null`, `[]`, `""`, `[true,false,null]`,
	} {
		v, err := payload.ParseJSON([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(in, string(payload.AppendJSON(nil, v))); diff != "" {
			t.Error(diff)
		}
	}
	v, err := payload.ParseJSON([]byte(` "\ud83d\ude00\ud83dx\u00e9\/" `))
	if diff := cmp.Diff("😀\ufffdxé/", v); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestJSONIsBounded(t *testing.T) {
	deep := strings.Repeat("[", payload.MaxDepth) + strings.Repeat("]", payload.MaxDepth)
	if _, err := payload.ParseJSON([]byte(deep)); err != nil {
		t.Error(err)
	}
	for name, in := range map[string]string{
		"deep": "[" + deep + "]",
		"many": "[" + strings.Repeat("0,", payload.MaxValues) + "0]",
	} {
		if _, err := payload.ParseJSON([]byte(in)); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.50,"x\u00e9"],"b":null}`, `[`, `01`, `"\ud800"`, ` 1 `, `{"a":1,}`, `-`, `1e5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := payload.ParseJSON(b)
		if valid := json.Valid(b); valid && err != nil && !strings.Contains(err.Error(), "more than") && !strings.Contains(err.Error(), "UTF-8") || !valid && err == nil {
			t.Fatalf("%q: %v, and the standard library says %v", b, err, valid)
		}
		if err != nil {
			return
		}
		again, err := payload.ParseJSON(payload.AppendJSON(nil, v))
		if err != nil || !cmp.Equal(v, again) {
			t.Fatalf("%q: %v, %v", b, again, err)
		}
	})
}

func TestWhatIsShownOfAValueIsShort(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	for _, test := range []struct {
		v    any
		want string
	}{
		{nil, "null"},
		{payload.Object{{Name: "a", Value: []any{true, payload.Bin{1}, json.Number("1.50")}}}, `{"a":[true,"AQ==",1.50]}`},
		{long, `"` + long[:39*2] + "…"},
		{[]any{long, "x"}, `["` + long[:38*2] + "…"},
		{payload.Object{{Name: long, Value: "x"}}, `{"` + long[:38*2] + "…"},
	} {
		if got := payload.Shown(test.v); got != test.want {
			t.Errorf("%.60q, want %q", got, test.want)
		}
	}
}
