package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/bench/agents"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

func newBench() *cobra.Command {
	var o benchOptions
	var list strings.Builder
	w := tabwriter.NewWriter(&list, 0, 0, 2, ' ', 0)
	var names []string
	for _, s := range scenarios() {
		fmt.Fprintf(w, "  %s\t%s\n", s.Name, s.Summary)
		names = append(names, s.Name)
	}
	w.Flush()
	cmd := &cobra.Command{
		Use:   "bench scenario [url] [options]",
		Short: "Load a broker, and measure it honestly",
		Long: `Connects many clients, lets them do what a scenario says, and prints on one
screen what came of it, also after Ctrl-C.

` + list.String() + `
Every message has an intended time, set by the schedule alone, and latencies are
given from that time and from the time of sending: a broker that stalls cannot
hide behind messages that were not sent meanwhile. Payloads carry sequence
numbers and checksums, so that lost, duplicated, reordered and corrupted
messages are counted.

The URL is mqtt://, mqtts://, ws://, wss:// or unix://; without one, -h and -p
say where to. With --serve there is a broker in this process, for the first
number. Options are spelled as emqtt_bench spells them, and where these leave
room, as mosquitto_pub does.

Conditions name a latency, e2e.p99 or puback.mean (dial, tls, connack, suback,
puback, pubcomp, e2e, op; with .sent behind it from the time of sending; p50,
p99, p999, max, mean), or a number: loss, duplicates, reordered, corrupted,
unsent, unacked, rate, sent.rate, op.rate, connect.fails, limited and others.

The exit code is 99 when a condition was missed, 3 when a client could not
connect, 9 and 8 when the broker refused a subscription or a message, 10 when
one was not acknowledged, and 1 when messages of QoS 1 or 2 were lost, one of
QoS 2 came twice, or one could not be sent when it was due.`,
		Example: `  iotctl bench pair --serve
  iotctl bench pair mqtt://127.0.0.1 -c 10 --rate 5000 -q 1 --duration 30s
  iotctl bench fanout --subscribers 1000 --closed --assert loss==0
  iotctl bench conn -c 10000 -R 1000 -h broker.example
  iotctl bench mqttsn-sleep --serve -c 10000
  iotctl bench pair --rate 1000 --find-max --assert 'e2e.p99<20ms' --assert loss==0
  iotctl bench latency --watch-pid "$(pidof mosquitto)" -o run.res
  iotctl bench report run.res -o run.html`,
		GroupID:               groupRun,
		ValidArgs:             names,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBench(cmd.Context(), newTerminal(cmd), &o, args)
		},
	}
	o.register(cmd)
	cmd.AddCommand(newBenchReport(), newBenchCompare())
	cmd.SetUsageFunc(benchUsage)
	cmd.AddCommand(newBenchAgent())
	return cmd
}

// benchRun is one command line on its way.
type benchRun struct {
	o    *benchOptions
	t    *terminal
	s    *settings
	opts bench.Options
	head *bench.Header
	view *benchView
}

func runBench(ctx context.Context, t *terminal, o *benchOptions, args []string) error {
	spec, url, err := benchArgs(args)
	if err != nil {
		return err
	}
	if err := o.complete(); err != nil {
		return err
	}
	if err := spec.CheckOptions(&o.plan); err != nil {
		return usagef("--set %w", err)
	}
	s, err := benchSettings(o.given, url)
	if err != nil {
		return err
	}
	if err := s.loadPassword(t); err != nil {
		return err
	}
	r := &benchRun{o: o, t: t, s: s}
	r.opts = bench.Options{Spec: spec, Username: s.username, Tool: "iotctl " + readVersion().Version, Logger: serve.NewLogger(t.err, serve.Text, slog.LevelWarn)}
	if s.password != nil {
		r.opts.Password = []byte(*s.password)
	}
	if err := r.read(); err != nil {
		return err
	}
	if r.opts.Codec, err = r.codec(); err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	stopServer, err := r.target(ctx)
	if err != nil {
		return err
	}
	defer stopServer()
	if o.findMax {
		return r.findMax(ctx)
	}
	return r.once(ctx)
}

// benchArgs finds the scenario, and a URL.
func benchArgs(args []string) (spec bench.Spec, url string, err error) {
	all := scenarios()
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	if len(args) == 0 {
		return spec, "", fail(exitUsage, errors.New("which scenario? "+strings.Join(names, ", ")), "iotctl bench pair --serve")
	}
	i := slices.Index(names, args[0])
	switch {
	case i < 0:
		return spec, "", fail(exitUsage, fmt.Errorf("no scenario is called %q", args[0]), "there are "+strings.Join(names, ", "))
	case len(args) > 2:
		return spec, "", usagef("unexpected argument %q", args[2])
	case len(args) == 2:
		url = args[1]
	}
	return all[i], url, nil
}

