package pebble

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var l list
	want := map[uint64]uint64{}
	for range 20000 {
		key := uint64(rng.IntN(300))
		value := uint64(rng.IntN(3)) * uint64(rng.IntN(2))
		if rng.IntN(2) == 0 {
			if old := l.put(key, value); old != want[key] {
				t.Fatalf("put %d: had %d, want %d", key, old, want[key])
			}
			want[key] = value
		} else {
			value, found := l.remove(key)
			if old, ok := want[key]; found != ok || value != old {
				t.Fatalf("remove %d: %d, %v, want %d, %v", key, value, found, old, ok)
			}
			delete(want, key)
		}
		if len(l.values) != 0 && len(l.values) != len(l.keys) {
			t.Fatalf("%d values of %d keys", len(l.values), len(l.keys))
		}
	}
	if !slices.Equal(l.keys, slices.Sorted(maps.Keys(want))) {
		t.Errorf("keys %v", l.keys)
	}
}

func TestCoalesce(t *testing.T) {
	seqs := func(from, to uint64) (all []uint64) {
		for ; from <= to; from++ {
			all = append(all, from)
		}
		return all
	}
	for _, c := range []struct {
		name       string
		gone, live []uint64
		want       []string
	}{
		{"nothing", nil, []uint64{1}, nil},
		{"few one by one", []uint64{3, 1, 2}, nil, []string{"1", "2", "3"}},
		{"many at once", seqs(1, 8), nil, []string{"1-8"}},
		{"with gaps in the numbers", []uint64{10, 20, 30, 40, 50, 60, 70, 80}, []uint64{81}, []string{"10-80"}},
		{"behind a head that stays", seqs(2, 20), []uint64{1, 30}, []string{"2-20"}},
		{"on both sides of a live one", slices.Concat(seqs(1, 10), seqs(12, 13)), []uint64{11}, []string{"1-10", "12", "13"}},
		{"twice, and put again", []uint64{5, 5, 7}, []uint64{7}, []string{"5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			coalesce(
				c.gone, &list{keys: c.live},
				func(key uint64) { got = append(got, fmt.Sprint(key)) },
				func(first, last uint64) { got = append(got, fmt.Sprint(first, "-", last)) },
			)
			for i := range got {
				got[i] = string(slices.DeleteFunc([]byte(got[i]), func(b byte) bool { return b == ' ' }))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
