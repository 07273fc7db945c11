//go:build linux

// Command proxy measures what a proxy costs beside a direct connection, and beside
// HAProxy in TCP mode.
//
//	go run ./internal/bench/proxy
//
// Broker, proxy and load are processes of their own on this machine, which should have
// nothing else to do. Every load runs the same way four times a round: directly to the
// broker, through HAProxy, and through ours, transparent and aware of MQTT. The rounds
// are repeated, and each figure is the median of them.
//
// "rate" is 20 pairs of a publisher and a subscriber, QoS 1, 64 bytes, at a fixed rate
// that leaves the machine idle at times: latency from the intended time of sending to
// arrival, and what a proxy adds to its median and 99th percentile. "most" is the same
// pairs as fast as their windows allow. "large" is messages of 64 KB in 4 pairs. CPU is
// the user and system time of the proxy's process from /proc, per message that has
// arrived: it has passed the proxy twice. "idle" is connected clients that say nothing:
// resident memory of the proxy, less that before the first, per client.
//
// Bars: transparent takes no more CPU per message than HAProxy, aware no more than
// twice as much, and an idle client costs at most 12 KB. It ends with an error when one
// was missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/child"
)

func main() {
	o := options{}
	flag.StringVar(&o.iotctl, "iotctl", "", "the `program` to measure; built from this module by default")
	flag.StringVar(&o.haproxy, "haproxy", "haproxy", "the other `program`")
	flag.Float64Var(&o.rate, "rate", 4000, "messages per second of the load with a rate")
	flag.IntVar(&o.idle, "idle", 10_000, "how many clients say nothing; 0 leaves it out")
	flag.DurationVar(&o.settle, "settle", 10*time.Second, "how long they do before the memory is read")
	flag.DurationVar(&o.run, "run", 5*time.Second, "how long each load takes")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is repeated")
	flag.StringVar(&o.only, "only", "", "only this load: rate, most, large or idle")
	flag.Parse()
	child.Main("proxy", o.measure)
}

type options struct {
	iotctl, haproxy string
	rate            float64
	idle, rounds    int
	settle, run     time.Duration
	only            string
}

// Bars.
const (
	mostTransparent = 1.0 // of HAProxy's CPU per message
	mostAware       = 2.0
	mostIdle        = 12 << 10 // bytes per client
)

var errMissed = errors.New("a bar was missed")

// load is one kind of work.
type load struct {
	name string
	plan bench.Plan
}

func (o *options) loads() []load {
	return []load{
		{"rate", bench.Plan{Publishers: 20, QoS: 1, SubQoS: 1, Rate: o.rate, Warmup: o.run / 5, Duration: o.run}},
		{"most", bench.Plan{Publishers: 20, QoS: 1, SubQoS: 1, ClosedLoop: true, Window: 20, Warmup: o.run / 5, Duration: o.run}},
		{"large", bench.Plan{Publishers: 4, QoS: 0, SubQoS: 0, Size: 64 << 10, ClosedLoop: true, Window: 8, Warmup: o.run / 5, Duration: o.run}},
	}
}

// figures are of one load by one way.
type figures struct {
	perSecond float64
	cpu       float64 // µs per message
	p50, p99  time.Duration
}

// measure prints the table.
func (o *options) measure(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := o.prepare(ctx, dir, out); err != nil {
		return err
	}
	t := table{out: out}
	for _, l := range o.loads() {
		if o.only != "" && o.only != l.name {
			continue
		}
		all := map[way][]figures{}
		for range max(o.rounds, 1) {
			for _, w := range ways {
				f, err := o.once(ctx, dir, w, l.plan)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.name, w, err)
				}
				all[w] = append(all[w], f)
			}
		}
		t.load(l.name, all)
	}
	if o.idle > 0 && (o.only == "" || o.only == "idle") {
		if err := o.measureIdle(ctx, dir, &t); err != nil {
			return err
		}
	}
	if t.missed {
		return errMissed
	}
	return nil
}

// prepare builds the program and says what is compared.
func (o *options) prepare(ctx context.Context, dir string, out io.Writer) error {
	files, err := child.RaiseFiles()
	if err != nil {
		return err
	}
	if o.iotctl, err = child.Program(ctx, o.iotctl, dir); err != nil {
		return err
	}
	text, err := exec.CommandContext(ctx, o.haproxy, "-v").Output()
	if err != nil {
		return fmt.Errorf("%w; it is in the package haproxy", err)
	}
	version, _, _ := strings.Cut(string(text), "\n")
	fmt.Fprintln(out, version)
	const spare = 100
	if most := (files - spare) / 2; o.idle > most { // a proxy has two sockets for each client
		fmt.Fprintf(out, "%d idle clients instead of %d: a process may have %d open files here (ulimit -Hn)\n", most, o.idle, files)
		o.idle = most
	}
	return nil
}

