package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// operate lets workers do what the schedule holds, worker w the operations
// whose number modulo workers is w, one after the other. On a closed loop each
// begins the next one at once. What fn returns is counted and reported.
//
// Operations that were due before ctx ended are done in overtime, so that a
// broker which stalls at the end does not get away with it; what is left then
// counts as undone.
func (s *Session) operate(ctx context.Context, workers int, fn func(ctx context.Context, worker int, seq, due int64) error) error {
	steps := s.plan.steps(workers)
	var sched *schedule
	if steps != nil {
		sched = newSchedule(s.plan.Warmup, steps, s.plan.Messages)
	}
	var ended atomic.Int64
	late, stop := s.overtime(ctx, &ended)
	defer stop()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			at := cursor{schedule: sched}
			sh := s.rec.shard()
			for seq := int64(w); ; seq += int64(workers) {
				due := s.now()
				switch {
				case sched == nil && (ctx.Err() != nil || s.plan.Messages > 0 && seq >= s.plan.Messages):
					return
				case sched != nil:
					if due = at.due(seq); due == never {
						return
					}
					due += s.start.Load()
				}
				if wait := due - s.now(); wait > 0 && !pause(ctx, time.Duration(wait)) {
					return
				}
				end := ended.Load()
				if end > 0 && due > end {
					return
				}
				if late.Err() != nil { // all that are due, from this one on
					n := int64(1)
					if sched != nil {
						n = (sched.count(end-s.start.Load()) - seq + int64(workers) - 1) / int64(workers)
					}
					s.undone.Add(max(n, 1))
					return
				}
				s.operation(late, sh, due, func() error { return fn(late, w, seq, due) })
			}
		})
	}
	wg.Wait()
	return nil
}

// overtime is a context that outlasts ctx by the time for draining, or, when the
// user has enough, by a second. It notes when ctx has ended.
func (s *Session) overtime(ctx context.Context, ended *atomic.Int64) (late context.Context, stop func()) {
	late, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		select {
		case <-late.Done():
			return
		case <-ctx.Done():
			ended.Store(s.now())
		}
		t := time.NewTimer(max(s.plan.Drain, 0))
		defer t.Stop()
		select {
		case <-late.Done():
		case <-t.C:
		case <-s.asked.Done():
			pause(late, time.Second)
		}
	}()
	return late, func() {
		cancel()
		<-done
	}
}

// operation runs one and records how long it took.
func (s *Session) operation(ctx context.Context, sh *shard, due int64, fn func() error) {
	begun := s.now()
	err := fn()
	if err != nil && ctx.Err() != nil {
		s.undone.Add(1) // cut off by the end
		return
	}
	now := s.now()
	sh.mu.Lock()
	if err != nil {
		sh.n.OperationFail++
	} else {
		sh.n.Operations++
		s.rec.record(sh, PhaseOperation, due, begun, now)
	}
	if begun-due > 1e6 {
		sh.n.Late++
	}
	sh.mu.Unlock()
}
