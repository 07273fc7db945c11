package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// phaseTitles say what a phase is.
var phaseTitles = map[string]string{
	"dial": "TCP connect", "tls": "TLS and WebSocket", "connack": "CONNECT to CONNACK", "suback": "SUBSCRIBE to SUBACK",
	"puback": "PUBLISH to PUBACK", "pubcomp": "PUBLISH to PUBCOMP", "e2e": "end to end", "op": "operation",
}

// charts are those that the run has data for.
func (r *Run) charts() []chart {
	t := newTimeline(r)
	if len(t.intervals) == 0 {
		return nil
	}
	var all []chart
	working := r.workPhases()
	for _, phase := range working {
		all = append(all, t.latency(phase))
	}
	var names []string
	for _, phase := range working {
		names = append(names, phase, phase+bench.Sent)
	}
	if names = r.having(fewest, names...); len(names) > 0 {
		c := r.spectrum("Percentile spectrum", names)
		c.Note += " Dashed is from the time of sending."
		all = append(all, c)
	}
	for _, c := range []*chart{t.throughput(), t.connections(), t.backlog(), t.processors()} {
		if c != nil {
			all = append(all, *c)
		}
	}
	if names := r.having(fewest, "dial", "tls", "connack", "suback"); len(names) > 0 {
		all = append(all, r.spectrum("Connecting", names))
	}
	return all
}

// fewest latencies make a spectrum.
const fewest = 10

// having leaves the phases of which there are so many latencies.
func (r *Run) having(least int64, names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		h := r.Final.Latency[name]
		return h == nil || h.TotalCount() < least
	})
}

// workPhases are those of the load itself.
func (r *Run) workPhases() []string { return r.having(1, "e2e", "op", "pubcomp", "puback") }

// latency is a band of percentiles over time.
func (t *timeline) latency(phase string) chart {
	c := t.chart("Latency over time: " + phaseTitles[phase])
	c.Note = "From the time that each message was due. Logarithmic."
	qs := []float64{.5, .9, .99, .999, 1}
	lines := make([][]point, len(qs))
	y := axis{from: math.Inf(1), log: true}
	at := map[*Interval][]int64{}
	for n := range t.intervals {
		i := &t.intervals[n]
		values := make([]int64, len(qs))
		if s := i.spreads[phase]; len(s) > 0 {
			values = s.quantiles(qs...)
			at[i] = values
			y.from, y.to = min(y.from, float64(max(values[0], 1000))), max(y.to, float64(values[len(values)-1]))
		}
		for k, v := range values {
			p := point{(i.At + i.Duration/2).Seconds(), float64(v)}
			if at[i] == nil {
				p.y = math.NaN()
			}
			lines[k] = append(lines[k], p)
		}
	}
	if y.to == 0 {
		y.from, y.to = 1e6, 1e7
	}
	c.Marks = slices.Concat(c.Marks, t.stretch(t.intervals, func(i *Interval) (class, text string) {
		if i.Stage == bench.StageMeasure && i.Target > 0 && at[i] == nil {
			return "silent", "nothing came"
		}
		return "", ""
	}))
	ticks := y.round(6)
	c.Y = yTicks(y, ticks, shortNanos)
	c.Paths = []path{
		{area(t.x, y, lines[2], lines[3]), "band3", true},
		{area(t.x, y, lines[1], lines[2]), "band2", true},
		{area(t.x, y, lines[0], lines[1]), "band1", true},
		{line(t.x, y, lines[4]), "max", false},
		{line(t.x, y, lines[0]), "p50", false},
	}
	c.Legend = append([]entry{{"p50", "p50"}, {"band1", "to p90"}, {"band2", "to p99"}, {"band3", "to p99.9"}, {"max", "maximum"}}, c.Legend...)
	c.Hits = t.hits(func(i *Interval) string {
		v := at[i]
		if v == nil {
			return ""
		}
		return fmt.Sprintf("maximum %s\np99.9 %s\np99 %s\np90 %s\np50 %s\n%s messages", nanos(v[4]), nanos(v[3]), nanos(v[2]), nanos(v[1]), nanos(v[0]), grouped(i.spreads[phase].total()))
	})
	return c
}

