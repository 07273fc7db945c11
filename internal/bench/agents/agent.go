package agents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/transport"
)

// Agent waits for orders and carries its share of loads.
type Agent struct {
	Name   string
	Client client.Options // of the connection to the broker between both ends
	Allow  []Pattern      // what may be loaded
	Specs  []bench.Spec
	// Options are how to connect to a target: dialing, login, identities.
	Options func(transport.Endpoint) (bench.Options, error)

	MaxClients  int           // of one share. 0: 20,000
	MaxDuration time.Duration // of one run. 0: 1 h
	Silence     time.Duration // after which a run without word ends. 0: 10 s
	Logger      *slog.Logger  // nil: silent

	skew time.Duration // how wrong the clock is, where a test wants it to be
}

// Bounds of a share beside those that the owner sets.
const (
	maxStreams      = 1 << 20
	maxPayloadBytes = 1 << 30 // of all clients together
	minSampling     = 100 * time.Millisecond
	maxParallel     = 1024
)

func (a *Agent) withDefaults() {
	bench.Default(&a.MaxClients, 20_000)
	bench.Default(&a.MaxDuration, time.Hour)
	bench.Default(&a.Silence, 10*time.Second)
	if a.Logger == nil {
		a.Logger = slog.New(slog.DiscardHandler)
	}
}

// Serve works until ctx ends or the connection does for good.
func (a *Agent) Serve(ctx context.Context) error {
	if err := CheckName(a.Name); err != nil {
		return err
	}
	a.withDefaults()
	a.Client.ClientID = "iotctl-bench-agent-" + a.Name
	l, err := dial(ctx, a.Client, agentTopic+a.Name)
	if err != nil {
		return err
	}
	defer l.leave()
	a.Logger.Info("ready", "agent", a.Name)
	s := &serving{Agent: a, link: l, ctx: ctx}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		var done chan struct{}
		if s.job != nil {
			done = s.job.done
		}
		select {
		case m := <-l.inbox:
			s.order(m)
		case <-tick.C:
			s.tick()
		case <-done:
			s.job = nil
		case <-ctx.Done():
			s.end(errors.New("the agent was ended"))
			return nil
		case <-l.Done():
			s.end(errors.New("the agent has lost its connection"))
			return l.errEnded()
		}
	}
}

// serving is an agent at work. Its fields belong to one goroutine.
type serving struct {
	*Agent
	*link
	ctx context.Context
	job *job // nil: idle
}

// end ends the run and waits for it.
func (s *serving) end(why error) {
	if s.job != nil {
		s.job.cancel(why)
		<-s.job.done
	}
}

// tick says that this agent is there, and ends a run that nobody leads.
func (s *serving) tick() {
	j := s.job
	if j == nil {
		return
	}
	if time.Since(j.heard) > s.Silence {
		s.Logger.Warn("nobody leads the run any more", "silent", s.Silence)
		j.cancel(errors.New("nobody leads the run any more"))
		return
	}
	s.tell(j.run, report{Kind: reportAlive}, 0)
}

// tell answers whoever leads. What cannot be sent soon is not worth a wait:
// this goroutine has orders to read.
func (s *serving) tell(run string, r report, qos uint8) {
	ctx, cancel := context.WithTimeout(s.ctx, beat/2)
	defer cancel()
	if err := s.send(ctx, runTopic+run+"/"+s.Name, r, qos); err != nil && s.ctx.Err() == nil {
		s.Logger.Warn("cannot report", "err", err)
	}
}

func (s *serving) order(m letter) {
	var o order
	if err := parse(m.payload, &o); err != nil || CheckName(o.Run) != nil {
		s.Logger.Warn("an order that makes no sense", "err", err)
		return
	}
	j := s.job
	mine := j != nil && j.run == o.Run
	if mine {
		j.heard = time.Now()
	}
	switch o.Kind {
	case orderHello:
		e := bench.ReadEnvironment("")
		s.tell(o.Run, report{Kind: reportHello, Environment: &e}, 1)
	case orderPing:
		s.tell(o.Run, report{Kind: reportPong, N: o.N, Sent: o.Sent, Received: m.at.Add(s.skew).UnixNano(), Replied: time.Now().Add(s.skew).UnixNano()}, 0)
	case orderOpen:
		if mine {
			return
		}
		if err := s.open(&o); err != nil {
			s.Logger.Warn("refused", "target", o.Target, "err", err)
			s.tell(o.Run, report{Kind: reportRefused, Text: err.Error()}, 1)
		}
	case orderStart:
		if mine {
			select {
			case j.start <- time.Unix(0, o.At):
			default: // it has one
			}
		}
	case orderFinish:
		if mine {
			j.finish.Store(true)
		}
	case orderStop:
		if mine {
			j.cancel(errStopped)
		}
	}
}

