package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Mood is how a line of a summary is meant.
type Mood uint8

const (
	Plain Mood = iota
	Good
	Bad
	Dim
)

// WriteSummary prints a run on one screen. paint, which may be nil, colours.
func WriteSummary(w io.Writer, h *Header, f *Final, paint func(Mood, string) string) error {
	if paint == nil {
		paint = func(_ Mood, s string) string { return s }
	}
	p := &summary{h: h, f: f, paint: paint}
	p.head()
	p.rates()
	p.latencies()
	p.agents()
	p.account()
	p.machines()
	p.asserts()
	_, err := io.WriteString(w, p.String())
	return err
}

type summary struct {
	strings.Builder
	h     *Header
	f     *Final
	paint func(Mood, string) string
}

func (p *summary) line(mood Mood, format string, a ...any) {
	p.WriteString(p.paint(mood, fmt.Sprintf(format, a...)) + "\n")
}

func (p *summary) head() {
	plan := &p.h.Plan
	parts := []string{plan.Scenario, plan.Target, "MQTT " + plan.Version.String()}
	if plan.Publishers+plan.Subscribers > 0 {
		parts = append(parts, fmt.Sprintf("%d publishers, %d subscribers", plan.Publishers, plan.Subscribers))
	} else {
		parts = append(parts, fmt.Sprintf("%d clients", plan.Clients))
	}
	parts = append(parts, fmt.Sprintf("QoS %d", plan.QoS), fmt.Sprintf("%d B", plan.Size))
	p.line(Plain, "%s", strings.Join(parts, "  "))
	mood := Plain
	if p.f.Ended != "complete" {
		mood = Bad
	}
	p.line(mood, "%s, measured %v after a warm-up of %v\n", p.f.Ended, p.f.Measured.Round(time.Millisecond), plan.Warmup)
}

func (p *summary) rates() {
	f, w := p.f, tabwriter.NewWriter(&p.Builder, 0, 0, 2, ' ', 0)
	row := func(name string, n int64) {
		if n > 0 {
			fmt.Fprintf(w, "%s\t%d\t%.1f /s\n", name, n, f.PerSecond(n))
		}
	}
	row("sent", f.Counters.Sent)
	row("acknowledged", f.Counters.Acked)
	row("received", f.Counters.Received)
	row("operations", f.Counters.Operations)
	w.Flush()
	t := &f.Total
	p.line(moodOf(t.ConnectFails+t.Disconnects+t.SubscribeFail), "connections %d, failed %d, lost %d; subscriptions %d, refused %d\n",
		t.Connects, t.ConnectFails, t.Disconnects, t.Subscribes, t.SubscribeFail)
}

func moodOf(trouble int64) Mood {
	if trouble > 0 {
		return Bad
	}
	return Plain
}

// latencies is a table; what a phase has from the time of sending stands below
// it, unless it is the same.
func (p *summary) latencies() {
	w := tabwriter.NewWriter(&p.Builder, 0, 0, 2, ' ', tabwriter.AlignRight)
	any := false
	for _, phase := range PhaseNames() {
		due, sent := p.f.Latency[phase], p.f.Latency[phase+Sent]
		if due == nil {
			continue
		}
		if !any {
			fmt.Fprint(w, "ms\tp50\tp90\tp99\tp99.9\tmax\tcount\t\n")
			any = true
		}
		row := func(name string, h *Histogram) {
			fmt.Fprintf(w, "%s", name)
			for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
				fmt.Fprintf(w, "\t%s", millis(h.Quantile(q)))
			}
			fmt.Fprintf(w, "\t%d\t\n", h.TotalCount())
		}
		row(phase, due)
		if sent != nil && p.f.Latency["e2e"] != nil && (phase == "e2e" || phase == "puback" || phase == "pubcomp") {
			row("from sent", sent)
		}
	}
	w.Flush()
	if any {
		p.WriteString("\n")
	}
}

// agents are the machines, and what their clocks leave uncertain.
func (p *summary) agents() {
	if len(p.f.Agents) == 0 {
		return
	}
	if p.f.ClockError > 0 {
		p.line(Plain, "e2e latencies between agents are exact to ±%s ms, which their clocks leave open", millis(p.f.ClockError))
	}
	for _, a := range p.f.Agents {
		mood := Plain
		if a.Ended != "complete" {
			mood = Bad
		}
		p.line(mood, "agent %-12s %s; clock %+.3f ms ± %s; %.2f s of CPU, %s late at most", a.Name, a.Ended,
			float64(a.Offset)/1e6, millis(a.Error), a.Self.CPU.Seconds(), a.Self.Lag.Round(100*time.Microsecond))
	}
	p.WriteString("\n")
}

