package client

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// settledAfter is how long a connection must last to count as a good one.
	settledAfter = 10 * time.Second
	// maxFlaps is how many connections in a row may end sooner than that.
	maxFlaps = 8
)

// supervise follows one link after the other until the client ends.
func (f *Life[T]) supervise(l *T) {
	failures, flaps := 0, 0
	for {
		opened, err := f.ways.Outlive(l)
		f.room.L.Lock()
		f.link = nil
		closing := f.closing
		f.room.Broadcast()
		f.room.L.Unlock()
		if closing {
			f.finish(nil)
			return
		}
		f.Tell(State{Kind: StateLost, Err: err})
		if time.Since(opened) >= settledAfter {
			failures, flaps = 0, 0
		} else if flaps++; flaps >= maxFlaps {
			f.finish(errors.Join(ErrFlapping, err))
			return
		}
		if l, err = f.reconnect(&failures, err); l == nil {
			f.finish(err)
			return
		}
		f.ways.Renew(f.ctx, l)
	}
}

// reconnect tries until a link stands, the policy forbids another attempt, or
// the client is to end, which is no error to report.
func (f *Life[T]) reconnect(failures *int, last error) (*T, error) {
	policy := f.o.Reconnect
	for {
		if f.ways.Final(last) || policy.Attempts >= 0 && *failures >= policy.Attempts {
			return nil, last
		}
		*failures++
		delay := policy.Delay(*failures)
		f.Tell(State{Kind: StateReconnecting, Err: last, Attempt: *failures, Delay: delay})
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-f.ctx.Done():
			timer.Stop()
			return nil, nil
		}
		l, _, err := f.open(f.ctx, true)
		if err == nil {
			return l, nil
		}
		if f.ctx.Err() != nil {
			return nil, nil //nolint:nilerr // closed meanwhile: that is no failure
		}
		last = err
	}
}

// withDefaults fills in the delays.
func (p ReconnectPolicy) withDefaults() ReconnectPolicy {
	if p.MinDelay <= 0 {
		p.MinDelay = 500 * time.Millisecond
	}
	if p.MaxDelay <= 0 {
		p.MaxDelay = 30 * time.Second
	}
	p.MaxDelay = max(p.MaxDelay, p.MinDelay)
	return p
}

// Delay is the wait before the n-th attempt, n from 1.
func (p ReconnectPolicy) Delay(n int) time.Duration {
	p = p.withDefaults()
	d := p.MinDelay
	for range n - 1 {
		if d *= 2; d >= p.MaxDelay {
			d = p.MaxDelay
			break
		}
	}
	return d - rand.N(d/2+1)
}
