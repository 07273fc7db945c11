//go:build unix

package agents

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

func dialTo(e transport.Endpoint) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return transport.DialEndpoint(ctx, e, transport.DialConfig{})
	}
}

func startBroker(t *testing.T) transport.Endpoint {
	t.Helper()
	s := servetest.Start(t, func(c *serve.Config) { c.Listeners[0].MaxConnRate, c.Logger = -1, nil })
	e, err := transport.Parse(s.URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// startAgents runs some in this process until the test ends.
func startAgents(t *testing.T, e transport.Endpoint, edit func(*Agent), names ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(names))
	for _, name := range names {
		a := newAgent(name, e)
		if edit != nil {
			edit(a)
		}
		go func() { done <- a.Serve(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range names {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// process is an agent in a process of its own.
func process(t *testing.T, e transport.Endpoint, name string) *os.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asAgent+"="+name, asAgentAt+"="+e.String())
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	return cmd.Process
}

func orderFor(e transport.Endpoint, spec bench.Spec, p bench.Plan, names ...string) Order {
	p.Target = e.String()
	return Order{
		Agents: names, Target: e, Run: bench.Options{Spec: spec, Plan: p},
		Client: client.Options{Version: mqtt.V311, Dial: dialTo(e)},
	}
}

// What one agent publishes arrives at others, and the account knows both ends.
func TestPairsAcrossAgents(t *testing.T) {
	e := startBroker(t)
	startAgents(t, e, nil, "a", "b", "c")
	for qos := range 3 {
		var record bytes.Buffer
		o := orderFor(e, bench.Pair(), bench.Plan{Publishers: 7, QoS: qos, SubQoS: -1, Topics: 2, Rate: 2000, Messages: 1000, Duration: 20 * time.Second}, "a", "b", "c")
		o.Run.Record = &record
		f, err := Lead(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := f.Account.QoS[qos], (bench.Tally{Sent: 1000, Expected: 1000, Received: 1000}); got != want {
			t.Errorf("QoS %d: %+v, want %+v", qos, got, want)
		}
		if f.Ended != "complete" || f.Total.Connects != 14 || f.Account.Unsent+f.Account.Unacked > 0 {
			t.Errorf("QoS %d: %s, %+v, %+v", qos, f.Ended, f.Total, f.Account)
		}
		if n := f.Latency["e2e"].TotalCount(); n != 1000 {
			t.Errorf("QoS %d: %d latencies", qos, n)
		}
		if len(f.Agents) != 3 || f.ClockError <= 0 || f.ClockError > time.Second || f.Agents[1].Environment.CPUs == 0 {
			t.Errorf("QoS %d: ±%v, %+v", qos, f.ClockError, f.Agents)
		}
		res, err := bench.ReadResult(&record)
		if err != nil || res.Final == nil || res.Header.Plan.Publishers != 7 || len(res.Intervals) < 3 {
			t.Errorf("QoS %d: record: %+v, %v", qos, res, err)
		}
	}
}

// Every scenario can be shared, and loses nothing by it.
func TestEveryScenario(t *testing.T) {
	for _, spec := range specs() {
		t.Run(spec.Name, func(t *testing.T) {
			e := startBroker(t)
			startAgents(t, e, nil, "a", "b")
			f, err := Lead(t.Context(), orderFor(e, spec, bench.Plan{
				QoS: -1, SubQoS: -1, Clients: 6, Publishers: 6, Subscribers: 4, Rate: 100, ConnRate: 10_000,
				Warmup: 100 * time.Millisecond, Duration: 300 * time.Millisecond,
			}, "a", "b"))
			if err != nil {
				t.Fatal(err)
			}
			n, sum := f.Total, f.Account.Sum()
			if f.Ended != "complete" || n.Connects < 6 || n.ConnectFails+n.Disconnects+n.SubscribeFail+n.AckFails+n.OperationFail+n.Corrupted > 0 {
				t.Errorf("%s, %+v", f.Ended, n)
			}
			if sum.Lost+sum.Duplicated+sum.Corrupted+f.Account.Unsent+f.Account.Unacked > 0 {
				t.Errorf("%+v", f.Account)
			}
		})
	}
}

// A clock that is an hour wrong changes no latency.
func TestWrongClock(t *testing.T) {
	e := startBroker(t)
	startAgents(t, e, nil, "right")
	startAgents(t, e, func(a *Agent) { a.skew = time.Hour }, "wrong")
	f, err := Lead(t.Context(), orderFor(e, bench.Pair(), bench.Plan{Publishers: 2, Rate: 500, Messages: 200, Duration: 20 * time.Second}, "right", "wrong"))
	if err != nil {
		t.Fatal(err)
	}
	off := f.Agents[1].Offset - time.Hour
	if off > time.Minute || off < -time.Minute || f.Agents[0].Offset > time.Minute {
		t.Errorf("offsets %v and %v", f.Agents[0].Offset, f.Agents[1].Offset)
	}
	h := f.Latency["e2e"]
	if h.TotalCount() != 200 || h.Quantile(1) > time.Minute || h.Quantile(0) == 0 && f.ClockError == 0 {
		t.Errorf("%d latencies up to %v, ±%v", h.TotalCount(), h.Quantile(1), f.ClockError)
	}
}

// An agent that is killed, or stands still, is missed, and its messages are not
// called lost.
func TestAgentGone(t *testing.T) {
	for name, sign := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stalled": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			e := startBroker(t)
			startAgents(t, e, nil, "stays")
			p := process(t, e, "goes")
			o := orderFor(e, bench.Pair(), bench.Plan{Publishers: 4, QoS: 1, SubQoS: -1, Rate: 500, Duration: 4 * time.Second, Sampling: 100 * time.Millisecond}, "stays", "goes")
			o.Silence = 2 * time.Second
			var events []string
			sent := false
			o.Run.Watch = func(record any) {
				switch r := record.(type) {
				case *bench.Interval:
					if r.Stage == bench.StageMeasure && r.Counters.Received > 0 && !sent {
						sent = true
						_ = p.Signal(sign)
					}
				case *bench.Event:
					events = append(events, r.Text)
				}
			}
			f, err := Lead(t.Context(), o)
			if !errors.Is(err, ErrAgents) || f == nil {
				t.Fatalf("%v, %+v", err, f)
			}
			if !strings.Contains(f.Ended, "agent goes: has not been heard of") || !strings.Contains(strings.Join(events, "\n"), "agent goes has not been heard of") {
				t.Errorf("%q, %q", f.Ended, events)
			}
			if f.Agents[0].Ended != "complete" || f.Counters.Received == 0 || f.Account.QoS[1].Lost > 0 {
				t.Errorf("%+v, %+v", f.Agents, f.Account)
			}
		})
	}
}

// An agent whose leader has gone ends its run and takes the next one.
func TestLeaderGone(t *testing.T) {
	e := startBroker(t)
	startAgents(t, e, func(a *Agent) { a.Silence = 2 * time.Second }, "a")
	o := orderFor(e, bench.Pair(), bench.Plan{Publishers: 1, Rate: 100, Duration: time.Minute, Sampling: 100 * time.Millisecond}, "a")
	dial := o.Client.Dial
	var conn net.Conn
	o.Client.Dial = func(ctx context.Context) (net.Conn, error) {
		if conn != nil {
			return nil, errors.New("no way back")
		}
		var err error
		conn, err = dial(ctx)
		return conn, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Run.Watch = func(record any) {
		if i, ok := record.(*bench.Interval); ok && i.Stage == bench.StageMeasure && i.Counters.Received > 0 {
			_ = conn.Close() // so that nothing can be said any more
			cancel()
		}
	}
	o.Silence = time.Second
	if _, err := Lead(ctx, o); err == nil {
		t.Error("no error")
	}
	next := orderFor(e, bench.Pair(), bench.Plan{Publishers: 1, Rate: 100, Messages: 10, Duration: 20 * time.Second}, "a")
	for end := time.Now().Add(20 * time.Second); ; {
		f, err := Lead(t.Context(), next)
		if err == nil {
			if f.Account.QoS[0].Received != 10 {
				t.Errorf("%+v", f.Account)
			}
			return
		}
		if !strings.Contains(err.Error(), "busy") || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// What an agent's owner has not allowed is refused, and so is what makes no
// sense.
func TestRefusals(t *testing.T) {
	e, other := startBroker(t), startBroker(t)
	startAgents(t, e, func(a *Agent) { a.MaxClients, a.MaxDuration, a.Specs = 10, time.Minute, specs()[:6] }, "a", "b")
	plan := bench.Plan{Publishers: 2, Rate: 100, Messages: 10, Duration: time.Second}
	for want, o := range map[string]Order{
		"is not allowed here":    func() Order { o := orderFor(e, bench.Pair(), plan, "a", "b"); o.Target = other; return o }(),
		"40 clients are more":    orderFor(e, bench.Pair(), bench.Plan{Publishers: 40, Rate: 1, Duration: time.Second}, "a", "b"),
		"is longer than":         orderFor(e, bench.Pair(), bench.Plan{Publishers: 2, Rate: 1, Duration: time.Hour}, "a", "b"),
		`is called "shared"`:     orderFor(e, bench.Shared(), plan, "a", "b"),
		"too few for 2 agents":   orderFor(e, bench.Conn(), bench.Plan{Clients: 1}, "a", "b"),
		"closed by arrivals":     orderFor(e, bench.FanOut(), bench.Plan{ClosedLoop: true}, "a", "b"),
		"topics of its own":      orderFor(e, bench.Churn(), bench.Plan{Topic: "x"}, "a", "b"),
		"no name of an agent":    orderFor(e, bench.Pair(), plan, "a/+"),
		"is named twice":         orderFor(e, bench.Pair(), plan, "a", "a"),
		"no answer from agent x": func() Order { o := orderFor(e, bench.Pair(), plan, "a", "x"); o.Silence = time.Second; return o }(),
	} {
		if _, err := Lead(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if f, err := Lead(t.Context(), orderFor(e, bench.Pair(), plan, "a", "b")); err != nil || f.Account.QoS[0].Received != 10 {
		t.Errorf("afterwards: %+v, %v", f, err)
	}
}

// An interrupted run has its balance.
func TestInterrupted(t *testing.T) {
	e := startBroker(t)
	startAgents(t, e, nil, "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := orderFor(e, bench.Pair(), bench.Plan{Publishers: 2, QoS: 1, SubQoS: -1, Rate: 500, Duration: time.Minute, Sampling: 100 * time.Millisecond}, "a", "b")
	o.Run.Watch = func(record any) {
		if i, ok := record.(*bench.Interval); ok && i.Stage == bench.StageMeasure && i.Counters.Received > 0 {
			cancel()
		}
	}
	f, err := Lead(ctx, o)
	if err != nil || f.Ended != "interrupted" || f.Account.QoS[1].Sent == 0 || f.Account.QoS[1].Lost > 0 {
		t.Errorf("%v, %+v", err, f)
	}
}

// Nonsense, retained orders and strangers change nothing.
func TestNonsense(t *testing.T) {
	e := startBroker(t)
	stranger, err := client.New(client.Options{Version: mqtt.V311, Dial: dialTo(e), CleanStart: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Disconnect(context.Background(), 0, nil) }()
	say := func(topic, payload string, retain bool) {
		t.Helper()
		if _, err := stranger.PublishWait(t.Context(), client.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: retain}); err != nil {
			t.Fatal(err)
		}
	}
	say(agentTopic+"a", `{"kind":"open","run":"x","target":"`+e.String()+`","share":{"plan":{"scenario":"conn","clients":5},"part":{"run":1}}}`, true)
	startAgents(t, e, nil, "a", "b")
	for _, text := range []string{
		``, `{`, `[]`, `{"kind":"open","run":"a/#"}`, `{"kind":"open","run":"x"}`, `{"kind":"stop","run":"x"}`, `{"kind":"start","run":"x","at":-1}`,
		`{"kind":"open","run":"x","target":"` + e.String() + `","share":{"plan":{"scenario":"conn","clients":1000000000},"part":{"run":1}}}`,
		`{"kind":"open","run":"x","target":"` + e.String() + `","share":{"plan":{"scenario":"pair","publishers":1,"topics":999999999},"part":{"run":1,"first_publisher":-4}}}`,
		strings.Repeat("x", maxMessageBytes+1),
	} {
		say(agentTopic+"a", text, false)
	}
	o := orderFor(e, bench.Pair(), bench.Plan{Publishers: 2, QoS: 1, SubQoS: -1, Rate: 200, Messages: 100, Duration: 20 * time.Second, Sampling: 50 * time.Millisecond}, "a", "b")
	inner := o.Client.Dial
	o.Client.Dial = func(ctx context.Context) (net.Conn, error) { return inner(ctx) }
	f, err := Lead(t.Context(), o)
	if err != nil || f.Account.QoS[1].Received != 100 {
		t.Errorf("%v, %+v", err, f)
	}
}
