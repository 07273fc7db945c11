package pairing

import (
	"container/list"
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
)

// Bounds of what is remembered.
const (
	maxApproved      = 10_000
	maxRejected      = 1000 // the oldest are forgotten
	maxRejectedOfOne = 8    // with one client identifier: each costs every try of that a hash

	// revokedFor is how long a device that has been sent away is looked for: one
	// may have been let in just before, and is not connected yet.
	revokedFor = 15 * time.Second

	retiredFor = time.Hour
)

// desk is the memory of an Authenticator, which goes over to the next one on
// reload.
type desk struct {
	change sync.Mutex // held by who changes what is remembered; before mu
	file   *file      // used with change held

	mu       sync.Mutex
	key      []byte   // of hashes; never changes
	indexKey [32]byte // of pending; of this process
	seq      uint64
	codes    map[string]*entry   // nil for those in retired
	known    map[device][]*entry // remembered
	approved int
	rejected *list.List // of *entry, in the order of rejection
	pending  map[[32]byte]*entry
	waiting  *list.List // of pending, the one that has been silent longest first
	sources  map[netip.Prefix]int
	window   window
	revoked  []revocation
	lapse    time.Time // no approval ends before; zero: none ends
	retired  []retired // oldest first

	impossible, full pause // about all who are turned away for these reasons
}

// window is a time in which devices are approved without being asked about.
type window struct {
	until    time.Time
	left     int
	listener string // "": all
}

// retired is a code that was free a short time ago: an operator may have it on
// the screen, and must not approve somebody else by it.
type retired struct {
	code  string
	until time.Time
}

type revocation struct {
	id    auth.Identity
	until time.Time
}

func newDesk(path string) (*desk, error) {
	d := &desk{
		file: &file{path: path}, codes: map[string]*entry{}, known: map[device][]*entry{}, rejected: list.New(),
		pending: map[[32]byte]*entry{}, waiting: list.New(), sources: map[netip.Prefix]int{},
	}
	rand.Read(d.indexKey[:]) // never fails
	all, key, err := d.file.load()
	if err != nil {
		return nil, err
	}
	d.key = key
	for _, e := range all {
		d.seq++
		e.seq = d.seq
		d.insert(e)
	}
	return d, nil
}

// match is the remembered device that presents k, or nil.
func (d *desk) match(k candidate) *entry {
	for _, e := range d.known[k.device] {
		if e.is(d.key, k) {
			return e
		}
	}
	return nil
}

// insert remembers e.
func (d *desk) insert(e *entry) {
	d.known[e.device] = append(d.known[e.device], e)
	d.codes[e.code] = e
	if e.state == Rejected {
		e.place = d.rejected.PushBack(e)
		return
	}
	d.approved++
	d.revoked = slices.DeleteFunc(d.revoked, func(r revocation) bool { return r.id == e.identity() })
	if !e.until.IsZero() && (d.lapse.IsZero() || e.until.Before(d.lapse)) {
		d.lapse = e.until
	}
}

// remove forgets e, remembered or pending.
func (d *desk) remove(e *entry) {
	if d.codes[e.code] != e {
		return // gone already
	}
	delete(d.codes, e.code)
	if e.state == Pending {
		delete(d.pending, e.index)
		d.waiting.Remove(e.place)
		if d.sources[e.source]--; d.sources[e.source] == 0 {
			delete(d.sources, e.source)
		}
		return
	}
	if e.state == Rejected {
		d.rejected.Remove(e.place)
	} else {
		d.approved--
	}
	of := slices.DeleteFunc(d.known[e.device], func(o *entry) bool { return o == e })
	if len(of) == 0 {
		delete(d.known, e.device)
		return
	}
	d.known[e.device] = of
}

// expire forgets requests that have not been repeated.
func (d *desk) expire(now time.Time, lifetime time.Duration) {
	for len(d.retired) > 0 && !now.Before(d.retired[0].until) {
		delete(d.codes, d.retired[0].code)
		d.retired = d.retired[1:]
	}
	for front := d.waiting.Front(); front != nil; front = d.waiting.Front() {
		e := front.Value.(*entry)
		if now.Sub(e.last) < lifetime {
			return
		}
		d.remove(e)
		d.retire(e.code, now)
	}
}

// retire keeps a code from being given again soon.
func (d *desk) retire(code string, now time.Time) {
	d.codes[code] = nil
	d.retired = append(d.retired, retired{code, now.Add(retiredFor)})
}

// taken reports whether a code has a meaning, or had one a short time ago.
func (d *desk) taken(code string) bool {
	_, ok := d.codes[code]
	return ok
}

// commit puts add, which may be nil, in the place of old ones, on disk first.
// With an error nothing has changed. Called with change held and mu not.
func (d *desk) commit(add *entry, old ...*entry) error {
	d.mu.Lock()
	var all []*entry
	for _, es := range d.known {
		for _, e := range es {
			if !slices.Contains(old, e) {
				all = append(all, e)
			}
		}
	}
	if add != nil {
		all = append(all, add)
	}
	write := d.file.prepare(all, d.key)
	d.mu.Unlock()
	if err := write(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range old {
		d.remove(e)
	}
	if add != nil {
		d.insert(add)
	}
	return nil
}

// revoke has the connection of e ended, if it is approved.
func (d *desk) revoke(e *entry, now time.Time) {
	if e.state == Approved {
		d.revoked = append(d.revoked, revocation{e.identity(), now.Add(revokedFor)})
	}
}

// identity has the code in it, since approvals at several listeners may have the
// same names, and one of them may be revoked.
func (e *entry) identity() auth.Identity {
	return auth.Identity{Name: e.name, Method: methodName + " " + e.code, ClientID: e.client, Username: e.username}
}

// Revoked implements auth.Doorkeeper.
func (a *Authenticator) Revoked(now time.Time) []auth.Identity {
	d := a.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.lapse.IsZero() && !now.Before(d.lapse) {
		d.lapseAt(now)
	}
	d.revoked = slices.DeleteFunc(d.revoked, func(r revocation) bool { return !now.Before(r.until) })
	ids := make([]auth.Identity, len(d.revoked))
	for i, r := range d.revoked {
		ids[i] = r.id
	}
	return ids
}

// lapseAt revokes approvals whose time is over, and looks when the next ends.
func (d *desk) lapseAt(now time.Time) {
	d.lapse = time.Time{}
	for _, es := range d.known {
		for _, e := range es {
			switch {
			case e.until.IsZero() || e.lapsed || e.state != Approved:
			case e.stateAt(now) == Expired:
				e.lapsed = true
				d.revoke(e, now)
			case d.lapse.IsZero() || e.until.Before(d.lapse):
				d.lapse = e.until
			}
		}
	}
}
