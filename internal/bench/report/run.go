package report

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// Run is a recorded run as it is reported.
type Run struct {
	Name      string // of the file
	Header    bench.Header
	Intervals []Interval
	// Folded is how many recorded intervals the longest of Intervals stands for.
	Folded int
	Events []bench.Event
	More   int // events that are not in Events
	// Final of a run that was cut off is made from what was recorded, without
	// an account of the messages and without assertions.
	Final  *bench.Final
	CutOff bool

	balance balance
}

// Interval is a recorded interval, or several folded into one, whose Latency
// has been put away more tightly.
type Interval struct {
	bench.Interval
	spreads map[string]spread
	folded  int
}

func newInterval(v *bench.Interval) Interval {
	i := Interval{Interval: *v, spreads: map[string]spread{}, folded: 1}
	for name, h := range v.Latency {
		i.spreads[name] = newSpread(h)
	}
	i.Latency = nil
	return i
}

// What is kept of a run in memory.
const (
	maxIntervals = 1200
	maxEvents    = 200
)

// CutOff is what Final.Ended is of a run without an end.
const CutOff = "cut off"

// Read reads a recorded run.
func Read(name string, r io.Reader) (*Run, error) {
	run := &Run{Name: name, Folded: 1, balance: newBalance()}
	if err := bench.EachRecord(r, run.add); err != nil {
		return nil, err
	}
	if run.Header.Format == "" {
		return nil, bench.ErrNoResult
	}
	if run.Final == nil {
		run.CutOff = true
		run.Final = run.balance.final()
	}
	return run, nil
}

func (r *Run) add(record any) error {
	switch v := record.(type) {
	case *bench.Header:
		r.Header = *v
	case *bench.Event:
		if len(r.Events) == maxEvents {
			r.More++
			return nil
		}
		r.Events = append(r.Events, *v)
	case *bench.Interval:
		if v.Duration <= 0 {
			return fmt.Errorf("an interval lasts %v", v.Duration)
		}
		i := newInterval(v)
		r.balance.keep(&i, r.Header.Plan.Sampling)
		r.Intervals = append(r.Intervals, i)
		if len(r.Intervals) > maxIntervals {
			return r.fold()
		}
	case *bench.Final:
		r.Final = v
	}
	return nil
}

// fold makes one interval of each two neighbours of the same stage and step.
func (r *Run) fold() error {
	kept := r.Intervals[:0]
	for n := 0; n < len(r.Intervals); n++ {
		i := r.Intervals[n]
		if n+1 < len(r.Intervals) && i.joins(&r.Intervals[n+1]) {
			i.join(&r.Intervals[n+1])
			n++
		}
		r.Folded = max(r.Folded, i.folded)
		kept = append(kept, i)
	}
	clear(r.Intervals[len(kept):])
	if r.Intervals = kept; len(kept) > maxIntervals {
		return fmt.Errorf("more than %d stages and steps", maxIntervals)
	}
	return nil
}

func (i *Interval) joins(next *Interval) bool {
	return i.Stage == next.Stage && i.Step == next.Step && len(i.Limited) <= 8
}

func (i *Interval) join(next *Interval) {
	d := i.Duration + next.Duration
	i.Target = (i.Target*i.Duration.Seconds() + next.Target*next.Duration.Seconds()) / d.Seconds()
	i.Duration, i.Gauges = d, next.Gauges
	i.Counters.Add(&next.Counters)
	i.Self.CPU += next.Self.CPU
	i.Self.Lag = max(i.Self.Lag, next.Self.Lag)
	i.Self.Goroutines, i.Self.RSS = next.Self.Goroutines, next.Self.RSS
	if next.Watch != nil {
		var w bench.Watch
		if i.Watch != nil {
			w = *i.Watch
		}
		w.Add(next.Watch)
		i.Watch = &w
	}
	for _, why := range next.Limited {
		if !strings.Contains(strings.Join(i.Limited, " "), why) {
			i.Limited = append(i.Limited[:len(i.Limited):len(i.Limited)], why)
		}
	}
	for name, s := range next.spreads {
		i.spreads[name] = i.spreads[name].merge(s)
	}
	i.folded += next.folded
}

// measured are the intervals that count: whole ones of the measurement.
func (r *Run) measured() []Interval {
	var all []Interval
	for _, i := range r.Intervals {
		if i.Stage == bench.StageMeasure && i.Duration >= r.Header.Plan.Sampling/2 {
			all = append(all, i)
		}
	}
	return all
}

// balance adds up intervals, for a run that has no final.
type balance struct {
	f       *bench.Final
	spreads map[string]spread
}

func newBalance() balance {
	return balance{&bench.Final{Ended: CutOff}, map[string]spread{}}
}

// final is what the run came to so far.
func (b *balance) final() *bench.Final {
	b.f.Latency = bench.Latencies{}
	for name, s := range b.spreads {
		b.f.Latency[name] = s.histogram()
	}
	return b.f
}

func (b *balance) keep(i *Interval, sampling time.Duration) {
	f := b.f
	f.At = i.At + i.Duration
	f.Total.Add(&i.Counters)
	early := i.Stage == bench.StageConnect || i.Stage == bench.StageWarmup
	for name, s := range i.spreads {
		if !early || connecting(name) {
			b.spreads[name] = b.spreads[name].merge(s)
		}
	}
	if i.Stage != bench.StageMeasure {
		return
	}
	f.Measured += i.Duration
	f.Counters.Add(&i.Counters)
	f.Self.CPU += i.Self.CPU
	f.Self.Lag = max(f.Self.Lag, i.Self.Lag)
	f.Self.RSS = i.Self.RSS
	if i.Watch != nil {
		if f.Watch == nil {
			f.Watch = new(bench.Watch)
		}
		f.Watch.Add(i.Watch)
	}
	if i.Duration >= sampling/2 {
		f.MeasureIntervals++
		if len(i.Limited) > 0 {
			f.LimitedIntervals++
		}
	}
}

// connecting tells whether a phase belongs to connecting, which counts from
// the beginning of a run.
func connecting(phase string) bool {
	switch strings.TrimSuffix(phase, bench.Sent) {
	case "dial", "tls", "connack", "suback":
		return true
	}
	return false
}

// Same tells whether two records are of one run.
func (r *Run) Same(o *Run) bool {
	return r.Header.Started.Equal(o.Header.Started) && r.Final.At == o.Final.At && r.Final.Total == o.Final.Total
}

// Err is why the run is not what its figures seem to say, nil if it is.
func (r *Run) Err() error {
	switch {
	case r.CutOff:
		return errors.New("the record was cut off: there is no account of the messages, and what came later is not in the figures")
	case r.Final.Ended != "complete":
		return fmt.Errorf("the run ended early: %s", visible(r.Final.Ended))
	}
	return nil
}

// New is a run that has just ended, without its intervals.
func New(h bench.Header, f *bench.Final) *Run { return &Run{Header: h, Final: f, Folded: 1} }
