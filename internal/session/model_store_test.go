package session

import (
	"maps"
	"slices"
)

// offerStored offers the i-th of those that have been stored meanwhile.
func (w *world) offerStored(i int) {
	it := w.storing[i]
	w.storing = slices.Delete(w.storing, i, i+1)
	w.run(w.o.Offer(w.now, it.Seq, it.Delivery, nil))
}

// page answers a Fetch.
func (w *world) page() []Action {
	var storing uint64
	if len(w.storing) > 0 {
		storing = w.storing[0].Seq
	}
	if after, through := w.o.Unread(storing); after >= through {
		w.o.Unfetched()
		return nil
	}
	return w.o.Page(w.now, pageOf(w.o, w.items(), storing), nil)
}

// items is the store in the order of Seq, without what is released.
func (w *world) items() []Item {
	var all []Item
	for _, seq := range slices.Sorted(maps.Keys(w.stored)) {
		if d := w.stored[seq]; !d.Release {
			d.Dup = seq <= w.before
			all = append(all, Item{Seq: seq, Delivery: d})
		}
	}
	return all
}

// restart brings up a new broker on the same store.
func (w *world) restart() {
	w.disconnect()
	w.restarts++
	w.o = newOutbound(w.limit, w.head)
	w.storing = nil
	for _, seq := range slices.Sorted(maps.Keys(w.stored)) {
		w.before = max(w.before, seq)
		if w.stored[seq].Release {
			w.o.RestoreReleased(seq)
		}
	}
	items := w.items()
	if len(items) == 0 {
		return
	}
	bytes := 0
	for _, it := range items {
		bytes += it.Delivery.Message.Size()
	}
	w.o.Restore(items[0].Seq, items[len(items)-1].Seq, len(items), bytes)
}
