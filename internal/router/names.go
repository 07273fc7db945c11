package router

import (
	"strings"
	"sync/atomic"
)

// Names maps topic names to values and finds, for a topic filter, the values
// of every name that it matches: retained messages. The zero value is empty
// and must not be copied once it is used. All methods may be called from any
// goroutine; Get and Match take no lock, so a Match of everything holds up
// nobody. They see every change that had returned when they began.
type Names[V any] struct {
	trie trie[V]
	n    atomic.Int64
}

// Set stores v under topic and returns what was there before. The topic must
// be a valid name, of which parts are kept.
func (t *Names[V]) Set(topic string, v V) (old V, had bool) {
	t.trie.mu.Lock()
	defer t.trie.mu.Unlock()
	p := t.trie.reach(topic).data.Swap(&v)
	if p == nil {
		t.n.Add(1)
		return old, false
	}
	return *p, true
}

// Get returns the value under exactly this topic.
func (t *Names[V]) Get(topic string) (v V, ok bool) {
	if n := t.trie.find(topic); n != nil {
		if p := n.data.Load(); p != nil {
			return *p, true
		}
	}
	return v, false
}

// Delete removes the value under topic and returns it.
func (t *Names[V]) Delete(topic string) (old V, had bool) {
	t.trie.mu.Lock()
	defer t.trie.mu.Unlock()
	n := t.trie.find(topic)
	if n == nil {
		return old, false
	}
	p := n.data.Swap(nil)
	if p == nil {
		return old, false
	}
	t.n.Add(-1)
	t.trie.prune(topic)
	return *p, true
}

// Len is the number of names.
func (t *Names[V]) Len() int { return int(t.n.Load()) }

// Match appends to dst the values of every name that filter matches, in no
// particular order. The filter must be valid and without a share name. Names
// that begin with "$" match no filter that begins with a wildcard.
// [MQTT-4.7.2-1]
func (t *Names[V]) Match(dst []V, filter string) []V {
	w := walk[V]{dst: dst}
	w.below(&t.trie.root, filter, true)
	return w.dst
}

// walk collects the values of the names that a filter matches.
type walk[V any] struct{ dst []V }

// below goes through n's children with filter. top is true at the root, where
// wildcards pass over "$".
func (w *walk[V]) below(n *node[V], filter string, top bool) {
	k := n.kids.Load()
	if k == nil {
		return
	}
	level, rest, more := cutLevel(filter)
	if level != "+" && level != "#" {
		if kid := k.exact(level); kid != nil {
			w.along(kid, len(level), rest, more)
		}
		return
	}
	k.all(func(kid *node[V]) {
		first, _, _ := cutLevel(kid.label)
		switch {
		case top && strings.HasPrefix(first, "$"): // [MQTT-4.7.2-1]
		case level == "#":
			w.everything(kid)
		default:
			w.along(kid, len(first), rest, more)
		}
	})
}

// along follows n's label, whose first i bytes have matched, and goes on below
// n when all of it matches. more says that filter holds further levels.
func (w *walk[V]) along(n *node[V], i int, filter string, more bool) {
	for i < len(n.label) {
		if !more {
			return
		}
		var want string
		if want, filter, more = cutLevel(filter); want == "#" {
			w.everything(n)
			return
		}
		level, _, _ := cutLevel(n.label[i+1:])
		i += 1 + len(level)
		if want != "+" && want != level {
			return
		}
	}
	if !more || filter == "#" { // "a/#" matches "a" as well. // MQTT 5.0 §4.7.1.2
		w.take(n)
	}
	if more {
		w.below(n, filter, false)
	}
}

// everything takes n and all below it.
func (w *walk[V]) everything(n *node[V]) {
	w.take(n)
	n.kids.Load().all(w.everything)
}

func (w *walk[V]) take(n *node[V]) {
	if p := n.data.Load(); p != nil {
		w.dst = append(w.dst, *p)
	}
}
