//go:build linux

// Command brokers measures iotctl's broker against mosquitto's: processor time
// per delivered message, messages per second, latency, memory of idle
// connections, connections per second. Both get the same load from the same
// generator, `iotctl bench`, in turns, so that what disturbs the machine
// disturbs both; what counts are the ratios, and for each there is a bar.
//
//	go run ./internal/bench/brokers
//
// Messages are counted where they arrive. The loop is closed by arrivals: each
// publisher has at most a window of messages on its way, so that no broker has a
// reason to drop any, and what is lost all the same is counted. Every run has a
// broker that was started for it. Neither keeps anything on disk, neither logs,
// and both allow the same window. Our limit of connections per second, which is
// there against floods, is off; mosquitto has none.
//
// The exit code is 0 when every bar was met, 99 when one was missed, 1 when
// something could not be measured. Linux only: it reads /proc.
//
// Left out: TLS, WebSocket, large messages, anything on disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/child"
)

const (
	exitFailed    = 1
	exitThreshold = 99 // as iotctl bench
)

func main() {
	var o options
	flag.StringVar(&o.iotctl, "iotctl", "", "the `program` to measure, and to measure with; built from this module by default")
	flag.StringVar(&o.mosquitto, "mosquitto", "", "the `program` to compare with (default: the installed one)")
	flag.StringVar(&o.only, "only", "", "measure what has one of these comma separated `names` only")
	flag.IntVar(&o.rounds, "rounds", 5, "pairs of runs for each line")
	flag.DurationVar(&o.run, "run", 3*time.Second, "how long one run measures")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "and how long it runs before that")
	flag.IntVar(&o.window, "window", 100, "messages that a publisher may have on its way")
	flag.IntVar(&o.idle, "idle", 15_000, "idle connections")
	flag.DurationVar(&o.settle, "settle", 15*time.Second, "how long idle connections are left alone before memory is read")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	met, err := o.compare(ctx, os.Stdout)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "brokers:", err)
		os.Exit(exitFailed)
	case !met:
		os.Exit(exitThreshold)
	}
}

type options struct {
	iotctl, mosquitto, only string
	rounds, window, idle    int
	run, warmup, settle     time.Duration
}

// compare prints a line per figure as soon as it is known.
func (o *options) compare(ctx context.Context, out io.Writer) (met bool, err error) {
	if err := o.findMosquitto(); err != nil {
		return false, err
	}
	if o.rounds < 1 || o.window < 10 || o.idle < 1 {
		return false, errors.New("there must be at least one round, one connection and a window of ten")
	}
	dir, err := os.MkdirTemp("", "brokers")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.iotctl, err = child.Program(ctx, o.iotctl, dir); err != nil {
		return false, err
	}
	t := table{out: out}
	files, err := child.RaiseFiles()
	if err != nil {
		return false, err
	}
	if most := files - spareFiles; o.idle > most {
		t.notes = append(t.notes, fmt.Sprintf("%d idle connections instead of %d: this machine allows %d open files (ulimit -Hn)", most, o.idle, files))
		o.idle = most
	}
	t.head(version(ctx, o.mosquitto), o)
	for _, l := range o.loads() {
		if !o.wants(l.name) {
			continue
		}
		p, err := o.pairs(ctx, l, dir)
		if err != nil {
			return false, fmt.Errorf("%s: %w", l.name, err)
		}
		t.load(l, p)
	}
	return t.end()
}

// findMosquitto also looks where it is not on everybody's path.
func (o *options) findMosquitto() error {
	if o.mosquitto != "" {
		return nil
	}
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			o.mosquitto = path
			return nil
		}
	}
	return errors.New("mosquitto is needed to compare with (Debian: apt install mosquitto)")
}

// wants tells whether -only leaves a load in.
func (o *options) wants(name string) bool {
	for want := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(name, strings.TrimSpace(want)) {
			return true
		}
	}
	return false
}
