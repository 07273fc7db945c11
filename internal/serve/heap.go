package serve

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// heapRoom is what a broker with little state may allocate between two garbage
// collections. Messages come and go faster than a small heap would allow for: at
// the runtime's default, a broker with 5 MB collects every 5 MB.
const heapRoom = 32 << 20

// heap adapts how often garbage is collected to the size of the heap.
type heap struct {
	fixed   bool // the user has decided
	percent int
	live    []metrics.Sample
}

func newHeap() *heap {
	return &heap{
		fixed: os.Getenv("GOGC") != "", percent: 100,
		live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}},
	}
}

// adapt is called now and then.
func (h *heap) adapt() {
	if h.fixed {
		return
	}
	metrics.Read(h.live)
	if p := gcPercent(h.live[0].Value.Uint64()); p != h.percent {
		h.percent = p
		debug.SetGCPercent(p)
	}
}

// gcPercent is how much may be allocated before the next collection, in percent
// of what is live: the runtime's default or, when that is less, heapRoom. It
// changes in steps of 10, because setting it stops the world.
//
// Below 4 MB the runtime takes the heap for 4 MB large.
func gcPercent(live uint64) int {
	live = max(live, 4<<20)
	return max(100, int(heapRoom*100/live/10*10))
}
