package router

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// naiveMatch is section 4.7 of the standard, level by level, and shares no code
// with what it checks.
func naiveMatch(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i := range f {
		if f[i] == "#" {
			return len(t) >= i
		}
		if i >= len(t) || f[i] != "+" && f[i] != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}

type pair struct {
	filter string
	v      int
}

// script turns fuzz input into topics and filters of a small alphabet, so that
// they meet often.
type script struct{ b []byte }

func (s *script) next() int {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return int(c)
}

func (s *script) levels(alphabet []string) string {
	var levels []string
	for n := s.next()%5 + 1; len(levels) < n; {
		levels = append(levels, alphabet[s.next()%len(alphabet)])
	}
	return strings.Join(levels, "/")
}

func (s *script) topic() string {
	return s.levels([]string{"a", "b", "ab", "", "$x", "c", "d", "e", "f", "g", "h", "i", "j"})
}

func (s *script) filter() string {
	f := s.levels([]string{"a", "b", "ab", "", "$x", "c", "d", "e", "f", "g", "h", "i", "j", "+", "+", "+"})
	if s.next()%4 == 0 {
		f += "/#"
	}
	if s.next()%32 == 0 {
		f = "#"
	}
	return f
}

func sorted[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return list
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x01\x02\x09\x01\x01\x03\x00\x01\x02\x09\x01\x02\x02\x00\x01\x01"))
	f.Add(bytes.Repeat([]byte("\x00\x04\x0d\x0e\x00\x01\x02\x00\x09\x07"), 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{b: b}
		var tree Tree[int]
		model := map[pair]bool{}
		for len(s.b) > 0 {
			p := pair{v: s.next()}
			p.filter = s.filter()
			switch s.next() % 4 {
			case 0, 1:
				if got := tree.Insert(p.filter, p.v); got == model[p] {
					t.Fatalf("Insert(%q, %d) = %v", p.filter, p.v, got)
				}
				model[p] = true
			case 2:
				if got := tree.Remove(p.filter, p.v); got != model[p] {
					t.Fatalf("Remove(%q, %d) = %v", p.filter, p.v, got)
				}
				delete(model, p)
			}
			if tree.Len() != len(model) {
				t.Fatalf("Len() = %d, want %d", tree.Len(), len(model))
			}
			topic := s.topic()
			var want []int
			for p := range model {
				if naiveMatch(p.filter, topic) {
					want = append(want, p.v)
				}
				if got := Match(p.filter, topic); got != naiveMatch(p.filter, topic) {
					t.Fatalf("Match(%q, %q) = %v", p.filter, topic, got)
				}
			}
			if got := tree.MatchBytes(nil, []byte(topic)); !slices.Equal(sorted(got), sorted(want)) {
				t.Fatalf("MatchBytes(%q) = %v, want %v\nin %v", topic, got, want, model)
			}
		}
		for p := range model {
			tree.Remove(p.filter, p.v)
		}
		wantEmpty(t, &tree.trie.root)
	})
}

func FuzzNames(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x01\x02\x09\x01\x01\x03\x00\x01\x02\x09\x01\x02\x02\x00\x01\x01"))
	f.Add(bytes.Repeat([]byte("\x00\x04\x0d\x0e\x00\x01\x02\x00\x09\x07"), 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{b: b}
		var names Names[int]
		model := map[string]int{}
		for len(s.b) > 0 {
			topic, v := s.topic(), s.next()
			want, wantHad := model[topic]
			var got int
			var had bool
			switch s.next() % 4 {
			case 0, 1:
				got, had = names.Set(topic, v)
				model[topic] = v
			case 2:
				got, had = names.Delete(topic)
				delete(model, topic)
			default:
				got, had = names.Get(topic)
			}
			if got != want || had != wantHad {
				t.Fatalf("%q held %d, %v, want %d, %v", topic, got, had, want, wantHad)
			}
			if names.Len() != len(model) {
				t.Fatalf("Len() = %d, want %d", names.Len(), len(model))
			}
			filter := s.filter()
			var all []int
			for topic, v := range model {
				if naiveMatch(filter, topic) {
					all = append(all, v)
				}
			}
			if got := names.Match(nil, filter); !slices.Equal(sorted(got), sorted(all)) {
				t.Fatalf("Match(%q) = %v, want %v\nin %v", filter, got, all, model)
			}
		}
		for topic := range model {
			names.Delete(topic)
		}
		wantEmpty(t, &names.trie.root)
	})
}

func wantEmpty[P any](t *testing.T, root *node[P]) {
	t.Helper()
	if k := root.kids.Load(); k != nil {
		t.Fatalf("%d children of the root remain: %s", k.count(), dump(root, ""))
	}
}

func dump[P any](n *node[P], indent string) string {
	s := fmt.Sprintf("%s%q %v\n", indent, n.label, n.data.Load() != nil)
	k := n.kids.Load()
	if k == nil {
		return s
	}
	k.all(func(kid *node[P]) { s += dump(kid, indent+"  ") })
	for _, kid := range []*node[P]{k.plus.Load(), k.hash.Load()} {
		if kid != nil {
			s += dump(kid, indent+"  ")
		}
	}
	return s
}
