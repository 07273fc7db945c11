package gateway

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// A goroutine that has handled packets has a stack of 4 or 8 KB, which the
// runtime does not make smaller than 4. So a connection on which nothing comes
// for a while goes on waiting on a new goroutine, whose stack is 2 KB; those that
// are used notice nothing.

// sweepEvery is how often a server looks for quiet connections. One is quiet
// when nothing has come between two looks.
const sweepEvery = 3 * time.Second

// quiet is what the sweep knows of a connection.
type quiet struct{ state atomic.Uint32 }

const (
	active  uint32 = iota // something was read since the last look
	looked                // nothing was
	asked                 // its goroutine is to give way to a smaller one
	resting               // it has
)

// end notes that something was read.
func (q *quiet) end() {
	if q.state.Load() != active {
		q.state.Store(active)
	}
}

// due is called by the sweep; it reports whether the goroutine is to give way.
func (q *quiet) due() bool {
	return !q.state.CompareAndSwap(active, looked) && q.state.CompareAndSwap(looked, asked)
}

// granted reports whether the goroutine has been asked to give way.
func (q *quiet) granted() bool { return q.state.CompareAndSwap(asked, resting) }

// errRest: the connection goes on waiting on another goroutine.
var errRest = errors.New("resting")

// sweep looks after quiet connections of l until end is closed.
func (s *Server) sweep(l transport.Listener, end <-chan struct{}) {
	tick := time.NewTicker(s.sweepEvery)
	defer tick.Stop()
	var all []*Conn
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		all = s.of(l, all)
		for _, c := range all {
			c.askToRest()
		}
		clear(all)
		all = all[:0]
	}
}

// askToRest wakes the goroutine of a quiet connection by its read deadline. A
// goodbye, which sets it as well, comes wholly before or after.
func (c *Conn) askToRest() {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.link.Load() != nil && c.plain && !c.w.closing && c.w.err == nil && c.quiet.due() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// rest undoes that, for the goroutine that takes over.
func (c *Conn) rest(deadline time.Time) error {
	c.setDeadline(deadline)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.w.err != nil { // whose deadline has been undone
		return c.w.err
	}
	return errRest
}
