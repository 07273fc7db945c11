package mem

import (
	"cmp"
	"slices"
)

// sorted are records of one kind of a session, by key. Most sessions have none or
// one, for which a map would be large.
type sorted[K cmp.Ordered, V any] []pair[K, V]

type pair[K cmp.Ordered, V any] struct {
	key   K
	value V
}

func (s sorted[K, V]) search(key K) (i int, found bool) {
	return slices.BinarySearchFunc(s, key, func(p pair[K, V], key K) int { return cmp.Compare(p.key, key) })
}

func (s *sorted[K, V]) put(key K, value V) {
	i, found := s.search(key)
	if found {
		(*s)[i].value = value
		return
	}
	*s = slices.Insert(*s, i, pair[K, V]{key, value})
}

func (s *sorted[K, V]) remove(key K) {
	switch i, found := s.search(key); {
	case !found:
	case len(*s) == 1:
		*s = nil
	default:
		*s = slices.Delete(*s, i, i+1)
	}
}
