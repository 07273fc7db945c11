package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// log makes the records of a run: it looks at the counters, at the process
// and at the one that is watched, and hands on what it has found.
type log struct {
	s      *Session
	writer *ResultWriter // nil: nobody reads it
	lag    atomic.Int64  // the greatest since the last interval

	mu        sync.Mutex
	stage     Stage
	step      int
	since     int64
	cpu       time.Duration // of this process at since
	watchCPU  time.Duration
	gone      bool // the process that is watched
	idle      machine
	full      bool // the window, at since
	measured  Counters
	total     Counters
	latency   latencies
	self      Self
	watch     Watch
	limited   int
	intervals int

	emitMu sync.Mutex
	failed bool // writing the record has
}

func newLog(s *Session) *log {
	l := &log{s: s, stage: StageConnect}
	if s.o.Record != nil {
		l.writer = NewResultWriter(s.o.Record)
	}
	l.cpu = processCPU()
	l.watchCPU, _ = Watched(s.plan.WatchPID)
	l.idle = readMachine()
	return l
}

// emit hands on a record.
func (l *log) emit(record any) {
	l.emitMu.Lock()
	defer l.emitMu.Unlock()
	if l.writer != nil && !l.failed {
		if err := l.writer.Write(record); err != nil {
			l.failed = true
			l.s.o.Logger.Error("the run is no longer recorded", "err", err)
		}
	}
	if l.s.o.Watch != nil {
		l.s.o.Watch(record)
	}
}

// sample ends an interval when it has lasted for Plan.Sampling, and watches
// how late this goroutine wakes up.
func (l *log) sample(ctx context.Context) {
	const beat = 10 * time.Millisecond
	for {
		before := l.s.now()
		if !pause(ctx, beat) {
			return
		}
		now := l.s.now()
		if late := now - before - int64(beat); late > l.lag.Load() {
			l.lag.Store(late)
		}
		l.mu.Lock()
		due := now-l.since >= int64(l.s.plan.Sampling)
		l.mu.Unlock()
		if due {
			l.cut()
		}
	}
}

// enter ends the interval and begins a stage.
func (l *log) enter(stage Stage, step int) {
	l.cut()
	l.mu.Lock()
	l.stage, l.step = stage, step
	l.s.rec.warming.Store(stage == StageWarmup)
	l.mu.Unlock()
}

// progress is what has been counted up to now.
func (l *log) progress() Counters {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.total
	for i := range l.s.rec.shards {
		sh := &l.s.rec.shards[i]
		sh.mu.Lock()
		n.Add(&sh.n)
		sh.mu.Unlock()
	}
	return n
}

// cut ends an interval.
func (l *log) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, now := l.s, l.s.now()
	took := time.Duration(now - l.since)
	if took <= 0 {
		return
	}
	n, lat := s.rec.collect()
	n.Blocked = s.blocked.Swap(0)
	i := &Interval{
		Stage: l.stage, Step: l.step, At: time.Duration(l.since), Duration: took, Counters: n,
		Latency: lat.byName(),
		Self:    Self{Lag: time.Duration(l.lag.Swap(0)), Goroutines: runtime.NumGoroutine(), RSS: processRSS()},
	}
	l.total.Add(&n)
	i.Gauges = l.gauges(now)
	i.Target = l.target(i)
	cpu := processCPU()
	i.Self.CPU, l.cpu = cpu-l.cpu, cpu
	if s.plan.WatchPID > 0 {
		i.Watch = l.look()
	}
	m := readMachine()
	i.Limited = l.limits(i, m.since(l.idle))
	l.idle = m
	l.since = now
	l.keep(i, lat)
	l.emit(i)
}

// look measures the process that is watched, until it has ended.
func (l *log) look() *Watch {
	pid := l.s.plan.WatchPID
	if l.gone {
		return &Watch{Ended: true}
	}
	cpu, rss := Watched(pid)
	if l.gone = HasEnded(l.watchCPU, cpu, rss); l.gone {
		l.emit(&Event{At: time.Duration(l.s.now()), Text: fmt.Sprintf(WatchEnded, pid), Count: 1})
		return &Watch{Ended: true}
	}
	w := &Watch{CPU: cpu - l.watchCPU, RSS: rss}
	l.watchCPU = cpu
	return w
}

// WatchEnded is the text of the event, given the process.
const WatchEnded = "process %d, which is watched, has ended: its CPU per message is unknown"

// HasEnded tells from what Watched has found, and from the CPU before, that the
// process is no more: it has no memory, or another one has got its number.
func HasEnded(before, cpu time.Duration, rss int64) bool { return rss == 0 || cpu < before }

// keep adds an interval to the balance.
func (l *log) keep(i *Interval, lat *latencies) {
	l.latency.merge(lat, i.Stage == StageConnect || i.Stage == StageWarmup)
	l.self.Goroutines = max(l.self.Goroutines, i.Self.Goroutines)
	if i.Stage != StageMeasure {
		return
	}
	l.measured.Add(&i.Counters)
	l.self.CPU += i.Self.CPU
	l.self.Lag = max(l.self.Lag, i.Self.Lag)
	l.self.RSS = i.Self.RSS
	if i.Watch != nil {
		l.watch.Add(i.Watch)
	}
	if i.Duration < l.s.plan.Sampling/2 {
		return // a rest
	}
	l.intervals++
	if len(i.Limited) > 0 {
		l.limited++
	}
}

func (l *log) gauges(now int64) Gauges {
	g := Gauges{Connections: l.s.rec.connections.Load()}
	made, start := l.s.live.Load(), l.s.start.Load()
	if made == nil {
		return g
	}
	for _, f := range made.flows {
		if f.qos > 0 {
			g.Inflight = l.total.Sent - l.total.Acked - l.total.AckFails
		}
		if f.sched != nil {
			g.Behind = max(0, f.sched.count(min(now-start, f.until.Load()))-l.total.Sent)
		}
	}
	return g
}

// target is the mean rate that the schedule has for an interval.
func (l *log) target(i *Interval) float64 {
	made, start := l.s.live.Load(), l.s.start.Load()
	if made == nil || i.Stage != StageWarmup && i.Stage != StageMeasure {
		return 0
	}
	for _, f := range made.flows {
		if f.sched != nil {
			at := int64(i.At) - start
			return float64(f.sched.count(at+int64(i.Duration))-f.sched.count(at)) / i.Duration.Seconds()
		}
	}
	return 0
}

// What makes an interval client-limited.
const (
	lagLimit  = 10 * time.Millisecond
	busyShare = 0.9  // of all processors, by this process alone
	idleShare = 0.05 // of the machine, while this process takes the greater part
)

func (l *log) limits(i *Interval, idle float64) []string {
	var why []string
	cpus := float64(runtime.NumCPU())
	share := i.Self.CPU.Seconds() / i.Duration.Seconds() / cpus
	if share >= busyShare || idle >= 0 && idle < idleShare && share > 0.5 {
		why = append(why, "cpu")
	}
	if i.Self.Lag > lagLimit {
		why = append(why, "lag")
	}
	if l.s.rec.descriptors.Swap(0) > 0 {
		why = append(why, "descriptors")
	}
	if l.s.rec.ports.Swap(0) > 0 {
		why = append(why, "ports")
	}
	// A publisher that goes on waiting is not counted again.
	l.full = i.Counters.WindowFull > 0 || l.full && i.Gauges.Behind > 0
	if l.full {
		why = append(why, LimitedByWindow)
	}
	return why
}
