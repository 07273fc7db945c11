package capture

import (
	"slices"
	"time"
)

const (
	// settled is how long what the receiver has acknowledged may still turn up.
	settled = time.Second
	// sweepEvery is how often flows that wait are looked at, by the capture's clock.
	sweepEvery = 500 * time.Millisecond
	// maxHeld bounds the segments of one direction that wait, as they may be small.
	maxHeld = 8192
	// overhead is what a segment costs beside its bytes.
	overhead = 96
	maxSpare = 256
)

// holding is what all flows have waiting.
type holding struct {
	waiting []*conn // oldest first
	size    int
	swept   int64    // when waiting was looked at last
	spare   [][]byte // buffers
	left    [][]byte // buffers in use until the next call of Next
}

// hold keeps s until what is before it has come.
func (r *Reader) hold(c *conn, h *half, s *segment) {
	i := len(h.held)
	for i > 0 && before(h.held[i-1].seq, s.seq) < 0 {
		i--
	}
	if i > 0 && before(h.held[i-1].end(), s.end()) <= 0 && len(s.data)+s.cut > 0 {
		return // sent again
	}
	if len(h.held) == 0 {
		h.since, h.late = r.now, 0
	}
	r.told = true // with the segment, later
	kept := *s
	kept.data = r.held.enter(s.data)
	h.held = slices.Insert(h.held, i, kept)
	h.size += cap(kept.data) + overhead
	if !c.waits {
		c.waits = true
		if len(r.held.waiting) > 2*r.o.MaxFlows { // flows that are gone
			r.held.waiting = slices.DeleteFunc(r.held.waiting, func(c *conn) bool {
				c.waits = c.holds()
				return !c.waits
			})
		}
		r.held.waiting = append(r.held.waiting, c)
	}
	for h.size > r.o.MaxFlowBytes || len(h.held) > maxHeld {
		r.release(c, c.side(h))
	}
	for r.held.size > r.o.MaxBytes && len(r.held.waiting) > 0 {
		r.giveUp(r.held.waiting[0])
		r.held.waiting[0].waits = false
		r.held.waiting = slices.Delete(r.held.waiting, 0, 1)
	}
}

func (c *conn) holds() bool { return len(c.half[0].held)+len(c.half[1].held) > 0 }

func (c *conn) side(h *half) int {
	if h == &c.half[0] {
		return 0
	}
	return 1
}

// giveUp has a flow give up all that is missing.
func (r *Reader) giveUp(c *conn) {
	for side := range c.half {
		for len(c.half[side].held) > 0 {
			r.release(c, side)
		}
	}
}

// sweep has flows give up what was missing for too long.
func (r *Reader) sweep() {
	if len(r.held.waiting) == 0 || r.held.swept > r.since(sweepEvery) {
		return
	}
	r.held.swept = r.now
	r.held.waiting = slices.DeleteFunc(r.held.waiting, func(c *conn) bool {
		for side := range c.half {
			h := &c.half[side]
			for len(h.held) > 0 && (h.since < r.since(r.o.MaxWait) || h.lost() && h.since < r.since(settled)) {
				r.release(c, side)
			}
		}
		c.waits = c.holds()
		return !c.waits
	})
}

// releaseAll has all flows give up what is missing: the capture has ended.
func (r *Reader) releaseAll() {
	for _, c := range r.held.waiting {
		r.giveUp(c)
	}
	r.held.waiting = nil
	for len(r.fragments.order) > 0 {
		r.forget(r.fragments.order[0])
	}
}

// enter returns a copy of b.
func (hd *holding) enter(b []byte) []byte {
	var buf []byte
	if n := len(hd.spare); n > 0 && cap(hd.spare[n-1]) >= len(b) {
		buf, hd.spare = hd.spare[n-1][:0], hd.spare[:n-1]
	}
	buf = append(buf, b...)
	hd.size += cap(buf) + overhead
	return buf
}

// leave says that b, of enter, is not needed after the next call of Next. It returns
// what it took.
func (hd *holding) leave(b []byte) int {
	n := cap(b) + overhead
	hd.size -= n
	if cap(b) > 0 {
		hd.left = append(hd.left, b)
	}
	return n
}

// recycle makes the buffers that were left spare.
func (hd *holding) recycle() {
	for i, b := range hd.left {
		if len(hd.spare) < maxSpare {
			hd.spare = append(hd.spare, b)
		}
		hd.left[i] = nil
	}
	hd.left = hd.left[:0]
}
