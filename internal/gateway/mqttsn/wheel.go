package mqttsn

import (
	"sync"
	"time"
)

// tick is how exact timers are: they fire up to that much late, never early.
const tick = 100 * time.Millisecond

// slots is how many ticks the wheel has; timers that are further away go round it
// more than once.
const slots = 1024

// timer is the next deadline of a client.
type timer struct {
	due        int64 // in ticks since the wheel began; 0: not set
	prev, next *client
}

// wheel holds the deadlines of all clients. To set and to stop one costs the same
// however many there are.
type wheel struct {
	began time.Time
	mu    sync.Mutex
	at    int64          // the tick that was worked off last
	slots [slots]*client // doubly linked lists
	n     int            // timers that are set
}

func (w *wheel) init(now time.Time) { w.began = now }

// by has the timer of c fire at, or as soon as possible after that, unless it
// fires earlier anyway: whoever is called too early asks again.
func (w *wheel) by(c *client, at time.Time) {
	due := int64((at.Sub(w.began) + tick - 1) / tick)
	w.mu.Lock()
	defer w.mu.Unlock()
	due = max(due, w.at+1)
	if c.timer.due != 0 && c.timer.due <= due {
		return
	}
	w.take(c)
	c.timer.due = due
	slot := &w.slots[due%slots]
	c.timer.next = *slot
	if c.timer.next != nil {
		c.timer.next.timer.prev = c
	}
	*slot = c
	w.n++
}

// stop takes the timer of c out, if it is set.
func (w *wheel) stop(c *client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(c)
}

func (w *wheel) take(c *client) {
	t := &c.timer
	if t.due == 0 {
		return
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.due%slots] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	*t = timer{}
	w.n--
}

// advance takes out what is due at now and appends its clients to dst.
func (w *wheel) advance(now time.Time, dst []*client) []*client {
	to := int64(now.Sub(w.began) / tick)
	w.mu.Lock()
	defer w.mu.Unlock()
	from := max(w.at+1, to-slots+1) // one round sees every slot
	for at := from; at <= to; at++ {
		for c := w.slots[at%slots]; c != nil; {
			next := c.timer.next
			if c.timer.due <= to {
				w.take(c)
				dst = append(dst, c)
			}
			c = next
		}
	}
	w.at = max(w.at, to)
	return dst
}
