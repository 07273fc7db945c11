package agents

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/transport"
)

// Order is a run to be led.
type Order struct {
	Agents []string
	Client client.Options // of the connection to the broker between both ends
	Target transport.Endpoint
	// Run has plan, scenario, conditions and where to record. How to connect to
	// the target is the agents' affair.
	Run     bench.Options
	Silence time.Duration // after which an agent counts as gone, or as not there. 0: 10 s
}

const (
	helloAgain   = 200 * time.Millisecond
	clockRounds  = 20
	clockAfter   = 10
	pongTime     = time.Second
	leadTime     = 250 * time.Millisecond // from the order to start to the start, at least
	goodbyeTime  = 15 * time.Second       // for agents to end their runs
	watchSampled = 200 * time.Millisecond
)

// ErrAgents says that an agent is not there, refused, or has not done its
// share.
var ErrAgents = errors.New("not all agents have done their share")

// Lead lets agents carry a load together and returns the balance, as bench.Run
// does. With an agent that has gone it goes on and ends with ErrAgents.
func Lead(ctx context.Context, o Order) (*bench.Final, error) {
	for i, name := range o.Agents {
		if err := CheckName(name); err != nil {
			return nil, err
		}
		for _, other := range o.Agents[:i] {
			if other == name {
				return nil, fmt.Errorf("agent %s is named twice", name)
			}
		}
	}
	bench.Default(&o.Silence, 10*time.Second)
	id := rand.Text()[:16]
	var number [4]byte
	_, _ = rand.Read(number[:])
	run := uint32(number[0])<<24 | uint32(number[1])<<16 | uint32(number[2])<<8 | 1
	d, err := bench.Divide(o.Run.Spec, o.Run.Plan, len(o.Agents), run)
	if err != nil {
		return nil, err
	}
	o.Client.ClientID = "iotctl-bench-lead-" + id
	l, err := dial(ctx, o.Client, runTopic+id+"/+")
	if err != nil {
		return nil, err
	}
	defer l.leave()
	lead := &lead{o: &o, link: l, id: id, d: d, epoch: time.Now()}
	lead.m = bench.NewMerger(d, lead.epoch, lead.emit)
	for k, name := range o.Agents {
		lead.peers = append(lead.peers, &peer{name: name, k: k})
		lead.m.Part(k).Name = name
	}
	if o.Run.Record != nil {
		lead.writer = bench.NewResultWriter(o.Run.Record)
	}
	return lead.run(ctx)
}

// lead is a run on its way. Everything happens on one goroutine.
type lead struct {
	*link
	o      *Order
	id     string
	d      *bench.Division
	m      *bench.Merger
	epoch  time.Time
	peers  []*peer
	writer *bench.ResultWriter
	broken bool // writing the record has failed

	alive    time.Time // when that was said last
	finished bool      // everything has arrived
	watch    watch
}

// peer is an agent as it is seen from here.
type peer struct {
	name      string
	k         int
	heard     time.Time
	seq       int
	hello     bool
	opened    bool
	over      bool // nothing more is expected
	refusal   string
	intervals int
	exchanges []exchange
	pinged    int
	clock     exchange
	progress  *bench.Progress
}

func (l *lead) emit(record any) {
	if l.writer != nil && !l.broken {
		if err := l.writer.Write(record); err != nil {
			l.broken = true
		}
	}
	if l.o.Run.Watch != nil {
		l.o.Run.Watch(record)
	}
}

func (l *lead) event(format string, a ...any) {
	l.emit(&bench.Event{At: time.Since(l.epoch), Text: fmt.Sprintf(format, a...)})
}

// order sends one to an agent.
func (l *lead) order(ctx context.Context, p *peer, o order, qos uint8) error {
	o.Run = l.id
	return l.send(ctx, agentTopic+p.name, o, qos)
}

// all sends an order to everybody who is there.
func (l *lead) all(ctx context.Context, o order, qos uint8) error {
	for _, p := range l.peers {
		if p.over {
			continue
		}
		if err := l.order(ctx, p, o, qos); err != nil {
			return err
		}
	}
	return nil
}

// every tells whether all agents that are there have it.
func (l *lead) every(has func(*peer) bool) bool {
	for _, p := range l.peers {
		if !p.over && !has(p) {
			return false
		}
	}
	return true
}

// run goes through the stages. Agents are told to stop in any case.
func (l *lead) run(ctx context.Context) (f *bench.Final, err error) {
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = l.all(bye, order{Kind: orderStop}, 1)
	}()
	if err := l.gather(ctx); err != nil {
		return nil, err
	}
	l.emit(&bench.Header{Started: l.epoch.UTC(), Environment: bench.ReadEnvironment(l.o.Run.Tool), Plan: l.d.Plan})
	started, err := l.open(ctx)
	if started {
		err = errors.Join(err, l.load(ctx))
	}
	for _, p := range l.peers {
		l.lost(p, "never began") // where that is not known better
	}
	f = l.m.Balance(time.Now(), l.o.Run.Asserts)
	l.watch.end(f)
	l.emit(f)
	if err != nil || f.Ended == "complete" || f.Ended == "interrupted" {
		return f, err
	}
	return f, fmt.Errorf("%w: %s", ErrAgents, f.Ended)
}

