package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// Run does what o says and returns the balance. The error is why the run could
// not begin or could not go on; what was measured until then is in the Final,
// which is nil if nothing was. A Final whose figures are bad comes without an
// error.
func Run(ctx context.Context, o Options) (*Final, error) {
	if err := o.Plan.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &runner{o: &o}
	run := o.Part.Run
	if run == 0 {
		run = max(rand.Uint32(), 1)
	}
	plan := o.Plan
	plan.Scenario = o.Spec.Name
	if o.Spec.Defaults != nil && o.Part.Run == 0 {
		o.Spec.Defaults(&plan)
	}
	plan.complete(fmt.Sprintf("%08x", run))
	Default(&plan.Drivers, max(1, runtime.GOMAXPROCS(0)/2))
	o.Plan = plan
	if err := o.Plan.Validate(); err != nil {
		return nil, err
	}
	d, err := newDialer(&o)
	if err != nil {
		return nil, err
	}
	devices, err := newDevices(&o)
	if err != nil {
		return nil, err
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	r.s = &Session{
		clock: newClock(o.Part.Shift), o: &o, plan: &o.Plan, run: run, ctx: inner, dialer: d, devices: devices,
		asked:   ctx,
		rec:     newRecorder(8 * runtime.GOMAXPROCS(0)),
		planned: max(o.Plan.Clients, o.Plan.Publishers+o.Plan.Subscribers),
		values:  map[string]float64{}, problems: map[string]*Event{},
	}
	r.cancel = cancel
	return r.run(ctx)
}

// runner leads a session through its stages.
type runner struct {
	o      *Options
	s      *Session
	cancel context.CancelCauseFunc
	log    *log

	load     Load
	measured time.Duration
	ended    string
}

// run returns after everything that was started has ended.
func (r *runner) run(ctx context.Context) (*Final, error) {
	s := r.s
	r.log = newLog(s)
	s.emit = r.log.emit
	r.log.emit(&Header{Started: s.epoch.UTC(), Environment: ReadEnvironment(r.o.Tool), Plan: *s.plan})
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); r.log.sample(background) }()
	keeping := make(chan struct{})
	go func() { defer close(keeping); s.keepAlives(background) }()

	err := r.stages(ctx)
	unsent := int64(0)
	for _, f := range s.flows {
		unsent += f.unsent(s.now())
	}
	r.log.enter("", 0)
	stop()
	<-done
	<-keeping
	r.close()
	f := r.final(err, unsent)
	r.log.emit(f)
	return f, err
}

// stages goes through them until the end, ctx's or the plan's.
func (r *runner) stages(ctx context.Context) error {
	s := r.s
	r.ended = "complete"
	opening, opened := context.WithCancelCause(ctx)
	defer opened(nil)
	var err error
	r.load, err = r.o.Spec.New().Open(opening, s)
	if err != nil {
		if ctx.Err() != nil {
			r.ended = "interrupted"
			return nil
		}
		r.ended = err.Error()
		return err
	}
	// Connecting has made garbage and deep stacks, which idle connections would
	// keep for minutes: a collection halves each stack.
	for range 2 {
		debug.FreeOSMemory()
	}
	first := StageMeasure
	if s.plan.Warmup > 0 {
		first = StageWarmup
	}
	start, err := r.begin(ctx)
	if err != nil {
		if ctx.Err() != nil {
			r.ended = "interrupted"
			return nil
		}
		r.ended = err.Error()
		return err
	}
	r.log.enter(first, min(len(s.plan.Steps), 1))
	r.schedule(start)
	loading, finish := context.WithCancel(ctx)
	defer finish()
	over := make(chan error, 1)
	go func() { over <- r.load.Run(loading) }()
	finished := (<-chan error)(over)
	err = r.measure(ctx, &finished)
	end := min(s.rec.to.Load(), s.now())
	r.measured = time.Duration(max(end-s.rec.from.Load(), 0))
	if !r.o.Part.Crosses { // others may have more to send
		s.rec.to.Store(end)
	}
	r.log.enter(StageDrain, 0)
	finish()
	if finished != nil {
		err = <-finished
	}
	if err != nil {
		r.ended = err.Error()
		return err
	}
	r.drain(ctx)
	return nil
}

// begin waits for the others, and returns when the load starts.
func (r *runner) begin(ctx context.Context) (int64, error) {
	s := r.s
	if r.o.Company == nil {
		return s.now(), nil
	}
	common, err := r.o.Company.Opened(ctx)
	if err != nil {
		return 0, err
	}
	start := common.UnixNano() - s.unix
	if wait := start - s.now(); wait > 0 && !pause(ctx, time.Duration(wait)) {
		return 0, context.Cause(ctx)
	}
	return start, nil
}

// schedule sets the times of what is to come.
func (r *runner) schedule(start int64) {
	s := r.s
	made := s.scene
	s.live.Store(&made)
	s.start.Store(start)
	s.rec.from.Store(start + int64(s.plan.Warmup))
	s.rec.to.Store(start + int64(s.plan.Warmup+s.plan.Duration))
	for _, f := range s.flows {
		f.begin(start)
	}
}

// measure waits for the load to end by itself, which leaves finished nil, or by
// the clock, and changes stages and steps meanwhile.
func (r *runner) measure(ctx context.Context, finished *<-chan error) error {
	s := r.s
	type mark struct {
		at    int64
		stage Stage
		step  int
	}
	at := s.start.Load()
	var marks []mark
	if s.plan.Warmup > 0 {
		marks = append(marks, mark{at, StageWarmup, 0})
		at += int64(s.plan.Warmup)
	}
	if len(s.plan.Steps) == 0 {
		marks = append(marks, mark{at, StageMeasure, 0})
		at += int64(s.plan.Duration)
	}
	for i, step := range s.plan.Steps {
		marks = append(marks, mark{at, StageMeasure, i + 1})
		at += int64(step.Duration)
	}
	marks = append(marks, mark{at, StageDrain, 0})
	for k, m := range marks {
		if over, err := r.await(ctx, m.at, finished); over {
			return err
		}
		if k > 0 && m.stage != StageDrain { // the first has been entered
			r.log.enter(m.stage, m.step)
		}
	}
	for _, f := range s.flows {
		if f.sched == nil {
			f.ended.Store(true)
		}
	}
	return nil
}

