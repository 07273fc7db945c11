package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Assertion is a condition on the balance of a run: 'e2e.p99<50ms', 'loss==0',
// 'rate>=1000'.
type Assertion struct {
	text  string
	name  string
	op    string
	bound float64
}

// counts are the names that stand for one number of a Final.
var counts = map[string]func(*Final) float64{
	"loss":            func(f *Final) float64 { return float64(f.lost()) },
	"duplicates":      func(f *Final) float64 { return float64(f.Account.Sum().Duplicated) },
	"reordered":       func(f *Final) float64 { return float64(f.Account.Sum().Reordered) },
	"corrupted":       func(f *Final) float64 { return float64(f.Account.Sum().Corrupted) },
	"unsent":          func(f *Final) float64 { return float64(f.Account.Unsent) },
	"unacked":         func(f *Final) float64 { return float64(f.Account.Unacked) },
	"sent":            func(f *Final) float64 { return float64(f.Counters.Sent) },
	"received":        func(f *Final) float64 { return float64(f.Counters.Received) },
	"rate":            func(f *Final) float64 { return f.PerSecond(f.Counters.Received) },
	"sent.rate":       func(f *Final) float64 { return f.PerSecond(f.Counters.Sent) },
	"op.rate":         func(f *Final) float64 { return f.PerSecond(f.Counters.Operations) },
	"op.fails":        func(f *Final) float64 { return float64(f.Total.OperationFail) },
	"ack.fails":       func(f *Final) float64 { return float64(f.Total.AckFails) },
	"connects":        func(f *Final) float64 { return float64(f.Total.Connects) },
	"connect.fails":   func(f *Final) float64 { return float64(f.Total.ConnectFails) },
	"subscribe.fails": func(f *Final) float64 { return float64(f.Total.SubscribeFail) },
	"disconnects":     func(f *Final) float64 { return float64(f.Total.Disconnects) },
	"limited": func(f *Final) float64 {
		return float64(f.LimitedIntervals) / max(float64(f.MeasureIntervals), 1)
	},
}

// PerSecond divides by the length of the measurement.
func (f *Final) PerSecond(n int64) float64 {
	if f.Measured <= 0 {
		return 0
	}
	return float64(n) / f.Measured.Seconds()
}

// lost messages are those that were expected and did not arrive, those that
// never left included.
func (f *Final) lost() int64 { return f.Account.Sum().Lost + f.Account.Unsent }

// mute tells that a number says nothing, because there was nothing to count:
// without subscribers nothing is lost.
func (f *Final) mute(name string) bool {
	switch sum := f.Account.Sum(); name {
	case "loss":
		return sum.Expected+f.lost() == 0
	case "duplicates", "reordered":
		return sum.Expected+sum.Received+sum.Duplicated+sum.Reordered == 0
	case "limited":
		return f.MeasureIntervals == 0
	}
	return false
}

var operators = []string{"<=", ">=", "==", "!=", "<", ">"}

// ParseAssertion reads a name, a comparison and a number, which is a duration
// for latencies.
func ParseAssertion(text string) (Assertion, error) {
	at, op := -1, ""
	for _, o := range operators {
		if i := strings.Index(text, o); i >= 0 && (at < 0 || i < at) {
			at, op = i, o
		}
	}
	if at < 0 {
		return Assertion{}, fmt.Errorf("%q is no condition; one looks like e2e.p99<50ms or loss==0", text)
	}
	a := Assertion{text: text, name: strings.TrimSpace(text[:at]), op: op}
	value := strings.TrimSpace(text[at+len(op):])
	if a.IsLatency() {
		d, err := time.ParseDuration(value)
		if err != nil {
			return a, fmt.Errorf("%q: %q is no duration; one looks like 50ms", text, value)
		}
		a.bound = float64(d)
		return a, nil
	}
	scale := 1.0
	if v, ok := strings.CutSuffix(value, "%"); ok {
		value, scale = v, 0.01
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return a, fmt.Errorf("%q: %q is no number", text, value)
	}
	a.bound = n * scale
	// A scenario's own values have a dot, and nobody here knows them.
	if counts[a.name] == nil && !strings.Contains(a.name, ".") {
		names := make([]string, 0, len(counts))
		for name := range counts {
			names = append(names, name)
		}
		slices.Sort(names)
		return a, fmt.Errorf("%q: nothing is called %q; there are %s, and latencies like e2e.p99, e2e.sent.max or puback.mean", text, a.name, strings.Join(names, ", "))
	}
	return a, nil
}

func (a Assertion) String() string { return a.text }

// IsLatency tells whether the name is a phase and a statistic.
func (a Assertion) IsLatency() bool {
	_, stat := splitLatency(a.name)
	_, ok := statistic(NewHistogram(), stat)
	return ok
}

// splitLatency takes e2e.sent.p99 apart, behind "sent"; stat is "" where no
// phase is named.
func splitLatency(name string) (phase, stat string) {
	for _, phase := range PhaseNames() {
		if stat, ok := strings.CutPrefix(name, phase+Sent+"."); ok {
			return phase + Sent, stat
		}
		if stat, ok := strings.CutPrefix(name, phase+"."); ok {
			return phase, stat
		}
	}
	return "", ""
}

// statistic is p50, p99.9 or p999, max, min or mean.
func statistic(h *Histogram, name string) (float64, bool) {
	switch name {
	case "max":
		return float64(h.Max()), true
	case "min":
		return float64(h.Min()), true
	case "mean":
		return h.Mean(), true
	}
	digits, ok := strings.CutPrefix(name, "p")
	if !ok || len(digits) < 1 {
		return 0, false
	}
	if len(digits) > 2 && digits != "100" && !strings.Contains(digits, ".") {
		digits = digits[:2] + "." + digits[2:] // p999 is p99.9
	}
	q, err := strconv.ParseFloat(digits, 64)
	if err != nil || q <= 0 || q > 100 {
		return 0, false
	}
	return float64(h.ValueAtQuantile(q)), true
}

// Value finds what a name stands for in a balance.
func (f *Final) Value(name string) (float64, bool) {
	if fn := counts[name]; fn != nil {
		return fn(f), !f.mute(name)
	}
	if v, ok := f.Values[name]; ok {
		return v, true
	}
	phase, stat := splitLatency(name)
	if h := f.Latency[phase]; h != nil {
		return statistic(h, stat)
	}
	return 0, false
}

func (a Assertion) judge(f *Final) Verdict {
	v, ok := f.Value(a.name)
	d := Verdict{Expression: a.text, Value: v, Missing: !ok}
	if !ok {
		return d
	}
	switch a.op {
	case "<":
		d.OK = v < a.bound
	case "<=":
		d.OK = v <= a.bound
	case ">":
		d.OK = v > a.bound
	case ">=":
		d.OK = v >= a.bound
	case "==":
		d.OK = v == a.bound
	case "!=":
		d.OK = v != a.bound
	}
	return d
}
