package serve

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"slices"
)

// heapRoom is what a broker with little state may allocate between two garbage
// collections. Messages come and go faster than a small heap would allow for: at
// the runtime's default, a broker with 5 MB collects every 5 MB.
const heapRoom = 32 << 20

// When the broker has become quiet, what a burst has left behind goes back to
// the system: soon, and later what quiet connections have given up meanwhile.
const (
	quietBytes = 256 << 10 // allocated between two calls of adapt
	burstBytes = 8 << 20   // allocated since the last time
)

// trims are the numbers of quiet calls after which memory is given back.
var trims = []int{2, 10, 30}

// heap adapts how often garbage is collected to the size of the heap.
type heap struct {
	fixed   bool // the user has decided
	percent int
	live    uint64 // after the last collection that adapt has seen
	grows   bool   // that was more than before
	samples []metrics.Sample
	last    uint64 // bytes allocated at the last call
	trimmed uint64 // bytes allocated at the end of the last burst
	calm    int    // quiet calls since somebody did something
}

func newHeap() *heap {
	return &heap{
		fixed: os.Getenv("GOGC") != "", percent: 100,
		samples: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}},
	}
}

// adapt is called every second or so.
func (h *heap) adapt() {
	if h.fixed {
		return
	}
	metrics.Read(h.samples)
	live := h.samples[0].Value.Uint64()
	p := gcPercent(live)
	if h.growing(live) {
		p = min(p, growthPercent)
	}
	if p != h.percent {
		h.percent = p
		debug.SetGCPercent(p)
	}
	if h.quiet(h.samples[1].Value.Uint64()) {
		debug.FreeOSMemory()
	}
}

// While what is live grows, as in a storm of clients that connect, garbage comes to
// lie between what stays, and leaves holes that nothing fills when the storm is
// over. So there is to be less of it at a time.
const (
	growthPercent = 25
	largeHeap     = 48 << 20
)

// growing reports whether a large heap has become larger by a sixteenth or more
// between its last two collections. A new one may be seconds away: what was found
// out holds until then.
func (h *heap) growing(live uint64) bool {
	if live != h.live {
		h.grows = live > largeHeap && live > h.live+h.live/16
		h.live = live
	}
	return h.grows
}

// quiet reports whether it is time for a trim, given how much has ever been
// allocated.
func (h *heap) quiet(allocated uint64) bool {
	rate := allocated - h.last
	h.last = allocated
	if rate > quietBytes {
		h.calm = 0
		return false
	}
	h.calm++
	if allocated-h.trimmed < burstBytes || !slices.Contains(trims, h.calm) {
		return false
	}
	if h.calm == trims[len(trims)-1] {
		h.trimmed = allocated
	}
	return true
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
