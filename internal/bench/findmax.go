package bench

import (
	"context"
	"errors"
	"fmt"
)

// Trial is one run of FindMax.
type Trial struct {
	Rate  float64
	Final *Final
	OK    bool
}

// passes tells whether a run has met its conditions, at the rate that it was to
// have: what was not sent, or had nobody left to go to, met nothing.
func passes(f *Final) bool {
	for _, v := range f.Assertions {
		if !v.OK {
			return false
		}
	}
	return f.Ended == "complete" && f.Account.Unsent+f.Total.Disconnects+f.Total.ConnectFails == 0
}

const (
	// precision is how near FindMax comes to the limit.
	precision = 0.05
	// confirmations is how often the rate that was found is tried again.
	confirmations = 3
	maxTrials     = 40
)

// FindMax looks for the greatest rate at which a run meets o.Asserts: it
// doubles the plan's rate until one does not, halves the distance down to 5 %,
// and then tries the result three times; confirmed is how many of them passed.
// report is called after each run.
func FindMax(ctx context.Context, o Options, report func(Trial)) (rate float64, confirmed int, err error) {
	try := func(rate float64) (bool, error) {
		o.Plan.Rate, o.Plan.Interval, o.Plan.Steps, o.Plan.ClosedLoop = rate, 0, nil, false
		f, err := Run(ctx, o)
		if err != nil {
			return false, err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		t := Trial{Rate: rate, Final: f, OK: passes(f)}
		report(t)
		for _, v := range f.Assertions {
			// Slower runs have no more to tell, unless nothing has arrived at all.
			if v.Missing && f.Counters.Received+f.Counters.Operations+f.Account.Sum().Expected == 0 {
				return false, fmt.Errorf("%s: this scenario has no such value", v.Expression)
			}
		}
		return t.OK, nil
	}
	good, bad := 0.0, 0.0
	next := o.Plan.Rate
	if next <= 0 {
		return 0, 0, errors.New("the search needs a rate to begin with")
	}
	for n := 0; bad == 0 || (bad-good)/bad > precision; n++ {
		switch {
		case next < 1:
			return good, 0, fmt.Errorf("no rate meets the conditions: given up at %.1f per second", next)
		case n == maxTrials:
			return good, 0, fmt.Errorf("every rate meets the conditions: given up at %.0f per second", next)
		}
		ok, err := try(next)
		if err != nil {
			return good, 0, err
		}
		if ok {
			good = next
		} else {
			bad = next
		}
		switch {
		case bad == 0:
			next = good * 2
		default:
			next = (good + bad) / 2
		}
	}
	for range confirmations {
		ok, err := try(good)
		if err != nil {
			return good, confirmed, err
		}
		if ok {
			confirmed++
		}
	}
	return good, confirmed, nil
}
