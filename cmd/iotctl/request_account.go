package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// requestAccount is what became of the requests of a run.
type requestAccount struct {
	requests   int
	answered   int // with all replies that were waited for
	incomplete int // with some
	lost       int // with none in time
	refused    int
	replies    int // in time
	late       int // replies to requests that were lost or incomplete by then
	surplus    int // replies to requests that had all
	foreign    int // messages on the response topic that reply to no request
	took       time.Duration
	// first and complete are the times of the first reply, and of the last one that
	// was waited for.
	first, complete []time.Duration
}

// percentiles of times, in seconds. Each is a time that was measured: the smallest
// that so many do not exceed.
type percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// percentilesOf sorts times; nil if there are none.
func percentilesOf(times []time.Duration) *percentiles {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	at := func(percent int) float64 {
		return times[max((len(times)*percent+99)/100-1, 0)].Seconds()
	}
	return &percentiles{at(50), at(90), at(95), at(99), at(100)}
}

func (p *percentiles) String() string {
	d := func(seconds float64) string { return short(time.Duration(seconds * float64(time.Second))) }
	return fmt.Sprintf("p50 %s  p90 %s  p95 %s  p99 %s  max %s", d(p.P50), d(p.P90), d(p.P95), d(p.P99), d(p.Max))
}

// text is the account for people.
func (a *requestAccount) text() []string {
	counts := []string{fmt.Sprintf("%d requests", a.requests), fmt.Sprintf("%d answered", a.answered), fmt.Sprintf("%d lost", a.lost)}
	for _, c := range []struct {
		n    int
		what string
	}{
		{a.incomplete, "incomplete"},
		{a.refused, "refused"},
		{a.open(), "open"},
		{a.replies, "replies"},
		{a.late, "late replies"},
		{a.surplus, "replies more than were waited for"},
		{a.foreign, "foreign messages"},
	} {
		if c.n > 0 && (c.what != "replies" || c.n != a.answered) {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	lines := []string{strings.Join(counts, ", ") + " in " + short(a.took)}
	switch first, complete := percentilesOf(a.first), percentilesOf(a.complete); {
	case first == nil:
	case a.replies > len(a.first) && complete != nil:
		lines = append(lines, "first reply: "+first.String(), "last reply:  "+complete.String())
	default:
		lines = append(lines, "latency: "+first.String())
	}
	return lines
}

// open is how many requests still waited at the end of the run.
func (a *requestAccount) open() int {
	return a.requests - a.answered - a.incomplete - a.lost - a.refused
}

// json is the account for programs.
func (a *requestAccount) json() ([]byte, error) {
	return json.Marshal(struct {
		Requests   int          `json:"requests"`
		Answered   int          `json:"answered"`
		Incomplete int          `json:"incomplete"`
		Lost       int          `json:"lost"`
		Refused    int          `json:"refused"`
		Open       int          `json:"open"`
		Replies    int          `json:"replies"`
		Late       int          `json:"late_replies"`
		Surplus    int          `json:"surplus_replies"`
		Foreign    int          `json:"foreign_messages"`
		Seconds    float64      `json:"seconds"`
		Latency    *percentiles `json:"latency_seconds,omitempty"`
		Complete   *percentiles `json:"complete_seconds,omitempty"`
	}{
		a.requests, a.answered, a.incomplete, a.lost, a.refused, a.open(), a.replies, a.late, a.surplus, a.foreign,
		a.took.Seconds(), percentilesOf(a.first), percentilesOf(a.complete),
	})
}

// finish reports the account, and says how the run went. err is what ended it.
func (r *inquirer) finish(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.account
	if problem := r.report(); problem != nil {
		return problem
	}
	missing := a.lost + a.incomplete
	wait := r.s.call.wait
	var hints []string
	if r.unheard {
		hints = append(hints, fmt.Sprintf("nobody subscribes to %q, says the broker", r.request.Topic))
	}
	switch {
	case err != nil:
		return err
	case missing == 0:
		return nil
	case a.requests > 1:
		what := "replies"
		if r.s.call.replies == 1 {
			what = "reply"
		}
		return fail(exitTimeout, fmt.Errorf("%d of %d requests had no %s within %s", missing, a.requests, what, wait), hints...)
	case a.replies > 0:
		return fail(exitTimeout, fmt.Errorf("%d of %d replies within %s", a.replies, r.s.call.replies, wait), hints...)
	}
	return fail(exitTimeout, fmt.Errorf("no reply within %s", wait), hints...)
}

// report prints the account where it is asked for, or, of many requests, where
// people see it.
func (r *inquirer) report() error {
	switch {
	case r.s.latency && r.s.output != "text":
		b, err := r.account.json()
		if err != nil {
			return err
		}
		return r.out.line(string(b))
	case r.s.latency:
		var problem error
		for _, l := range r.account.text() {
			problem = errors.Join(problem, r.out.line(l))
		}
		return problem
	case r.many && !r.s.quiet:
		if err := r.out.flush(); err != nil {
			return err
		}
		for _, l := range r.account.text() {
			r.t.notef("%s", l)
		}
	}
	return nil
}
