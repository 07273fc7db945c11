package serve

import "testing"

func TestSmallHeapsAreCollectedLessOften(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 800}, {8 << 20, 400}, {10 << 20, 320}, {32 << 20, 100}, {1 << 30, 100}} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d MB live: %d %%, want %d %%", c.live>>20, got, c.want)
		}
	}
}

func TestQuietBrokerGivesMemoryBack(t *testing.T) {
	const mb = 1 << 20
	h := newHeap()
	for i, c := range []struct {
		allocated uint64
		want      bool
	}{
		{4 * mb, false},
		{4 * mb, false},  // too little to be worth it
		{20 * mb, false}, // a burst
		{30 * mb, false},
		{30*mb + 1000, true},
		{30*mb + 2000, true},
		{32 * mb, false}, // somebody did something
		{32*mb + 1000, true},
		{32*mb + 2000, false},
		{39 * mb, false},
		{39*mb + 1000, false},
		{41 * mb, false},
		{41*mb + 1000, true},
	} {
		if got := h.quiet(c.allocated); got != c.want {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
}
