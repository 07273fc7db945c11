// Command mqttsn measures what the gateway for MQTT-SN promises.
//
//	go run ./internal/bench/mqttsn
//
// A broker of its own process is started for each line, with settings of its own and
// a store as the line says. Clients sit behind forwarders, thousands to a socket, so
// that a process can have a hundred thousand of them; to the gateway each is a path
// of its own.
//
// "asleep" is the resident memory of the broker, VmRSS, while all clients are asleep,
// each with a subscription, some seconds after the last has fallen asleep; pages of
// the program count. "wake" has each client sent a message at QoS 1, and then all
// wake, evenly within a second: how many were served, how long it took from the first
// PINGREQ on until the last PINGRESP, and what had to be sent again. "publish" is
// messages at QoS 0 of 64 bytes on their way to one MQTT subscriber: how many arrived
// of those that were sent, and the CPU of both sides.
//
// Load and broker share the machine, which should have nothing else to do. It ends
// with an error when a bar was missed. Linux alone tells what a process uses.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/child"
)

func main() {
	o := options{}
	flag.StringVar(&o.iotctl, "iotctl", "", "the `program` to measure; built from this module by default")
	flag.IntVar(&o.clients, "clients", 100_000, "how many sleep")
	flag.Float64Var(&o.rate, "rate", 100_000, "messages per second")
	flag.IntVar(&o.publishers, "publishers", 1000, "how many publish")
	flag.DurationVar(&o.settle, "settle", 15*time.Second, "how long they sleep before the memory is read")
	flag.DurationVar(&o.run, "run", 10*time.Second, "how long is published")
	flag.Parse()
	child.Main("mqttsn", o.measure)
}

type options struct {
	iotctl              string
	clients, publishers int
	rate                float64
	settle, run         time.Duration
}

// Bars.
const (
	mostResident = 200e6 // bytes, of 100,000 clients that sleep
	leastArrived = 0.999 // of what was published
)

var errMissed = errors.New("a bar was missed")

// measure prints the table.
func (o options) measure(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "mqttsn")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.iotctl, err = child.Program(ctx, o.iotctl, dir); err != nil {
		return err
	}
	missed := false
	line := func(name string, met bool, format string, a ...any) {
		verdict := "met"
		if !met {
			verdict, missed = "MISSED", true
		}
		fmt.Fprintf(out, "%-20s %-6s  %s\n", name, verdict, fmt.Sprintf(format, a...))
	}
	for _, store := range []struct {
		name string
		args []string
	}{
		{"--ephemeral", []string{"--ephemeral"}},
		{"--data", []string{"--data", filepath.Join(dir, "data")}},
	} {
		r, err := o.sleep(ctx, store.args)
		if err != nil {
			return fmt.Errorf("sleep, %s: %w", store.name, err)
		}
		line("asleep, "+store.name, float64(r.resident) <= mostResident, "%d clients: %.1f MB resident, %.1f MB before the first; %.0f connected per second",
			o.clients, float64(r.resident)/1e6, float64(r.before)/1e6, r.final.Values["connect.rate"])
		sum, n := r.final.Account.Sum(), &r.final.Total
		line("wake, "+store.name, n.Operations == int64(o.clients) && sum.Lost == 0,
			"%d of %d served, %d messages lost, %d twice; last PINGRESP after %.2f s, p99 %v; %.0f datagrams repeated; CPU of the broker %.2f s, of the load %.2f s",
			n.Operations, o.clients, sum.Lost, sum.Duplicated, r.final.Values["mqttsn.wake_seconds"], r.wait.Round(time.Millisecond),
			r.final.Values["mqttsn.repeated"], r.final.Watch.CPU.Seconds(), r.final.Self.CPU.Seconds())
	}
	f, err := o.publish(ctx)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	sum := f.Account.Sum()
	share := float64(sum.Received) / float64(max(sum.Expected, 1))
	per := func(cpu time.Duration) float64 { return float64(cpu) / 1e3 / float64(max(sum.Received, 1)) }
	line("publish, QoS 0", share >= leastArrived, "%.0f sent and %.0f arrived per second, %d of %d lost; CPU of the broker %.2f µs per message, of the load %.2f µs",
		f.PerSecond(f.Counters.Sent), f.PerSecond(f.Counters.Received), sum.Lost, sum.Expected, per(f.Watch.CPU), per(f.Self.CPU))
	if missed {
		return errMissed
	}
	return nil
}

// slept is what came of clients that sleep.
type slept struct {
	before, resident int64 // bytes of the broker: without clients, and with all asleep
	wait             time.Duration
	final            *bench.Final
}

// sleep has clients sleep and wake.
func (o options) sleep(ctx context.Context, store []string) (slept, error) {
	b, err := startBroker(o.iotctl, store...)
	if err != nil {
		return slept{}, err
	}
	var r slept
	_, r.before = bench.Watched(b.pid())
	fed := false
	r.final, err = b.load(ctx, bench.Options{
		Spec: bench.MQTTSNSleep(),
		Plan: bench.Plan{
			Clients: o.clients, QoS: -1, SubQoS: -1, Sampling: min(time.Second, max(o.settle/4, 10*time.Millisecond)),
			Options: map[string]float64{"mqttsn-sleep.rest": o.settle.Seconds()},
		},
		Watch: func(record any) {
			i, ok := record.(*bench.Interval)
			if !ok || i.Stage != bench.StageMeasure || i.Watch == nil {
				return
			}
			if fed = fed || i.Counters.Sent > 0; !fed {
				r.resident = i.Watch.RSS
			}
		},
	})
	if err == nil && r.resident == 0 {
		err = errors.New("nobody has looked at the memory: it took less than an interval")
	}
	if err == nil {
		r.wait = r.final.Latency["op"].Quantile(.99)
	}
	return r, cmp.Or(err, b.stop())
}

// publish has clients publish.
func (o options) publish(ctx context.Context) (*bench.Final, error) {
	b, err := startBroker(o.iotctl, "--ephemeral")
	if err != nil {
		return nil, err
	}
	f, err := b.load(ctx, bench.Options{
		Spec: bench.MQTTSNPub(),
		Plan: bench.Plan{Publishers: o.publishers, SubQoS: -1, Rate: o.rate, Duration: o.run},
	})
	return f, cmp.Or(err, b.stop())
}
