package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// Comparison is how the runs of B differ from those of A.
type Comparison struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	A       []string `json:"a"` // files
	B       []string `json:"b"`
	// Method is "mann-whitney" of several runs, "bootstrap" of the intervals of
	// one run each, or "none" where there are too few of them.
	Method string `json:"method"`
	// About says in words what the confidence is about.
	About string       `json:"about"`
	Rows  []Difference `json:"rows"`
	// Notes are why the figures may not be comparable, or not what they seem.
	Notes []string `json:"notes"`
	// Failed are the conditions of --fail-on that came true.
	Failed []string `json:"failed"`
}

// The JSON of a comparison.
const (
	CompareFormat  = "iotctl-bench-compare"
	CompareVersion = 1
)

// The methods of a comparison.
const (
	MannWhitney = "mann-whitney"
	Bootstrap   = "bootstrap"
	None        = "none"
)

// Difference of one figure. Changes are shares of A: 0.1 is ten percent more.
type Difference struct {
	Name string  `json:"name"` // as conditions call it: "e2e.p99"
	Unit string  `json:"unit"` // "ns", "/s", "bytes", ""
	A    float64 `json:"a"`    // the median of the runs
	B    float64 `json:"b"`
	// Change is nil where A is zero.
	Change *float64 `json:"change"`
	// Low to High holds the true change with the confidence Level, as far as
	// About goes; nil where the data gives none.
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	Level float64  `json:"level,omitempty"`
	// Verdict is "higher", "lower", "no difference seen" or "unknown".
	Verdict string `json:"verdict"`
}

// The verdicts.
const (
	Higher    = "higher"
	Lower     = "lower"
	NotSeen   = "no difference seen"
	Undecided = "unknown"
)

// metric is a figure that is compared.
type metric struct {
	name, unit string
	value      func(*bench.Final) (float64, bool)
	// resample is the figure of a draw of intervals, nil if it has none.
	resample func(d *draw, sums []int64) (float64, bool)
}

// phaseStats are the statistics of each phase that are compared.
var phaseStats = [5]struct {
	name string
	q    float64
}{{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}, {"max", 1}}

// metrics are all that may be compared.
func metrics() []metric {
	rate := func(name string, count func(*bench.Counters) int64) metric {
		return metric{
			name, "/s",
			func(f *bench.Final) (float64, bool) {
				n := count(&f.Counters)
				return f.PerSecond(n), n > 0
			},
			func(d *draw, _ []int64) (float64, bool) {
				return float64(count(&d.counters)) / d.seconds, d.seconds > 0
			},
		}
	}
	all := []metric{
		rate("rate", func(c *bench.Counters) int64 { return c.Received }),
		rate("sent.rate", func(c *bench.Counters) int64 { return c.Sent }),
		rate("op.rate", func(c *bench.Counters) int64 { return c.Operations }),
	}
	for _, phase := range bench.PhaseNames() {
		for _, name := range []string{phase, phase + bench.Sent} {
			for i := range phaseStats {
				all = append(all, latencyMetric(name, i))
			}
		}
	}
	return append(all,
		metric{
			"broker.cpu", "ns", // per message that it delivered, or else received
			func(f *bench.Final) (float64, bool) {
				if f.Watch == nil || f.Watch.Ended {
					return 0, false
				}
				return perMessage(f.Watch.CPU, &f.Counters)
			},
			func(d *draw, _ []int64) (float64, bool) { return perMessage(d.watch, &d.counters) },
		},
		metric{"broker.memory", "bytes", func(f *bench.Final) (float64, bool) {
			if f.Watch == nil {
				return 0, false
			}
			return float64(f.Watch.RSS), f.Watch.RSS > 0
		}, nil},
		metric{
			"generator.cpu", "ns",
			func(f *bench.Final) (float64, bool) { return perMessage(f.Self.CPU, &f.Counters) },
			func(d *draw, _ []int64) (float64, bool) { return perMessage(d.self, &d.counters) },
		},
		tally("loss"), tally("duplicates"), tally("reordered"), tally("corrupted"),
	)
}

func latencyMetric(phase string, stat int) metric {
	q := phaseStats[stat].q
	m := metric{name: phase + "." + phaseStats[stat].name, unit: "ns"}
	m.value = func(f *bench.Final) (float64, bool) {
		h := f.Latency[phase]
		if h == nil || q < 1 && float64(h.TotalCount())*(1-q) < 1 {
			return 0, false // so few latencies have no such percentile but the maximum
		}
		return float64(h.Quantile(q)), true
	}
	// How high the maximum of another run would be, a draw from this one's
	// intervals cannot tell; and connecting is over before they begin.
	if q < 1 && !connecting(phase) {
		m.resample = func(d *draw, sums []int64) (float64, bool) { return d.quantile(phase, stat, sums) }
	}
	return m
}

func tally(name string) metric {
	return metric{name, "", func(f *bench.Final) (float64, bool) { return f.Value(name) }, nil}
}

func perMessage(cpu time.Duration, c *bench.Counters) (float64, bool) {
	n := c.Received
	if n == 0 {
		n = c.Sent
	}
	if n == 0 || cpu <= 0 {
		return 0, false
	}
	return float64(cpu) / float64(n), true
}

// fewestIntervals on each side are worth a bootstrap.
const fewestIntervals = 8

