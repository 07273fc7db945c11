// Command compare measures iotctl's clients against mosquitto's: pub -l and
// sub in messages per second, a one-shot pub in time from start to exit. Both
// talk to the same broker in the same run, in turns, so that what disturbs the
// machine disturbs both; what counts are the ratios.
//
//	go run ./internal/bench/compare
//
// Messages are counted where they arrive. A publisher's rate is what our own
// subscriber receives of its lines, divided by the time from the start of the
// process to the last of them: what a publisher claims to have sent does not
// count. A subscriber's rate is what it prints, while our own publisher sends
// no more than a window ahead of that, so that the broker has no reason to
// drop anything.
//
// Left out: several clients at a time, large messages, latency.
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

	"github.com/iotctl/iotctl/internal/child"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func main() {
	var o options
	flag.StringVar(&o.iotctl, "iotctl", "", "the `program` to measure; built from this module by default")
	flag.StringVar(&o.brokers, "brokers", "mosquitto,iotctl", "the brokers to measure with")
	flag.StringVar(&o.versions, "versions", "3.1.1,5.0", "the protocol versions to measure")
	flag.StringVar(&o.only, "only", "pub,sub,one-shot", "what to measure")
	flag.IntVar(&o.rounds, "rounds", 5, "pairs of runs for each rate; a one-shot gets eight times as many")
	flag.DurationVar(&o.run, "run", 600*time.Millisecond, "how long one run for a rate should take")
	flag.Parse()
	child.Main("compare", o.compare)
}

type options struct {
	iotctl, brokers, versions, only string
	rounds                          int
	run                             time.Duration
}

// version is a protocol version and how -V spells it in both programs.
type version struct {
	mqtt.Version
	flag string
}

var versions = map[string]version{"3.1.1": {mqtt.V311, "mqttv311"}, "5.0": {mqtt.V5, "mqttv5"}}

// compare prints a line per measurement as soon as it is done.
func (o *options) compare(ctx context.Context, out io.Writer) error {
	for _, tool := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w (Debian: apt install mosquitto mosquitto-clients)", err)
		}
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.iotctl, err = child.Program(ctx, o.iotctl, dir); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%-10s%-7s%-4s%-9s%14s%14s%8s   %s\n", "broker", "MQTT", "QoS", "", "mosquitto's", "iotctl's", "ratio", "of the pairs"); err != nil {
		return err
	}
	for _, name := range strings.Split(o.brokers, ",") {
		if err := o.withBroker(ctx, out, name, dir); err != nil {
			return fmt.Errorf("with %s as broker: %w", name, err)
		}
	}
	return nil
}

func (o *options) withBroker(ctx context.Context, out io.Writer, name, dir string) (err error) {
	b, err := startBroker(name, o.iotctl, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	for _, name := range strings.Split(o.versions, ",") {
		v, ok := versions[name]
		if !ok {
			return fmt.Errorf("unknown version %q", name)
		}
		l := load{addr: b.addr, version: v, iotctl: o.iotctl, dir: dir}
		for _, m := range o.measurements(&l) {
			if !slices.Contains(strings.Split(o.only, ","), m.name) {
				continue
			}
			p, err := m.pairs(ctx)
			if err != nil {
				return fmt.Errorf("%s, MQTT %s, QoS %d: %w", m.name, name, m.qos, err)
			}
			lo, hi := p.spread()
			if _, err := fmt.Fprintf(out, "%-10s%-7s%-4d%-9s%9.*f %-4s%9.*f %-4s%8.2f   %.2f to %.2f\n", b.name, name, m.qos, m.name,
				m.digits, median(p.theirs), m.unit, m.digits, median(p.ours), m.unit, p.ratio(), lo, hi); err != nil {
				return err
			}
		}
	}
	return nil
}

// measurement is one line of the table.
type measurement struct {
	name   string
	qos    uint8
	unit   string
	digits int // behind the point
	rounds int
	run    func(context.Context, contender) (float64, error)
}

func (o *options) measurements(l *load) (all []measurement) {
	for qos := range uint8(2) {
		all = append(all,
			measurement{"pub", qos, "/s", 0, o.rounds, l.publishing(qos, o.run)},
			measurement{"sub", qos, "/s", 0, o.rounds, l.subscribing(qos, o.run)},
		)
	}
	return append(all, measurement{"one-shot", 1, "ms", 2, 8 * o.rounds, l.oneShot(1)})
}

// pairs runs both programs in turns, after a first pair that does not count.
func (m *measurement) pairs(ctx context.Context) (p pairs, err error) {
	for i := range m.rounds + 1 {
		var got [2]float64
		for _, who := range []contender{theirs, ours} {
			if got[who], err = m.run(ctx, who); err != nil {
				return p, fmt.Errorf("%s: %w", who, err)
			}
		}
		if i > 0 {
			p.theirs = append(p.theirs, got[theirs])
			p.ours = append(p.ours, got[ours])
		}
	}
	return p, nil
}
