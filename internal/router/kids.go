package router

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// maxFew is up to how many children are searched one by one.
const maxFew = 8

// kids are the children of a node, found by the first level of their labels,
// in which no two are alike. A place that holds nil is free.
type kids[P any] struct {
	plus, hash atomic.Pointer[node[P]]   // labels that begin with a wildcard
	few        []atomic.Pointer[node[P]] // all others up to maxFew
	table      *table[P]                 // all others above that
}

// table is a hash table with open addressing. Entries never move within it, so
// readers need no lock; it is replaced when it has to grow or shrink.
type table[P any] struct {
	slots []slot[P] // a power of two, at least a quarter of them never used
	used  int       // slots with a tag
	live  int       // slots with a node
}

// slot is free for ever new tags until it has one, and free for reuse when it
// has a tag but no node.
type slot[P any] struct {
	tag  atomic.Uint64 // hash of the first level, 0: never used
	node atomic.Pointer[node[P]]
}

func tagOf(level string) uint64 { return maphash.String(seed, level) | 1 }

func (t *table[P]) index(tag uint64) int { return int(tag>>1) & (len(t.slots) - 1) }

// exact returns the child whose label begins with level, or nil. It does not
// find those that begin with a wildcard.
func (k *kids[P]) exact(level string) *node[P] {
	if k.table != nil {
		if s := k.table.find(level); s != nil {
			return s.node.Load()
		}
		return nil
	}
	for i := range k.few {
		if n := k.few[i].Load(); n != nil && n.begins(level) {
			return n
		}
	}
	return nil
}

func (t *table[P]) find(level string) *slot[P] {
	tag := tagOf(level)
	for i := t.index(tag); ; i = (i + 1) & (len(t.slots) - 1) {
		s := &t.slots[i]
		switch s.tag.Load() {
		case 0:
			return nil
		case tag:
			if n := s.node.Load(); n != nil && n.begins(level) {
				return s
			}
		}
	}
}

// all calls fn for every child whose label does not begin with a wildcard.
func (k *kids[P]) all(fn func(*node[P])) {
	if k == nil {
		return
	}
	for i := range k.few {
		if n := k.few[i].Load(); n != nil {
			fn(n)
		}
	}
	if k.table == nil {
		return
	}
	for i := range k.table.slots {
		if n := k.table.slots[i].node.Load(); n != nil {
			fn(n)
		}
	}
}

// count is the number of children. For writers.
func (k *kids[P]) count() int {
	if k == nil {
		return 0
	}
	n := k.others()
	if k.plus.Load() != nil {
		n++
	}
	if k.hash.Load() != nil {
		n++
	}
	return n
}

// others is the number of children that do not begin with a wildcard.
func (k *kids[P]) others() int {
	if k.table != nil {
		return k.table.live
	}
	n := 0
	for i := range k.few {
		if k.few[i].Load() != nil {
			n++
		}
	}
	return n
}

// place returns where the child that begins with level hangs, wildcards
// included, or nil when there is none.
func (n *node[P]) place(level string) *atomic.Pointer[node[P]] {
	k := n.kids.Load()
	if k == nil {
		return nil
	}
	var p *atomic.Pointer[node[P]]
	switch {
	case level == "+":
		p = &k.plus
	case level == "#":
		p = &k.hash
	case k.table != nil:
		if s := k.table.find(level); s != nil {
			p = &s.node
		}
	default:
		for i := range k.few {
			if kid := k.few[i].Load(); kid != nil && kid.begins(level) {
				p = &k.few[i]
				break
			}
		}
	}
	if p == nil || p.Load() == nil {
		return nil
	}
	return p
}

// add hangs kid below n, which has no child that begins alike. The caller
// holds the trie's lock or is the only one to know n.
func (n *node[P]) add(kid *node[P]) {
	k := n.kids.Load()
	if k == nil || !k.put(kid) {
		count := 1
		if k != nil {
			count += k.others()
		}
		k = k.resized(count)
		k.put(kid)
		n.kids.Store(k)
	}
}

// put stores kid if there is room.
func (k *kids[P]) put(kid *node[P]) bool {
	level, _, _ := cutLevel(kid.label)
	switch {
	case level == "+":
		k.plus.Store(kid)
		return true
	case level == "#":
		k.hash.Store(kid)
		return true
	case k.table != nil:
		return k.table.put(tagOf(level), kid)
	}
	for i := range k.few {
		if k.few[i].Load() == nil {
			k.few[i].Store(kid)
			return true
		}
	}
	return false
}

func (t *table[P]) put(tag uint64, kid *node[P]) bool {
	i := t.index(tag)
	for t.slots[i].tag.Load() != 0 && t.slots[i].node.Load() != nil {
		i = (i + 1) & (len(t.slots) - 1)
	}
	s := &t.slots[i]
	if s.tag.Load() == 0 {
		if t.used >= len(t.slots)/4*3 {
			return false
		}
		t.used++
	}
	s.node.Store(kid) // before the tag, which leads readers here
	s.tag.Store(tag)
	t.live++
	return true
}

// resized returns a copy of k with room for count children that do not begin
// with a wildcard. k may be nil.
func (k *kids[P]) resized(count int) *kids[P] {
	to := new(kids[P])
	switch {
	case count > maxFew:
		size := 1 << bits.Len(uint(count+count/2-1)) // up to two thirds full
		to.table = &table[P]{slots: make([]slot[P], size)}
	case count > 0:
		to.few = make([]atomic.Pointer[node[P]], 1<<bits.Len(uint(count-1)))
	}
	if k == nil {
		return to
	}
	to.plus.Store(k.plus.Load())
	to.hash.Store(k.hash.Load())
	if k.table != nil && to.table != nil { // the tags spare a look at every label
		for i := range k.table.slots {
			if s := &k.table.slots[i]; s.node.Load() != nil {
				to.table.put(s.tag.Load(), s.node.Load())
			}
		}
		return to
	}
	k.all(func(kid *node[P]) { to.put(kid) })
	return to
}

// drop takes the child that begins with level away from n and shrinks what
// has become too large. The caller holds the trie's lock.
func (n *node[P]) drop(level string) {
	place := n.place(level)
	place.Store(nil)
	k := n.kids.Load()
	if k.table != nil && level != "+" && level != "#" {
		k.table.live--
	}
	switch others := k.others(); {
	case k.count() == 0:
		n.kids.Store(nil)
	case k.table != nil && others <= max(maxFew/2, len(k.table.slots)/8),
		k.table == nil && others <= len(k.few)/2 && len(k.few) > 0:
		n.kids.Store(k.resized(others))
	}
}
