package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// page is what the template shows. Everything that comes from the record is a
// plain string, which html/template escapes for its place.
type page struct {
	Policy                     string
	Style                      template.CSS
	Script                     template.JS
	Title, Started             string
	Scenario, Target, Lead     string
	Badges                     []entry
	Warning                    string
	Tiles                      []tile
	Charts                     []chart
	Phases                     []phaseRow
	Assertions                 []assertionRow
	Account                    *accountTable
	Agents                     [][]string
	ClockError                 string
	Events                     []eventRow
	MoreEvents                 int
	Plan, Environment, Counted []fact
	MainPhase                  string
	Intervals                  [][]string
	Folded                     int
}

type tile struct{ Name, Value, Unit, Class string }

type fact struct{ Name, Value string }

type phaseRow struct {
	Name  string
	Sent  bool
	Cells []string
}

type assertionRow struct{ Expression, Value, Result, Class string }

type accountTable struct {
	Note        string
	Rows, Worst []tallyRow
}

type tallyRow struct {
	Name  string
	Cells []cellText
}

type cellText struct{ Text, Class string }

type eventRow struct{ At, Text string }

// Line is where a tick's grid line is on the square.
func (t tick) Line() float64 { return t.At * side / 100 }

// WriteHTML writes one page that needs nothing else.
func WriteHTML(w io.Writer, r *Run) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return err
	}
	r = r.visible()
	sum := sha256.Sum256([]byte(pageJS))
	p := &page{
		// Should a text get past the escaping, the browser still runs nothing
		// but this script, and loads nothing.
		Policy: "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		Style:  template.CSS(pageCSS), Script: template.JS(pageJS), //nolint:gosec // both are our own
		Charts: r.charts(), MoreEvents: r.More, Folded: r.Folded,
	}
	p.head(r)
	p.figures(r)
	p.account(r)
	p.asserts(r)
	p.agents(r)
	p.plan(r)
	p.intervals(r)
	out := bufio.NewWriter(w)
	if err := t.Execute(out, p); err != nil {
		return err
	}
	return out.Flush()
}

func (p *page) head(r *Run) {
	plan, f := &r.Header.Plan, r.Final
	p.Title = fmt.Sprintf("%s · %s · iotctl bench", plan.Scenario, plan.Target)
	p.Started = r.Header.Started.UTC().Format("2 January 2006, 15:04:05 UTC")
	p.Scenario, p.Target = plan.Scenario, plan.Target
	var parts []string
	if plan.Publishers+plan.Subscribers > 0 {
		parts = append(parts, fmt.Sprintf("%d publishers, %d subscribers", plan.Publishers, plan.Subscribers))
	} else {
		parts = append(parts, fmt.Sprintf("%d clients", plan.Clients))
	}
	parts = append(parts, "MQTT "+plan.Version.String(), fmt.Sprintf("QoS %d", plan.QoS), fmt.Sprintf("%d bytes", plan.Size),
		fmt.Sprintf("measured %v after a warm-up of %v", f.Measured.Round(time.Millisecond), plan.Warmup))
	p.Lead = strings.Join(parts, " · ")
	badge := func(class, format string, a ...any) {
		p.Badges = append(p.Badges, entry{class, fmt.Sprintf(format, a...)})
	}
	if err := r.Err(); err != nil {
		badge("bad", "%s", f.Ended)
		text := err.Error()
		p.Warning = strings.ToUpper(text[:1]) + text[1:] + "."
	} else {
		badge("good", "complete")
	}
	if n := len(f.Assertions); n > 0 {
		missed := 0
		for _, v := range f.Assertions {
			if !v.OK {
				missed++
			}
		}
		if missed > 0 {
			badge("bad", "%d of %d conditions missed", missed, n)
		} else {
			badge("good", "%d of %d conditions met", n, n)
		}
	}
	if f.LimitedIntervals > 0 {
		badge("warn", "client-limited in %d of %d intervals", f.LimitedIntervals, f.MeasureIntervals)
	}
	if n := f.Total.ConnectFails; n > 0 {
		badge("bad", "%d connections failed", n)
	}
	if n := f.Total.Disconnects; n > 0 {
		badge("bad", "%d connections lost", n)
	}
}

