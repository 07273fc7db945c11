package format

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tree(t *testing.T, s string) any {
	t.Helper()
	return anyJSON([]byte(s))
}

const reading = `{"time":"2026-03-04T05:06:07.000008009+01:30","topic":"sensors/12/temp","qos":1,"retain":false,
	"properties":{"content-type":"text/plain","user-properties":[{"name":"site","value":"a"},{"name":"site","value":"b"},{"name":"x","value":"y"}]},
	"payload":{"temp":31.50,"n":12345678901234567890,"odd name":"a,\"b\"","list":[1,2,3],"none":null,"lines":"1\n2\t\\"}}`

func TestTableLeadsPathsThroughRecords(t *testing.T) {
	for _, tt := range []struct{ columns, want string }{
		{DefaultColumns, "time,topic,qos,retain,payload\n2026-03-04T05:06:07.000008009+01:30,sensors/12/temp,1,false," +
			`"{""lines"":""1\n2\t\\"",""list"":[1,2,3],""n"":12345678901234567890,""none"":null,""odd name"":""a,\""b\"""",""temp"":31.50}"` + "\n"},
		{"topic[1],payload.temp", "topic[1],payload.temp\n12,31.50\n"},
		{"topic[-1], t=.payload.temp,n = payload.n", "topic[-1],t,n\ntemp,31.50,12345678901234567890\n"},
		{`payload["odd name"],payload.list[1],payload.list[-1],payload.list[3]`, `"payload[""odd name""]",payload.list[1],payload.list[-1],payload.list[3]` + "\n" + `"a,""b""",2,3,` + "\n"},
		{"properties.content-type,properties.user-properties.site,properties.user-properties[2].value", "properties.content-type,properties.user-properties.site,properties.user-properties[2].value\ntext/plain,a,y\n"},
		{"payload.temp.x,payload.none,topic[7],topic.x,value,qos[0]", "payload.temp.x,payload.none,topic[7],topic.x,value,qos[0]\n,,,,,\n"},
		{"value", "value\n\"\"\n"},
		{"payload.lines", "payload.lines\n\"1\n2\t\\\"\n"},
	} {
		table, err := ParseTable(tt.columns, ',')
		if err != nil {
			t.Errorf("%s: %v", tt.columns, err)
			continue
		}
		if diff := cmp.Diff(tt.want, string(table.AppendRow(table.AppendHeader(nil), tree(t, reading)))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.columns, diff)
		}
	}
	table, err := ParseTable("topic,payload.lines,value", '\t')
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(table.AppendRow(nil, tree(t, reading))), "sensors/12/temp\t"+`1\n2\t\\`+"\t\n"; got != want {
		t.Errorf("with tabs: %q, want %q", got, want)
	}
}

func TestMistakesInColumnsAreShownWhereTheyAre(t *testing.T) {
	for columns, want := range map[string]int{
		"":                 0,
		"topic,":           6,
		"topic,,qos":       6,
		"topic[x]":         6,
		"topic[1":          6,
		"a, payload..b":    11,
		"payload[1]x":      10,
		`payload["a`:       8,
		`payload["a"x`:     8,
		"temp=payload.":    13,
		`payload["a,b"].`:  15,
		`topic, x=[0]"`:    12,
		"payload.temp\".x": 12,
	} {
		_, err := ParseTable(columns, ',')
		bad := (*SyntaxError)(nil)
		if !errors.As(err, &bad) || bad.Offset != want || bad.Reason == "" {
			t.Errorf("%q: %#v, want offset %d", columns, err, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"{{.topic}} {{.payload.temp}} {{.payload.n}}", "sensors/12/temp 31.50 12345678901234567890"},
		{"{{level 1 .topic}}|{{level -1 .topic}}|{{level 9 .topic}}|{{get \"topic[0]\" .}}|{{index (levels .topic) 2}}", "12|temp||sensors|temp"},
		{`{{timefmt "15:04:05.000" .time}} {{.time | strftime "%H:%M:%S.%N %Y-%m-%d 100%%"}}`, "05:06:07.000 05:06:07.000008009 2026-03-04 100%"},
		{`{{get "payload.nothing.x" .}}{{get "properties.user-properties.x" .}}`, "<no value>y"},
		{`{{default "-" .payload.nothing}} {{default "-" .payload.temp}}`, "- 31.50"},
		{`{{printf "%.1f %5.2f %d %v %s %x" .payload.temp .payload.temp .qos .payload.n .payload.n .qos}}`, "31.5 31.50 1 12345678901234567890 12345678901234567890 1"},
		{"{{if gt .payload.temp 30}}hot{{else}}cold{{end}} {{lt .qos 1.5}} {{ge .qos 1}} {{le 1 .qos}} {{ne .topic \"x\"}}", "hot true true true true"},
		{"{{eq .qos 0 1 2}} {{eq .payload.temp 31.5}} {{eq .topic \"x\" \"y\"}} {{eq .payload.none nil}}", "true true false true"},
		{"{{add .qos 2}} {{sub 1 .payload.temp}} {{mul .payload.temp 2}} {{div 1 4}} {{round 1 (div 10 3)}}", "3 -30.5 63 0.25 3.3"},
		{"{{mul 9223372036854775807 2}} {{add 9223372036854775807 1}}", "1.8446744073709552e+19 9.223372036854776e+18"},
		{`{{json .payload.list}} {{join "-" .payload.list}} {{join "." (levels .topic)}} {{len .payload.list}}`, "[1,2,3] 1-2-3 sensors.12.temp 3"},
		{`{{upper .topic | cut 4}}|{{lower "ÄB" | pad 4}}|{{pad -4 .qos}}|`, "SENS|äb  |   1|"},
	} {
		tmpl, err := ParseTemplate(tt.src)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		got, err := tmpl.Append([]byte("> "), tree(t, reading))
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
		}
		if diff := cmp.Diff("> "+tt.want, string(got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.src, diff)
		}
	}
}

