package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever is put and removed, holdings are what a map would be.
func TestHoldingsAreAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var h holdings
		want := map[string]*subscription{}
		for range 12 {
			filter := fmt.Sprint(r.IntN(3))
			if r.IntN(3) > 0 {
				sub := &subscription{filter: filter}
				h.put(sub)
				want[filter] = sub
			} else {
				h.remove(filter)
				delete(want, filter)
			}
			got := map[string]*subscription{}
			for sub := range h.values() {
				got[sub.filter] = sub
			}
			if !maps.Equal(got, want) || h.len() != len(want) {
				t.Fatalf("%v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
			for i := range 3 {
				if f := fmt.Sprint(i); h.get(f) != want[f] {
					t.Fatalf("%s: %v, want %v", f, h.get(f), want[f])
				}
			}
		}
	}
}
