package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// WriteCSV writes a line for each interval: times in seconds, rates per second,
// latencies in milliseconds, empty where nothing was recorded. Columns of
// phases are those that the run has.
func WriteCSV(w io.Writer, r *Run) error {
	out := csv.NewWriter(w)
	columns := []string{
		"at_s", "duration_s", "stage", "step", "target_per_s", "connects_per_s", "sent_per_s", "acked_per_s", "received_per_s",
		"operations_per_s", "late", "window_full", "duplicated", "reordered", "corrupted", "connections", "inflight", "behind",
		"generator_cpu_s", "generator_lag_ms", "generator_rss_bytes", "broker_cpu_s", "broker_rss_bytes", "limited",
	}
	phases := r.phaseOrder()
	for _, phase := range phases {
		for _, stat := range []string{"count", "p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "max_ms"} {
			columns = append(columns, phase+"."+stat)
		}
	}
	if err := out.Write(columns); err != nil {
		return err
	}
	for i := range r.Intervals {
		if err := out.Write(r.Intervals[i].row(phases)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// phaseOrder names the phases that any interval has, in the order of a
// connection's life.
func (r *Run) phaseOrder() []string {
	var names []string
	for _, phase := range bench.PhaseNames() {
		for _, name := range []string{phase, phase + bench.Sent} {
			for i := range r.Intervals {
				if len(r.Intervals[i].spreads[name]) > 0 {
					names = append(names, name)
					break
				}
			}
		}
	}
	return names
}

func (i *Interval) row(phases []string) []string {
	n := &i.Counters
	per := func(count int64) string { return decimal(float64(count)/i.Duration.Seconds(), 1) }
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	row := []string{
		seconds(i.At), seconds(i.Duration), inert(string(i.Stage)), strconv.Itoa(i.Step), decimal(i.Target, 1), per(n.Connects), per(n.Sent), per(n.Acked), per(n.Received),
		per(n.Operations), whole(n.Late), whole(n.WindowFull), whole(n.Duplicated), whole(n.Reordered), whole(n.Corrupted),
		whole(i.Gauges.Connections), whole(i.Gauges.Inflight), whole(i.Gauges.Behind),
		seconds(i.Self.CPU), decimal(float64(i.Self.Lag)/1e6, 3), whole(i.Self.RSS), "", "", inert(strings.Join(i.Limited, " ")),
	}
	if i.Watch != nil {
		row[21], row[22] = seconds(i.Watch.CPU), whole(i.Watch.RSS)
	}
	for _, phase := range phases {
		s := i.spreads[phase]
		if len(s) == 0 {
			row = append(row, "0", "", "", "", "", "")
			continue
		}
		row = append(row, whole(s.total()))
		for _, q := range s.quantiles(.5, .9, .99, .999, 1) {
			row = append(row, decimal(float64(q)/1e6, 3))
		}
	}
	return row
}

func seconds(d time.Duration) string { return decimal(d.Seconds(), 6) }

// decimal has at most so many places, and no zeros at its end.
func decimal(v float64, places int) string {
	s := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// inert keeps a spreadsheet from taking a text for a formula.
func inert(s string) string {
	if s = visible(s); s != "" && strings.Contains("=+-@", s[:1]) {
		return "'" + s
	}
	return s
}
