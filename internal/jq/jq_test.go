package jq

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
)

func compile(t *testing.T, src string) *Query {
	t.Helper()
	q, err := Compile(src)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return q
}

func results(t *testing.T, src string, v any) ([]any, error) {
	t.Helper()
	var all []any
	err := compile(t, src).Run(t.Context(), v, func(v any) error {
		all = append(all, v)
		return nil
	})
	return all, err
}

func TestRunSpeaksInValuesOfPayload(t *testing.T) {
	big := json.Number("123456789012345678901234567890")
	reading := payload.Object{{Name: "z", Value: json.Number("1.50")}, {Name: "a", Value: []any{payload.Bin("\x00\xff"), big}}}
	for _, tt := range []struct {
		src  string
		in   any
		want []any
	}{
		{".", reading, []any{payload.Object{{Name: "a", Value: []any{"AP8=", big}}, {Name: "z", Value: json.Number("1.50")}}}},
		{".a[1] + 1", reading, []any{json.Number("123456789012345678901234567891")}},
		{".a[]", reading, []any{"AP8=", big}},
		{".z * 2, null, true", reading, []any{json.Number("3"), nil, true}},
		{".missing", reading, []any{nil}},
		{"empty", nil, nil},
		{"nan, infinite", nil, []any{nil, json.Number("1.7976931348623157e+308")}},
		{"1e-9, 0.25, 1e30", nil, []any{json.Number("1e-09"), json.Number("0.25"), json.Number("1e+30")}},
		{`"\(.z) of \(.a | length)"`, reading, []any{"1.50 of 2"}},
		{"map(. + 1)", []any{json.Number("9007199254740993")}, []any{[]any{json.Number("9007199254740994")}}},
		{"[paths]", []any{[]any{payload.Bin("x")}}, []any{[]any{[]any{json.Number("0")}, []any{json.Number("0"), json.Number("0")}}}},
		{"env | length", nil, []any{json.Number("0")}},
	} {
		got, err := results(t, tt.src, tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.src, diff)
		}
	}
}

func TestParseKeepsDigits(t *testing.T) {
	v, err := Parse([]byte(` {"n": 12345678901234567890.10, "l": [1, "x"]} `))
	if err != nil {
		t.Fatal(err)
	}
	got, err := results(t, ".n, .l", v)
	if diff := cmp.Diff([]any{json.Number("12345678901234567890.10"), []any{json.Number("1"), "x"}}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for _, bad := range []string{"", "{", "1 2", "nul"} {
		if v, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, v)
		}
	}
}

// As in jq, what is passed on keeps its order.
func TestRunTextKeepsTheOrderOfMembers(t *testing.T) {
	const record = ` { "topic" : "a", "payload":{"z":1,"a":[{"y":1.0,"x":"\u0022}"},{}],"m":{"b":1,"a":2,"b":{"d":1,"c":2}}},"qos":0 , "empty":{},"list":[ ]} `
	v, err := Parse([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		".":                           `{"topic":"a","payload":{"z":1,"a":[{"y":1.0,"x":"\"}"},{}],"m":{"b":{"d":1,"c":2},"a":2}},"qos":0,"empty":{},"list":[]}`,
		".payload.a[0]":               `{"y":1.0,"x":"\"}"}`,
		"[.payload.m, 1]":             `[{"b":{"d":1,"c":2},"a":2},1]`,
		`{z: .payload.m.b, a: 1}`:     `{"a":1,"z":{"d":1,"c":2}}`,
		`select(.qos == 0).payload.m`: `{"b":{"d":1,"c":2},"a":2}`,
		`.topic |= "b/" + . | del(.list, .empty, .payload.a)`: `{"payload":{"m":{"b":{"d":1,"c":2},"a":2},"z":1},"qos":0,"topic":"b/a"}`,
	} {
		var got []byte
		err := compile(t, src).RunText(t.Context(), v, []byte(record), func(v any) error {
			got = payload.AppendJSON(got, v)
			return nil
		})
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", src, err, diff)
		}
	}
}

