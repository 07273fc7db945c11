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
