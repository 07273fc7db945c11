package report

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// Metrics are the state of a run for Prometheus. Counters grow over the whole
// run; latencies are histograms, so that those of several generators can be
// added up. Its methods may be called from several goroutines.
type Metrics struct {
	mu       sync.Mutex
	head     bench.Header
	last     Interval
	total    bench.Counters
	balance  balance
	cpu      time.Duration
	watchCPU time.Duration
	limited  int
	final    *bench.Final
}

// NewMetrics has seen nothing yet.
func NewMetrics() *Metrics { return &Metrics{balance: newBalance()} }

// See takes in a record of a run.
func (m *Metrics) See(record any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch v := record.(type) {
	case *bench.Header:
		m.head = *v
	case *bench.Interval:
		m.last = newInterval(v)
		m.total.Add(&v.Counters)
		m.balance.keep(&m.last, m.head.Plan.Sampling)
		m.cpu += v.Self.CPU
		if v.Watch != nil {
			m.watchCPU += v.Watch.CPU
		}
		if len(v.Limited) > 0 {
			m.limited++
		}
	case *bench.Final:
		m.final = v
	}
}

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = m.Write(w) // who went away needs no answer
}

// latencyBounds are the buckets in seconds.
var latencyBounds = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60,
}

// exposition collects lines in Prometheus' text format.
type exposition struct {
	*bufio.Writer
	labels string // of every sample, without braces
}

// family begins a metric, sample adds to it.
func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (e *exposition) sample(name, labels string, v float64) {
	all := strings.Trim(e.labels+","+labels, ",")
	fmt.Fprintf(e, "%s{%s} %s\n", name, all, strconv.FormatFloat(v, 'g', -1, 64))
}

func (e *exposition) one(name, kind, help string, v float64) {
	e.family(name, kind, help)
	e.sample(name, "", v)
}

