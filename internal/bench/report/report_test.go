package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

var update = flag.Bool("update", false, "write the golden files")

// record is a run of one second of warm-up and so many of measurement, with
// latencies that grow by the factor.
func record(t *testing.T, seconds int, factor float64, change func(records []any)) []byte {
	t.Helper()
	total := bench.Latencies{"e2e": bench.NewHistogram(), "e2e.sent": bench.NewHistogram(), "connack": bench.NewHistogram()}
	records := []any{&bench.Header{
		Started:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Environment: bench.Environment{Tool: "iotctl 1.0", Go: "go1", OS: "linux", Arch: "amd64", Kernel: "6.1", CPU: "a processor", CPUs: 2, Memory: 4 << 30},
		Plan: bench.Plan{
			Scenario: "pair", Target: "mqtt://127.0.0.1:1883", Version: mqtt.V311, Publishers: 2, Subscribers: 2, QoS: 1, SubQoS: 1, Size: 64,
			Rate: 1000, Window: 100, Warmup: time.Second, Duration: time.Duration(seconds) * time.Second, Sampling: time.Second,
		},
	}}
	interval := func(stage bench.Stage, at, took time.Duration, n int64) *bench.Interval {
		i := &bench.Interval{Stage: stage, At: at, Duration: took, Latency: bench.Latencies{}, Self: bench.Self{CPU: took / 10, Lag: time.Millisecond, RSS: 20e6}}
		i.Gauges.Connections = 4
		if n == 0 {
			h := bench.NewHistogram()
			for k := range int64(4) {
				h.Record(1e6 * (k + 1))
			}
			i.Latency["connack"] = h
			i.Counters.Connects = 4
			total["connack"].Add(h)
			return i
		}
		due, sent := bench.NewHistogram(), bench.NewHistogram()
		for k := range n {
			sent.Record(int64(factor * 1e6 * float64(k%100+1)))
			due.Record(int64(factor * 1.5e6 * float64(k%100+1)))
		}
		i.Latency["e2e"], i.Latency["e2e.sent"] = due, sent
		i.Target = 1000
		i.Counters.Sent, i.Counters.Acked, i.Counters.Received = n, n, n
		i.Watch = &bench.Watch{CPU: time.Duration(factor * 50 * 1e6), RSS: int64(factor * 10e6)}
		return i
	}
	records = append(records, interval(bench.StageConnect, 0, 100*time.Millisecond, 0), interval(bench.StageWarmup, 100*time.Millisecond, time.Second, 1000))
	at := 1100 * time.Millisecond
	n := bench.Counters{}
	for k := range seconds {
		i := interval(bench.StageMeasure, at, time.Second, 1000+int64(k%3))
		if k == 1 {
			i.Limited = []string{"cpu", "lag"}
		}
		total["e2e"].Add(i.Latency["e2e"])
		total["e2e.sent"].Add(i.Latency["e2e.sent"])
		n.Add(&i.Counters)
		records = append(records, i)
		at += time.Second
	}
	final := &bench.Final{
		At: at, Ended: "complete", Measured: time.Duration(seconds) * time.Second, Counters: n, Total: n, Latency: total, LimitedIntervals: 1, MeasureIntervals: seconds,
		Self:  bench.Self{CPU: time.Duration(seconds) * 100 * time.Millisecond, Lag: time.Millisecond, RSS: 20e6},
		Watch: &bench.Watch{CPU: time.Duration(float64(seconds) * factor * 50e6), RSS: int64(factor * 10e6)},
		Assertions: []bench.Verdict{
			{Expression: "e2e.p99<50ms", Value: factor * 148.6e6},
			{Expression: "loss==0", Value: 0, OK: true},
			{Expression: "storm.recovery<1", Missing: true},
		},
		Values: map[string]float64{"connect.rate": 40},
	}
	final.Total.Connects = 4
	final.Account.QoS[1] = bench.Tally{Sent: n.Sent, Expected: n.Sent, Received: n.Sent - 1, Duplicated: 2, Lost: 1}
	final.Account.Worst = []bench.StreamTally{{Topic: "bench/1", QoS: 1, Tally: bench.Tally{Sent: 9, Expected: 9, Received: 8, Lost: 1}}}
	records = append(records, &bench.Event{At: 1500 * time.Millisecond, Text: "a client was cut off", Count: 3}, final)
	if change != nil {
		change(records)
	}
	var b bytes.Buffer
	w := bench.NewResultWriter(&b)
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func read(t *testing.T, name string, b []byte) *Run {
	t.Helper()
	r, err := Read(name, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cut takes the last two records off, and half of the one before.
func cut(b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines = lines[:len(lines)-1] // behind the last line feed
	last := lines[len(lines)-3]
	return bytes.Join(append(lines[:len(lines)-3:len(lines)-3], last[:len(last)/2]), nil)
}

// formats are all of a recorded run.
var formats = map[string]func(io.Writer, *Run) error{
	"txt": func(w io.Writer, r *Run) error { return WriteText(w, r, nil) },
	"csv": WriteCSV, "json": WriteJSON, "xml": WriteJUnit, "html": WriteHTML,
}

func TestGoldenFiles(t *testing.T) {
	whole := record(t, 4, 1, nil)
	for name, b := range map[string][]byte{"whole": whole, "cut": cut(whole)} {
		for suffix, write := range formats {
			if suffix == "html" {
				continue // looks change, see TestPage
			}
			var out bytes.Buffer
			if err := write(&out, read(t, "run.res", b)); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+suffix, out.Bytes())
		}
		m, err := ReadMetrics(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".prom", out.Bytes())
	}
	c := Compare([]*Run{read(t, "a.res", record(t, 10, 1, nil))}, []*Run{read(t, "b.res", record(t, 10, 1.3, nil))})
	limit, err := ParseLimit("e2e.p99>+10%")
	if err != nil {
		t.Fatal(err)
	}
	c.Check([]Limit{limit})
	var text, object bytes.Buffer
	if err := c.WriteText(&text, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "compare.txt", text.Bytes())
	if err := c.WriteJSON(&object); err != nil {
		t.Fatal(err)
	}
	golden(t, "compare.json", object.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", name, diff)
	}
}

// The page is well-formed, refers to nothing, and has what it is to show.
func TestPage(t *testing.T) {
	whole := record(t, 4, 1, nil)
	for name, b := range map[string][]byte{"whole": whole, "cut": cut(whole)} {
		var out bytes.Buffer
		if err := WriteHTML(&out, read(t, "run.res", b)); err != nil {
			t.Fatal(err)
		}
		page := out.String()
		wellFormed(t, name, page)
		for _, bad := range []string{"http://", "https://", "src=", "href=", "@import", "url(", "<link", "ZgotmplZ", "NaN", "Inf", "%!"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", name, bad)
			}
		}
		want := []string{
			"Latency over time", "Percentile spectrum", "Throughput", "Connections", "client-limited: cpu, lag", "a processor", "prefers-color-scheme: dark",
			"default-src &#39;none&#39;",
		}
		if name == "whole" {
			want = append(want, "e2e.p99&lt;50ms", "a client was cut off (3 times)", "Account of the messages", "2 of 3 conditions missed", "<code>bench/1</code>")
		} else {
			want = append(want, `<li class="badge bad">cut off</li>`, "The record was cut off")
			if strings.Contains(page, "Account of the messages") {
				t.Error("there is an account of a run that was cut off")
			}
		}
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("%s: the page has no %q", name, text)
			}
		}
	}
}