// spectrum has the percentiles of a run, with a tenth of the rest at each tick.
func (r *Run) spectrum(title string, names []string) chart {
	c := chart{Title: title, Bottom: "percentile"}
	c.Note = "The share of all that was at least so fast. Both axes are logarithmic."
	most := int64(1)
	x, y := axis{}, axis{from: math.Inf(1), log: true}
	spreads := map[string]spread{}
	for _, name := range names {
		s := newSpread(r.Final.Latency[name])
		spreads[name] = s
		most = max(most, s.total())
		q := s.quantiles(.25, 1)
		y.from, y.to = min(y.from, float64(max(q[0], 1000))), max(y.to, float64(q[1]))
	}
	nines := min(max(math.Ceil(math.Log10(float64(most))), 1), 7)
	x.to = nines
	ticks := y.round(6)
	c.Y = yTicks(y, ticks, shortNanos)
	for n := 0; n <= int(nines); n++ {
		c.X = append(c.X, tick{At: 100 * x.share(float64(n)), Text: percentile(1 - math.Pow(10, -float64(n))), Odd: nines > 3 && n%2 != 0})
	}
	const steps = 24 // to each nine
	var shares []float64
	for n := 0; n <= int(nines)*steps; n++ {
		shares = append(shares, 1-math.Pow(10, -float64(n)/steps))
	}
	values := map[string][]int64{}
	color := 0
	for _, name := range names {
		s := spreads[name]
		if s == nil {
			continue
		}
		values[name] = s.quantiles(shares...)
		var points []point
		total := float64(s.total())
		for n, v := range values[name] {
			if 1-shares[n] < 1/total {
				break // beyond the greatest there is nothing
			}
			points = append(points, point{float64(n) / steps, float64(v)})
		}
		points = append(points, point{math.Log10(total), float64(s.quantiles(1)[0])})
		base, sent := strings.CutSuffix(name, bench.Sent)
		text := phaseTitles[base]
		if sent {
			text += ", from sending"
		} else {
			color++
		}
		class := "s" + strconv.Itoa(color)
		if sent {
			class += " dashed"
		}
		c.Paths = append(c.Paths, path{line(x, y, points), class, false})
		c.Legend = append(c.Legend, entry{class, text})
	}
	for n, q := range shares {
		if n%2 != 0 {
			continue
		}
		var b strings.Builder
		for _, name := range names {
			if v := values[name]; v != nil && 1-q >= 1/float64(spreads[name].total())/1.1 {
				base, sent := strings.CutSuffix(name, bench.Sent)
				base = phaseTitles[base]
				if sent {
					base += ", from sending"
				}
				fmt.Fprintf(&b, "\n%s %s", base, nanos(v[n]))
			}
		}
		if b.Len() > 0 {
			width := 100 * 2 / steps / nines
			c.Hits = append(c.Hits, hit{At: 100*x.share(float64(n)/steps) - width/2, Width: width, Text: "p" + strings.TrimSuffix(percentile(q), " %") + b.String()})
		}
	}
	return c
}

// percentile has as many nines as it takes.
func percentile(q float64) string {
	places := 0
	for rest := 1 - q; rest < 0.0999 && places < 6; rest *= 10 {
		places++
	}
	return decimal(100*q, max(places-1, 1)) + " %"
}

// curve is one line of a chart over time.
type curve struct {
	name, class string
	value       func(i *Interval) float64
}

// lines is a chart of curves from zero; curves that are nothing but zero are
// left out, and nil is returned if all are.
func (t *timeline) lines(title, note string, text func(float64) string, curves []curve) *chart {
	c := t.chart(title)
	c.Note = note
	var y axis
	var shown []curve
	all := map[string][]point{}
	for _, cu := range curves {
		points := t.series(cu.value)
		top := 0.0
		for _, p := range points {
			if !math.IsNaN(p.y) {
				top = max(top, p.y)
			}
		}
		if top > 0 {
			y.to = max(y.to, top)
			shown = append(shown, cu)
			all[cu.name] = points
		}
	}
	if len(shown) == 0 {
		return nil
	}
	y.to *= 1.04 // the highest is not on the edge
	ticks := y.round(5)
	c.Y = yTicks(y, ticks, text)
	for n, cu := range shown {
		c.Paths = append(c.Paths, path{line(t.x, y, all[cu.name]), cu.class, false})
		c.Legend = slices.Insert(c.Legend, n, entry{cu.class, cu.name})
	}
	c.Hits = t.hits(func(i *Interval) string {
		var parts []string
		for _, cu := range shown {
			if v := cu.value(i); !math.IsNaN(v) {
				parts = append(parts, cu.name+" "+text(v))
			}
		}
		return strings.Join(parts, "\n")
	})
	return &c
}