func millis(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/1e6) }

// account is of the whole run; rates count what ended while it was measured.
func (p *summary) account() {
	a, t := &p.f.Account, &p.f.Total
	operations := t.Operations+t.OperationFail > 0
	if operations {
		p.line(moodOf(t.OperationFail+a.Unsent), "operations: %d done, %d failed, %d due and not done", t.Operations, t.OperationFail, a.Unsent)
	}
	sum := a.Sum()
	switch {
	case sum.Expected > 0:
		for qos, t := range a.QoS {
			if t.Expected+t.Corrupted == 0 {
				continue
			}
			trouble := t.Lost + t.Duplicated + t.Reordered + t.Corrupted
			p.line(moodOf(trouble), "QoS %d: %d expected, %d arrived, %d lost, %d duplicated, %d reordered, %d corrupted%s",
				qos, t.Expected, t.Received, t.Lost, t.Duplicated, t.Reordered, t.Corrupted, p.promise(qos, t))
		}
	case sum.Sent > 0:
		p.line(Plain, "%d sent, nobody here subscribes", sum.Sent)
	}
	if a.Unacked > 0 || a.Unsent > 0 && !operations {
		p.line(Bad, "%d were due and never left, %d were not acknowledged", a.Unsent, a.Unacked)
	}
	for _, t := range a.Worst[:min(len(a.Worst), 3)] {
		p.line(Bad, "  %q: %d lost, %d duplicated, %d reordered, %d corrupted", t.Topic, t.Lost, t.Duplicated, t.Reordered, t.Corrupted)
	}
}

// promise says whether the QoS was kept.
func (p *summary) promise(qos int, t Tally) string {
	switch {
	case qos == 2 && t.Lost+t.Duplicated+t.Corrupted == 0 && p.f.Account.Unsent == 0:
		return ": exactly once"
	case qos == 1 && t.Lost+t.Corrupted == 0 && p.f.Account.Unsent == 0:
		return ": at least once"
	}
	return ""
}

func (p *summary) machines() {
	f := p.f
	messages := f.Counters.Sent + f.Counters.Received
	per := func(cpu time.Duration, n int64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(", %.2f µs per message", float64(cpu)/1e3/float64(n))
	}
	if f.Self.CPU > 0 {
		window := ""
		if n := f.Counters.WindowFull; n > 0 {
			window = fmt.Sprintf("; the window was full %d times", n)
		}
		p.line(moodOf(int64(f.LimitedIntervals)), "generator  %.2f s of CPU%s; %s late at most; the limit in %d of %d intervals%s",
			f.Self.CPU.Seconds(), per(f.Self.CPU, messages), f.Self.Lag.Round(100*time.Microsecond), f.LimitedIntervals, f.MeasureIntervals, window)
	}
	if f.Watch != nil {
		n, what := f.Counters.Received, "delivered"
		if n == 0 {
			n, what = f.Counters.Sent, "received"
		}
		text, ended := "", int64(0)
		if f.Watch.Ended {
			text, ended = " until its process ended", 1
		} else if n > 0 {
			text = fmt.Sprintf(", %.3f µs per %s message", float64(f.Watch.CPU)/1e3/float64(n), what)
		}
		p.line(moodOf(ended), "broker     %.2f s of CPU%s; %.1f MB resident", f.Watch.CPU.Seconds(), text, float64(f.Watch.RSS)/1e6)
	}
	names := make([]string, 0, len(f.Values))
	for name := range f.Values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.line(Dim, "%s %.6g", name, f.Values[name])
	}
}

func (p *summary) asserts() {
	for _, v := range p.f.Assertions {
		value := fmt.Sprintf("%.6g", v.Value)
		if a, err := ParseAssertion(v.Expression); err == nil && a.IsLatency() {
			value = time.Duration(v.Value).Round(time.Microsecond).String()
		}
		switch {
		case v.Missing:
			p.line(Bad, "MISSED  %s: there is no such value", v.Expression)
		case v.OK:
			p.line(Good, "met     %s: %s", v.Expression, value)
		default:
			p.line(Bad, "MISSED  %s: %s", v.Expression, value)
		}
	}
}
