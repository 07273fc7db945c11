package generate

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.FixedZone("", 5400))

func mustParse(t testing.TB, s string) *Template {
	t.Helper()
	p, err := Parse(s, 1)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return p
}

// made is the first n messages as "topic payload"; one is due every second.
func made(t testing.TB, topic, payload string, rows *Rows, n int) []string {
	t.Helper()
	g, err := New(mustParse(t, topic), mustParse(t, payload), rows)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range n {
		topic, payload, err := g.Next(time.Duration(i)*time.Second, now)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, topic+" "+string(payload))
	}
	return got
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct {
		topic, payload string
		want           []string
	}{
		{"t", "plain } text {", []string{"t plain } text {"}},
		{"d/{{n}}", `{"a":{"n":{{n 0}}}}`, []string{`d/1 {"a":{"n":0}}`, `d/2 {"a":{"n":1}}`}},
		{"d/{{n 1 1 2}}", "{{ n 10 -5 }},{{n 5 10 30}}", []string{"d/1 10,5", "d/2 5,15", "d/1 0,25", "d/2 -5,5"}},
		{"a/b/{{n 7}}", "{{topic}} {{topic 2}} {{json topic 1}} {{json topic 3}} {{topic 4}}.", []string{`a/b/7 a/b/7 b "a" 7 .`}},
		{"t", "{{'{{'}} {{\"a }} b\"}} {{json 'c\"d'}}", []string{`t {{ a }} b "c\"d"`}},
		{"t", "{{time}} {{time unix}} {{time ms}} {{time us}} {{time ns}} {{time seconds}} {{time date}} {{time clock}}", []string{
			"t 2026-03-04T03:36:07.089Z 1772595367 1772595367089 1772595367089000 1772595367089000000 1772595367.089 2026-03-04 03:36:07",
		}},
		{"t", "{{json time '02.01.06 15:04'}}", []string{`t "04.03.26 03:36"`}},
		{"t", "{{choice a:0 b c:0}} {{json choice 'x y':1}} {{json choice 5}} {{json choice true}}", []string{`t b "x y" 5 true`}},
		{"t", "{{sine 20 5 4s}} {{sine 0 1 4s phase=1s}} {{sine 0 10 4s max=5}}", []string{"t 20 1 0", "t 25 0 5", "t 20 -1 0", "t 15 0 -10"}},
		{"t", "{{drift 20 6/min}} {{drift 5 -1/s min=4}} {{drift 1 0.36/h digits=4}}", []string{"t 20 5 1", "t 20.1 4 1.0001", "t 20.2 4 1.0002"}},
		{"t", "{{float 2 2}} {{int 3 3}} {{normal 1.005 0 digits=3}} {{bool 1}} {{bool 0}} {{float 1.5 1.5 digits=0}}", []string{"t 2 3 1.005 true false 2"}},
		{"t", "{{walk 150 1 max=100}}", []string{"t 100"}},
		{"t", "{{hex 0001}}", []string{"t " + made(t, "t", "{{hex 1}}", nil, 1)[0][2:]}},
	} {
		if diff := cmp.Diff(tt.want, made(t, tt.topic, tt.payload, nil, len(tt.want))); diff != "" {
			t.Errorf("%s %s: -want +got\n%s", tt.topic, tt.payload, diff)
		}
	}
}

