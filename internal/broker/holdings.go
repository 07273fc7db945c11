package broker

import (
	"iter"
	"maps"
)

// holdings are the subscriptions of a session, by the filter as the client wrote
// it. Most clients have one, and those with one need no map: it would be as large
// as half a session.
type holdings struct {
	one *subscription            // when it is the only one
	all map[string]*subscription // nil until there are several
}

func (h *holdings) len() int {
	if h.one != nil {
		return 1
	}
	return len(h.all)
}

// get returns the subscription with that filter, or nil.
func (h *holdings) get(filter string) *subscription {
	if h.one != nil && h.one.filter == filter {
		return h.one
	}
	return h.all[filter]
}

// put adds sub, or replaces the one with its filter.
func (h *holdings) put(sub *subscription) {
	switch {
	case h.all != nil:
		h.all[sub.filter] = sub
	case h.one == nil || h.one.filter == sub.filter:
		h.one = sub
	default:
		h.all = map[string]*subscription{h.one.filter: h.one, sub.filter: sub}
		h.one = nil
	}
}

// remove forgets the one with that filter.
func (h *holdings) remove(filter string) {
	if h.one != nil && h.one.filter == filter {
		h.one = nil
	}
	delete(h.all, filter)
}

func (h *holdings) values() iter.Seq[*subscription] {
	if h.one != nil {
		return func(yield func(*subscription) bool) { yield(h.one) }
	}
	return maps.Values(h.all)
}
