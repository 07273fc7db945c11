package recording

import (
	"context"
	"math"
	"time"
)

// Clock says when the messages of a recording are due again. The zero value plays as
// recorded.
type Clock struct {
	Speed float64 // 2 is twice as fast; +Inf does not wait; 0 is 1
	// MaxPause shortens pauses between messages, as recorded. 0: none is.
	MaxPause time.Duration

	last time.Time // as recorded, of the message before; zero: there was none
	due  time.Time // when that was due
}

// Again says that the recording begins anew.
func (c *Clock) Again() { c.last = time.Time{} }

// Wait waits until a message that was recorded at that time is due. late is by how
// much it is too late already. A message without a time, or with one that is before
// those of the message before, is due with that one.
func (c *Clock) Wait(ctx context.Context, recorded time.Time) (late time.Duration, err error) {
	now := time.Now()
	if c.due.IsZero() {
		c.due = now
	}
	c.due = c.due.Add(c.Step(recorded))
	if math.IsInf(c.Speed, 1) {
		c.due = now
		return 0, ctx.Err()
	}
	wait := c.due.Sub(now)
	if wait <= 0 {
		return -wait, ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Step goes on to a message, and returns how long after the one before it is due.
func (c *Clock) Step(recorded time.Time) time.Duration {
	before := c.last
	if recorded.After(c.last) {
		c.last = recorded
	}
	if before.IsZero() || !recorded.After(before) {
		return 0
	}
	d := recorded.Sub(before)
	if c.MaxPause > 0 {
		d = min(d, c.MaxPause)
	}
	if c.Speed > 0 {
		d = time.Duration(float64(d) / c.Speed)
	}
	return d
}

// Lag is how far a run has fallen behind its clock.
type Lag struct {
	Late   int           // messages that were sent later than Tolerated
	Latest time.Duration // by how much the latest of them was
	Last   time.Duration // by how much the last message was
}

// Tolerated is how late a message may be.
const Tolerated = 100 * time.Millisecond

// Note takes what Clock.Wait says.
func (l *Lag) Note(late time.Duration) {
	l.Last = late
	if late > Tolerated {
		l.Late++
		l.Latest = max(l.Latest, late)
	}
}