// once runs one load by one way.
func (o *options) once(ctx context.Context, dir string, w way, plan bench.Plan) (figures, error) {
	s, err := o.start(dir, w)
	if err != nil {
		return figures{}, errors.Join(err, s.stop())
	}
	plan.WatchPID = s.watched()
	f, err := bench.Run(ctx, bench.Options{Spec: bench.Pair(), Endpoint: s.entry, Plan: plan})
	if err == nil && f.Ended != "complete" {
		err = errors.New(f.Ended)
	}
	if err := errors.Join(err, s.stop()); err != nil {
		return figures{}, err
	}
	r := figures{perSecond: f.PerSecond(f.Counters.Received)}
	if n := f.Counters.Received; n > 0 && f.Watch != nil {
		r.cpu = float64(f.Watch.CPU) / 1e3 / float64(n)
	}
	if e2e := f.Latency["e2e"]; e2e != nil { // nil: nothing has arrived in so short a time
		r.p50, r.p99 = e2e.Quantile(.5), e2e.Quantile(.99)
	}
	return r, nil
}

// table prints figures and judges them.
type table struct {
	out    io.Writer
	missed bool
}

// load prints the medians of a load.
func (t *table) load(name string, all map[way][]figures) {
	mid := map[way]figures{}
	for w, runs := range all {
		mid[w] = figures{
			median(runs, func(f figures) float64 { return f.perSecond }),
			median(runs, func(f figures) float64 { return f.cpu }),
			median(runs, func(f figures) time.Duration { return f.p50 }),
			median(runs, func(f figures) time.Duration { return f.p99 }),
		}
	}
	for _, w := range ways {
		f, base := mid[w], mid[direct]
		text := fmt.Sprintf("%8.0f messages/s; p50 %v, p99 %v", f.perSecond, round(f.p50), round(f.p99))
		if w != direct {
			text += fmt.Sprintf(" (added %v, %v); CPU %.1f µs per message", round(f.p50-base.p50), round(f.p99-base.p99), f.cpu)
		}
		ratio := f.cpu / mid[haproxy].cpu
		switch w {
		case transparent:
			t.bar(name, w, ratio <= mostTransparent, "%s, HAProxy × %.2f, at most %.0f", text, ratio, mostTransparent)
		case aware:
			t.bar(name, w, ratio <= mostAware, "%s, HAProxy × %.2f, at most %.0f", text, ratio, mostAware)
		default:
			fmt.Fprintf(t.out, "%-20s %-6s  %s\n", name+", "+w.String(), "", text)
		}
	}
}

func (t *table) bar(name string, w way, met bool, format string, a ...any) {
	verdict := "met"
	if !met {
		verdict, t.missed = "MISSED", true
	}
	fmt.Fprintf(t.out, "%-20s %-6s  %s\n", name+", "+w.String(), verdict, fmt.Sprintf(format, a...))
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func median[T float64 | time.Duration](runs []figures, of func(figures) T) T {
	var all []T
	for _, f := range runs {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// measureIdle prints the memory of clients that say nothing.
func (o *options) measureIdle(ctx context.Context, dir string, t *table) error {
	for _, w := range ways[1:] {
		s, err := o.start(dir, w)
		if err != nil {
			return errors.Join(err, s.stop())
		}
		_, before := bench.Watched(s.watched())
		var resident int64
		f, err := bench.Run(ctx, bench.Options{
			Spec: bench.Conn(), Endpoint: s.entry,
			Plan: bench.Plan{Clients: o.idle, WatchPID: s.watched(), Duration: o.settle, KeepAlive: 3600},
			Watch: func(record any) {
				if i, ok := record.(*bench.Interval); ok && i.Stage == bench.StageMeasure && i.Watch != nil {
					resident = i.Watch.RSS
				}
			},
		})
		if err == nil && f.Ended != "complete" {
			err = errors.New(f.Ended)
		}
		if err := errors.Join(err, s.stop()); err != nil {
			return fmt.Errorf("idle, %s: %w", w, err)
		}
		each := float64(resident-before) / float64(o.idle)
		text := fmt.Sprintf("%d clients: %.1f KB each, %.1f MB resident, %.1f MB before the first", o.idle, each/1024, float64(resident)/1e6, float64(before)/1e6)
		if w == haproxy {
			fmt.Fprintf(t.out, "%-20s %-6s  %s\n", "idle, "+w.String(), "", text)
			continue
		}
		t.bar("idle", w, each <= mostIdle && resident > 0, "%s; at most %d KB each", text, mostIdle>>10)
	}
	return nil
}
