package router

import (
	"slices"
	"strings"
	"sync"
)

// Tree maps topic filters to values and finds, for a topic name, the values of
// every filter that matches it. The zero value is an empty tree. All methods
// may be called from any goroutine.
type Tree[T comparable] struct {
	mu   sync.RWMutex
	root node[T]
	n    int
}

type node[T comparable] struct {
	kids   map[string]*node[T]
	values []T
}

// Insert adds v to filter and reports whether it was not there already. The
// filter must be valid and without a share name.
func (t *Tree[T]) Insert(filter string, v T) (added bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	for level := range strings.SplitSeq(filter, "/") {
		kid := n.kids[level]
		if kid == nil {
			kid = new(node[T])
			if n.kids == nil {
				n.kids = make(map[string]*node[T])
			}
			n.kids[strings.Clone(level)] = kid
		}
		n = kid
	}
	if slices.Contains(n.values, v) {
		return false
	}
	n.values = append(n.values, v)
	t.n++
	return true
}

// Remove takes v away from filter and reports whether it was there.
func (t *Tree[T]) Remove(filter string, v T) (removed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	removed = t.root.remove(filter, v)
	if removed {
		t.n--
	}
	return removed
}

func (n *node[T]) remove(filter string, v T) bool {
	level, rest, more := strings.Cut(filter, "/")
	kid := n.kids[level]
	if kid == nil {
		return false
	}
	if more {
		if !kid.remove(rest, v) {
			return false
		}
	} else {
		i := slices.Index(kid.values, v)
		if i < 0 {
			return false
		}
		kid.values = slices.Delete(kid.values, i, i+1)
	}
	if len(kid.values) == 0 && len(kid.kids) == 0 {
		delete(n.kids, level)
	}
	return true
}

// Len is the number of pairs of filter and value.
func (t *Tree[T]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.n
}

// Match appends to dst the values of every filter that matches topic, a value
// once per filter, in no particular order. It allocates only to grow dst.
func (t *Tree[T]) Match(dst []T, topic string) []T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.match(dst, topic, !strings.HasPrefix(topic, "$"))
}

// MatchBytes is Match for a topic that lies in a buffer.
func (t *Tree[T]) MatchBytes(dst []T, topic []byte) []T { return t.Match(dst, string(topic)) }

func (n *node[T]) match(dst []T, topic string, wild bool) []T {
	level, rest, more := strings.Cut(topic, "/")
	if kid := n.kids[level]; kid != nil {
		dst = kid.step(dst, rest, more)
	}
	if !wild { // [MQTT-4.7.2-1]
		return dst
	}
	if kid := n.kids["+"]; kid != nil {
		dst = kid.step(dst, rest, more)
	}
	if kid := n.kids["#"]; kid != nil {
		dst = append(dst, kid.values...)
	}
	return dst
}

func (n *node[T]) step(dst []T, rest string, more bool) []T {
	if more {
		return n.match(dst, rest, true)
	}
	dst = append(dst, n.values...)
	if kid := n.kids["#"]; kid != nil { // "a/#" matches "a" as well
		dst = append(dst, kid.values...)
	}
	return dst
}
