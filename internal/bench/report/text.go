package report

import (
	"fmt"
	"io"

	"github.com/iotctl/iotctl/internal/bench"
)

// WriteText prints the summary of a run as it was at its end, and what became
// of it. paint, which may be nil, colours.
func WriteText(w io.Writer, r *Run, paint func(bench.Mood, string) string) error {
	h, f := r.Header, *r.Final
	h.Plan.Scenario, h.Plan.Target, f.Ended = visible(h.Plan.Scenario), visible(h.Plan.Target), visible(f.Ended)
	f.Values = map[string]float64{}
	for name, v := range r.Final.Values {
		f.Values[visible(name)] = v
	}
	f.Assertions = nil
	for _, v := range r.Final.Assertions {
		v.Expression = visible(v.Expression)
		f.Assertions = append(f.Assertions, v)
	}
	if err := bench.WriteSummary(w, &h, &f, paint); err != nil {
		return err
	}
	for _, e := range r.Events {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		if _, err := fmt.Fprintf(w, "%8.1fs  %s%s\n", e.At.Seconds(), visible(e.Text), times); err != nil {
			return err
		}
	}
	if r.More > 0 {
		if _, err := fmt.Fprintf(w, "and %d more events\n", r.More); err != nil {
			return err
		}
	}
	return nil
}
