package agents

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// job is a run of an agent, and its [bench.Company].
type job struct {
	s      *serving
	run    string
	heard  time.Time      // from whoever leads; belongs to the agent's goroutine
	start  chan time.Time // takes one
	finish atomic.Bool
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	over   atomic.Bool // all but told

	mu   sync.Mutex // keeps reports in the order of their numbers
	seq  int
	mute bool // one could not be sent, so that others are of no use

	told time.Time // of the last progress; belongs to the run's goroutine
}

func newJob(s *serving, run string) *job {
	return &job{s: s, run: run, heard: time.Now(), start: make(chan time.Time, 1), done: make(chan struct{})}
}

// work is the job's goroutine.
func (j *job) work(o bench.Options) {
	defer close(j.done)
	defer j.cancel(nil)
	f, err := bench.Run(j.ctx, o)
	r := report{Kind: reportFinal, Final: f}
	if f != nil {
		own := *f
		own.Latency, own.Agents = nil, nil // intervals have it
		r.Final, r.Text = &own, f.Ended
	}
	if cause := context.Cause(j.ctx); cause != nil && !errors.Is(cause, errStopped) {
		r.Text = cause.Error()
	} else if err != nil {
		r.Text = err.Error()
	}
	debug.FreeOSMemory()
	j.over.Store(true)
	j.tell(r)
}

// patience is how long a report may wait for the broker after the run's end.
const patience = 5 * time.Second

// tell sends a report that must not be missing.
func (j *job) tell(r report) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	r.Seq = j.seq
	if j.mute {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), patience)
	defer cancel()
	if err := j.s.send(ctx, runTopic+j.run+"/"+j.s.Name, r, 1); err != nil {
		j.mute = true
		j.s.Logger.Warn("cannot report", "err", err)
		j.cancel(errors.New("reports cannot be sent"))
	}
}

// watch passes on the records of the run.
func (j *job) watch(record any) {
	r := report{Kind: reportRecord}
	switch v := record.(type) {
	case *bench.Header:
		r.Header = v
	case *bench.Interval:
		r.Interval = v
	case *bench.Event:
		r.Event = v
	default:
		return // the balance goes last
	}
	j.tell(r)
}

// Opened implements bench.Company.
func (j *job) Opened(ctx context.Context) (time.Time, error) {
	j.tell(report{Kind: reportOpened})
	select {
	case at := <-j.start:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

// Settled implements bench.Company.
func (j *job) Settled(p bench.Progress) bool {
	if time.Since(j.told) >= 50*time.Millisecond {
		j.told = time.Now()
		j.tell(report{Kind: reportProgress, Progress: &p})
	}
	return j.finish.Load()
}

// Streams implements bench.Company.
func (j *job) Streams(all []bench.StreamCount) {
	for len(all) > 0 {
		n := min(len(all), streamsAtOnce)
		j.tell(report{Kind: reportStreams, Streams: all[:n]})
		all = all[n:]
	}
}
