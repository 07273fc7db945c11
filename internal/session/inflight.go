package session

// inflight finds the deliveries under way by their packet identifiers. The
// identifiers of a window lie close together, so the lower bits of each say
// where it is; the table grows until no two of them meet.
type inflight struct {
	slots []*entry // a power of two, or nil
	n     int
}

// maxSlots is enough for all identifiers.
const maxSlots = 1 << 16

func (f *inflight) get(id uint16) *entry {
	if len(f.slots) == 0 {
		return nil
	}
	if e := f.slots[int(id)&(len(f.slots)-1)]; e != nil && e.d.PacketID == id {
		return e
	}
	return nil
}

// put adds an entry whose identifier is not there.
func (f *inflight) put(e *entry) {
	if f.slots == nil {
		f.slots = make([]*entry, 4)
	}
	for f.slots[f.slot(e)] != nil {
		f.grow()
	}
	f.slots[f.slot(e)] = e
	f.n++
}

func (f *inflight) slot(e *entry) int { return int(e.d.PacketID) & (len(f.slots) - 1) }

// grow doubles the table. Entries that lie in different places stay so.
func (f *inflight) grow() {
	old := f.slots
	f.slots = make([]*entry, min(2*len(old), maxSlots))
	for _, e := range old {
		if e != nil {
			f.slots[f.slot(e)] = e
		}
	}
}

// remove takes out an entry that is there. A large table is given back when it
// runs empty.
func (f *inflight) remove(e *entry) {
	f.slots[f.slot(e)] = nil
	if f.n--; f.n == 0 && len(f.slots) > 64 {
		f.slots = nil
	}
}