// figures are the tiles and the table of latencies.
func (p *page) figures(r *Run) {
	f := r.Final
	add := func(name, value, unit string) { p.Tiles = append(p.Tiles, tile{name, value, unit, ""}) }
	rate := func(name string, n int64) {
		if n > 0 {
			add(name, count(f.PerSecond(n)), "/s")
		}
	}
	rate("received", f.Counters.Received)
	rate("sent", f.Counters.Sent)
	rate("operations", f.Counters.Operations)
	if f.Counters.Sent+f.Counters.Operations+f.Counters.Received == 0 {
		add("connected", grouped(f.Total.Connects), "")
	}
	all := r.phases()
	if names := r.mainPhases(); len(names) > 0 {
		v := all[names[0]].figures()
		for _, q := range []struct {
			name string
			n    int64
		}{{"p50", v.P50}, {"p99", v.P99}, {"p99.9", v.P999}, {"max", v.Max}} {
			value, unit, _ := strings.Cut(nanos(q.n), " ")
			add(names[0]+" "+q.name, value, unit)
		}
	}
	if !r.CutOff && f.Account.Sum().Expected > 0 {
		lost := f.Account.Sum().Lost + f.Account.Unsent
		class := "good"
		if lost > 0 {
			class = "bad"
		}
		p.Tiles = append(p.Tiles, tile{"lost", grouped(lost), "", class})
	}
	if n := f.Counters.Received; f.Watch != nil && !f.Watch.Ended && n > 0 {
		add("broker CPU per delivery", decimal(float64(f.Watch.CPU)/1e3/float64(n), 2), "µs")
	}
	if f.Watch != nil {
		add("broker memory", decimal(float64(f.Watch.RSS)/1e6, 1), "MB")
	}
	for _, phase := range bench.PhaseNames() {
		for _, name := range []string{phase, phase + bench.Sent} {
			s := all[name]
			if len(s) == 0 {
				continue
			}
			v := s.figures()
			row := phaseRow{Name: phaseTitles[phase], Sent: name != phase}
			if row.Sent {
				if near(v, all[phase].figures()) {
					continue // nothing waited
				}
				row.Name = "from sending"
			}
			for _, n := range []int64{v.P50, v.P90, v.P99, v.P999, v.P9999, v.Max, int64(v.Mean)} {
				row.Cells = append(row.Cells, strconv.FormatFloat(float64(n)/1e6, 'f', 3, 64))
			}
			row.Cells = append(row.Cells, grouped(v.Count))
			p.Phases = append(p.Phases, row)
		}
	}
}

// near tells whether two phases are the same but for a twentieth.
func near(a, b figures) bool {
	for _, v := range [][2]int64{{a.P50, b.P50}, {a.P90, b.P90}, {a.P99, b.P99}, {a.P999, b.P999}, {a.Max, b.Max}} {
		if d := v[0] - v[1]; max(d, -d)*20 > max(v[0], v[1]) {
			return false
		}
	}
	return true
}

// mainPhases are the phases that say most, the first of all first.
func (r *Run) mainPhases() []string { return append(r.workPhases(), r.having(1, "connack")...) }

func (p *page) account(r *Run) {
	a, sum := &r.Final.Account, r.Final.Account.Sum()
	if r.CutOff || sum == (bench.Tally{}) {
		return
	}
	t := &accountTable{Note: "By sequence numbers and checksums in the payloads, over the whole run."}
	if sum.Expected == 0 {
		t.Note = grouped(sum.Sent) + " messages were sent, and nobody here subscribes."
	}
	if a.Unsent > 0 {
		t.Note += " " + grouped(a.Unsent) + " were due and never left."
	}
	if a.Unacked > 0 {
		t.Note += " " + grouped(a.Unacked) + " were never acknowledged."
	}
	for qos, tally := range a.QoS {
		if tally.Expected+tally.Corrupted > 0 {
			t.Rows = append(t.Rows, tallyRow{fmt.Sprintf("QoS %d", qos), tallyCells(tally)})
		}
	}
	for _, s := range a.Worst {
		t.Worst = append(t.Worst, tallyRow{s.Topic, tallyCells(s.Tally)})
	}
	p.Account = t
}

func tallyCells(t bench.Tally) []cellText {
	var cells []cellText
	for i, n := range []int64{t.Sent, t.Expected, t.Received, t.Lost, t.Duplicated, t.Reordered, t.Corrupted} {
		class := ""
		if i >= 3 && n > 0 {
			class = "bad"
		}
		cells = append(cells, cellText{grouped(n), class})
	}
	return cells
}

func (p *page) asserts(r *Run) {
	for _, v := range r.Final.Assertions {
		row := assertionRow{v.Expression, verdictValue(v), "met", "good"}
		if !v.OK {
			row.Result, row.Class = "missed", "bad"
		}
		p.Assertions = append(p.Assertions, row)
	}
	for _, e := range r.Events {
		text := e.Text
		if e.Count > 1 {
			text += fmt.Sprintf(" (%d times)", e.Count)
		}
		p.Events = append(p.Events, eventRow{clockText(e.At), text})
	}
}

// agents are the machines of a run that had several.
func (p *page) agents(r *Run) {
	if e := r.Final.ClockError; e > 0 {
		p.ClockError = nanos(int64(e))
	}
	for _, a := range r.Final.Agents {
		p.Agents = append(p.Agents, []string{
			a.Name, a.Ended, nanos(int64(a.Offset)), "± " + nanos(int64(a.Error)), decimal(a.Self.CPU.Seconds(), 2), nanos(int64(a.Self.Lag)),
			fmt.Sprintf("%d × %s", a.Environment.CPUs, a.Environment.CPU),
		})
	}
}

