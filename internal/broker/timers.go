package broker

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// timer is something that happens at a time. One session or retained message
// has at most one in the heap, so reconnecting for ever leaves nothing behind.
type timer struct {
	at    time.Time
	index int // in the heap, counted from 1; 0: not in it
	fire  func(now time.Time)
}

// timers is the queue of all that waits for a time.
type timers struct {
	wake chan struct{}
	mu   sync.Mutex
	heap timerHeap
}

// set schedules t, or moves it.
func (ts *timers) set(t *timer, at time.Time) {
	ts.mu.Lock()
	t.at = at
	if t.index == 0 {
		heap.Push(&ts.heap, t)
	} else {
		heap.Fix(&ts.heap, t.index-1)
	}
	first := t.index == 1
	ts.mu.Unlock()
	if first {
		select {
		case ts.wake <- struct{}{}:
		default:
		}
	}
}

// stop takes t out.
func (ts *timers) stop(t *timer) {
	ts.mu.Lock()
	if t.index > 0 {
		heap.Remove(&ts.heap, t.index-1)
	}
	ts.mu.Unlock()
}

// due takes out what has come due.
func (ts *timers) due(now time.Time) []*timer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var due []*timer
	for len(ts.heap) > 0 && !ts.heap[0].at.After(now) {
		due = append(due, heap.Pop(&ts.heap).(*timer))
	}
	return due
}

// firing is how many timers fire at a time: each may wait for the store, which
// writes together what comes together.
const firing = 64

// fire lets due timers do what they are for and returns when they have. It
// leaves off when ctx ends: what was due is due again after the next start.
func fire(ctx context.Context, due []*timer, now time.Time) {
	var next atomic.Int64
	run := func() {
		for i := next.Add(1); i <= int64(len(due)) && ctx.Err() == nil; i = next.Add(1) {
			due[i-1].fire(now)
		}
	}
	var workers sync.WaitGroup
	for range min(len(due), firing) - 1 {
		workers.Go(run)
	}
	run()
	workers.Wait()
}

// next returns how long it is until the first timer.
func (ts *timers) next(now time.Time) time.Duration {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.heap) == 0 {
		return time.Hour
	}
	return max(0, ts.heap[0].at.Sub(now))
}

type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = 0
	return t
}
