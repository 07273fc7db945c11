package bench

import (
	"math"
	"time"
)

// schedule says when each message is due: a rate that is constant or changes
// in straight lines. It is immutable.
type schedule struct {
	parts []part
	limit int64 // messages in all
}

// part of a schedule; times in nanoseconds since its beginning.
type part struct {
	start, length float64
	from, slope   float64 // per nanosecond, and per nanosecond squared
	first, count  float64 // messages before it, and in it
}

// newSchedule begins with warmup at the rate that the first step begins with.
// limit, where above 0, ends it after so many messages.
func newSchedule(warmup time.Duration, steps []Step, limit int64) *schedule {
	s := &schedule{limit: math.MaxInt64}
	if len(steps) > 0 && warmup > 0 {
		r := steps[0].From
		if r == 0 {
			r = steps[0].To / 10
		}
		s.add(Step{Duration: warmup, From: r, To: r})
	}
	for _, step := range steps {
		s.add(step)
	}
	last := s.parts[len(s.parts)-1]
	s.limit = int64(math.Ceil(last.first + last.count - 1e-6)) // all that are due before the end
	if limit > 0 {
		s.limit = min(s.limit, limit)
	}
	return s
}

func (s *schedule) add(step Step) {
	p := part{length: float64(step.Duration), from: step.From / 1e9}
	p.slope = (step.To - step.From) / 1e9 / p.length
	p.count = (step.From + step.To) / 2 * step.Duration.Seconds()
	if n := len(s.parts); n > 0 {
		last := s.parts[n-1]
		p.start, p.first = last.start+last.length, last.first+last.count
	}
	s.parts = append(s.parts, p)
}

// rate per second at a time since the beginning.
func (s *schedule) rate(at time.Duration) float64 {
	for _, p := range s.parts {
		if t := float64(at) - p.start; t >= 0 && t < p.length {
			return (p.from + p.slope*t) * 1e9
		}
	}
	return 0
}

// maxRate is the greatest rate per second.
func (s *schedule) maxRate() float64 {
	most := 0.0
	for _, p := range s.parts {
		most = max(most, p.from*1e9, (p.from+p.slope*p.length)*1e9)
	}
	return most
}

// count is how many messages are due up to a time since the beginning.
func (s *schedule) count(at int64) int64 {
	n := 0.0
	for _, p := range s.parts {
		if t := min(float64(at)-p.start, p.length); t > 0 {
			n = p.first + p.from*t + p.slope/2*t*t
		}
	}
	return min(int64(math.Ceil(n)), s.limit)
}

// never is due after everything else.
const never = math.MaxInt64

// cursor walks along a schedule; k may only grow between calls.
type cursor struct {
	*schedule
	at int
}

// due is when message k is to be sent, in nanoseconds since the beginning, or
// never.
func (c *cursor) due(k int64) int64 {
	if k >= c.limit {
		return never
	}
	for c.at < len(c.parts)-1 && float64(k) >= c.parts[c.at].first+c.parts[c.at].count {
		c.at++
	}
	p := &c.parts[c.at]
	n := float64(k) - p.first
	if p.slope == 0 {
		return int64(p.start + n/p.from)
	}
	// n = from*t + slope/2*t²
	root := math.Sqrt(max(p.from*p.from+2*p.slope*n, 0))
	return int64(p.start + 2*n/(p.from+root))
}