func TestTemplatesFailInWords(t *testing.T) {
	for src, want := range map[string]string{
		"{{.topic":         "unclosed action",
		"{{foo .topic}}":   `function "foo" not defined`,
		"a\nb {{end}}":     "line 2: unexpected {{end}}",
		"{{template}}":     "in template clause",
		"{{range}}x{{end}": "missing value for range",
	} {
		if _, err := ParseTemplate(src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
	for src, want := range map[string]string{
		"{{.topic.temp}}":                        "at <.topic.temp>: there is no member temp",
		"{{.payload.none.x}}":                    "at <.payload.none.x>: there is no member x",
		"{{gt .topic 3}}":                        `at <gt .topic 3>: error calling gt: "sensors/12/temp" and 3 cannot be compared`,
		`{{timefmt "15" "noon"}}`:                `at <timefmt "15" "noon">: error calling timefmt: "noon" is no time as in RFC 3339`,
		`{{get "a..b" .}}`:                       `at <get "a..b" .>: error calling get: "a..b": the name of a member must come here`,
		strings.Repeat(`{{pad 1000000 ""}}`, 17): errLong.Error(),
	} {
		tmpl, err := ParseTemplate(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := tmpl.Append([]byte("> "), tree(t, reading)); err == nil || err.Error() != want || string(got) != "> " {
			t.Errorf("%s: %q, %v, want %s", src, got, err, want)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, tt := range []struct{ was, is, want string }{
		{`{"a":1,"b":{"c":[1,2]}}`, `{"b":{"c":[1,2]},"a":1}`, ""},
		{`{"temp":20,"old":true}`, `{"temp":21.0,"unit":"C"}`, "- .old: true\n~ .temp: 20 -> 21.0\n+ .unit: \"C\"\n"},
		{`{"a":{"b":[1,{"c":2}]}}`, `{"a":{"b":[1,{"c":3},4]}}`, "~ .a.b[1].c: 2 -> 3\n+ .a.b[2]: 4\n"},
		{`{"a":[1,2]}`, `{"a":[1]}`, "- .a[1]: 2\n"},
		{`{"odd name":1,"1":2}`, `{}`, "- .[\"1\"]: 2\n- .[\"odd name\"]: 1\n"},
		{`1`, `2`, "~ .: 1 -> 2\n"},
		{`{"a":1}`, `[1]`, "~ .: {\"a\":1} -> [1]\n"},
		{`{"a":null}`, `{"a":{"x":[]}}`, "~ .a: null -> {\"x\":[]}\n"},
		{`[[1]]`, `[[1,"\u001b"]]`, "+ .[0][1]: \"\\u001b\"\n"},
	} {
		var got []byte
		for _, c := range Diff(tree(t, tt.was), tree(t, tt.is)) {
			got = append(c.Append(got), '\n')
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s, %s: -want +got:\n%s", tt.was, tt.is, diff)
		}
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add(DefaultColumns)
	f.Add(`a=.b[1]["x,y"],c`)
	f.Fuzz(func(t *testing.T, s string) {
		table, err := ParseTable(s, ',')
		if bad := (*SyntaxError)(nil); err != nil && (!errors.As(err, &bad) || bad.Offset > len(s)) {
			t.Fatalf("%q: %#v", s, err)
		}
		if err == nil {
			table.AppendRow(table.AppendHeader(nil), tree(t, reading))
		}
	})
}