// label is one with its value escaped.
func label(name, value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// Write writes the text format.
func (m *Metrics) Write(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := &exposition{bufio.NewWriter(w), label("scenario", m.head.Plan.Scenario) + "," + label("target", m.head.Plan.Target)}
	m.counters(e)
	m.gauges(e)
	m.latencies(e)
	m.verdicts(e)
	return e.Flush()
}

func (m *Metrics) counters(e *exposition) {
	n := &m.total
	for _, c := range []struct {
		name, help string
		v          int64
	}{
		{"connects", "Connections made.", n.Connects},
		{"connect_failures", "Connections refused or not answered.", n.ConnectFails},
		{"disconnects", "Connections lost.", n.Disconnects},
		{"subscriptions", "Topic filters granted.", n.Subscribes},
		{"subscription_failures", "Topic filters refused.", n.SubscribeFail},
		{"sent", "Messages sent.", n.Sent},
		{"acknowledged", "Messages acknowledged with success.", n.Acked},
		{"refused", "Messages acknowledged with a failure.", n.AckFails},
		{"received", "Messages received.", n.Received},
		{"duplicated", "Messages received again.", n.Duplicated},
		{"reordered", "Messages received after a later one.", n.Reordered},
		{"corrupted", "Messages received that are not what was sent.", n.Corrupted},
		{"operations", "Operations of the scenario.", n.Operations},
		{"operation_failures", "Operations that failed.", n.OperationFail},
		{"late", "Messages sent more than a millisecond after they were due.", n.Late},
		{"bytes_sent", "Bytes written.", n.BytesOut},
		{"bytes_received", "Bytes read.", n.BytesIn},
		{"limited_intervals", "Intervals in which the generator itself was the limit.", int64(m.limited)},
	} {
		e.one("iotctl_bench_"+c.name+"_total", "counter", c.help, float64(c.v))
	}
	e.one("iotctl_bench_generator_cpu_seconds_total", "counter", "Processor time of the generator.", m.cpu.Seconds())
	if m.last.Watch != nil {
		e.one("iotctl_bench_broker_cpu_seconds_total", "counter", "Processor time of the process that is watched.", m.watchCPU.Seconds())
	}
}

func (m *Metrics) gauges(e *exposition) {
	i := &m.last
	e.one("iotctl_bench_connections", "gauge", "Open connections.", float64(i.Gauges.Connections))
	e.one("iotctl_bench_inflight", "gauge", "Messages sent and not acknowledged.", float64(i.Gauges.Inflight))
	e.one("iotctl_bench_behind", "gauge", "Messages due and not sent.", float64(i.Gauges.Behind))
	e.one("iotctl_bench_target_rate", "gauge", "Messages or operations per second that the schedule has, 0 of a closed loop.", i.Target)
	e.one("iotctl_bench_generator_lag_seconds", "gauge", "How late the generator woke up at the most, last interval.", i.Self.Lag.Seconds())
	if i.Watch != nil {
		e.one("iotctl_bench_broker_resident_bytes", "gauge", "Memory of the process that is watched.", float64(i.Watch.RSS))
	}
	e.family("iotctl_bench_stage", "gauge", "1 for the stage of the run.")
	for _, stage := range []bench.Stage{bench.StageConnect, bench.StageWarmup, bench.StageMeasure, bench.StageDrain} {
		on := 0.0
		if i.Stage == stage && m.final == nil {
			on = 1
		}
		e.sample("iotctl_bench_stage", label("stage", string(stage)), on)
	}
}

func (m *Metrics) latencies(e *exposition) {
	const name = "iotctl_bench_latency_seconds"
	e.family(name, "histogram", "Latency by phase, from when it was due or from when it was begun.")
	for _, phase := range bench.PhaseNames() {
		for _, from := range []string{"due", "sent"} {
			key := phase
			if from == "sent" {
				key += bench.Sent
			}
			s := m.balance.spreads[key]
			if len(s) == 0 {
				continue
			}
			labels := label("phase", phase) + "," + label("from", from)
			seen, at := int64(0), 0
			for _, bound := range latencyBounds {
				for at < len(s) && float64(bucketScale()[s[at].bucket]) <= bound*1e9 {
					seen += s[at].count
					at++
				}
				e.sample(name+"_bucket", labels+","+label("le", strconv.FormatFloat(bound, 'g', -1, 64)), float64(seen))
			}
			v := s.figures()
			e.sample(name+"_bucket", labels+","+label("le", "+Inf"), float64(v.Count))
			e.sample(name+"_sum", labels, v.Mean*float64(v.Count)/1e9)
			e.sample(name+"_count", labels, float64(v.Count))
		}
	}
}

// verdicts are there when the run has come to its end.
func (m *Metrics) verdicts(e *exposition) {
	f := m.final
	if f == nil {
		return
	}
	complete := 0.0
	if f.Ended == "complete" {
		complete = 1
	}
	e.one("iotctl_bench_complete", "gauge", "1: the run came to its planned end.", complete)
	if f.ClockError > 0 {
		e.one("iotctl_bench_clock_error_seconds", "gauge", "How wrong latencies between agents can be.", f.ClockError.Seconds())
	}
	e.family("iotctl_bench_lost", "gauge", "Messages lost, by QoS.")
	for qos, t := range f.Account.QoS {
		e.sample("iotctl_bench_lost", label("qos", strconv.Itoa(qos)), float64(t.Lost))
	}
	if len(f.Assertions) == 0 {
		return
	}
	e.family("iotctl_bench_condition_met", "gauge", "1: the condition was met.")
	seen := []string{}
	for _, v := range f.Assertions {
		if slices.Contains(seen, v.Expression) {
			continue // a series is there once
		}
		seen = append(seen, v.Expression)
		met := 0.0
		if v.OK {
			met = 1
		}
		e.sample("iotctl_bench_condition_met", label("condition", v.Expression), met)
	}
}

// ReadMetrics is the state at the end of a recorded run.
func ReadMetrics(r io.Reader) (*Metrics, error) {
	m := NewMetrics()
	err := bench.EachRecord(r, func(record any) error {
		m.See(record)
		return nil
	})
	return m, err
}
