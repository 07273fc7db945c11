// Command growth prints what the broker's work costs as there is more of it:
// matching against more filters, delivering to more subscribers, memory of more
// subscriptions. The points of the curves are the benchmarks called Growth in
// internal/router and internal/broker; each is the median of several runs.
//
//	go run ./internal/bench/growth
//
// Run it within the module. What it prints is Markdown, as in
// internal/bench/RESULTS.md.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/bench"
)

func main() {
	runs := flag.Int("runs", 5, "runs of which each point is the median")
	long := flag.String("benchtime", "300ms", "how `long` each takes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := growth(ctx, os.Stdout, *runs, *long)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

// curve is one chart.
type curve struct {
	title     string
	benchmark string // up to the number
	unit      string
}

var curves = []curve{
	{"Match one topic, filters without wildcards", "GrowthMatch/fanout=1/filters=", "ns/op"},
	{"Match one topic, filters with + and #", "GrowthMatch/fanout=1,wild/filters=", "ns/op"},
	{"Deliver a message at QoS 0, per subscriber", "GrowthDelivery/qos=0/subscribers=", "ns/delivery"},
	{"Deliver a message at QoS 1, acknowledgement included, per subscriber", "GrowthDelivery/qos=1/subscribers=", "ns/delivery"},
	{"Memory of the router, per subscription, without the filter", "GrowthMemory/filters=", "B/sub"},
	{"Memory of the broker, per subscription, with the filter", "GrowthSubscriptions/subs=", "B/sub"},
	{"Subscribe in the broker, per subscription", "GrowthSubscriptions/subs=", "ns/sub"},
}

func growth(ctx context.Context, out io.Writer, runs int, long string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Growth", "-benchtime", long, "-count", strconv.Itoa(runs), "-timeout", "1h",
		"github.com/iotctl/iotctl/internal/router", "github.com/iotctl/iotctl/internal/broker")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return errors.Join(err, errors.New(string(text)))
	}
	points, err := parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	e := bench.ReadEnvironment("")
	fmt.Fprintf(out, "%s, %d processors, %.0f GiB, %s %s, %s; medians of %d runs of %s\n", e.CPU, e.CPUs, float64(e.Memory)/(1<<30), e.OS, e.Kernel, e.Go, runs, long)
	for _, c := range curves {
		if err := c.draw(out, points); err != nil {
			return err
		}
	}
	return nil
}

// result is a line of a benchmark: Name-cores, iterations, and values with
// their units.
var result = regexp.MustCompile(`^Benchmark(\S+?)(-\d+)?\s+\d+\s+(.*)$`)

// parse collects the values of each benchmark by name and unit.
func parse(r io.Reader) (map[string]map[string][]float64, error) {
	points := map[string]map[string][]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		m := result.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		fields := strings.Fields(m[3])
		for i := 0; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", lines.Text(), err)
			}
			if points[m[1]] == nil {
				points[m[1]] = map[string][]float64{}
			}
			points[m[1]][fields[i+1]] = append(points[m[1]][fields[i+1]], v)
		}
	}
	return points, lines.Err()
}

// barWidth is the length of the longest bar.
const barWidth = 40

// draw prints a curve: a line per point, its bar from nothing to the greatest.
func (c curve) draw(out io.Writer, points map[string]map[string][]float64) error {
	type point struct {
		x        int
		y        float64
		low, top float64
	}
	var all []point
	greatest := 0.0
	for name, values := range points {
		text, ok := strings.CutPrefix(name, c.benchmark)
		if !ok || len(values[c.unit]) == 0 {
			continue
		}
		x, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v := slices.Sorted(slices.Values(values[c.unit]))
		p := point{x, v[len(v)/2], v[0], v[len(v)-1]}
		all = append(all, p)
		greatest = max(greatest, p.y)
	}
	if len(all) == 0 {
		return fmt.Errorf("no benchmark %s… with %s", c.benchmark, c.unit)
	}
	slices.SortFunc(all, func(a, b point) int { return a.x - b.x })
	axis := c.benchmark[strings.LastIndexByte(c.benchmark, '/')+1 : len(c.benchmark)-1]
	if _, err := fmt.Fprintf(out, "\n**%s**\n\n```\n%11s %12s   %s\n", c.title, axis, c.unit, "smallest to greatest"); err != nil {
		return err
	}
	for _, p := range all {
		bar := strings.Repeat("█", max(int(p.y/greatest*barWidth+0.5), 1))
		if _, err := fmt.Fprintf(out, "%11d %12.1f   %8.1f to %-10.1f %s\n", p.x, p.y, p.low, p.top, bar); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, "```")
	return err
}