func TestMistakesInTemplatesHaveAPlace(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		// ^ stands before the byte
		{"ab ^{{n", "{{ without }}"},
		{"ab {{n ^}", "not expected"},
		{"^{{}}", "nothing stands between"},
		{"^{{json}}", "nothing stands between"},
		{"{{n}} {{^wlak 1 2}}", `"wlak" is no generator`},
		{"{{n ^x}}", `the start: "x" is not a whole number`},
		{"{{n 1 1 3 ^4}}", `"4" is one word too many`},
		{"{{n 1 0 ^3}}", "no way"},
		{"{{walk 20^}}", "the step is missing"},
		{"{{walk 20 1 min=^a}}", `min: "a" is not a number`},
		{"{{walk 20 1 min=1 max=^0}}", "max is less than min"},
		{"{{float 1 2 digits=^-1}}", "digits"},
		{"{{float 1 2 noise=^-1}}", "noise"},
		{"{{n phase=^2s}}", `no option "phase"`},
		{"{{walk 1 2 phase=^2s}}", `no option "phase"`},
		{"{{float ^Inf 1}}", "not a number"},
		{"^{{float 2 1}}", "less"},
		{"^{{int 2 1}}", "less"},
		{"{{sine 1 1 ^-5s}}", "not a time"},
		{"{{sine 1 1 1h phase=^x}}", "not a time"},
		{"{{drift 1 ^2}}", "not a change"},
		{"{{drift 1 ^x/s}}", "not a number"},
		{"{{time ^yesterday}}", "none of rfc3339"},
		{"{{bool ^2}}", "from 0 to 1"},
		{"{{hex ^0}}", "from 1"},
		{"{{hex ^9999999999}}", "from 1"},
		{"{{choice^}}", "missing"},
		{"^{{choice a:0}}", "weights"},
		{"{{choice ^a:-1}}", "less than 0"},
		{"{{choice ^a:b}}", "not a number"},
		{"{{topic ^0}}", "from 1"},
		{"{{^'a}}", "quotation mark"},
	} {
		at := strings.IndexByte(tt.template, '^')
		template := tt.template[:at] + tt.template[at+1:]
		_, err := Parse(template, 1)
		problem := (*SyntaxError)(nil)
		if !errors.As(err, &problem) || problem.Offset != at || !strings.Contains(problem.Reason, tt.want) {
			t.Errorf("%s: %v at %+v, want %q at %d", template, err, problem, tt.want, at)
		}
	}
}

