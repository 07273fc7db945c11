package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/iotctl/iotctl/internal/bench"
)

// WriteJSON writes a comparison as one object.
func (c *Comparison) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// WriteText prints a comparison as a table. paint, which may be nil, colours.
func (c *Comparison) WriteText(w io.Writer, paint func(bench.Mood, string) string) error {
	if paint == nil {
		paint = func(_ bench.Mood, s string) string { return s }
	}
	var out strings.Builder
	fmt.Fprintf(&out, "A  %s\nB  %s\n\n", visible(strings.Join(c.A, ", ")), visible(strings.Join(c.B, ", ")))
	c.table(&out, paint)
	fmt.Fprintf(&out, "\nBy %s.\n", c.About)
	for _, n := range c.Notes {
		fmt.Fprintln(&out, paint(bench.Bad, "note: "+visible(n)))
	}
	for _, f := range c.Failed {
		fmt.Fprintln(&out, paint(bench.Bad, "FAILED  "+f))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// table prints the rows but those of connecting from the time of sending, which
// hardly ever say something else than those from when it was due.
func (c *Comparison) table(out *strings.Builder, paint func(bench.Mood, string) string) {
	rows := slices.DeleteFunc(slices.Clone(c.Rows), func(d Difference) bool {
		phase, _, sent := strings.Cut(d.Name, bench.Sent+".")
		return sent && connecting(phase)
	})
	width := 0
	for _, d := range rows {
		width = max(width, len(d.Name))
	}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%*s\tA\tB\tchange\tinterval\t\n", width, "")
	for _, d := range rows {
		change, between := "", ""
		if d.Change != nil {
			change = percent(*d.Change)
		}
		if d.Low != nil {
			between = percent(*d.Low) + " to " + percent(*d.High)
		}
		fmt.Fprintf(t, "%-*s\t%s\t%s\t%s\t%s\t\n", width, d.Name, d.text(d.A), d.text(d.B), change, between)
	}
	t.Flush()
	for n, line := range strings.Split(strings.TrimRight(table.String(), "\n"), "\n") {
		switch {
		case n == 0:
			line = paint(bench.Dim, strings.TrimRight(line, " "))
		case rows[n-1].Verdict == Undecided:
			line = strings.TrimRight(line, " ")
		default:
			line += "  " + paint(rows[n-1].mood(), rows[n-1].Verdict)
		}
		fmt.Fprintln(out, line)
	}
}

// mood: higher is better for rates, and for nothing else.
func (d *Difference) mood() bench.Mood {
	better := Lower
	if d.Unit == "/s" {
		better = Higher
	}
	switch d.Verdict {
	case better:
		return bench.Good
	case Higher, Lower:
		return bench.Bad
	}
	return bench.Dim
}

// text is a value with its unit.
func (d *Difference) text(v float64) string {
	switch d.Unit {
	case "ns":
		return nanos(int64(v))
	case "bytes":
		return decimal(v/1e6, 1) + " MB"
	case "/s":
		return strconv.FormatFloat(v, 'f', 1, 64) + " /s"
	}
	return decimal(v, 1)
}

// percent is a change with its sign.
func percent(share float64) string {
	places := 1
	if share >= 10 {
		places = 0
	}
	return fmt.Sprintf("%+.*f %%", places, 100*share)
}
