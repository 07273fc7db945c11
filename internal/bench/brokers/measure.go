//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// load is one kind of run.
type load struct {
	name    string
	args    []string // of iotctl bench
	figures []figure
}

// sample is one run.
type sample struct {
	*bench.Final
	environment bench.Environment
	publishes   bool
	limits      []string // why the generator was the limit in intervals, if it was
	before      int64    // resident bytes of the broker without connections
	others      float64  // processors that neither the broker nor the generator had
}

// figure is a line of the table.
type figure struct {
	name, unit string
	digits     int // behind the point
	of         func(sample) float64
	bar        bar
}

// loads are what the table consists of.
func (o *options) loads() []load {
	timed := []string{"--duration", o.run.String(), "--warmup", o.warmup.String()}
	closed := func(scenario string, qos, window int, more ...string) []string {
		args := append([]string{scenario, "-q", strconv.Itoa(qos), "--closed", "-F", strconv.Itoa(window)}, timed...)
		return append(args, more...)
	}
	held := func(name string, cpu, least bar, args []string) load {
		return load{name, args, []figure{
			{"broker's CPU per delivered message", "µs", 2, cpuPerMessage, cpu},
			{"delivered per second", "", 0, rate, least},
		}}
	}
	messages := func(name string, most float64, args []string) load {
		return held(name, atMost(most), atLeast(2.5), args)
	}
	return []load{
		messages("pair, QoS 0", 0.25, closed("pair", 0, o.window, "-c", "10")),
		messages("pair, QoS 1", 0.2, closed("pair", 1, o.window, "-c", "10")),
		messages("pair, QoS 2", 0.3, closed("pair", 2, o.window, "-c", "10")),
		messages("fan-out, QoS 0", 0.3, closed("fanout", 0, o.window, "-c", "100")),
		messages("fan-in, QoS 0", 0.2, closed("fanin", 0, o.window, "-c", "100")),
		// Writes of few messages each: what it costs to be called often.
		held("fan-in, window/10", none(), none(), closed("fanin", 0, o.window/10, "-c", "100")),
		{
			"latency, QoS 1", append([]string{"latency", "-q", "1", "-c", "20", "--rate", "5000", "-F", strconv.Itoa(o.window)}, timed...),
			[]figure{
				{"p50", "ms", 3, latency(.5), none()},
				{"p99", "ms", 3, latency(.99), atMost(1)},
			},
		},
		{
			"idle connections",
			[]string{
				"conn", "-c", strconv.Itoa(o.idle), "--set", "conn.subscribe=1", "--duration", o.settle.String(),
				"--sample", (o.settle / 10).String(),
			},
			[]figure{
				{"resident per connection", "KB", 2, residentPerConnection, oursAtMost(4.5)},
				{"connections per second", "", 0, connectRate, atLeast(1)},
			},
		},
	}
}

func cpuPerMessage(s sample) float64 {
	return float64(s.Watch.CPU) / 1e3 / float64(s.Counters.Received)
}

func rate(s sample) float64 { return s.PerSecond(s.Counters.Received) }

func latency(q float64) func(sample) float64 {
	return func(s sample) float64 {
		return float64(s.Latency[bench.PhaseE2E.String()].Quantile(q)) / 1e6
	}
}

func residentPerConnection(s sample) float64 {
	return float64(s.Watch.RSS-s.before) / 1000 / float64(s.Total.Connects)
}

func connectRate(s sample) float64 { return s.Values["connect.rate"] }

// pairs runs a load with both brokers in turns. Who begins alternates.
func (o *options) pairs(ctx context.Context, l load, dir string) (p pairs, err error) {
	for i := range o.rounds {
		for turn := range 2 {
			who := contender((i + turn) % 2)
			s, err := o.measure(ctx, who, l, dir)
			if err != nil {
				return p, fmt.Errorf("with %s: %w", who, err)
			}
			p[who] = append(p[who], s)
		}
	}
	return p, nil
}

// measure does one run.
func (o *options) measure(ctx context.Context, who contender, l load, dir string) (s sample, err error) {
	begun, busy := time.Now(), machineBusy()
	b, err := o.start(who, dir)
	if err != nil {
		return s, err
	}
	var cmd *exec.Cmd
	defer func() {
		err = errors.Join(err, b.stop())
		if err == nil {
			rest := machineBusy() - busy - used(b.cmd) - used(cmd)
			s.others = max(rest.Seconds()/time.Since(begun).Seconds(), 0)
		}
	}()
	if s.before, err = b.resident(); err != nil {
		return s, err
	}
	record := filepath.Join(dir, "run.res")
	args := append([]string{"bench"}, l.args[0], "mqtt://"+b.addr)
	args = append(args, l.args[1:]...)
	args = append(args, "--quiet", "--watch-pid", strconv.Itoa(b.cmd.Process.Pid), "-o", record)
	cmd = exec.CommandContext(ctx, o.iotctl, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	// Its exit code also tells of losses, which are in the record.
	ran := cmd.Run()
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	f, err := os.Open(record)
	if err != nil {
		return s, errors.Join(ran, errors.New(complaints.String()))
	}
	defer func() { _ = f.Close() }()
	r, err := bench.ReadResult(f)
	if err != nil {
		return s, err
	}
	if s.Final = r.Final; s.Final == nil || s.Ended != "complete" || s.Watch == nil {
		return s, errors.Join(ran, errors.New(complaints.String()))
	}
	s.environment, s.publishes = r.Header.Environment, r.Header.Plan.Publishers > 0
	for _, i := range r.Intervals {
		if i.Stage == bench.StageMeasure {
			s.limits = append(s.limits, i.Limited...)
		}
	}
	if err := s.usable(); err != nil {
		return s, err
	}
	return s, os.Remove(record)
}

// usable tells what a run lacks for its figures to mean anything.
func (s sample) usable() error {
	switch p := s.Total; {
	case p.ConnectFails > p.Connects/10: // fewer are a remark
		return fmt.Errorf("%d connections failed", p.ConnectFails)
	case p.Disconnects > 0:
		return fmt.Errorf("%d connections were lost", p.Disconnects)
	case p.SubscribeFail > 0:
		return fmt.Errorf("%d subscriptions were refused", p.SubscribeFail)
	case s.publishes && s.Counters.Received == 0:
		return errors.New("nothing has arrived")
	}
	return nil
}

// used is the processor time of a program that has ended.
func used(c *exec.Cmd) time.Duration { return c.ProcessState.UserTime() + c.ProcessState.SystemTime() }

// machineBusy is for how long the processors have been anything but idle, all
// together, in steps of 10 ms.
func machineBusy() (busy time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, _ := strconv.ParseInt(f, 10, 64)
		if i < 8 && i != 3 && i != 4 { // idle, waiting for a disk; from 8 on guests, which are part of user time
			busy += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return busy
}
