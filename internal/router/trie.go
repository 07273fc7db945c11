package router

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// trie is what Tree and Names share: a radix tree whose edges are labelled
// with one or more whole levels, so that the tail of a filter that no other
// filter has costs one node. Labels are parts of the strings that callers
// insert, never copies.
//
// Readers take no lock: they follow atomic pointers, and all that is behind
// one is either immutable or reached through further atomic pointers. Writers
// take turns by mu and publish what they have built with one store. A reader
// sees every change that was complete when it began.
//
// A filter's wildcards are ordinary levels in here, but "+" and "#" have their
// own places beside a node's other children.
type trie[P any] struct {
	mu   sync.Mutex
	root node[P] // its label is not used
}

// node ends its own label and the labels of all its ancestors, joined by "/".
type node[P any] struct {
	label string
	kids  atomic.Pointer[kids[P]] // nil: none
	data  atomic.Pointer[P]       // nil: nothing ends here
}

// seed makes the places of levels in hash tables unpredictable for clients.
var seed = maphash.MakeSeed()

// cutLevel is strings.Cut around the first "/".
func cutLevel(s string) (level, rest string, more bool) {
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// begins reports whether level is the first level of n's label.
func (n *node[P]) begins(level string) bool {
	l := n.label
	return strings.HasPrefix(l, level) && (len(l) == len(level) || l[len(level)] == '/')
}

// reach returns the node at path and makes it when there is none. The caller
// holds mu, and gives the node data or prunes it.
func (t *trie[P]) reach(path string) *node[P] {
	n := &t.root
	for {
		level, _, _ := cutLevel(path)
		place := n.place(level)
		if place == nil {
			kid := &node[P]{label: path}
			n.add(kid)
			return kid
		}
		kid := place.Load()
		i := common(kid.label, path)
		if i < len(kid.label) {
			kid = kid.split(i)
			place.Store(kid)
		}
		if i == len(path) {
			return kid
		}
		n, path = kid, path[i+1:]
	}
}

// split returns a node for the first i bytes of n's label with all the rest of
// n below it. Readers that have n already go on with n, which stays as it is.
func (n *node[P]) split(i int) *node[P] {
	tail := &node[P]{label: n.label[i+1:]}
	tail.kids.Store(n.kids.Load())
	tail.data.Store(n.data.Load())
	head := &node[P]{label: n.label[:i]}
	head.add(tail)
	return head
}

// common is the length of the longest run of whole levels that begins both a
// and b, which have at least the first level in common.
func common(a, b string) int {
	i, short := 0, min(len(a), len(b))
	for i < short && a[i] == b[i] {
		i++
	}
	if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
		return i
	}
	return strings.LastIndexByte(a[:i], '/')
}

// find returns the node at exactly path, or nil.
func (t *trie[P]) find(path string) *node[P] {
	n := &t.root
	for {
		level, _, _ := cutLevel(path)
		place := n.place(level)
		if place == nil {
			return nil
		}
		if n = place.Load(); n == nil || !strings.HasPrefix(path, n.label) {
			return nil
		}
		path = path[len(n.label):]
		if path == "" {
			return n
		}
		if path[0] != '/' {
			return nil
		}
		path = path[1:]
	}
}

// prune takes away the node at path, which has no data, and then each ancestor
// that is left with neither data nor children. The caller holds mu.
func (t *trie[P]) prune(path string) {
	n := &t.root
	var keep *node[P] // the last ancestor that stays whatever happens below it
	var cut string    // and which of its children may go
	for {
		level, _, _ := cutLevel(path)
		if n == &t.root || n.data.Load() != nil || n.kids.Load().count() > 1 {
			keep, cut = n, level
		}
		n = n.place(level).Load()
		if len(path) == len(n.label) {
			break
		}
		path = path[len(n.label)+1:]
	}
	if n.kids.Load() == nil {
		keep.drop(cut)
	}
}