// open begins a run if it may.
func (s *serving) open(o *order) error {
	if s.job != nil && s.job.over.Load() {
		<-s.job.done
		s.job = nil
	}
	if s.job != nil {
		return errors.New("busy with another run")
	}
	opts, err := s.share(o)
	if err != nil {
		return err
	}
	j := newJob(s, o.Run)
	ctx, cancel := context.WithCancelCause(s.ctx)
	j.ctx, j.cancel = ctx, cancel
	opts.Watch, opts.Company, opts.Logger = j.watch, j, s.Logger
	s.job = j
	s.Logger.Info("run", "scenario", opts.Plan.Scenario, "target", o.Target)
	go j.work(opts)
	return nil
}

// share checks an order and makes the options of its run.
func (s *serving) share(o *order) (bench.Options, error) {
	none := bench.Options{}
	if o.Share == nil || o.Share.Part.Run == 0 {
		return none, errors.New("no share of a load")
	}
	e, err := transport.Parse(o.Target, nil)
	if err != nil {
		return none, err
	}
	if !s.allowed(e) {
		return none, fmt.Errorf("%s is not allowed here; its owner can: --allow '%s'", e, e)
	}
	p, part := o.Share.Plan, o.Share.Part
	for _, spec := range s.Specs {
		if spec.Name != p.Scenario {
			continue
		}
		if err := s.bounded(&p, &part); err != nil {
			return none, err
		}
		p.WatchPID, p.Drivers = 0, 0
		p.Sampling, p.ConnParallel = max(p.Sampling, minSampling), min(p.ConnParallel, maxParallel)
		part.Shift += s.skew
		opts, err := s.Options(e)
		opts.Plan, opts.Spec, opts.Part, opts.Endpoint = p, spec, part, e
		return opts, err
	}
	return none, fmt.Errorf("no scenario is called %q", p.Scenario)
}

func (s *serving) allowed(e transport.Endpoint) bool {
	for _, p := range s.Allow {
		if p.Match(e) {
			return true
		}
	}
	return false
}

// bounded tells what a plan has too much of.
func (s *serving) bounded(p *bench.Plan, part *bench.Part) error {
	if err := p.Validate(); err != nil {
		return err
	}
	clients := max(p.Clients, p.Publishers+p.Subscribers)
	long := p.Warmup + p.Duration + max(p.Drain, 0)
	for _, step := range p.Steps {
		long += step.Duration
	}
	switch {
	case clients > s.MaxClients:
		return fmt.Errorf("%d clients are more than the %d that the agent's owner allows: --max-clients", clients, s.MaxClients)
	case long > s.MaxDuration || long < 0:
		return fmt.Errorf("%v is longer than the %v that the agent's owner allows: --max-duration", long, s.MaxDuration)
	case p.Topics > maxStreams || clients*max(p.Topics, 1) > maxStreams:
		return fmt.Errorf("more than %d topics", maxStreams)
	case clients*p.Size > maxPayloadBytes:
		return fmt.Errorf("payloads of %d clients would take more than %d bytes", clients, maxPayloadBytes)
	case part.Index < 0 || part.FirstClient < 0 || part.FirstPublisher < 0 || part.FirstSubscriber < 0 ||
		part.AllPublishers < 0 || max(part.FirstPublisher, part.AllPublishers) > maxStreams:
		return errors.New("a part with numbers that cannot be")
	}
	err := bench.CheckLimits(clients, false, true)
	if short := (*bench.Shortage)(nil); errors.As(err, &short) {
		return fmt.Errorf("%w: %s", err, short.Fix)
	}
	return err
}

// errStopped is what ends a run by order.
var errStopped = errors.New("stopped by whoever leads")
