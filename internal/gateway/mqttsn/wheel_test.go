package mqttsn

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// slowWheel is what wheel does, one timer after the other.
type slowWheel map[*client]time.Time

func (s slowWheel) by(c *client, at time.Time) {
	if old, set := s[c]; !set || at.Before(old) {
		s[c] = at
	}
}

func (s slowWheel) advance(now time.Time) (due []*client) {
	for c, at := range s {
		if !at.After(now) {
			due = append(due, c)
			delete(s, c)
		}
	}
	return due
}

func TestTheWheelFiresAsTimersDo(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		now := time.Unix(1_700_000_000, 0)
		var w wheel
		w.init(now)
		model := slowWheel{}
		all := make([]*client, 50)
		for i := range all {
			all[i] = new(client)
		}
		for step := range 5000 {
			c := all[r.IntN(len(all))]
			switch r.IntN(4) {
			case 0: // within a round, in the past, and several rounds away
				at := now.Add(time.Duration(r.IntN(4*slots)-slots/4) * tick)
				w.by(c, at)
				model.by(c, maxTime(at, now.Add(tick)))
			case 1:
				w.stop(c)
				delete(model, c)
			default:
				steps := 1 + r.IntN(3)
				if r.IntN(100) == 0 {
					steps = r.IntN(3 * slots) // asleep for a while
				}
				now = now.Add(time.Duration(steps) * tick)
				got, want := w.advance(now, nil), model.advance(now)
				if len(got) != len(want) || slices.ContainsFunc(got, func(c *client) bool { return !slices.Contains(want, c) }) {
					t.Fatalf("seed %d, step %d: %d fire, want %d", seed, step, len(got), len(want))
				}
			}
			if w.n != len(model) {
				t.Fatalf("seed %d, step %d: %d timers, want %d", seed, step, w.n, len(model))
			}
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestTimersAreNeverEarly(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var w wheel
	w.init(now)
	c := new(client)
	w.by(c, now.Add(tick+time.Nanosecond))
	if due := w.advance(now.Add(tick), nil); len(due) != 0 {
		t.Error("a timer fires a nanosecond early")
	}
	if due := w.advance(now.Add(2*tick), nil); len(due) != 1 {
		t.Error("a timer does not fire in the tick after its time")
	}
}

func BenchmarkWheel(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	var w wheel
	w.init(now)
	all := make([]client, 100_000)
	for i := range all {
		w.by(&all[i], now.Add(time.Duration(i)*time.Millisecond))
	}
	var due []*client
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(tick)
		due = w.advance(now, due[:0])
		for _, c := range due {
			w.by(c, now.Add(100*time.Second))
		}
	}
}
