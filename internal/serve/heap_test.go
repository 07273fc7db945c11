package serve

import (
	"slices"
	"testing"
)

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
	allocated := uint64(4 * mb)
	calm := func(seconds int) (trims []int) {
		for i := range seconds {
			allocated += 1000
			if h.quiet(allocated) {
				trims = append(trims, i+1)
			}
		}
		return trims
	}
	h.quiet(allocated)
	if got := calm(40); len(got) > 0 {
		t.Errorf("trims at %v after next to nothing", got)
	}
	for range 2 {
		allocated += 20 * mb
		h.quiet(allocated)
		if got := calm(5); !slices.Equal(got, []int{2}) {
			t.Errorf("trims at %v after a burst", got)
		}
		allocated += mb
		if h.quiet(allocated) {
			t.Error("a trim while somebody does something")
		}
		if got := calm(100); !slices.Equal(got, []int{2, 10, 30}) {
			t.Errorf("trims at %v after a burst", got)
		}
	}
}

func TestGrowingHeapsAreCollectedMoreOften(t *testing.T) {
	const mb = 1 << 20
	h := newHeap()
	for _, c := range []struct {
		live uint64
		want bool
	}{
		{10 * mb, false},
		{40 * mb, false},
		{80 * mb, true},
		{80 * mb, true}, // nothing has been collected since
		{81 * mb, false},
		{100 * mb, true},
		{90 * mb, false},
		{200 * mb, true},
	} {
		if got := h.growing(c.live); got != c.want {
			t.Errorf("%d MB live: growing %v, want %v", c.live/mb, got, c.want)
		}
	}
}
