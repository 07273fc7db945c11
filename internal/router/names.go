package router

import (
	"strings"
	"sync"
)

// Names maps topic names to values and finds, for a topic filter, the values
// of every name that it matches: retained messages. The zero value is empty.
// All methods may be called from any goroutine.
type Names[V any] struct {
	mu   sync.RWMutex
	root name[V]
	n    int
}

type name[V any] struct {
	kids  map[string]*name[V]
	value V
	set   bool
}

// Set stores v under topic and returns what was there before.
func (t *Names[V]) Set(topic string, v V) (old V, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	for level := range strings.SplitSeq(topic, "/") {
		kid := n.kids[level]
		if kid == nil {
			kid = new(name[V])
			if n.kids == nil {
				n.kids = make(map[string]*name[V])
			}
			n.kids[strings.Clone(level)] = kid
		}
		n = kid
	}
	old, had = n.value, n.set
	n.value, n.set = v, true
	if !had {
		t.n++
	}
	return old, had
}

// Get returns the value under exactly this topic.
func (t *Names[V]) Get(topic string) (v V, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := &t.root
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.kids[level]; n == nil {
			return v, false
		}
	}
	return n.value, n.set
}

// Delete removes the value under topic and returns it.
func (t *Names[V]) Delete(topic string) (old V, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, had = t.root.delete(topic)
	if had {
		t.n--
	}
	return old, had
}

func (n *name[V]) delete(topic string) (old V, had bool) {
	level, rest, more := strings.Cut(topic, "/")
	kid := n.kids[level]
	if kid == nil {
		return old, false
	}
	if more {
		old, had = kid.delete(rest)
	} else {
		var zero V
		old, had = kid.value, kid.set
		kid.value, kid.set = zero, false
	}
	if !kid.set && len(kid.kids) == 0 {
		delete(n.kids, level)
	}
	return old, had
}

// Len is the number of names.
func (t *Names[V]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.n
}

// Match appends to dst the values of every name that filter matches, in no
// particular order.
func (t *Names[V]) Match(dst []V, filter string) []V {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.match(dst, filter, true)
}

func (n *name[V]) match(dst []V, filter string, top bool) []V {
	level, rest, more := strings.Cut(filter, "/")
	switch level {
	case "#":
		return n.all(dst, top)
	case "+":
		for k, kid := range n.kids {
			if !top || !strings.HasPrefix(k, "$") { // [MQTT-4.7.2-1]
				dst = kid.step(dst, rest, more)
			}
		}
	default:
		if kid := n.kids[level]; kid != nil {
			dst = kid.step(dst, rest, more)
		}
	}
	return dst
}

func (n *name[V]) step(dst []V, rest string, more bool) []V {
	if !more {
		if n.set {
			dst = append(dst, n.value)
		}
		return dst
	}
	if rest == "#" && n.set { // "a/#" matches "a" as well
		dst = append(dst, n.value)
	}
	return n.match(dst, rest, false)
}

func (n *name[V]) all(dst []V, top bool) []V {
	for k, kid := range n.kids {
		if top && strings.HasPrefix(k, "$") { // [MQTT-4.7.2-1]
			continue
		}
		if kid.set {
			dst = append(dst, kid.value)
		}
		dst = kid.all(dst, false)
	}
	return dst
}
