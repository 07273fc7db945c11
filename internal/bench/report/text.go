package report

import (
	"fmt"
	"io"

	"github.com/iotctl/iotctl/internal/bench"
)

// WriteText prints the summary of a run as it was at its end, and what became
// of it. paint, which may be nil, colours.
func WriteText(w io.Writer, r *Run, paint func(bench.Mood, string) string) error {
	r = r.visible()
	if err := bench.WriteSummary(w, &r.Header, r.Final, paint); err != nil {
		return err
	}
	for _, e := range r.Events {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		if _, err := fmt.Fprintf(w, "%8.1fs  %s%s\n", e.At.Seconds(), e.Text, times); err != nil {
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
