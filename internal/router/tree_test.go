package router

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEverythingRemovedLeavesAnEmptyTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var pairs []pair
	seen := map[pair]bool{}
	for range 20_000 {
		var levels []string
		for range 1 + r.IntN(6) {
			levels = append(levels, []string{"+", "a", "b", fmt.Sprint(r.IntN(500))}[r.IntN(4)])
		}
		p := pair{strings.Join(levels, "/"), r.IntN(300)}
		if !seen[p] {
			seen[p] = true
			pairs = append(pairs, p)
		}
	}
	for v := range 1000 { // enough for a set, in one that has children too
		pairs = append(pairs, pair{"many", v}, pair{"many/+", v})
	}
	tree := new(Tree[int])
	before := heap()
	for _, p := range pairs {
		if !tree.Insert(p.filter, p.v) {
			t.Fatalf("%v is there already", p)
		}
	}
	full := heap()
	if got := tree.Len(); got != len(pairs) {
		t.Fatalf("Len() = %d, want %d", got, len(pairs))
	}
	r.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	for _, p := range pairs {
		if !tree.Remove(p.filter, p.v) {
			t.Fatalf("%v is not there", p)
		}
	}
	wantEmpty(t, &tree.trie.root)
	if after := heap(); after > before+(full-before)/10 {
		t.Errorf("heap: %d before, %d full, %d after", before, full, after)
	}
	runtime.KeepAlive(tree)
	runtime.KeepAlive(pairs)
	runtime.KeepAlive(seen)
}

// TestValuesOfOneFilter goes through every change between list and set.
func TestValuesOfOneFilter(t *testing.T) {
	var tree Tree[int]
	const most = 5 * maxList * 8
	check := func(n int) {
		t.Helper()
		got := sorted(tree.Match(nil, "a"))
		if len(got) != n || n > 0 && (got[0] != 0 || got[n-1] != n-1) || len(slices.Compact(got)) != n {
			t.Fatalf("%d values, want %d", len(got), n)
		}
	}
	for v := range most {
		if !tree.Insert("a", v) || tree.Insert("a", v) {
			t.Fatalf("Insert of %d", v)
		}
		if v%97 == 0 {
			check(v + 1)
		}
	}
	for v := most - 1; v >= 0; v-- {
		if !tree.Remove("a", v) || tree.Remove("a", v) {
			t.Fatalf("Remove of %d", v)
		}
		if v%97 == 0 {
			check(v)
		}
	}
	wantEmpty(t, &tree.trie.root)
}

// TestManyChildren goes through every size of a node and through the reuse of
// places in its table.
func TestManyChildren(t *testing.T) {
	var names Names[int]
	const n = 3000
	for round := range 3 {
		for i := range n {
			names.Set(fmt.Sprintf("x/%d", i), i)
		}
		for i := range n {
			if got, ok := names.Get(fmt.Sprintf("x/%d", i)); !ok || got != i {
				t.Fatalf("round %d: x/%d = %d, %v", round, i, got, ok)
			}
		}
		if got := names.Match(nil, "x/+"); len(got) != n {
			t.Fatalf("%d of %d found", len(got), n)
		}
		for i := range n {
			if i%500 != round {
				names.Delete(fmt.Sprintf("x/%d", i))
			}
		}
		if got := names.Match(nil, "x/#"); len(got) != names.Len() {
			t.Fatalf("%d of %d found", len(got), names.Len())
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	p := populate(10_000, 1, "site/%d/device/%d/cmd", "site/%d/device/%d/cmd")
	tree := new(Tree[*sub])
	p.insert(tree)
	for i := range p.subs {
		tree.Insert("site/#", &p.subs[i])
	}
	var names Names[*sub]
	for i, topic := range p.topics {
		names.Set(topic, &p.subs[i])
	}
	dst := make([]*sub, 0, 10_001)
	topic := []byte(p.topics[1234])
	for what, fn := range map[string]func() int{
		"Match":       func() int { return len(tree.Match(dst[:0], p.topics[1234])) - 10_000 },
		"MatchBytes":  func() int { return len(tree.MatchBytes(dst[:0], topic)) - 10_000 },
		"Names.Get":   func() int { _, ok := names.Get(p.topics[1234]); return len(dst) + map[bool]int{true: 1}[ok] },
		"Names.Match": func() int { return len(names.Match(dst[:0], "site/+/device/7/#")) - 9 },
	} {
		if n := testing.AllocsPerRun(10, func() {
			if got := fn(); got != 1 {
				t.Fatalf("%s: %d", what, got)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func TestMatchBytesKeepsNothing(t *testing.T) {
	var tree Tree[int]
	tree.Insert("a/b", 1)
	buf := []byte("a/b")
	got := tree.MatchBytes(nil, buf)
	copy(buf, "x/y")
	if !slices.Equal(got, []int{1}) || len(tree.MatchBytes(nil, buf)) != 0 || len(tree.MatchBytes(nil, nil)) != 0 {
		t.Errorf("%v", got)
	}
}

// TestDeepest walks as deep as a valid topic goes, with a node per level.
func TestDeepest(t *testing.T) {
	var tree Tree[int]
	var names Names[int]
	path := "a"
	for i := range MaxLevels {
		tree.Insert(path, i)
		names.Set(path, i)
		path += "/a"
	}
	path = path[:2*MaxLevels-1]
	if got := tree.Match(nil, path); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if got := names.Match(nil, "#"); len(got) != MaxLevels {
		t.Errorf("%v", got)
	}
	if got := tree.Match(nil, strings.Repeat("/", MaxBytes)); got != nil {
		t.Errorf("%v", got)
	}
}

// TestSubscribeDuringMatch checks under the race detector that those who stay
// are found exactly once at all times, whatever others do around them.
func TestSubscribeDuringMatch(t *testing.T) {
	const staying, passing = 400, 64
	var tree Tree[int]
	var names Names[int]
	filters := []string{"a/b/c", "a/+/c", "a/#", "a/b/c/#"}
	for v := range staying {
		for _, f := range filters {
			tree.Insert(f, v)
		}
		names.Set(fmt.Sprintf("n/%d/x", v), v)
	}
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var dst []int
			for !stop.Load() {
				dst = tree.Match(dst[:0], "a/b/c")
				checkStaying(t, dst, staying, len(filters))
				dst = names.Match(dst[:0], "n/+/x")
				checkStaying(t, dst, staying, 1)
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for i := range 3000 {
				v := staying + w*passing + i%passing
				for _, f := range filters {
					tree.Insert(f, v)
				}
				tree.Insert(fmt.Sprintf("a/b%d/c", i%40), v) // splits and tables
				names.Set(fmt.Sprintf("n/%d/x", v), v)
				names.Set(fmt.Sprintf("n/%d/y", i%staying), v)
				if i%3 == 0 {
					continue
				}
				for _, f := range filters {
					if !tree.Remove(f, v) {
						t.Errorf("%q: %d is lost", f, v)
					}
				}
				tree.Remove(fmt.Sprintf("a/b%d/c", i%40), v)
				names.Delete(fmt.Sprintf("n/%d/x", v))
				names.Delete(fmt.Sprintf("n/%d/y", i%staying))
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}

func checkStaying(t *testing.T, got []int, staying, times int) {
	t.Helper()
	counts := make([]int, staying)
	for _, v := range got {
		if v < staying {
			counts[v]++
		}
	}
	for v, n := range counts {
		if n != times {
			t.Errorf("value %d found %d times, want %d", v, n, times)
			return
		}
	}
}