// gather finds the agents and compares clocks.
func (l *lead) gather(ctx context.Context) error {
	end := time.Now().Add(l.o.Silence)
	for time.Now().Before(end) && !l.every(func(p *peer) bool { return p.hello }) {
		for _, p := range l.peers {
			if p.hello {
				continue
			}
			if err := l.order(ctx, p, order{Kind: orderHello}, 1); err != nil {
				return err
			}
		}
		err := l.pump(ctx, helloAgain, func() bool { return l.every(func(p *peer) bool { return p.hello }) })
		if err != nil && !errors.Is(err, errTime) {
			return err
		}
	}
	var missing []string
	for _, p := range l.peers {
		if !p.hello {
			missing = append(missing, p.name)
		}
	}
	if len(missing) > 0 {
		return &Absent{missing}
	}
	if err := l.compare(ctx, clockRounds); err != nil {
		return err
	}
	for _, p := range l.peers {
		b, ok := best(p.exchanges)
		if !ok {
			return fmt.Errorf("%w: the clock of agent %s could not be compared", ErrAgents, p.name)
		}
		p.clock = b
		r := l.m.Part(p.k)
		r.Offset, r.RoundTrip, r.Error = b.offset(), b.roundTrip(), b.roundTrip()/2
		l.d.Shares[p.k].Part.Shift = -b.offset()
	}
	return nil
}

// Absent are agents that do not answer.
type Absent struct{ Names []string }

func (e *Absent) Error() string {
	return fmt.Sprintf("no answer from agent %s", strings.Join(e.Names, ", "))
}

// compare collects exchanges with every agent.
func (l *lead) compare(ctx context.Context, rounds int) error {
	for _, p := range l.peers {
		p.exchanges = nil
	}
	for n := range rounds {
		for _, p := range l.peers {
			if p.over && !p.hello {
				continue
			}
			if err := l.order(ctx, p, order{Kind: orderPing, N: n + 1, Sent: time.Now().UnixNano()}, 0); err != nil {
				return err
			}
		}
		err := l.pump(ctx, pongTime, func() bool {
			for _, p := range l.peers {
				if p.hello && p.pinged != n+1 {
					return false
				}
			}
			return true
		})
		if err != nil && !errors.Is(err, errTime) {
			return err
		}
	}
	return nil
}

// open lets the agents connect; started tells whether the load began.
func (l *lead) open(ctx context.Context) (started bool, err error) {
	for _, p := range l.peers {
		p.heard = time.Now()
		if err := l.order(ctx, p, order{Kind: orderOpen, Target: l.o.Target.String(), Share: &l.d.Shares[p.k]}, 1); err != nil {
			return false, err
		}
	}
	anyOver := func() *peer {
		for _, p := range l.peers {
			if p.over {
				return p
			}
		}
		return nil
	}
	err = l.pump(ctx, 0, func() bool {
		return anyOver() != nil || l.every(func(p *peer) bool { return p.opened })
	})
	if err != nil {
		return false, err
	}
	if p := anyOver(); p != nil {
		return false, fmt.Errorf("%w: agent %s: %s", ErrAgents, p.name, p.refusal)
	}
	wait := leadTime
	for _, p := range l.peers {
		wait = max(wait, 4*p.clock.roundTrip())
	}
	at := time.Now().Add(wait)
	l.watch.begin(l.o.Run.Plan.WatchPID, at.Add(l.d.Plan.Warmup), at.Add(l.d.Plan.Warmup+l.d.Plan.Duration), l.event)
	return true, l.all(ctx, order{Kind: orderStart, At: at.UnixNano()}, 1)
}

// load waits for the agents to end, and compares clocks again.
func (l *lead) load(ctx context.Context) error {
	over := func() bool { return l.every(func(*peer) bool { return false }) }
	err := l.pump(ctx, 0, over)
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
	defer cancel()
	if err != nil {
		if ctx.Err() != nil {
			err = nil // interrupted, which is no failure
		}
		soon, cancel := context.WithTimeout(rest, farewell)
		defer cancel()
		if e := l.all(soon, order{Kind: orderStop}, 1); e != nil {
			return errors.Join(err, e)
		}
		if e := l.pump(rest, goodbyeTime, over); e != nil {
			return errors.Join(err, e)
		}
	}
	if e := l.compare(rest, clockAfter); e != nil {
		return errors.Join(err, e)
	}
	for _, p := range l.peers {
		if after, ok := best(p.exchanges); ok {
			r := l.m.Part(p.k)
			r.Error = max(r.Error, uncertainty(p.clock, after))
		}
	}
	return err
}