// Compare compares the runs of a with those of b. Neither is empty.
func Compare(a, b []*Run) *Comparison {
	c := &Comparison{
		Format: CompareFormat, Version: CompareVersion, A: names(a), B: names(b),
		Notes: notes(a, b), Rows: []Difference{}, Failed: []string{},
	}
	var boot *bootstrap
	switch {
	case len(a) > 1 && len(b) > 1:
		c.Method = MannWhitney
		level, _ := interval(len(a), len(b))
		c.About = fmt.Sprintf("exact Mann–Whitney intervals of %d and %d runs, at %.0f %% confidence; a change is the median of the ratios of each B to each A", len(a), len(b), 100*level)
		if level < .9 {
			c.About += fmt.Sprintf("; so few runs allow no more, and no verdict below %.0f %%", 100*leastLevel)
		}
	default:
		boot = newBootstrap(a[0], b[0])
		if len(a) != 1 || len(b) != 1 || boot == nil {
			boot = nil
			c.Method = None
			c.About = fmt.Sprintf("too little data for any confidence: it takes two runs of each side, or %d whole intervals of each", fewestIntervals)
			break
		}
		c.Method = Bootstrap
		c.About = fmt.Sprintf("block bootstrap of the intervals of one run each, at %.0f %% confidence; what differs from run to run is not in it", 100*bootLevel)
	}
	for _, m := range metrics() {
		if d, ok := m.compare(c, a, b, boot); ok {
			c.Rows = append(c.Rows, d)
		}
	}
	return c
}

func names(runs []*Run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, r.Name)
	}
	return all
}

func values(m metric, runs []*Run) []float64 {
	var all []float64
	for _, r := range runs {
		if r.CutOff && m.unit == "" {
			continue // no account
		}
		if v, ok := m.value(r.Final); ok {
			all = append(all, v)
		}
	}
	return all
}

// compare gives the difference of one figure, if any run of each side has it.
func (m *metric) compare(c *Comparison, a, b []*Run, boot *bootstrap) (Difference, bool) {
	va, vb := values(*m, a), values(*m, b)
	if len(va) == 0 || len(vb) == 0 {
		return Difference{}, false
	}
	d := Difference{Name: m.name, Unit: m.unit, A: median(va), B: median(vb), Verdict: Undecided}
	if d.A == 0 && d.B == 0 && m.unit == "" {
		return d, false // nothing went wrong on either side
	}
	if d.A > 0 {
		change := d.B/d.A - 1
		d.Change = &change
	}
	var low, high float64
	ok := false
	switch c.Method {
	case MannWhitney:
		if len(va) > 1 && len(vb) > 1 && slices.Min(va) > 0 && slices.Min(vb) > 0 {
			var mid float64
			mid, low, high, d.Level = ratioInterval(va, vb)
			mid--
			d.Change = &mid // as the interval: the median of the ratios
			ok = true
		}
	case Bootstrap:
		if m.resample != nil && d.Change != nil {
			low, high, ok = boot.interval(m.resample)
			d.Level = bootLevel
		}
	}
	if !ok {
		d.Level = 0
		return d, true
	}
	low, high = low-1, high-1
	d.Low, d.High = &low, &high
	switch {
	case d.Level < leastLevel:
	case low > 0:
		d.Verdict = Higher
	case high < 0:
		d.Verdict = Lower
	default:
		d.Verdict = NotSeen
	}
	return d, true
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// notes are what makes a comparison doubtful.
func notes(a, b []*Run) []string {
	all := []string{}
	runs := slices.Concat(a, b)
	for _, r := range runs {
		if err := r.Err(); err != nil {
			all = append(all, fmt.Sprintf("%s: %v", r.Name, err))
		}
		if f := r.Final; f.LimitedIntervals > 0 {
			all = append(all, fmt.Sprintf("%s: the generator itself was the limit in %d of %d intervals", r.Name, f.LimitedIntervals, f.MeasureIntervals))
		}
	}
	for _, r := range runs {
		if e := r.Final.ClockError; e > 0 {
			all = append(all, fmt.Sprintf("%s: latencies between agents are exact to ± %s", r.Name, nanos(int64(e))))
		}
	}
	first := facts(runs[0])
	for _, r := range runs[1:] {
		for i, f := range facts(r) {
			if f != first[i] {
				all = append(all, fmt.Sprintf("%s: %s is %s, and of %s %s", r.Name, f.Name, visible(f.Value), runs[0].Name, visible(first[i].Value)))
			}
		}
	}
	return all
}

// facts are what has to be alike for a comparison to be about anything else.
func facts(r *Run) []fact {
	p, e := &r.Header.Plan, &r.Header.Environment
	return []fact{
		{"the scenario", p.Scenario},
		{"the version of MQTT", p.Version.String()},
		{"the number of clients", fmt.Sprintf("%d, %d, %d", p.Clients, p.Publishers, p.Subscribers)},
		{"the QoS", fmt.Sprintf("%d, of subscriptions %d", p.QoS, p.SubQoS)},
		{"the size", fmt.Sprintf("%d bytes", p.Size)},
		{"the load", load(p)},
		{"the window", fmt.Sprint(p.Window)},
		{"the duration", fmt.Sprintf("%v after %v", p.Duration, p.Warmup)},
		{"the processor", fmt.Sprintf("%d × %s", e.CPUs, e.CPU)},
		{"the system", e.OS + " " + e.Kernel},
	}
}