func FuzzRunText(f *testing.F) {
	f.Add([]byte(` {"a":[1,{"b":"\"}"},[]],"a":{"c":null,"b":[{}]},"":1e5} `))
	f.Add([]byte(`[{"x":{"x":1,"x":{}}}]`))
	q, err := Compile(".")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		if err != nil {
			return
		}
		var ordered, byName []byte
		err = q.RunText(t.Context(), v, text, func(v any) error { ordered = payload.AppendJSON(nil, v); return nil })
		if err == nil {
			err = q.Run(t.Context(), v, func(v any) error { byName = payload.AppendJSON(nil, v); return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse(ordered); err != nil || !cmp.Equal(again, v) || len(ordered) != len(byName) {
			t.Errorf("%q: %s, by name %s, %v", text, ordered, byName, err)
		}
	})
}

func TestMembersAreThoseOfTheInput(t *testing.T) {
	for src, want := range map[string]string{
		".paylod == 12": "paylod",
		".payload.temp > 30 and (.topic | test(\"a\"))": "payload topic",
		"select(.qos == 1) | .whatever":                 "qos",
		"[.topic, .payload.x]":                          "topic payload",
		".payload | .temp":                              "payload",
		".room = .topic":                                "",
		".room?":                                        "",
		"def f: .x; f":                                  "",
		".payload as $x | .topic":                       "payload",
		"{topic}":                                       "",
		".[\"odd\"]":                                    "",
	} {
		if got := strings.Join(compile(t, src).Members(), " "); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
	if !compile(t, ".payload = 12").Assigns() || compile(t, ".payload == 12").Assigns() {
		t.Error("an assignment is not told from a comparison")
	}
}

func TestTest(t *testing.T) {
	reading := payload.Object{{Name: "temp", Value: json.Number("31")}}
	for src, want := range map[string]bool{
		".temp > 30":              true,
		".temp > 31":              false,
		"select(.temp > 30)":      true,
		"select(.temp > 31)":      false,
		".nothing":                false,
		"0":                       true,
		"false, null, 1":          true,
		"true, error(\"late\")":   true,
		".temp | . > 3 and . < 4": false,
	} {
		if got, err := compile(t, src).Test(t.Context(), reading); got != want || err != nil {
			t.Errorf("%s: %v, %v", src, got, err)
		}
	}
	if got, err := compile(t, ".temp.x").Test(t.Context(), reading); got || err == nil || !strings.Contains(err.Error(), "expected an object") {
		t.Errorf("member of a number: %v, %v", got, err)
	}
}

// What an expression does with one message ends, whatever it is.
func TestRunsAreBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := compile(t, "def f: f; f").Test(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if _, err := results(t, "def f: f; f", nil); !errors.Is(err, ErrTime) {
		t.Errorf("without an end: %v", err)
	}
	n := 0
	err := compile(t, `repeat("x" * 1000000)`).Run(t.Context(), nil, func(any) error { n++; return nil })
	if !errors.Is(err, ErrOutput) || n != 17 { // null comes first
		t.Errorf("much output: %v after %d results", err, n)
	}
	stop := errors.New("stop")
	if err := compile(t, "1, 2").Run(t.Context(), nil, func(any) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("yield that fails: %v", err)
	}
	if _, err := results(t, "halt", nil); !errors.Is(err, ErrHalt) {
		t.Errorf("halt: %v", err)
	}
	if _, err := Compile(strings.Repeat(".", maxSource+1)); err == nil {
		t.Error("a long expression is taken")
	}
}

func TestMistakesAreShownWhereTheyAre(t *testing.T) {
	for _, tt := range []struct{ src, excerpt, reason string }{
		{".payload.temp > > 3", ".payload.temp > > 3\n                ^", `unexpected token ">"`},
		{".a ==", ".a ==\n     ^", "the expression ends too soon"},
		{`.a == "b" and .c == "d`, `.a == "b" and .c == "d` + "\n                    ^", "this string does not end"},
		{`"\(.a + "x")y" + "`, `"\(.a + "x")y" + "` + "\n                 ^", "this string does not end"},
		{".a | foo(3)", ".a | foo(3)\n     ^", "no function is called foo/1"},
		{".foo | foo", ".foo | foo\n       ^", "no function is called foo/0"},
		{". as $x | $y", ". as $x | $y\n          ^", "no variable is called $y"},
		{".a +\n\t.b )\n", "\t.b )\n\t   ^", `unexpected token ")"`},
		{"", "", "the expression is empty; . stands for all"},
		{"# nothing", "", "the expression is empty; . stands for all"},
		{"[inputs]", "", "there is no further input"},
		{`import "a" as a; .`, "import \"a\" as a; .\n       ^", "there are no modules to import"},
	} {
		_, err := Compile(tt.src)
		bad := (*SyntaxError)(nil)
		if !errors.As(err, &bad) {
			t.Errorf("%q: %v", tt.src, err)
			continue
		}
		if bad.Reason != tt.reason {
			t.Errorf("%q: %s", tt.src, bad.Reason)
		}
		if diff := cmp.Diff(tt.excerpt, bad.Excerpt()); diff != "" {
			t.Errorf("%q: -want +got:\n%s", tt.src, diff)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{".", ".a[0] == \"\\(.b)\"", "\"", "def f: f; f", "# x", ". as $x | $y", "\\", ".é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		_, err := Compile(src)
		if bad := (*SyntaxError)(nil); err != nil && (!errors.As(err, &bad) || bad.Reason == "" || bad.Offset > len(src)) {
			t.Errorf("%q: %#v", src, err)
		} else if err != nil {
			bad.Excerpt()
		}
	})
}

func BenchmarkTest(b *testing.B) {
	record := []byte(`{"time":"2026-03-04T05:06:07.000008009Z","topic":"sensors/1/temp","qos":1,"retain":false,"mid":7,"size":24,"encoding":"json","payload":{"temp":31.5,"unit":"C"}}`)
	q, err := Compile(".payload.temp > 30")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		v, err := Parse(record)
		if err != nil {
			b.Fatal(err)
		}
		if ok, err := q.Test(b.Context(), v); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
