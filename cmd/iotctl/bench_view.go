package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/fatih/color"

	"github.com/iotctl/iotctl/internal/bench"
)

// benchView shows a run while it goes on: on a terminal a block of lines that
// is drawn again, otherwise a line per interval.
type benchView struct {
	t     *terminal
	off   bool
	drawn int       // lines of the block on the screen
	rates []float64 // of the last intervals
}

func newBenchView(t *terminal, off bool) *benchView { return &benchView{t: t, off: off} }

// sparkWidth is how many intervals the sparkline shows.
const sparkWidth = 60

func (v *benchView) see(record any) {
	if v.off {
		return
	}
	switch r := record.(type) {
	case *bench.Event:
		v.erase()
		v.t.notef("%s", r.Text)
	case *bench.Interval:
		if r.Duration < 100*time.Millisecond {
			return
		}
		if v.t.errTTY {
			v.draw(r)
		} else {
			v.t.raw(plainInterval(r))
		}
	}
}

func perSecond(n int64, d time.Duration) float64 { return float64(n) / d.Seconds() }

// plainInterval is one line for logs and pipes.
func plainInterval(i *bench.Interval) string {
	s := fmt.Sprintf("%7.1fs %-7s conn %d  sent %.0f/s  recv %.0f/s", (i.At + i.Duration).Seconds(), i.Stage,
		i.Gauges.Connections, perSecond(i.Counters.Sent, i.Duration), perSecond(i.Counters.Received, i.Duration))
	if n := i.Counters.Operations; n > 0 {
		s += fmt.Sprintf("  op %.0f/s", perSecond(n, i.Duration))
	}
	if name, h := mainLatency(i); h != nil {
		s += fmt.Sprintf("  %s p50 %s p99 %s max %s", name, short(h.Quantile(.5)), short(h.Quantile(.99)), short(h.Quantile(1)))
	}
	if i.Gauges.Behind > 0 {
		s += fmt.Sprintf("  behind %d", i.Gauges.Behind)
	}
	if len(i.Limited) > 0 {
		s += "  client-limited: " + strings.Join(i.Limited, ",")
	}
	return s
}

// mainLatency is the phase that says most.
func mainLatency(i *bench.Interval) (string, *bench.Histogram) {
	for _, name := range []string{"e2e", "op", "pubcomp", "puback", "connack"} {
		if h := i.Latency[name]; h != nil {
			return name, h
		}
	}
	return "", nil
}

func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func (v *benchView) draw(i *bench.Interval) {
	rate := max(perSecond(i.Counters.Received, i.Duration), perSecond(i.Counters.Sent, i.Duration), perSecond(i.Counters.Operations, i.Duration), perSecond(i.Counters.Connects, i.Duration))
	if v.rates = append(v.rates, rate); len(v.rates) > sparkWidth {
		v.rates = v.rates[1:]
	}
	lines := []string{
		fmt.Sprintf("%-8s %.1fs   connections %d   in flight %d   behind %d", i.Stage, (i.At + i.Duration).Seconds(), i.Gauges.Connections, i.Gauges.Inflight, i.Gauges.Behind),
		fmt.Sprintf("sent %.0f/s   received %.0f/s   operations %.0f/s", perSecond(i.Counters.Sent, i.Duration), perSecond(i.Counters.Received, i.Duration), perSecond(i.Counters.Operations, i.Duration)),
	}
	if name, h := mainLatency(i); h != nil {
		lines = append(lines, fmt.Sprintf("%s   p50 %s   p99 %s   p99.9 %s   max %s", name, short(h.Quantile(.5)), short(h.Quantile(.99)), short(h.Quantile(.999)), short(h.Quantile(1))))
	}
	lines = append(lines, paint(v.t.colorErr, color.FgCyan, sparkline(v.rates)))
	if len(i.Limited) > 0 {
		lines = append(lines, paint(v.t.colorErr, color.FgYellow, "client-limited: "+strings.Join(i.Limited, ", ")))
	}
	v.erase()
	v.t.raw(strings.Join(lines, "\n"))
	v.drawn = len(lines)
}

// erase takes the block off the screen.
func (v *benchView) erase() {
	if v.drawn > 0 {
		v.t.mu.Lock()
		fmt.Fprintf(v.t.err, "\x1b[%dA\x1b[J", v.drawn)
		v.t.mu.Unlock()
		v.drawn = 0
	}
}

func (v *benchView) end() { v.erase() }

// sparkline draws values as bars from nothing to the greatest.
func sparkline(values []float64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 {
			i = int(v / most * float64(len(bars)-1))
		}
		b.WriteRune(bars[i])
	}
	return b.String()
}

func moodColor(on bool, m bench.Mood, s string) string {
	switch m {
	case bench.Good:
		return paint(on, color.FgGreen, s)
	case bench.Bad:
		return paint(on, color.FgRed, s)
	case bench.Dim:
		return paint(on, color.Faint, s)
	}
	return s
}