func TestTheSameSeedMakesTheSame(t *testing.T) {
	const payload = "{{int 1 1000000}} {{float 0 1 digits=9}} {{normal 0 1}} {{hex 8}} {{uuid}} {{bool}} {{choice a b c}} {{walk 0 1}} {{sine 0 1 1h noise=1}}"
	a, b := made(t, "t/{{int 1 9}}", payload, nil, 50), made(t, "t/{{int 1 9}}", payload, nil, 50)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	other, err := Parse(payload, 2)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(mustParse(t, "t"), other, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, p, err := g.Next(0, now); err != nil || strings.HasSuffix(a[0], string(p)) {
		t.Errorf("another seed makes %s, too (%v)", p, err)
	}
}

// numbers are what the template makes, as numbers of JSON.
func numbers(t *testing.T, template string, n int) []float64 {
	t.Helper()
	var all []float64
	for _, line := range made(t, "t", template, nil, n) {
		text := strings.TrimPrefix(line, "t ")
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !json.Valid([]byte(text)) {
			t.Fatalf("%s: %q is no number", template, text)
		}
		all = append(all, f)
	}
	return all
}

func moments(all []float64) (mean, deviation float64) {
	for _, f := range all {
		mean += f / float64(len(all))
	}
	for _, f := range all {
		deviation += (f - mean) * (f - mean) / float64(len(all))
	}
	return mean, math.Sqrt(deviation)
}

func TestRandomNumbersHaveTheirDistribution(t *testing.T) {
	const n = 20_000
	for _, tt := range []struct {
		template                 string
		min, max, mean, deviates float64
	}{
		{"{{int 1 6}}", 1, 6, 3.5, 1.708},
		{"{{int -9223372036854775808 9223372036854775807}}", -1 << 63, 1 << 63, math.NaN(), math.NaN()},
		{"{{float 10 20}}", 10, 20, 15, 2.887},
		{"{{normal 20 2}}", 0, 40, 20, 2},
		{"{{normal 0 1 min=-1 max=1}}", -1, 1, 0, math.NaN()},
		{"{{choice 0:3 1:1}}", 0, 1, 0.25, 0.433},
		{"{{sine 5 0 1h noise=3}}", -20, 30, 5, 3},
		{"{{walk 50 10 min=0 max=100}}", 0, 100, math.NaN(), math.NaN()},
	} {
		all := numbers(t, tt.template, n)
		mean, deviation := moments(all)
		if math.Abs(mean-tt.mean) > 0.1 || math.Abs(deviation-tt.deviates) > 0.1 {
			t.Errorf("%s: mean %g, deviation %g", tt.template, mean, deviation)
		}
		for _, f := range all {
			if f < tt.min || f > tt.max {
				t.Fatalf("%s: %g", tt.template, f)
			}
		}
	}
}

func TestWalksGoStepByStepOnEachTopic(t *testing.T) {
	last := map[string]float64{}
	for i, line := range made(t, "d/{{n 1 1 3}}", "{{walk 20 0.5 digits=6}}", nil, 300) {
		topic, text, _ := strings.Cut(line, " ")
		f, err := strconv.ParseFloat(text, 64)
		before, ok := last[topic]
		if err != nil || !ok && f != 20 || ok && (math.Abs(f-before) > 0.500001 || f == before) {
			t.Fatalf("message %d on %s: %q behind %g (%v)", i, topic, text, before, err)
		}
		last[topic] = f
	}
	if len(last) != 3 {
		t.Error(last)
	}
}

func TestUUIDsAreRandomOnes(t *testing.T) {
	seen := map[string]bool{}
	for _, line := range made(t, "t", "{{uuid}}", nil, 500) {
		u := line[2:]
		if len(u) != 36 || u[14] != '4' || !strings.ContainsRune("89ab", rune(u[19])) || seen[u] {
			t.Fatal(u)
		}
		seen[u] = true
	}
}

func mustRows(t testing.TB, in string) *Rows {
	t.Helper()
	r, err := NewRows(iotest.OneByteReader(strings.NewReader(in)), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRowsBecomeTopicAndPayload(t *testing.T) {
	const csv = "\uFEFFid,temp,unit name\r\nd1,21.50,\"a \"\"b\"\"\"\nd2,007,\n"
	const list = "{\"id\":\"d1\", \"v\":{\"t\":21.50,\"ok\":true}}\n\n{\"id\":2,\"v\":{\"t\":\"é\\n\",\"ok\":null}}"
	for _, tt := range []struct {
		rows, topic, payload string
		want                 []string
	}{
		{csv, "p/{{.id}}", `{"t":{{json .temp}},"u":{{json field 'unit name'}}}`, []string{`p/d1 {"t":21.50,"u":"a \"b\""}`, `p/d2 {"t":"007","u":""}`}},
		{csv, "p", "{{row}}", []string{`p {"id":"d1","temp":21.50,"unit name":"a \"b\""}`, `p {"id":"d2","temp":"007","unit name":""}`}},
		{"a;b\n1,5;2\n", "p", "{{.a}} {{.b}}", []string{"p 1,5 2"}},
		{"a\tb\n1,5\t2\n", "p", "{{.a}} {{.b}}", []string{"p 1,5 2"}},
		{list, "p/{{.id}}", `{{.v.t}} {{json .v.t}} {{json .v.ok}} {{.v}}`, []string{`p/d1 21.50 21.50 true {"t":21.50,"ok":true}`, "p/2 é\n \"é\\n\" null {\"t\":\"é\\n\",\"ok\":null}"}},
		{list, "p", `{{.}}`, []string{`p {"id":"d1","v":{"t":21.50,"ok":true}}`, `p {"id":2,"v":{"t":"é\n","ok":null}}`}},
	} {
		if diff := cmp.Diff(tt.want, made(t, tt.topic, tt.payload, mustRows(t, tt.rows), len(tt.want))); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.payload, diff)
		}
	}
	g, err := New(mustParse(t, "t"), nil, mustRows(t, "a\n1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if _, b, err := g.Next(0, now); err != nil || string(b) != `{"a":1}` {
			t.Errorf("%s %v", b, err)
		}
		if _, _, err := g.Next(0, now); !errors.Is(err, io.EOF) {
			t.Errorf("behind the last row: %v", err)
		}
		if round == 0 {
			g.Restart(mustRows(t, "a\n1\n"))
		}
	}
}

func TestRowsThatAreWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "no line with the names of the columns",
		"a,b,a\n":                          `two columns have the name "a"`,
		"a,b\n1\n":                         "row 1: line 2, byte 1: wrong number of fields",
		"a\n1\n\"x\ny\n":                   `row 2: line 4, byte 3: extraneous`,
		"{\"a\":1}\nb\n":                   "row 2: is not a JSON object",
		"{\"b\":1}\n":                      `row 1: there is no member "a"`,
		"a\n" + strings.Repeat("x", 1<<20): "row 1: longer than 1000 bytes",
		"{" + strings.Repeat(" ", 1<<20):   "row 1: longer than 1000 bytes",
	} {
		r, err := NewRows(strings.NewReader(in), 1000)
		if err == nil {
			var g *Generator
			g, err = New(mustParse(t, "t"), mustParse(t, "{{.a}}"), r)
			for err == nil {
				_, _, err = g.Next(0, now)
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", in, err, want)
		}
	}
	if err := mustRows(t, "a,b\n").Check(mustParse(t, "{{.a}} {{json field 'c'}}")); err == nil || err.Error() != `there is no column "c"; these are: a, b` {
		t.Error(err)
	}
	if _, err := New(mustParse(t, "{{.a}}"), mustParse(t, ""), nil); err == nil {
		t.Error("a field without rows")
	}
}

