package exproto

import (
	"errors"
	"sync"
	"time"
)

// watch ends connections on which nothing comes.
//
// The idle time-out of a stream begins when the handler knows of it, which is when
// it is read from, and ends with its first byte, or when the device has
// said who it is; one that has been refused has it again, and bytes do not help.
// That of datagrams begins anew with each of them, until StartTimer.
//
// StartTimer watches from then on whether something comes. While the device is
// not read from because the handler is slow, its silence means nothing.
type watch struct {
	c *client

	mu       sync.Mutex
	timer    *time.Timer
	over     bool
	idle     time.Duration // 0: there is no idle time-out any more
	firm     bool          // bytes do not end it
	silence  time.Duration // that StartTimer allows; 0: any
	since    time.Time     // when either began
	last     time.Time     // when something came
	withheld bool          // the device is not read from
}

var (
	errIdle      = errors.New("the device has said nothing")
	errKeepalive = errors.New("the device has been silent for too long")
)

func (w *watch) start(c *client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.c, w.idle, w.since, w.withheld = c, c.g.cfg.IdleTimeout, time.Now(), !c.datagrams
	w.timer = time.AfterFunc(w.idle, w.fire)
}

// opened: the device is read from, from now on.
func (w *watch) opened() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withheld, w.since = false, time.Now()
	w.reset()
}

// heard notes that something has come.
func (w *watch) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
	if !w.c.datagrams && !w.firm {
		w.idle = 0
	}
}

// identified: the device has said who it is.
func (w *watch) identified() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.c.datagrams {
		w.idle, w.firm = 0, false
	}
}

// refused: the device is not who it says.
func (w *watch) refused() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.c.datagrams && !w.firm {
		w.idle, w.firm, w.since = w.c.g.cfg.IdleTimeout, true, time.Now()
		w.reset()
	}
}

// keepalive is StartTimer.
func (w *watch) keepalive(interval time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silence = time.Duration(float64(interval) * w.c.g.cfg.KeepaliveMultiplier)
	w.since = time.Now()
	if w.c.datagrams {
		w.idle = 0
	}
	w.reset()
}

// withhold tells whether the device is read from.
func (w *watch) withhold(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withheld = yes
	w.last = time.Now()
}

// due is when the connection is to end if nothing comes before; zero for never.
// Called with mu held.
func (w *watch) due() (at time.Time, reason string) {
	last := w.since
	if w.last.After(last) {
		last = w.last
	}
	if w.silence > 0 {
		at, reason = last.Add(w.silence), reasonKeepalive
	}
	if w.idle > 0 {
		idle := w.since.Add(w.idle)
		if w.c.datagrams {
			idle = last.Add(w.idle)
		}
		if at.IsZero() || idle.Before(at) {
			at, reason = idle, reasonIdle
		}
	}
	return at, reason
}

// reset sets the timer to what is due. Called with mu held.
func (w *watch) reset() {
	if at, _ := w.due(); !w.over && !at.IsZero() {
		w.timer.Reset(time.Until(at))
	}
}

func (w *watch) fire() {
	w.mu.Lock()
	now := time.Now()
	if w.withheld {
		w.last, w.since = now, now
	}
	at, reason := w.due()
	if w.over || at.IsZero() || now.Before(at) {
		w.reset()
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	if reason == reasonIdle {
		w.c.stop(reason, errIdle)
		return
	}
	w.c.expire()
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}

// lastChance is how long the handler may take to answer OnTimerTimeout before
// the connection is closed.
const lastChance = time.Second

// expire tells the handler that the device is silent, and then closes.
func (c *client) expire() {
	told := make(chan struct{})
	c.push(event{kind: onTimer, told: told})
	timer := time.NewTimer(lastChance)
	defer timer.Stop()
	select {
	case <-told:
	case <-timer.C:
	case <-c.stopped:
	}
	c.stop(reasonKeepalive, errKeepalive)
}
