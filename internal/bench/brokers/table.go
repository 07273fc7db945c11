//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/bench"
)

// bar is what a figure is held to.
type bar struct {
	text  string
	holds func(ratio, ours float64) bool // nil: nothing
}

// atMost and atLeast are for the ratio of ours to theirs.
func atMost(most float64) bar {
	return bar{fmt.Sprintf("ratio ≤ %g", most), func(ratio, _ float64) bool { return ratio <= most }}
}

func atLeast(least float64) bar {
	return bar{fmt.Sprintf("ratio ≥ %g", least), func(ratio, _ float64) bool { return ratio >= least }}
}

// oursAtMost is for our figure alone.
func oursAtMost(most float64) bar {
	return bar{fmt.Sprintf("ours ≤ %g", most), func(_, ours float64) bool { return ours <= most }}
}

func none() bar { return bar{} }

// pairs holds runs in turns, by contender: those with the same index were
// measured next to each other.
type pairs [2][]sample

// values of a figure.
func (p *pairs) values(who contender, f figure) []float64 {
	var v []float64
	for _, s := range p[who] {
		v = append(v, f.of(s))
	}
	return v
}

// ratios of ours to theirs, pair by pair.
func ratios(theirs, ours []float64) []float64 {
	r := make([]float64, len(ours))
	for i := range r {
		r[i] = ours[i] / theirs[i]
	}
	return r
}

// median of an even number of values is the mean of the two in the middle.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// table prints what is measured and remembers what was missed.
type table struct {
	out    io.Writer
	err    error
	notes  []string
	where  string    // the machine
	others []float64 // of all runs
	missed int
}

func (t *table) printf(format string, a ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, a...)
	}
}

// columns are the widths; the last one has none.
var columns = []int{-18, -36, 12, 12, 8, 16, -15, 0}

// row pads by characters.
func (t *table) row(cells ...string) {
	var b strings.Builder
	for i, c := range cells {
		pad := strings.Repeat(" ", max(max(columns[i], -columns[i])-utf8.RuneCountInString(c), 0))
		switch {
		case columns[i] < 0:
			c += pad
		default:
			c = pad + c
		}
		b.WriteString(c + "  ")
	}
	t.printf("%s\n", strings.TrimRight(b.String(), " "))
}

func (t *table) head(peer string, o *options) {
	t.printf("iotctl against %s: medians of %d pairs of runs of %v, payloads of 64 bytes, window %d\n\n", peer, o.rounds, o.run, o.window)
	t.row("load", "figure", "mosquitto", "iotctl", "ratio", "of the pairs", "bar", "")
}

// load prints the lines of a load.
func (t *table) load(l load, p pairs) {
	t.where = machine(p[ours][0].environment)
	for i, f := range l.figures {
		v := [2][]float64{p.values(theirs, f), p.values(ours, f)}
		r := ratios(v[theirs], v[ours])
		ratio := median(r)
		verdict := ""
		if f.bar.holds != nil {
			verdict = "met"
			if !f.bar.holds(ratio, median(v[ours])) {
				verdict = "MISSED"
				t.missed++
			}
		}
		name := l.name
		if i > 0 {
			name = ""
		}
		cell := func(who contender) string {
			return strings.TrimSpace(fmt.Sprintf("%.*f %s", f.digits, median(v[who]), f.unit))
		}
		t.row(name, f.name, cell(theirs), cell(ours), fmt.Sprintf("%.2f", ratio),
			fmt.Sprintf("%.2f to %.2f", slices.Min(r), slices.Max(r)), f.bar.text, verdict)
	}
	if lost, torn, failed := harm(p[ours]); lost+torn+failed > 0 {
		t.missed++ // no figure is worth a message
	}
	for who := range contender(len(p)) {
		for _, s := range p[who] {
			t.others = append(t.others, s.others)
		}
		t.notes = append(t.notes, p.remarks(l.name, who)...)
	}
}

// harm is how many messages were lost, how many were corrupted or came twice at
// QoS 2, and how many connections failed.
func harm(samples []sample) (lost, torn, failed int64) {
	for _, s := range samples {
		sum := s.Account.Sum()
		lost += sum.Lost + s.Account.Unsent
		torn += sum.Corrupted + s.Account.QoS[2].Duplicated
		failed += s.Total.ConnectFails
	}
	return lost, torn, failed
}

// remarks are what one has to know about a contender's runs to read a line.
func (p *pairs) remarks(name string, who contender) (notes []string) {
	lost, torn, failed := harm(p[who])
	var limited, intervals int64
	var why []string
	var generator, broker []float64
	for _, s := range p[who] {
		limited += int64(s.LimitedIntervals)
		intervals += int64(s.MeasureIntervals)
		why = append(why, s.limits...)
		generator = append(generator, s.Self.CPU.Seconds()/s.Measured.Seconds())
		broker = append(broker, s.Watch.CPU.Seconds()/s.Measured.Seconds())
	}
	say := func(format string, a ...any) {
		notes = append(notes, fmt.Sprintf("%s, %s: ", name, who)+fmt.Sprintf(format, a...))
	}
	if lost > 0 {
		say("%d messages were lost", lost)
	}
	if failed > 0 {
		say("%d connections failed", failed)
	}
	if torn > 0 {
		say("%d messages were corrupted, or came twice at QoS 2", torn)
	}
	cpus := float64(p[who][0].environment.CPUs)
	g, b := median(generator), median(broker)
	switch {
	case limited > 0:
		slices.Sort(why)
		say("the generator was the limit in %d of %d intervals (%s); it kept %.2f processors busy, the broker %.2f", limited, intervals, strings.Join(slices.Compact(why), ", "), g, b)
	case g > b && g+b > 0.9*cpus:
		say("the generator kept %.2f processors busy and the broker %.2f of %.0f: alone the broker would do more per second", g, b, cpus)
	}
	return notes
}

// end prints the remarks and the verdict.
func (t *table) end() (met bool, err error) {
	if len(t.others) > 0 {
		t.printf("\non %s; other programs kept %.2f processors busy, at most %.2f in a run\n", t.where, median(t.others), slices.Max(t.others))
	}
	for _, n := range t.notes {
		t.printf("note: %s\n", n)
	}
	if t.missed > 0 {
		t.printf("\n%d bars were missed\n", t.missed)
	} else {
		t.printf("\nevery bar above was met\n")
	}
	return t.missed == 0, t.err
}

// machine is one line about where this was measured.
func machine(e bench.Environment) string {
	return fmt.Sprintf("%s, %d processors, %.0f GiB, %s %s, %s", e.CPU, e.CPUs, float64(e.Memory)/(1<<30), e.OS, e.Kernel, e.Go)
}
