package recording

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/router"
)

// Choice says which messages are played. The zero value takes all.
type Choice struct {
	Filters []string // of topics, one of which fits; none: all
	Out     []string // of topics that are left out
	From    Moment   // the first that is taken
	To      Moment   // the first that is not
	Skip    int      // of those that are chosen so far, from the first
	Limit   int      // of those behind; 0: all

	began   time.Time
	skipped int
	taken   int
}

// Moment is a time, or one that is counted from the first message.
type Moment struct {
	At    time.Time
	After time.Duration
	Set   bool
}

// ParseMoment reads 90s, 90 or a time as in RFC 3339.
func ParseMoment(s string) (Moment, error) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return Moment{At: at, Set: true}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = time.ParseDuration(s + "s")
	}
	if err != nil || d < 0 {
		return Moment{}, fmt.Errorf("%q: must be a time as in 2026-03-04T05:06:07Z, or how long after the first message, as in 90s", s)
	}
	return Moment{After: d, Set: true}, nil
}

// Again says that the recording begins anew.
func (c *Choice) Again() { c.began, c.skipped, c.taken = time.Time{}, 0, 0 }

// Take tells whether a message is one of those; over says that no other will be. A
// message without a time is taken when those around it are.
func (c *Choice) Take(m *Message) (take, over bool) {
	if c.began.IsZero() {
		c.began = m.Time
	}
	switch {
	case c.From.Set && !m.Time.IsZero() && m.Time.Before(c.from()):
		return false, false
	case c.To.Set && !m.Time.IsZero() && !m.Time.Before(c.to()):
		return false, false // times need not be in order
	case !c.fits(m.Topic):
		return false, false
	case c.skipped < c.Skip:
		c.skipped++
		return false, false
	case c.Limit > 0 && c.taken == c.Limit:
		return false, true
	}
	c.taken++
	return true, c.Limit > 0 && c.taken == c.Limit
}

func (c *Choice) from() time.Time { return c.From.since(c.began) }
func (c *Choice) to() time.Time   { return c.To.since(c.began) }

func (m Moment) since(began time.Time) time.Time {
	if !m.At.IsZero() {
		return m.At
	}
	return began.Add(m.After)
}

func (c *Choice) fits(topic string) bool {
	for _, f := range c.Out {
		if router.Match(f, topic) {
			return false
		}
	}
	for _, f := range c.Filters {
		if router.Match(f, topic) {
			return true
		}
	}
	return len(c.Filters) == 0
}
