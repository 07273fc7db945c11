package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// The JSON of a report. Names and units are those of the record: durations and
// latencies in nanoseconds, times since the start. A greater version means that
// a member has changed its meaning; members may be added without one.
const (
	Format  = "iotctl-bench-report"
	Version = 1
)

type document struct {
	Format           string             `json:"format"`
	Version          int                `json:"version"`
	CutOff           bool               `json:"cut_off"`
	Ended            string             `json:"ended"`
	Started          time.Time          `json:"started"`
	Environment      bench.Environment  `json:"environment"`
	Plan             bench.Plan         `json:"plan"`
	Measured         time.Duration      `json:"measured"`
	Rates            map[string]float64 `json:"rates"` // per second
	Counters         bench.Counters     `json:"counters"`
	Total            bench.Counters     `json:"total"`
	Latency          map[string]figures `json:"latency"`
	Account          *bench.Account     `json:"account"` // null of a run that was cut off
	Self             bench.Self         `json:"self"`
	Watch            *bench.Watch       `json:"watch,omitempty"`
	LimitedIntervals int                `json:"limited_intervals"`
	MeasureIntervals int                `json:"measure_intervals"`
	Values           map[string]float64 `json:"values,omitempty"`
	Assertions       []bench.Verdict    `json:"assertions"`
	Agents           []bench.PartResult `json:"agents,omitempty"`
	ClockError       time.Duration      `json:"clock_error,omitempty"`
	Events           []bench.Event      `json:"events"`
	MoreEvents       int                `json:"more_events,omitempty"`
	// Folded is how many recorded intervals one of Intervals stands for at most.
	Folded    int                `json:"folded"`
	Intervals []intervalDocument `json:"intervals"`
}

type intervalDocument struct {
	Stage    bench.Stage        `json:"stage"`
	Step     int                `json:"step,omitempty"`
	At       time.Duration      `json:"at"`
	Duration time.Duration      `json:"duration"`
	Target   float64            `json:"target,omitempty"`
	Counters bench.Counters     `json:"counters"`
	Gauges   bench.Gauges       `json:"gauges"`
	Latency  map[string]figures `json:"latency,omitempty"`
	Self     bench.Self         `json:"self"`
	Watch    *bench.Watch       `json:"watch,omitempty"`
	Limited  []string           `json:"limited,omitempty"`
}

// figures of a phase.
type figures struct {
	Count int64   `json:"count"`
	Min   int64   `json:"min"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p99.9"`
	P9999 int64   `json:"p99.99"`
	Max   int64   `json:"max"`
}

// shares are the quantiles of figures.
var shares = []float64{0, .5, .9, .99, .999, .9999, 1}

func (s spread) figures() figures {
	q := s.quantiles(shares...)
	f := figures{Count: s.total(), Min: q[0], P50: q[1], P90: q[2], P99: q[3], P999: q[4], P9999: q[5], Max: q[6]}
	sum, ends := 0.0, bucketScale()
	for _, c := range s {
		low := int64(0)
		if c.bucket > 0 {
			low = ends[c.bucket-1] + 1
		}
		sum += float64(c.count) * float64(low+ends[c.bucket]) / 2
	}
	if f.Count > 0 {
		f.Mean = sum / float64(f.Count)
	}
	return f
}

// phases are the histograms of a whole run.
func (r *Run) phases() map[string]spread {
	all := map[string]spread{}
	for name, h := range r.Final.Latency {
		if h != nil && h.TotalCount() > 0 {
			all[name] = newSpread(h)
		}
	}
	return all
}

func figuresOf(spreads map[string]spread) map[string]figures {
	all := map[string]figures{}
	for name, s := range spreads {
		if len(s) > 0 {
			all[name] = s.figures()
		}
	}
	return all
}

// WriteJSON writes one object.
func WriteJSON(w io.Writer, r *Run) error {
	f := r.Final
	d := document{
		Format: Format, Version: Version, CutOff: r.CutOff, Ended: f.Ended,
		Started: r.Header.Started, Environment: r.Header.Environment, Plan: r.Header.Plan,
		Measured: f.Measured, Counters: f.Counters, Total: f.Total, Latency: figuresOf(r.phases()),
		Rates: map[string]float64{
			"sent": f.PerSecond(f.Counters.Sent), "acked": f.PerSecond(f.Counters.Acked),
			"received": f.PerSecond(f.Counters.Received), "operations": f.PerSecond(f.Counters.Operations),
		},
		Self: f.Self, Watch: f.Watch, LimitedIntervals: f.LimitedIntervals, MeasureIntervals: f.MeasureIntervals,
		Values: f.Values, Assertions: f.Assertions, Agents: f.Agents, ClockError: f.ClockError, Events: r.Events, MoreEvents: r.More, Folded: r.Folded,
		Intervals: []intervalDocument{},
	}
	if !r.CutOff {
		d.Account = &f.Account
	}
	if d.Assertions == nil {
		d.Assertions = []bench.Verdict{}
	}
	if d.Events == nil {
		d.Events = []bench.Event{}
	}
	for i := range r.Intervals {
		v := &r.Intervals[i]
		d.Intervals = append(d.Intervals, intervalDocument{
			v.Stage, v.Step, v.At, v.Duration, v.Target, v.Counters, v.Gauges, figuresOf(v.spreads), v.Self, v.Watch, v.Limited,
		})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(d)
}
