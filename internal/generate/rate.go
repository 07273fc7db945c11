package generate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseRate reads a rate such as 10/s, 0.5/s, 100/min, 5/h or 1k/s, without a unit
// per second, and returns it per second.
func ParseRate(s string) (float64, error) {
	number, unit, ok := strings.Cut(s, "/")
	each := time.Second
	if ok {
		each, ok = perTime(unit)
	} else {
		ok = true
	}
	factor := 1.0
	if n, thousand := strings.CutSuffix(number, "k"); thousand {
		number, factor = n, 1000
	}
	v, err := strconv.ParseFloat(number, 64)
	rate := v * factor / each.Seconds()
	if err != nil || !ok || !(rate >= 1e-6 && rate <= 1e7) {
		return 0, fmt.Errorf("%q is not a rate such as 10/s, 0.5/s, 100/min or 1k/s", s)
	}
	return rate, nil
}

// perTime is the time that a unit behind a slash stands for.
func perTime(unit string) (time.Duration, bool) {
	switch unit {
	case "s", "sec", "second":
		return time.Second, true
	case "min", "m", "minute":
		return time.Minute, true
	case "h", "hour":
		return time.Hour, true
	case "d", "day":
		return 24 * time.Hour, true
	case "ms":
		return time.Millisecond, true
	}
	return 0, false
}

// Schedule says when messages are due, and keeps account of how far behind it one
// is. It begins at the time of the first message; the zero value has no rate:
// each message is due at once.
type Schedule struct {
	Rate float64 // messages per second; 0: none

	begun   time.Time
	n       int
	latest  time.Duration
	noticed bool
}

// Due is when the n-th message is, counted from 0, after the first. Without a rate
// each message counts as a second.
func (s *Schedule) Due(n int) time.Duration {
	if s.Rate == 0 {
		return time.Duration(n) * time.Second
	}
	return time.Duration(float64(n) / s.Rate * float64(time.Second))
}

// Next is when the next message is due after the first.
func (s *Schedule) Next() time.Duration { return s.Due(s.n) }

// Wait is how long to wait at now until the next message is due: 0 or less when
// it is, or is late. The first call begins the schedule.
func (s *Schedule) Wait(now time.Time) time.Duration {
	if s.begun.IsZero() {
		s.begun = now
	}
	if s.Rate == 0 {
		return 0
	}
	return s.Due(s.n) - now.Sub(s.begun)
}

// Forgive makes the schedule as late as the input was that the next message is
// made of, after it kept us waiting for a time.
func (s *Schedule) Forgive(waited time.Duration, now time.Time) {
	if late := -s.Wait(now); s.Rate > 0 && late > 0 {
		s.begun = s.begun.Add(min(late, waited))
	}
}

// Sent enters into the account that the next message is sent at now. It tells,
// once, that it is more than a second and an interval late.
func (s *Schedule) Sent(now time.Time) (behind bool) {
	late := -s.Wait(now)
	s.n++
	s.latest = max(s.latest, late)
	if s.Rate == 0 || s.noticed || late < time.Second+s.Due(1) {
		return false
	}
	s.noticed = true
	return true
}

// Skip is Sent where there is no rate, and so nothing to be late for.
func (s *Schedule) Skip() { s.n++ }

// Balance is what has become of the schedule at now: how many messages were sent,
// how many had been due, and how late the latest was. behind tells whether that is
// worth telling.
func (s *Schedule) Balance(now time.Time) (sent, due int, latest time.Duration, behind bool) {
	due = s.n
	if s.Rate > 0 && !s.begun.IsZero() {
		due = max(due, int(now.Sub(s.begun).Seconds()*s.Rate))
	}
	return s.n, due, s.latest, s.noticed
}
