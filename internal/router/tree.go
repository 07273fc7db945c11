package router

import (
	"strings"
	"sync/atomic"
	"unsafe"
)

// Tree maps topic filters to values and finds, for a topic name, the values of
// every filter that matches it. The zero value is an empty tree, which must not
// be copied once it is used. All methods may be called from any goroutine;
// matching takes no lock and is never held up by a writer. A match sees every
// change that had returned when it began, and any part of those under way.
type Tree[T comparable] struct {
	trie trie[values[T]]
	n    atomic.Int64
}

// Insert adds v to filter and reports whether it was not there already. The
// filter must be valid and without a share name. The tree keeps parts of the
// string that filter is.
func (t *Tree[T]) Insert(filter string, v T) (added bool) {
	t.trie.mu.Lock()
	defer t.trie.mu.Unlock()
	n := t.trie.reach(filter)
	next, added := n.data.Load().with(v)
	if added {
		n.data.Store(next)
		t.n.Add(1)
	}
	return added
}

// Remove takes v away from filter and reports whether it was there. What the
// tree needs no longer is let go at once.
func (t *Tree[T]) Remove(filter string, v T) (removed bool) {
	t.trie.mu.Lock()
	defer t.trie.mu.Unlock()
	n := t.trie.find(filter)
	if n == nil {
		return false
	}
	next, removed := n.data.Load().without(v)
	if !removed {
		return false
	}
	n.data.Store(next)
	t.n.Add(-1)
	if next == nil {
		t.trie.prune(filter)
	}
	return true
}

// Len is the number of pairs of filter and value.
func (t *Tree[T]) Len() int { return int(t.n.Load()) }

// Match appends to dst the values of every filter that matches topic, a value
// once per filter, in no particular order. It allocates only to grow dst.
// Filters that begin with a wildcard are left out for a topic that begins with
// "$". // [MQTT-4.7.2-1]
func (t *Tree[T]) Match(dst []T, topic string) []T {
	return match(dst, &t.trie.root, topic, !strings.HasPrefix(topic, "$"))
}

// MatchBytes is Match for a topic in a buffer, which is not kept.
func (t *Tree[T]) MatchBytes(dst []T, topic []byte) []T {
	return t.Match(dst, unsafe.String(unsafe.SliceData(topic), len(topic)))
}

// match appends the values of what lies below n and matches topic. wild is
// false where wildcards must not match.
func match[T comparable](dst []T, n *node[values[T]], topic string, wild bool) []T {
	k := n.kids.Load()
	if k == nil {
		return dst
	}
	level, rest, more := cutLevel(topic)
	if kid := k.exact(level); kid != nil {
		dst = along(dst, kid, len(level), rest, more)
	}
	if !wild {
		return dst
	}
	if kid := k.plus.Load(); kid != nil {
		dst = along(dst, kid, 1, rest, more)
	}
	if kid := k.hash.Load(); kid != nil {
		dst = kid.data.Load().appendTo(dst)
	}
	return dst
}

// along follows n's label, whose first i bytes have matched, and goes on below
// n when all of it matches. more says that rest holds further levels.
func along[T comparable](dst []T, n *node[values[T]], i int, rest string, more bool) []T {
	for i < len(n.label) {
		level, _, _ := cutLevel(n.label[i+1:])
		i += 1 + len(level)
		if level == "#" { // "a/#" matches "a" as well. // MQTT 5.0 §4.7.1.2
			return n.data.Load().appendTo(dst)
		}
		if !more {
			return dst
		}
		var is string
		if is, rest, more = cutLevel(rest); level != "+" && level != is {
			return dst
		}
	}
	if more {
		return match(dst, n, rest, true)
	}
	dst = n.data.Load().appendTo(dst)
	if k := n.kids.Load(); k != nil {
		if kid := k.hash.Load(); kid != nil {
			dst = kid.data.Load().appendTo(dst)
		}
	}
	return dst
}
