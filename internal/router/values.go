package router

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
)

const (
	maxList    = 128 // values above which a list becomes a set
	bucketFull = 128 // mean values per bucket at which a set doubles
)

// values are the values of one filter. Readers may hold on to one while a
// writer makes the next.
type values[T comparable] struct {
	list []T     // up to maxList; never changed within its length
	set  *set[T] // instead of list
}

// set spreads many values over buckets, so that adding or removing one copies
// a bucket and not all.
type set[T comparable] struct {
	buckets []atomic.Pointer[[]T] // a power of two; each slice like values.list
	n       int                   // for writers
}

func (v *values[T]) appendTo(dst []T) []T {
	if v == nil {
		return dst
	}
	if v.set == nil {
		return append(dst, v.list...)
	}
	for i := range v.set.buckets {
		if b := v.set.buckets[i].Load(); b != nil {
			dst = append(dst, *b...)
		}
	}
	return dst
}

// with returns the values and x, which may be v itself with a changed bucket.
// v may be nil. added is false when x was among them.
func (v *values[T]) with(x T) (next *values[T], added bool) {
	switch {
	case v == nil:
		return &values[T]{list: []T{x}}, true
	case v.set != nil:
		if !v.set.add(x) {
			return v, false
		}
		if v.set.n > len(v.set.buckets)*bucketFull {
			return &values[T]{set: v.set.resized()}, true
		}
		return v, true
	case slices.Contains(v.list, x):
		return v, false
	case len(v.list) < maxList:
		// Growing in place writes behind the end of the older list only.
		return &values[T]{list: append(v.list, x)}, true
	}
	s := newSet[T](len(v.list) + 1)
	for _, old := range v.list {
		s.add(old)
	}
	s.add(x)
	return &values[T]{set: s}, true
}

// without returns the values but x, nil when none are left. v may be nil.
func (v *values[T]) without(x T) (next *values[T], removed bool) {
	switch {
	case v == nil:
		return nil, false
	case v.set == nil:
		list, removed := cutOut(v.list, x)
		if !removed {
			return v, false
		}
		if len(list) == 0 {
			return nil, true
		}
		return &values[T]{list: list}, true
	case !v.set.remove(x):
		return v, false
	case v.set.n <= maxList/2:
		return &values[T]{list: v.appendTo(make([]T, 0, v.set.n))}, true
	case v.set.n < len(v.set.buckets)*bucketFull/8:
		return &values[T]{set: v.set.resized()}, true
	}
	return v, true
}

// cutOut returns a copy of list without x.
func cutOut[T comparable](list []T, x T) ([]T, bool) {
	i := slices.Index(list, x)
	if i < 0 {
		return list, false
	}
	if len(list) == 1 {
		return nil, true
	}
	less := make([]T, 0, len(list)-1)
	return append(append(less, list[:i]...), list[i+1:]...), true
}

// newSet returns an empty set for n values.
func newSet[T comparable](n int) *set[T] {
	size := 1
	for size*bucketFull/2 < n {
		size *= 2
	}
	return &set[T]{buckets: make([]atomic.Pointer[[]T], size)}
}

func (s *set[T]) bucket(x T) *atomic.Pointer[[]T] {
	return &s.buckets[int(maphash.Comparable(seed, x))&(len(s.buckets)-1)]
}

func (s *set[T]) add(x T) bool {
	b := s.bucket(x)
	var list []T
	if p := b.Load(); p != nil {
		list = *p
	}
	if slices.Contains(list, x) {
		return false
	}
	list = append(list, x)
	b.Store(&list)
	s.n++
	return true
}

func (s *set[T]) remove(x T) bool {
	b := s.bucket(x)
	p := b.Load()
	if p == nil {
		return false
	}
	list, removed := cutOut(*p, x)
	if !removed {
		return false
	}
	if b.Store(&list); len(list) == 0 {
		b.Store(nil)
	}
	s.n--
	return true
}

// resized returns a copy of s with the buckets that its size asks for.
func (s *set[T]) resized() *set[T] {
	to := newSet[T](s.n)
	for i := range s.buckets {
		if p := s.buckets[i].Load(); p != nil {
			for _, x := range *p {
				to.add(x)
			}
		}
	}
	return to
}
