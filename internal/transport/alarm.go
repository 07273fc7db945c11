package transport

import (
	"sync"
	"time"
)

// alarm is a lock with a condition that is also signalled when a deadline has
// passed. Its methods, those of the lock aside, are called with it held.
type alarm struct {
	sync.Mutex
	cond     sync.Cond // its L is set by wait
	deadline time.Time
	timer    *time.Timer // nil: no deadline was set yet
	stopped  bool
}

// wait waits for ring or the deadline. It may return for neither.
func (a *alarm) wait() {
	a.cond.L = &a.Mutex
	a.cond.Wait()
}

func (a *alarm) ring() { a.cond.Broadcast() }

// late reports whether the deadline has passed.
func (a *alarm) late() bool { return !a.deadline.IsZero() && !time.Now().Before(a.deadline) }

// set moves the deadline. A timer that is set for an earlier one may fire: who
// waits looks for himself.
func (a *alarm) set(t time.Time) {
	a.deadline = t
	a.arm()
}

func (a *alarm) arm() {
	if a.deadline.IsZero() || a.stopped {
		return
	}
	d := time.Until(a.deadline)
	switch {
	case d <= 0:
		a.ring()
	case a.timer == nil:
		a.timer = time.AfterFunc(d, a.fire)
	default:
		a.timer.Reset(d)
	}
}

func (a *alarm) fire() {
	a.Lock()
	defer a.Unlock()
	a.arm()
}

// stop ends the use of the alarm.
func (a *alarm) stop() {
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
	a.ring()
}