func (t *timeline) throughput() *chart {
	per := func(n func(*bench.Counters) int64) func(i *Interval) float64 {
		return func(i *Interval) float64 { return float64(n(&i.Counters)) / i.Duration.Seconds() }
	}
	connects := per(func(c *bench.Counters) int64 { return c.Connects })
	if !t.reconnects() {
		connects = func(*Interval) float64 { return math.NaN() }
	}
	return t.lines("Throughput", "Per second.", count, []curve{
		{"received", "s1", per(func(c *bench.Counters) int64 { return c.Received })},
		{"sent", "s2", per(func(c *bench.Counters) int64 { return c.Sent })},
		{"acknowledged", "s3", per(func(c *bench.Counters) int64 { return c.Acked })},
		{"operations", "s4", per(func(c *bench.Counters) int64 { return c.Operations })},
		{"connected", "s5", connects},
		{"scheduled", "target dashed", func(i *Interval) float64 {
			if i.Target == 0 {
				return math.NaN()
			}
			return i.Target
		}},
	})
}

// reconnects tells whether connecting is part of the load.
func (t *timeline) reconnects() bool {
	return slices.ContainsFunc(t.intervals, func(i Interval) bool { return i.Stage == bench.StageMeasure && i.Counters.Connects > 0 }) ||
		!slices.ContainsFunc(t.intervals, func(i Interval) bool {
			return i.Counters.Sent+i.Counters.Received+i.Counters.Operations > 0
		})
}

func (t *timeline) connections() *chart {
	return t.lines("Connections", "", count, []curve{
		{"open", "s1", func(i *Interval) float64 { return float64(i.Gauges.Connections) }},
	})
}

func (t *timeline) backlog() *chart {
	return t.lines("On their way", "Messages in flight are not acknowledged yet; those behind are due and not sent.", count, []curve{
		{"in flight", "s1", func(i *Interval) float64 { return float64(i.Gauges.Inflight) }},
		{"behind", "s4", func(i *Interval) float64 { return float64(i.Gauges.Behind) }},
	})
}

func (t *timeline) processors() *chart {
	return t.lines("Processors in use", "", func(v float64) string { return decimal(v, 2) }, []curve{
		{"generator", "s2", func(i *Interval) float64 { return i.Self.CPU.Seconds() / i.Duration.Seconds() }},
		{"broker", "s1", func(i *Interval) float64 {
			if i.Watch == nil {
				return math.NaN()
			}
			return i.Watch.CPU.Seconds() / i.Duration.Seconds()
		}},
	})
}

// nanos is a latency with three digits.
func nanos(n int64) string {
	switch d := time.Duration(max(n, -n)); {
	case d < 10*time.Microsecond:
		return decimal(float64(n)/1e3, 1) + " µs"
	case d < time.Millisecond:
		return decimal(float64(n)/1e3, 0) + " µs"
	case d < 10*time.Millisecond:
		return decimal(float64(n)/1e6, 2) + " ms"
	case d < 100*time.Millisecond:
		return decimal(float64(n)/1e6, 1) + " ms"
	case d < time.Second:
		return decimal(float64(n)/1e6, 0) + " ms"
	}
	return decimal(float64(n)/1e9, 2) + " s"
}

func shortNanos(v float64) string { return nanos(int64(v + .5)) }

// count is a number short enough for an axis.
func count(v float64) string {
	switch {
	case v >= 1e6:
		return decimal(v/1e6, 2) + " M"
	case v >= 1e4:
		return decimal(v/1e3, 1) + " k"
	}
	return decimal(v, 1)
}

// grouped has a thin space between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