var voidElement = regexp.MustCompile(`<(meta[^>]*|!doctype html)>`)

// wellFormed reads a page as XML, with script and style out of the way.
func wellFormed(t *testing.T, name, page string) {
	t.Helper()
	page = voidElement.ReplaceAllString(page, "")
	page = regexp.MustCompile(`(?s)<(script|style)>.*?</(script|style)>`).ReplaceAllString(page, "")
	page = strings.ReplaceAll(page, `id="tip" hidden`, `id="tip"`)
	d := xml.NewDecoder(strings.NewReader(page))
	d.Entity = xml.HTMLEntity
	for {
		switch _, err := d.Token(); {
		case err == io.EOF:
			return
		case err != nil:
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// Whatever stands in a record, it is text.
func TestHostileRecords(t *testing.T) {
	const hostile = "\"'><script>alert(1)</script>\x1b]0;x\a\x1b[2J\n]]>{{.}}\u202e\\"
	b := record(t, 3, 1, func(records []any) {
		for _, r := range records {
			switch v := r.(type) {
			case *bench.Header:
				v.Plan.Scenario, v.Plan.Target, v.Plan.Topic, v.Plan.ClientID = hostile, hostile, hostile, hostile
				v.Plan.Options = map[string]float64{hostile: 1}
				v.Environment = bench.Environment{Tool: hostile, Go: hostile, OS: hostile, CPU: hostile, Kernel: hostile}
			case *bench.Interval:
				v.Stage, v.Limited = bench.Stage("=cmd|"+hostile), []string{hostile}
			case *bench.Event:
				v.Text = hostile
			case *bench.Final:
				v.Ended = hostile
				v.Assertions = []bench.Verdict{{Expression: hostile, Value: math.MaxFloat64}}
				v.Values = map[string]float64{hostile: 1}
				v.Account.Worst[0].Topic = hostile
				v.Agents = []bench.PartResult{{Name: hostile, Ended: hostile, Environment: bench.Environment{CPU: hostile}}}
				v.ClockError = time.Millisecond
			}
		}
	})
	for suffix, write := range formats {
		var out bytes.Buffer
		if err := write(&out, read(t, "run.res", b)); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if strings.ContainsAny(text, "\x1b\a") {
			t.Errorf("%s steers the terminal", suffix)
		}
		switch suffix {
		case "html":
			wellFormed(t, suffix, text)
			if strings.Contains(text, "<script>alert") || strings.Count(text, "<script>") != 1 {
				t.Error("a script got into the page")
			}
		case "xml":
			if err := xml.Unmarshal(out.Bytes(), new(junitSuites)); err != nil {
				t.Error(err)
			}
		case "json":
			if !json.Valid(out.Bytes()) {
				t.Error("no JSON")
			}
		case "csv":
			rows, err := csv.NewReader(&out).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows[1:] {
				for _, cell := range row {
					if strings.HasPrefix(cell, "=") {
						t.Errorf("%q is a formula", cell)
					}
				}
			}
		}
	}
	m, err := ReadMetrics(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	sample := regexp.MustCompile(`^(# .*|[a-z_]+\{([a-z]+="([^"\\\n]|\\[\\"n])*",?)*\} \S+)$`)
	for line := range strings.Lines(out.String()) {
		if !sample.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%q is no sample", line)
		}
	}
}

// However long a run was, what is kept of it is bounded, and adds up.
func TestLongRunsAreFolded(t *testing.T) {
	const seconds = 3 * maxIntervals
	r := read(t, "run.res", record(t, seconds, 1, nil))
	var n bench.Counters
	messages := int64(0)
	for i := range r.Intervals {
		if v := &r.Intervals[i]; v.Stage == bench.StageMeasure {
			n.Add(&v.Counters)
			messages += v.spreads["e2e"].total()
		}
	}
	if len(r.Intervals) > maxIntervals || r.Folded < 3 || n.Sent != r.Final.Counters.Sent || messages != n.Sent {
		t.Errorf("%d intervals of up to %d, %d messages of %d", len(r.Intervals), r.Folded, messages, r.Final.Counters.Sent)
	}
	var out bytes.Buffer
	if err := WriteHTML(&out, r); err != nil || out.Len() > 4<<20 {
		t.Errorf("a page of %d bytes, %v", out.Len(), err)
	}
}

func TestWhatIsNoRun(t *testing.T) {
	for text, want := range map[string]string{
		"":        "not a recorded run",
		"hello\n": "not a recorded run",
		`{"kind":"header","format":"iotctl-bench","version":99}` + "\n":                                                              "recorded in version 99 of the format, and this program reads up to 1",
		`{"kind":"header","format":"iotctl-bench","version":1}` + "\n" + `{"kind":"interval","stage":"measure","duration":0}` + "\n": "an interval lasts 0s",
	} {
		if _, err := Read("x", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzRead: whatever can be read can be reported in every format.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"kind":"header","format":"iotctl-bench","version":1}` + "\n" +
		`{"kind":"interval","stage":"measure","at":5,"duration":1000000000,"counters":{"sent":5},"limited":["cpu"]}` + "\n" +
		`{"kind":"final","ended":"complete","assertions":[{"expression":"loss==0"}]}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read("x", bytes.NewReader(b))
		if err != nil {
			return
		}
		for name, write := range formats {
			if err := write(io.Discard, r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := Compare([]*Run{r}, []*Run{r}).WriteText(io.Discard, nil); err != nil {
			t.Error(err)
		}
	})
}
