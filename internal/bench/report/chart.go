package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// A chart is drawn on a square of side units, which the page stretches to the
// room that it has; what must not be stretched, all text, is HTML above it,
// placed by percentages.
const side = 1000.0

// chart is what the page's template draws.
type chart struct {
	Title  string
	Note   string
	Unit   string // of the y axis
	Paths  []path
	Legend []entry
	X, Y   []tick
	Marks  []mark
	Hits   []hit
	Bottom string // what the x axis is
}

// path is a line, or an area where Fill is set. Class is one of the page's.
type path struct {
	D, Class string
	Fill     bool
}

type entry struct{ Class, Name string }

// tick is a label at a share of the axis, in percent.
type tick struct {
	At   float64
	Text string
	Odd  bool // left out where there is little room
}

// mark is a stretch of the x axis, in percent, with a meaning.
type mark struct {
	At, Width   float64
	Class, Text string
}

// Labelled tells whether there is room for the text.
func (m mark) Labelled() bool { return m.Class != "limited" && m.Width >= 7 }

// Narrow tells whether there is not, on a small screen.
func (m mark) Narrow() bool { return m.Width < 22 }

// hit is where a tooltip appears.
type hit struct {
	At, Width float64
	Text      string
}

// axis maps values to shares of the axis.
type axis struct {
	from, to float64
	log      bool
}

func (a axis) share(v float64) float64 {
	f, t := a.from, a.to
	if a.log {
		f, t, v = math.Log10(f), math.Log10(t), math.Log10(max(v, a.from))
	}
	if t <= f {
		return 0
	}
	return min(max((v-f)/(t-f), 0), 1)
}

// round widens the axis to the next round numbers and returns them: 1, 2 and 5
// times a power of ten, on a logarithmic axis the powers themselves.
func (a *axis) round(most int) []float64 {
	if a.log {
		a.from = math.Pow(10, math.Floor(math.Log10(a.from)+1e-9))
		a.to = max(a.to, a.from*1.01)
		top := math.Pow(10, math.Floor(math.Log10(a.to)+1e-9))
		for _, m := range []float64{1, 2, 5, 10} {
			if top*m >= a.to*0.999 {
				a.to = top * m
				break
			}
		}
		var ticks []float64
		factors := []float64{1, 2, 5}
		if a.to/a.from > 1e3 {
			factors = factors[:1]
		}
		for d := a.from; d <= a.to*1.001; d *= 10 {
			for _, m := range factors {
				if d*m <= a.to*1.001 {
					ticks = append(ticks, d*m)
				}
			}
		}
		return ticks
	}
	step := roundStep((a.to - a.from) / float64(most))
	a.to = math.Ceil(a.to/step-1e-9) * step
	var ticks []float64
	for n := 0; a.from+float64(n)*step <= a.to+step/2; n++ {
		ticks = append(ticks, a.from+float64(n)*step)
	}
	return ticks
}

// roundStep is the next of 1, 2 and 5 times a power of ten.
func roundStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*0.999 {
			return m * p
		}
	}
	return 10 * p
}

// point of a series; y is NaN where there is nothing.
type point struct{ x, y float64 }

// line draws the points, with gaps.
func line(x, y axis, points []point) string {
	var b strings.Builder
	pen := "M"
	for n, p := range points {
		if math.IsNaN(p.y) {
			pen = "M"
			continue
		}
		b.WriteString(pen)
		place(&b, x, y, p)
		if pen == "M" && (n+1 == len(points) || math.IsNaN(points[n+1].y)) {
			b.WriteString("m-3 0h6") // a point alone is seen, too
		}
		pen = "L"
	}
	return b.String()
}

// area fills between two series of the same x, with the same gaps.
func area(x, y axis, low, high []point) string {
	var b strings.Builder
	for n := 0; n < len(high); n++ {
		first := n
		for n < len(high) && !math.IsNaN(high[n].y) {
			n++
		}
		if n-first < 2 {
			continue
		}
		pen := "M"
		for _, p := range high[first:n] {
			b.WriteString(pen)
			place(&b, x, y, p)
			pen = "L"
		}
		for i := n - 1; i >= first; i-- {
			b.WriteString("L")
			place(&b, x, y, low[i])
		}
		b.WriteString("Z")
	}
	return b.String()
}

func place(b *strings.Builder, x, y axis, p point) {
	b.WriteString(decimal(x.share(p.x)*side, 1))
	b.WriteByte(' ')
	b.WriteString(decimal((1-y.share(p.y))*side, 1))
}

// yTicks labels round values.
func yTicks(a axis, values []float64, text func(float64) string) []tick {
	var ticks []tick
	for _, v := range values {
		ticks = append(ticks, tick{At: 100 * (1 - a.share(v)), Text: text(v)})
	}
	return ticks
}