func TestRates(t *testing.T) {
	for s, want := range map[string]float64{"10": 10, "10/s": 10, "0.5/s": 0.5, "120/min": 2, "7200/h": 2, "1.5k/s": 1500, "1/ms": 1000, "": 0, "x": 0, "0": 0, "-1": 0, "1/fortnight": 0, "NaN": 0, "1e99": 0, "1/": 0} {
		got, err := ParseRate(s)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %g, %v", s, got, err)
		}
	}
}

func TestAScheduleDoesNotSlip(t *testing.T) {
	s := Schedule{Rate: 10}
	at := now
	if s.Wait(at) != 0 || s.Sent(at) {
		t.Error("the first message is due at once")
	}
	if d := s.Wait(at.Add(30 * time.Millisecond)); d != 70*time.Millisecond {
		t.Errorf("wait %v", d)
	}
	for range 9 { // all of them late, none by a second
		if s.Sent(at.Add(950 * time.Millisecond)) {
			t.Error("behind")
		}
	}
	if d := s.Wait(at.Add(950 * time.Millisecond)); d != 50*time.Millisecond {
		t.Errorf("wait %v behind a burst", d)
	}
	at = at.Add(5 * time.Second)
	if !s.Sent(at) || s.Sent(at) {
		t.Error("four seconds late is told once")
	}
	if sent, due, latest, behind := s.Balance(at); sent != 12 || due != 50 || latest != 4*time.Second || !behind {
		t.Error(sent, due, latest, behind)
	}
	s = Schedule{Rate: 1}
	s.Sent(at)
	s.Forgive(9*time.Second, at.Add(10*time.Second)) // the input took that long
	if s.Sent(at.Add(10 * time.Second)) {
		t.Error("the input was late, not we")
	}
	s = Schedule{}
	if s.Wait(at) != 0 || s.Sent(at) || s.Wait(at) != 0 || s.Due(7) != 7*time.Second {
		t.Error("without a rate everything is due at once")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		f.Add("a{{" + name + " 1 2 3s}}b")
	}
	f.Add(`{{json choice 'a b':3 "c":1}}{{walk 20 0.5 min=1 max=2 noise=0.1 digits=3}}{{.a.b}}`)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s, 1)
		if err != nil {
			if at := err.(*SyntaxError).Offset; at < 0 || at > len(s) {
				t.Errorf("%q: byte %d: %v", s, at, err)
			}
			return
		}
		g, err := New(mustParse(t, "t"), p, nil)
		if err != nil {
			return
		}
		for i := range 3 {
			if _, b, err := g.Next(time.Duration(i)*time.Hour, now); err != nil || len(b) > 64<<20 {
				t.Errorf("%q: %d bytes, %v", s, len(b), err)
			}
		}
	})
}

func BenchmarkNext(b *testing.B) {
	g, err := New(mustParse(b, "d/{{n 1 1 100}}"), mustParse(b, `{"t":{{walk 20 0.5}},"at":{{time ms}}}`), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Next(0, now); err != nil {
			b.Fatal(err)
		}
	}
}