// await waits for a time of the session, unless the run is over before: when
// ctx ends, or the load has failed, or has sent all that it was to send. A load
// that has only come to the end of its schedule ends with the clock.
func (r *runner) await(ctx context.Context, at int64, finished *<-chan error) (over bool, err error) {
	s := r.s
	timer := time.NewTimer(time.Duration(max(at-s.now(), 0)))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return false, nil
		case <-ctx.Done():
			r.ended = "interrupted"
			for _, f := range s.flows {
				f.until.Store(s.now() - f.start)
			}
			return true, nil
		case err := <-*finished:
			*finished = nil
			if err != nil || s.plan.Messages > 0 {
				s.rec.from.Store(min(s.rec.from.Load(), s.now())) // it may have been the warm-up
				return true, err
			}
		}
	}
}

// quiet is how long nothing must have arrived for the rest to count as lost,
// where nobody has promised it.
const quiet = 2 * time.Second

// drain waits for what is on its way.
func (r *runner) drain(ctx context.Context) {
	s := r.s
	if s.plan.Drain < 0 {
		return
	}
	most := s.plan.Drain
	if ctx.Err() != nil {
		most = min(most, time.Second)
	}
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	if ctx.Err() == nil {
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
	}
	for _, f := range s.flows {
		for _, p := range f.pubs { // what was due when the drivers ended
			p.pump()
		}
	}
	_ = r.load.Drain(waiting)
	last, since := int64(-1), s.now()
	for pause(waiting, 5*time.Millisecond) {
		n := r.log.progress()
		if settled, seen := r.settled(n); r.together(n, settled) {
			return
		} else if seen != last {
			last, since = seen, s.now()
		} else if !r.promised(n) && s.now()-since > int64(quiet) {
			return
		}
	}
}

// settled tells whether everything that was published has arrived and been
// acknowledged; seen grows while something happens.
func (r *runner) settled(n Counters) (ok bool, seen int64) {
	ok = true
	var expected, arrived int64
	for _, f := range r.s.flows {
		var sent int64
		for _, p := range f.pubs {
			for _, id := range p.streams {
				st := r.s.streams[id]
				k := int64(st.sent.Load())
				sent += k
				expected += k * int64(st.targets)
				arrived += st.arrived.Load()
			}
		}
		if f.qos > 0 && sent > n.Acked+n.AckFails || f.sched != nil && sent < f.sched.count(min(f.until.Load(), r.s.now()-f.start)) {
			ok = false
		}
	}
	if r.o.Part.Crosses {
		expected = 0 // the others know
	}
	return ok && arrived >= expected, n.Received + n.Acked + n.Sent
}

// promised tells whether the broker may only be slow: acknowledgements are
// missing, or messages that QoS 1 or 2 protects all the way.
func (r *runner) promised(n Counters) bool {
	return slices.ContainsFunc(r.s.flows, func(f *flow) bool {
		return f.qos > 0 && (r.s.plan.SubQoS > 0 || n.Sent > n.Acked+n.AckFails)
	})
}

// together asks the others, if what they do matters here.
func (r *runner) together(n Counters, settled bool) bool {
	if r.o.Company == nil || !r.o.Part.Crosses {
		return settled
	}
	return r.o.Company.Settled(Progress{Sent: n.Sent, Arrived: n.Received - n.Duplicated - n.Foreign, Settled: settled})
}

// close ends every connection.
func (r *runner) close() {
	for _, end := range slices.Backward(r.s.atEnd) {
		end()
	}
	all := r.s.all()
	r.cancel(errors.New("the run is over"))
	for _, c := range all {
		c.leave()
	}
	deadline := time.Now().Add(farewellTime)
	for _, c := range all {
		c.finish(deadline)
	}
	r.s.wg.Wait()
}

// final draws the balance.
func (r *runner) final(err error, unsent int64) *Final {
	s, l := r.s, r.log
	f := &Final{
		At: time.Duration(s.now()), Ended: r.ended, Measured: r.measured,
		Counters: l.measured, Total: l.total, Latency: l.latency.byName(),
		Self: l.self, LimitedIntervals: l.limited, MeasureIntervals: l.intervals, Values: s.values,
	}
	if s.plan.WatchPID > 0 {
		w := l.watch
		f.Watch = &w
	}
	trackers := s.trackers
	for _, g := range s.groups {
		trackers = append(trackers, &g.g.trackers)
	}
	f.Account = account(s.streams, s.base, trackers)
	if r.o.Company != nil && r.o.Part.Crosses {
		r.o.Company.Streams(s.counts(trackers, r.o.Part.FirstPublisher-s.plan.Subscribers))
	}
	f.Account.Unsent = unsent + s.undone.Load()
	for q := range f.Account.QoS {
		f.Account.QoS[q].Corrupted += s.torn[q].Load()
	}
	f.Account.Unacked = s.unacked.Load()
	for _, flow := range s.flows {
		if flow.qos > 0 {
			f.Account.Unacked += max(0, f.Account.QoS[flow.qos].Sent-l.total.Acked-l.total.AckFails)
			break
		}
	}
	for _, a := range r.o.Asserts {
		f.Assertions = append(f.Assertions, a.judge(f))
	}
	return f
}