// read takes in the files and conditions that the command line names.
func (r *benchRun) read() error {
	for _, text := range r.o.asserts {
		a, err := bench.ParseAssertion(text)
		if err != nil {
			return usagef("--assert: %w", err)
		}
		r.opts.Asserts = append(r.opts.Asserts, a)
	}
	var err error
	r.opts.Identities, err = readIdentities(r.o.identities)
	return err
}

// target settles where to connect to, starts the broker of --serve, and
// compares the plan with the limits of this machine.
func (r *benchRun) target(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	e := r.s.endpoint()
	if r.o.serve {
		srv, err := serve.Start(context.WithoutCancel(ctx), serve.Config{ // it outlives the drain after Ctrl-C
			Builtin: builtin(), Store: storeMem,
			Logger:    serve.NewLogger(r.t.err, serve.Text, slog.LevelError),
			Listeners: r.listeners(), Gateways: r.gateways(),
		})
		if err != nil {
			return stop, err
		}
		stop = func() { _ = srv.Close() }
		if e, err = parseURL(srv.URLs()[0]); err != nil {
			return stop, err
		}
		if r.opts.Spec.Device != "" {
			r.o.devices = srv.URLs()[1]
		}
	}
	if r.opts.Devices, err = r.devices(e); err != nil {
		return stop, err
	}
	dial, err := r.s.dialConfig()
	if err != nil {
		return stop, err
	}
	p := &r.o.plan
	p.Version, p.Target = r.s.version, e.String()
	if r.opts.Spec.Device != "" {
		p.Devices = r.opts.Devices.String()
	}
	if r.opts.Codec != nil {
		p.Codec = r.opts.Codec.Name()
	}
	if len(r.s.topics) > 0 && p.Topic == "" {
		p.Topic = r.s.topic()
	}
	r.opts.Plan, r.opts.Endpoint, r.opts.Dial, r.opts.Properties = *p, e, dial, r.s.properties["connect"]
	planned := *p
	if r.opts.Spec.Defaults != nil {
		r.opts.Spec.Defaults(&planned)
	}
	if len(r.o.agents) > 0 {
		return stop, r.checkAgents(e)
	}
	spread := e.Scheme.Network == "unix" ||
		(strings.HasPrefix(e.Host, "127.") || e.Host == "localhost") && dial.LocalAddress == "" && dial.Proxy == ""
	sockets := max(planned.Clients, planned.Publishers+planned.Subscribers)
	if count := r.opts.Spec.Sockets; count != nil {
		sockets = count(&planned)
	}
	err = bench.CheckLimits(sockets, r.o.serve, spread)
	if s := (*bench.Shortage)(nil); errors.As(err, &s) {
		return stop, fail(exitFailed, err, s.Fix)
	}
	return stop, err
}

// run does one run and keeps what the summary needs.
func (r *benchRun) run(ctx context.Context) (*bench.Final, error) {
	r.view = newBenchView(r.t, r.o.quiet || r.o.findMax)
	o := r.opts
	live, err := r.o.outputs.start(r.t)
	if err != nil {
		return nil, err
	}
	defer live.stop()
	o.Watch = func(record any) {
		if h, ok := record.(*bench.Header); ok {
			r.head = h
		}
		r.view.see(record)
		live.see(record)
	}
	if r.o.record != "" {
		f, err := os.Create(r.o.record)
		if err != nil {
			return nil, fail(exitFailed, err)
		}
		defer f.Close()
		o.Record = f
	}
	final, err := r.lead(ctx, o)
	r.view.end()
	return final, err
}

// once is a run, its summary and its verdict.
func (r *benchRun) once(ctx context.Context) error {
	f, err := r.run(ctx)
	if err := r.o.outputs.writeJUnit(r.head, f); err != nil {
		return err
	}
	if f != nil && (err == nil || f.Total.Connects > 0) {
		if err := r.summary(r.t.out, f); err != nil {
			return err
		}
	}
	return r.verdict(ctx, f, err)
}

func (r *benchRun) summary(w io.Writer, f *bench.Final) error {
	return bench.WriteSummary(w, r.head, f, func(m bench.Mood, s string) string { return moodColor(r.t.colorOut, m, s) })
}

