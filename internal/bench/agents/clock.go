package agents

import "time"

// exchange is a ping and its pong: t1 and t4 on the clock here, t2 and t3 on
// the agent's. Nanoseconds since 1970.
type exchange struct{ t1, t2, t3, t4 int64 }

// offset is how far the agent's clock is ahead, at most half of the round trip
// away from that.
func (e exchange) offset() time.Duration { return time.Duration((e.t2 - e.t1 + e.t3 - e.t4) / 2) }

func (e exchange) roundTrip() time.Duration {
	return time.Duration(max(e.t4-e.t1-(e.t3-e.t2), 0))
}

// best is the exchange with the shortest round trip, whose error is the least.
func best(all []exchange) (b exchange, ok bool) {
	for _, e := range all {
		if !ok || e.roundTrip() < b.roundTrip() {
			b, ok = e, true
		}
	}
	return b, ok
}

// uncertainty is how wrong the offset of before can be, given what was measured
// afterwards: half of the round trip, and as much as the clocks have moved
// apart for all that is known.
func uncertainty(before, after exchange) time.Duration {
	drift := max(after.offset()-before.offset(), before.offset()-after.offset())
	return before.roundTrip()/2 + max(drift, 0)
}
