// Command durable measures what it costs that nothing acknowledged is lost.
//
//	go run ./internal/bench/durable
//
// Every publisher has one subscriber with a session that outlives its
// connection, and keeps a window of QoS 1 messages of 200 bytes open. The rate
// counts PUBACKs of a broker that syncs before it acknowledges; the latency is
// from the write of a message to its PUBACK, the wait behind the rest of the
// window included. "online" has the subscribers connected, and they have
// received everything when a run ends; "offline" has them away. "clean" is the
// price that sessions without a tomorrow pay for a disk next to them: the rate
// with it through the rate with --ephemeral, in turns. Bytes are what the
// broker's process has given to the disk, by its account in /proc.
//
// Load and broker share the machine: what counts elsewhere are the ratios.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/child"
)

func main() {
	o := options{}
	flag.StringVar(&o.iotctl, "iotctl", "", "the `program` to measure; built from this module by default")
	flag.StringVar(&o.dir, "dir", "", "where the data goes: a `directory` on the disk to measure; a temporary one by default")
	flag.IntVar(&o.publishers, "publishers", 64, "how many publish, each to a subscriber of its own")
	flag.IntVar(&o.window, "window", 16, "how many messages of a publisher are open")
	flag.IntVar(&o.rounds, "rounds", 5, "pairs of runs for the clean sessions, runs for the others")
	flag.DurationVar(&o.run, "run", 3*time.Second, "how long a run takes")
	flag.Parse()
	child.Main("durable", o.measure)
}

type options struct {
	iotctl, dir                string
	publishers, window, rounds int
	run                        time.Duration
}

// measure prints the table.
func (o options) measure(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "durable")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.iotctl, err = child.Program(ctx, o.iotctl, dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-22s %10s %10s %10s %14s\n", "", "msgs/s", "p50", "p99", "bytes/message")
	for _, kind := range []sessions{online, offline} {
		if err := o.durable(ctx, out, dir, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return o.clean(ctx, out, dir)
}

// durable prints the median run with sessions of that kind.
func (o options) durable(ctx context.Context, out io.Writer, dir string, kind sessions) error {
	var all []result
	for i := range o.rounds {
		data := filepath.Join(dir, fmt.Sprint(kind, i))
		r, err := o.once(ctx, dir, kind, "--data", data)
		if err != nil {
			return err
		}
		_ = os.RemoveAll(data)
		all = append(all, r)
	}
	m := median(all)
	fmt.Fprintf(out, "%-22s %10.0f %10s %10s %14.0f\n", fmt.Sprintf("durable, %s", kind), m.rate, short(m.p50), short(m.p99), m.bytes)
	return nil
}

// clean prints what clean sessions reach with a disk and without one, and the
// median of the ratios.
func (o options) clean(ctx context.Context, out io.Writer, dir string) error {
	var with, without []result
	var ratios []float64
	for i := range o.rounds {
		a, err := o.once(ctx, dir, clean, "--data", filepath.Join(dir, fmt.Sprint("clean", i)))
		if err != nil {
			return err
		}
		b, err := o.once(ctx, dir, clean, "--ephemeral")
		if err != nil {
			return err
		}
		with, without, ratios = append(with, a), append(without, b), append(ratios, a.rate/b.rate)
	}
	slices.Sort(ratios)
	for _, l := range []struct {
		name string
		r    result
	}{{"clean, --data", median(with)}, {"clean, --ephemeral", median(without)}} {
		fmt.Fprintf(out, "%-22s %10.0f %10s %10s %14.0f\n", l.name, l.r.rate, short(l.r.p50), short(l.r.p99), l.r.bytes)
	}
	fmt.Fprintf(out, "%-22s %10.3f   %.3f to %.3f\n", "ratio of the pairs", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	return nil
}

// once starts a broker for one run.
func (o options) once(ctx context.Context, dir string, kind sessions, args ...string) (result, error) {
	b, err := startBroker(o.iotctl, dir, args...)
	if err != nil {
		return result{}, err
	}
	r, err := o.load(ctx, b, kind)
	return r, cmp.Or(err, b.stop())
}

// result is what one run gave.
type result struct {
	rate     float64 // PUBACKs per second
	p50, p99 time.Duration
	bytes    float64 // written to the disk per message
}

// median of the rate, whole.
func median(all []result) result {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.rate, b.rate) })
	return all[len(all)/2]
}

func short(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