// verdictValue is the value of a condition with its unit.
func verdictValue(v bench.Verdict) string {
	if v.Missing {
		return "there is no such value"
	}
	if a, err := bench.ParseAssertion(v.Expression); err == nil && a.IsLatency() {
		return nanos(int64(v.Value))
	}
	return strconv.FormatFloat(v.Value, 'g', 6, 64)
}

// load is the schedule in words, "" of a plan that has none.
func load(p *bench.Plan) string {
	switch {
	case len(p.Steps) > 0:
		var steps []string
		for _, s := range p.Steps[:min(len(p.Steps), 20)] {
			steps = append(steps, fmt.Sprintf("%g–%g/s for %v", s.From, s.To, s.Duration))
		}
		return strings.Join(steps, ", ")
	case p.ClosedLoop:
		return "closed loop, window of " + strconv.Itoa(p.Window)
	case p.Rate > 0:
		return fmt.Sprintf("%g/s, open loop", p.Rate)
	case p.Interval > 0:
		return fmt.Sprintf("every %v per client, open loop", p.Interval)
	}
	return ""
}

func (p *page) plan(r *Run) {
	plan, env, f := &r.Header.Plan, &r.Header.Environment, r.Final
	facts := func(to *[]fact, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] != "" && pairs[i+1] != "0" && pairs[i+1] != "0s" {
				*to = append(*to, fact{pairs[i], pairs[i+1]})
			}
		}
	}
	facts(&p.Plan, "load", load(plan), "clients", strconv.Itoa(plan.Clients), "publishers", strconv.Itoa(plan.Publishers), "subscribers", strconv.Itoa(plan.Subscribers),
		"client identifier", plan.ClientID, "topic", plan.Topic, "topics per publisher", strconv.Itoa(plan.Topics), "QoS of subscriptions", strconv.Itoa(plan.SubQoS),
		"messages", strconv.FormatInt(plan.Messages, 10), "keep alive", strconv.Itoa(plan.KeepAlive)+" s", "window", strconv.Itoa(plan.Window),
		"warm-up", plan.Warmup.String(), "duration", plan.Duration.String(), "drain at most", plan.Drain.String(), "interval", plan.Sampling.String())
	for _, name := range slices.Sorted(maps.Keys(plan.Options)) {
		facts(&p.Plan, name, strconv.FormatFloat(plan.Options[name], 'g', 6, 64))
	}
	facts(&p.Environment, "program", env.Tool, "Go", env.Go, "system", strings.TrimSpace(env.OS+" "+env.Kernel), "architecture", env.Arch, "processor", env.CPU,
		"processors", strconv.Itoa(env.CPUs))
	if env.Memory > 0 {
		facts(&p.Environment, "memory", decimal(float64(env.Memory)/(1<<30), 1)+" GiB")
	}
	t := &f.Total
	facts(&p.Counted, "connections made", grouped(t.Connects), "failed", grouped(t.ConnectFails), "lost", grouped(t.Disconnects),
		"subscriptions", grouped(t.Subscribes), "refused", grouped(t.SubscribeFail), "late by more than 1 ms", grouped(f.Counters.Late),
		"waited for the window", grouped(f.Counters.WindowFull), "refused messages", grouped(t.AckFails), "bytes sent", grouped(t.BytesOut), "bytes received", grouped(t.BytesIn),
		"generator's CPU", decimal(f.Self.CPU.Seconds(), 2)+" s", "generator's greatest lag", f.Self.Lag.Round(100*time.Microsecond).String())
	for _, name := range slices.Sorted(maps.Keys(f.Values)) {
		facts(&p.Counted, name, strconv.FormatFloat(f.Values[name], 'g', 6, 64))
	}
}

func (p *page) intervals(r *Run) {
	if names := r.mainPhases(); len(names) > 0 {
		p.MainPhase = names[0]
	}
	for n := range r.Intervals {
		i := &r.Intervals[n]
		row := []string{
			clockText(i.At.Round(time.Millisecond)), string(i.Stage), decimal(float64(i.Counters.Sent)/i.Duration.Seconds(), 0),
			decimal(float64(i.Counters.Received)/i.Duration.Seconds(), 0), strconv.FormatInt(i.Gauges.Connections, 10),
		}
		if p.MainPhase != "" {
			s := i.spreads[p.MainPhase]
			for _, v := range s.quantiles(.5, .99, .999, 1) {
				text := ""
				if len(s) > 0 {
					text = nanos(v)
				}
				row = append(row, text)
			}
		}
		p.Intervals = append(p.Intervals, append(row, strings.Join(i.Limited, ", ")))
	}
}
