package pebble

import "slices"

// list is an ordered set of numbers, each of which may carry another. They come
// nearly in order and go mostly from one end: either costs little, and so does
// what happens near an end.
type list struct {
	keys   []uint64
	values []uint64 // as long as keys, or nil while all are zero
}

func (l *list) search(key uint64) (at int, found bool) {
	if n := len(l.keys); n == 0 || l.keys[n-1] < key {
		return n, false
	}
	return slices.BinarySearch(l.keys, key)
}

// put adds key and returns the value that it had.
func (l *list) put(key, value uint64) (old uint64) {
	if value != 0 && l.values == nil {
		l.values = make([]uint64, len(l.keys), cap(l.keys))
	}
	at, found := l.search(key)
	if !found {
		l.keys = slices.Insert(l.keys, at, key)
		if l.values != nil {
			l.values = slices.Insert(l.values, at, value)
		}
		return 0
	}
	if l.values != nil {
		old, l.values[at] = l.values[at], value
	}
	return old
}

func (l *list) remove(key uint64) (value uint64, found bool) {
	at, found := l.search(key)
	if !found {
		return 0, false
	}
	if l.values != nil {
		value = l.values[at]
		l.values = cut(l.values, at)
	}
	if l.keys = cut(l.keys, at); l.keys == nil {
		l.values = nil
	}
	return value, true
}

// cut removes an element by moving the fewer of its neighbours.
func cut(s []uint64, at int) []uint64 {
	switch n := len(s); {
	case n == 1:
		return nil
	case at < n/2:
		copy(s[1:at+1], s[:at])
		return s[1:]
	default:
		copy(s[at:], s[at+1:])
		return s[:n-1]
	}
}

// worthSpan is how many neighbours must be gone before one range tombstone is
// cheaper than theirs: it is larger, and slows down what reads past it.
const worthSpan = 8

// coalesce says how to remove gone from the disk, where live is what is to
// stay: keys one by one, neighbours with nothing live between them by a span
// that includes both ends. It sorts gone.
func coalesce(gone []uint64, live *list, point func(key uint64), span func(first, last uint64)) {
	slices.Sort(gone)
	gone = slices.Compact(gone)
	for len(gone) > 0 {
		at, found := live.search(gone[0])
		if found { // it has been put again
			gone = gone[1:]
			continue
		}
		n := len(gone)
		if at < len(live.keys) {
			n, _ = slices.BinarySearch(gone, live.keys[at])
		}
		if n >= worthSpan {
			span(gone[0], gone[n-1])
		} else {
			for _, key := range gone[:n] {
				point(key)
			}
		}
		gone = gone[n:]
	}
}
