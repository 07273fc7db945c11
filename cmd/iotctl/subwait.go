package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/jq"
)

// waiting decides about the end of a run of sub by what comes, and by what does
// not. The rules:
//
//   - Of a message first --fail-on is asked, then --until, then --expect, then
//     -C. Messages that -T and -R hide are no messages here; those that --changes
//     and --random-filter hide are.
//   - --until and --expect are demands. The first that is met ends the run with
//     0. If anything else ends it (--within, --idle, -C, --retained-only) the code
//     is 27. Without a demand these end it with 0. -W and signals have their own
//     codes.
//   - --within and --idle begin with the answer to the subscription. Idle is who
//     is connected and has worked off all that came.
//   - What the reader had in hand when the time was over still counts.
type waiting struct {
	s *settings
	t *terminal

	came atomic.Int64
	met  atomic.Bool  // a demand was
	busy atomic.Bool  // a message is in hand
	last atomic.Int64 // when there was something to do, in Unix nanoseconds; 0: not connected
	told [2]bool      // that --until, --fail-on could not be asked
}

// newWaiting is nil when nothing is waited for.
func newWaiting(s *settings, t *terminal) *waiting {
	if !s.waits() {
		return nil
	}
	w := &waiting{s: s, t: t}
	s.onState = w.news
	return w
}

// news stops the clock of --idle while there is no connection.
func (w *waiting) news(st client.State) {
	switch st.Kind {
	case client.StateLost:
		w.last.Store(0)
	case client.StateConnected, client.StateResubscribed:
		w.touch()
	}
}

func (w *waiting) touch() { w.last.Store(time.Now().UnixNano()) }

// verdict is what one message means for the run.
type verdict struct {
	over bool
	show bool // whatever hides it: it is why the run ends
	err  error
}

// judge takes a message. A nil *waiting lets all go on.
func (w *waiting) judge(x *sight) verdict {
	if w == nil {
		return verdict{}
	}
	w.busy.Store(true)
	came := w.came.Add(1)
	if w.holds(0, "--fail-on", w.s.failOn, x) {
		return verdict{over: true, show: true, err: fail(exitFailOn, fmt.Errorf("--fail-on: %s is true of a message on topic %q", w.s.failOn, x.m.Topic))}
	}
	if w.holds(1, "--until", w.s.until, x) {
		w.met.Store(true)
		return verdict{over: true, show: true}
	}
	if w.s.expect > 0 && came >= int64(w.s.expect) {
		w.met.Store(true)
		return verdict{over: true}
	}
	return verdict{}
}

// idled tells that all that came has been worked off.
func (w *waiting) idled() {
	if w != nil && w.busy.Load() {
		w.touch()
		w.busy.Store(false)
	}
}

// holds asks an expression. One that fails on a message does not hold, and says so
// once.
func (w *waiting) holds(i int, name string, q *jq.Query, x *sight) bool {
	if q == nil {
		return false
	}
	ok, err := q.Test(context.Background(), x.record())
	if err != nil && !w.told[i] && !w.s.quiet {
		w.told[i] = true
		w.t.warnf("%s is not true of a message on topic %q, as it fails: %s (told once)", name, x.m.Topic, appendShown(nil, err.Error(), w.t.errTTY))
	}
	return ok
}

// The pause after which a reader that is busy, or not connected, is looked at
// again.
const busyPause = 20 * time.Millisecond

// shrinkAfter is when a run is one that lasts.
const shrinkAfter = time.Second

// await waits for the end of the run. ended: the client has ended by itself.
func (sub *subscriber) await(ctx context.Context) (ended bool, err error) {
	var idle *time.Timer
	var within, quiet <-chan time.Time
	if w := sub.wait; w != nil {
		w.touch()
		if w.s.within > 0 {
			timer := time.NewTimer(w.s.within)
			defer timer.Stop()
			within = timer.C
		}
		if w.s.idle > 0 {
			idle = time.NewTimer(w.s.idle)
			defer idle.Stop()
			quiet = idle.C
		}
	}
	started := time.NewTimer(shrinkAfter)
	defer started.Stop()
	for {
		select {
		case <-started.C:
			if !sub.s.peer {
				shrink()
			}
		case err = <-sub.finished:
			return false, err
		case <-ctx.Done():
			return false, failCause(ctx)
		case <-sub.Done():
			return true, nil
		case <-within:
			return false, nil
		case <-quiet:
			rest := sub.wait.quietIn()
			if rest <= 0 {
				return false, nil
			}
			idle.Reset(rest)
		}
	}
}

// quietIn is how long it has to stay quiet yet.
func (w *waiting) quietIn() time.Duration {
	last := w.last.Load()
	if w.busy.Load() || last == 0 {
		return busyPause
	}
	return w.s.idle - time.Since(time.Unix(0, last))
}

// unmet is what is wrong with a run that has ended without an error; nil: nothing.
// The reader has ended.
func (w *waiting) unmet() error {
	if w == nil || w.met.Load() || w.s.until == nil && w.s.expect == 0 {
		return nil
	}
	var why []string
	came := w.came.Load()
	if w.s.expect > 0 {
		why = append(why, fmt.Sprintf("%d of %d messages came", came, w.s.expect))
	}
	if w.s.until != nil {
		why = append(why, fmt.Sprintf("--until was true of none of %d messages", came))
	}
	return fail(exitTimeout, fmt.Errorf("%s", strings.Join(why, ", ")+w.limits()))
}

// limits names what may have ended the run.
func (w *waiting) limits() string {
	switch {
	case w.s.within > 0 && w.s.idle > 0:
		return fmt.Sprintf(" within %s, or none for %s", w.s.within, w.s.idle)
	case w.s.within > 0:
		return fmt.Sprintf(" within %s", w.s.within)
	case w.s.idle > 0:
		return fmt.Sprintf(", then none for %s", w.s.idle)
	}
	return ""
}