// timeline is what all charts over time share.
type timeline struct {
	x         axis
	ticks     []tick
	marks     []mark
	intervals []Interval
}

func newTimeline(r *Run) *timeline {
	// Rates of what is left over between two stages would stand out, and mean
	// nothing.
	t := &timeline{intervals: slices.DeleteFunc(slices.Clone(r.Intervals), func(i Interval) bool {
		return i.Duration < r.Header.Plan.Sampling/10
	})}
	if len(t.intervals) == 0 {
		t.intervals = r.Intervals
	}
	if len(r.Intervals) == 0 {
		return t
	}
	last := &r.Intervals[len(r.Intervals)-1]
	t.x = axis{from: r.Intervals[0].At.Seconds(), to: (last.At + last.Duration).Seconds()}
	step := timeStep((t.x.to - t.x.from) / 10)
	for n := math.Ceil(t.x.from / step); n*step <= t.x.to; n++ {
		d := time.Duration(n * step * float64(time.Second))
		t.ticks = append(t.ticks, tick{At: 100 * t.x.share(n*step), Text: clockText(d), Odd: int(n)%2 != 0})
	}
	t.mark(r.Intervals)
	return t
}

// timeStep is the next step of a clock, in seconds.
func timeStep(s float64) float64 {
	for _, step := range []float64{60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400} {
		switch {
		case s <= 20:
			return max(roundStep(s), 0.001)
		case s <= 30:
			return 30
		case s <= step:
			return step
		}
	}
	return 86400 * math.Ceil(s/86400)
}

func clockText(d time.Duration) string {
	if d < 2*time.Minute {
		return decimal(d.Seconds(), 3) + " s"
	}
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d h", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d:%02d min", s/60, s%60)
}

// mark finds the stages beside the measurement, and the intervals in which the
// generator was the limit.
func (t *timeline) mark(intervals []Interval) {
	t.marks = t.stretch(intervals, func(i *Interval) (class, text string) {
		switch i.Stage {
		case bench.StageConnect, bench.StageWarmup, bench.StageDrain:
			return "stage", string(i.Stage)
		}
		return "", ""
	})
	t.marks = append(t.marks, t.stretch(intervals, func(i *Interval) (class, text string) {
		if len(i.Limited) == 0 {
			return "", ""
		}
		return "limited", "client-limited: " + strings.Join(i.Limited, ", ")
	})...)
}

// stretch makes one mark of each row of intervals that are of the same class
// and text; those of none have no class.
func (t *timeline) stretch(intervals []Interval, of func(i *Interval) (class, text string)) []mark {
	var marks []mark
	var open *mark
	for n := range intervals {
		i := &intervals[n]
		class, text := of(i)
		if class == "" {
			open = nil
			continue
		}
		at := 100 * t.x.share(i.At.Seconds())
		if open == nil || open.Class != class || open.Text != text {
			marks = append(marks, mark{At: at, Class: class, Text: text})
			open = &marks[len(marks)-1]
		}
		open.Width = 100*t.x.share((i.At+i.Duration).Seconds()) - open.At
	}
	return marks
}

// hits are tooltips, one for each interval, that begin with its time.
func (t *timeline) hits(text func(i *Interval) string) []hit {
	var all []hit
	for n := range t.intervals {
		i := &t.intervals[n]
		body := text(i)
		if body == "" {
			continue
		}
		at := 100 * t.x.share(i.At.Seconds())
		head := fmt.Sprintf("%s – %s", clockText(i.At.Round(time.Millisecond)), clockText((i.At + i.Duration).Round(time.Millisecond)))
		if i.Stage != "" {
			head += ", " + string(i.Stage)
		}
		if i.Step > 0 {
			head += " step " + strconv.Itoa(i.Step)
		}
		if len(i.Limited) > 0 {
			body += "\nclient-limited: " + strings.Join(i.Limited, ", ")
		}
		all = append(all, hit{At: at, Width: 100*t.x.share((i.At+i.Duration).Seconds()) - at, Text: head + "\n" + body})
	}
	return all
}

// series has a value for the middle of each interval.
func (t *timeline) series(value func(i *Interval) float64) []point {
	points := make([]point, len(t.intervals))
	for n := range t.intervals {
		i := &t.intervals[n]
		points[n] = point{(i.At + i.Duration/2).Seconds(), value(i)}
	}
	return points
}

// chart begins one.
func (t *timeline) chart(title string) chart {
	c := chart{Title: title, X: t.ticks, Marks: t.marks, Bottom: "since the start"}
	if slices.ContainsFunc(t.marks, func(m mark) bool { return m.Class == "limited" }) {
		c.Legend = []entry{{"limited", "the generator was the limit"}}
	}
	return c
}
