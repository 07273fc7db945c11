package session

// inflight are the deliveries under way, in the order of sending, found by their
// packet identifiers. The identifiers of a window lie close together, so the lower
// bits of each say where it is in a table, which grows until no two of them meet.
// A few are found without.
type inflight struct {
	first, last *entry // [MQTT-4.6.0-1]
	slots       *[]*entry
	n           int32
}

const (
	// fewInflight is up to how many do without a table.
	fewInflight = 4
	// maxSlots is enough for all identifiers.
	maxSlots = 1 << 16
	// keptSlots is the largest table that is kept while nothing is in flight.
	keptSlots = 64
)

func (f *inflight) get(id uint16) *entry {
	if f.slots != nil {
		if e := (*f.slots)[f.slot(id)]; e != nil && e.d.PacketID == id {
			return e
		}
		return nil
	}
	for e := f.first; e != nil; e = e.next {
		if e.d.PacketID == id {
			return e
		}
	}
	return nil
}

// put adds an entry whose identifier is not there.
func (f *inflight) put(e *entry) {
	e.prev = f.last
	if f.last == nil {
		f.first = e
	} else {
		f.last.next = e
	}
	f.last = e
	f.n++
	switch {
	case f.slots != nil:
		f.place(e)
	case f.n > fewInflight:
		slots := make([]*entry, 2*fewInflight)
		f.slots = &slots
		for e := f.first; e != nil; e = e.next {
			f.place(e)
		}
	}
}

// place puts an entry into the table.
func (f *inflight) place(e *entry) {
	for (*f.slots)[f.slot(e.d.PacketID)] != nil {
		f.grow()
	}
	(*f.slots)[f.slot(e.d.PacketID)] = e
}

func (f *inflight) slot(id uint16) int { return int(id) & (len(*f.slots) - 1) }

// grow doubles the table. Entries that lie in different places stay so.
func (f *inflight) grow() {
	old := *f.slots
	*f.slots = make([]*entry, min(2*len(old), maxSlots))
	for _, e := range old {
		if e != nil {
			(*f.slots)[f.slot(e.d.PacketID)] = e
		}
	}
}

// remove takes out an entry that is there. A large table is given back when it
// runs empty.
func (f *inflight) remove(e *entry) {
	if e.prev == nil {
		f.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		f.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	f.n--
	if f.slots == nil {
		return
	}
	(*f.slots)[f.slot(e.d.PacketID)] = nil
	if f.n == 0 && len(*f.slots) > keptSlots {
		f.slots = nil
	}
}