// verdict turns a balance into the exit code.
func (r *benchRun) verdict(ctx context.Context, f *bench.Final, err error) error {
	if err != nil {
		return r.failRun(err)
	}
	if f.Ended == "interrupted" {
		return failCause(ctx)
	}
	missed := 0
	for _, v := range f.Assertions {
		if !v.OK {
			missed++
		}
	}
	a, sum := &f.Account, f.Account.Sum()
	promised, again := a.QoS[1].Lost+a.QoS[2].Lost, a.QoS[2].Duplicated
	switch r.head.Plan.SubQoS { // what subscriptions have reduced nobody has promised
	case 0:
		promised, again = 0, 0
	case 1:
		again = 0
	}
	switch {
	case missed > 0:
		return fail(exitThreshold, fmt.Errorf("%d of %d conditions were missed", missed, len(f.Assertions)))
	case f.Total.ConnectFails > 0:
		return fail(exitConnect, fmt.Errorf("%d connections failed", f.Total.ConnectFails))
	case f.Total.Disconnects > 0:
		return fail(exitLost, fmt.Errorf("%d connections were lost", f.Total.Disconnects))
	case f.Total.SubscribeFail > 0:
		return fail(exitSubscriptionRefused, fmt.Errorf("%d subscriptions were refused", f.Total.SubscribeFail))
	case f.Total.AckFails > 0:
		return fail(exitPublishRefused, fmt.Errorf("the broker refused %d messages", f.Total.AckFails))
	case promised > 0:
		return fail(exitFailed, fmt.Errorf("LOST: %d messages of QoS 1 and 2 did not arrive", promised))
	case again > 0:
		return fail(exitFailed, fmt.Errorf("NOT EXACTLY ONCE: %d messages of QoS 2 came again", again))
	case sum.Corrupted > 0:
		return fail(exitFailed, fmt.Errorf("CORRUPTED: %d messages are not what was sent", sum.Corrupted))
	case a.Unacked > 0:
		return fail(exitUnacknowledged, fmt.Errorf("%d messages were not acknowledged", a.Unacked))
	case a.Unsent > 0:
		return fail(exitFailed, fmt.Errorf("%d messages could not be sent when they were due: the rate is too high for the broker, or for this machine", a.Unsent))
	case f.Total.OperationFail > 0:
		return fail(exitFailed, fmt.Errorf("%d operations failed", f.Total.OperationFail))
	}
	if sum.Lost > 0 {
		r.t.warnf("LOST: %d messages of QoS 0 did not arrive", sum.Lost)
	}
	if f.LimitedIntervals > 0 && !r.o.serve {
		r.t.warnf("the generator itself was the limit in %d of %d intervals", f.LimitedIntervals, f.MeasureIntervals)
	}
	return nil
}

// failRun gives an error of a run its exit code.
func (r *benchRun) failRun(err error) error {
	var own *failure
	var network *transport.Error
	var refused *bench.Refused
	var absent *agents.Absent
	var plan *bench.PlanError
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &network) && network.Hint != "":
		return fail(exitConnect, err, typed(network)...)
	case errors.As(err, &plan):
		return fail(exitUsage, err)
	case errors.As(err, &absent):
		return fail(exitTimeout, err, "on its machine: iotctl bench agent "+r.viaURL()+" --name "+absent.Names[0])
	case errors.As(err, &refused) && refused.Type == mqtt.TypeConnack:
		return fail(exitRefused, err)
	case errors.As(err, &refused):
		return fail(exitSubscriptionRefused, err)
	case errors.As(err, &network), errors.Is(err, bench.ErrNobody), errors.Is(err, bench.ErrNoAnswer):
		return fail(exitConnect, err)
	}
	return fail(exitFailed, err)
}

// findMax searches a rate; its result goes to standard output.
func (r *benchRun) findMax(ctx context.Context) error {
	if len(r.opts.Asserts) == 0 {
		for _, text := range []string{"loss==0", "e2e.p99<100ms"} {
			a, err := bench.ParseAssertion(text)
			if err != nil {
				return err
			}
			r.opts.Asserts = append(r.opts.Asserts, a)
		}
	}
	if r.opts.Plan.Rate == 0 {
		r.opts.Plan.Rate = 1000
	}
	// The generator was the limit where the conditions were missed. A full window
	// does not count: it is what a broker at its limit leads to.
	own, limit := false, false
	r.opts.Watch = func(record any) {
		switch v := record.(type) {
		case *bench.Header:
			r.head, limit = v, false
		case *bench.Interval:
			limit = limit || v.Stage == bench.StageMeasure && slices.ContainsFunc(v.Limited, func(why string) bool { return why != bench.LimitedByWindow })
		}
	}
	var last *bench.Final
	rate, confirmed, err := bench.FindMax(ctx, r.opts, func(t bench.Trial) {
		word := "missed"
		if t.OK {
			word, last = "met", t.Final
		} else {
			own = limit
		}
		limited := ""
		if t.Final.LimitedIntervals > 0 {
			limited = fmt.Sprintf(", the generator was the limit in %d of %d intervals", t.Final.LimitedIntervals, t.Final.MeasureIntervals)
		}
		if !r.o.quiet {
			r.t.notef("%.0f per second: %s%s", t.Rate, word, limited)
		}
	})
	if ctx.Err() != nil {
		return failCause(ctx)
	}
	if err != nil {
		return r.failRun(err)
	}
	if last != nil {
		if err := r.summary(r.t.out, last); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.t.out, "highest rate %.0f per second; it met the conditions in %d of 3 more runs of %v\n", rate, confirmed, r.head.Plan.Duration.Round(time.Millisecond))
	if own && !r.o.serve {
		r.t.warnf("above that the generator itself was the limit: the broker may do more")
	}
	if confirmed == 0 {
		return fail(exitThreshold, errors.New("the rate that was found did not hold"), "longer runs tell more: --duration 30s")
	}
	return nil
}
