package pairing

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Errors of what an operator asks for.
var (
	ErrUnknown = errors.New("nobody has that code: the request may have expired")
	ErrFull    = fmt.Errorf("%d devices are approved already: forget some", maxApproved)
)

// TakenError refuses an approval beside one for the same client identifier.
type TakenError struct{ Client, Code string }

// Error implements error.
func (e *TakenError) Error() string {
	return fmt.Sprintf("%s is approved with another credential, code %s: forget that first", Printable(e.Client), e.Code)
}

// NameError refuses a user name that is not one, or that the device must not
// have unless the approval states it.
type NameError struct{ Name, Why string }

// Error implements error.
func (e *NameError) Error() string {
	return fmt.Sprintf("the user name %s %s", Printable(e.Name), e.Why)
}

// DefaultName begins the user names that nobody has given. What devices call
// themselves is no name that anybody else has: a password file cannot hold one
// with a colon.
const DefaultName = "device:"

// Approval is what an operator grants.
type Approval struct {
	// Name is the user that the device will be. "": its client identifier behind
	// DefaultName.
	Name string
	// For is how long it lasts. 0: for good.
	For time.Duration
}

// List returns all devices in the order of first sight whose Seq is above
// after, at most limit of them.
func (a *Authenticator) List(after uint64, limit int) []Entry {
	d, now := a.desk, a.cfg.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now, a.cfg.Lifetime)
	var es []*entry
	for _, e := range d.codes {
		if e != nil && e.seq > after {
			es = append(es, e)
		}
	}
	slices.SortFunc(es, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	all := make([]Entry, min(limit, len(es)))
	for i := range all {
		all[i] = es[i].public(now)
	}
	return all
}

// Find returns the device with a code or, for what does not look like a code,
// those with a client identifier, as it is or as Printable. listener, unless
// "", is where it has to be.
func (a *Authenticator) Find(what, listener string) []Entry {
	var found []Entry
	for _, e := range a.List(0, math.MaxInt) {
		same := e.Client == what || Printable(e.Client) == what
		if IsCode(what) { // whatever devices call themselves
			same = e.Code == what
		}
		if same && (listener == "" || e.Listener == listener) {
			found = append(found, e)
		}
	}
	return found
}

// Approve lets a device in from its next try on. Of one that is approved it
// changes name and lifetime.
func (a *Authenticator) Approve(code string, o Approval) (Entry, error) {
	a.desk.change.Lock()
	defer a.desk.change.Unlock()
	e, err := a.find(code)
	if err != nil {
		return Entry{}, err
	}
	if e, err = a.approve(e, o); err != nil {
		return Entry{}, err
	}
	a.cfg.Logger.Info("a device is approved", "client", Printable(e.client), "user", e.name, "code", code, "listener", e.listener)
	return a.desk.show(e, a.cfg.Now()), nil
}

// find returns the device with a code. Called with change held.
func (a *Authenticator) find(code string) (*entry, error) {
	d := a.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(a.cfg.Now(), a.cfg.Lifetime)
	if e := d.codes[code]; e != nil {
		return e, nil
	}
	return nil, ErrUnknown
}

// approve puts an approved device in the place of e, which it returns. Called
// with change held.
func (a *Authenticator) approve(e *entry, o Approval) (*entry, error) {
	d, now := a.desk, a.cfg.Now()
	d.mu.Lock()
	if d.codes[e.code] != e { // the request has expired meanwhile
		d.mu.Unlock()
		return nil, ErrUnknown
	}
	next := *e
	next.state, next.name, next.until, next.place = Approved, o.Name, time.Time{}, nil
	next.lapsed, next.accepting, next.pause = false, false, pause{}
	if o.For > 0 {
		next.until = now.Add(o.For).Round(0)
	}
	old, err := d.replacedBy(&next, e, now)
	if err == nil {
		err = a.name(&next)
	}
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := d.commit(&next, old...); err != nil {
		return nil, err
	}
	if e.state == Approved && e.name != next.name {
		d.mu.Lock()
		d.revoke(e, now)
		d.mu.Unlock()
	}
	return &next, nil
}

// replacedBy is what next, which is e approved, takes the place of: beside e
// itself expired approvals of the same device. Called with mu held.
func (d *desk) replacedBy(next, e *entry, now time.Time) ([]*entry, error) {
	old := []*entry{e}
	for _, o := range d.known[next.device] {
		switch {
		case o == e:
		case o.stateAt(now) == Approved:
			return nil, &TakenError{o.client, o.code}
		case o.stateAt(now) == Expired:
			old = append(old, o)
		}
	}
	if e.state != Approved && d.approved-len(old)+1 >= maxApproved {
		return nil, ErrFull
	}
	return old, nil
}

// name gives e its name, or says why it must not have it. Called with mu held.
func (a *Authenticator) name(e *entry) error {
	given := e.name != ""
	if !given {
		e.name = DefaultName + e.client
	}
	switch {
	case given && len(e.name) > maxNameBytes || !utf8.ValidString(e.name):
		return &NameError{e.name, fmt.Sprintf("is not text of 1 to %d bytes", maxNameBytes)}
	case !isPlain(e.name):
		return &NameError{e.name, "has characters that cannot be printed: give it another"}
	case given:
		return nil
	case a.taken != nil && a.taken(e.name):
		return &NameError{e.name, "belongs to somebody whom another method knows: give the device another name, or state this one if it is to be the same user"}
	}
	for _, es := range a.desk.known {
		for _, o := range es {
			if o.state == Approved && o.name == e.name && o.device != e.device {
				return &NameError{e.name, "is that of the device with code " + o.code + ": give this one another name, or state that name if both are to be the same user"}
			}
		}
	}
	return nil
}

func isPlain(name string) bool {
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Reject keeps a device out, and sends it away if it is connected. It is
// remembered, so that it does not ask again.
func (a *Authenticator) Reject(code string) (Entry, error) {
	d := a.desk
	d.change.Lock()
	defer d.change.Unlock()
	e, err := a.find(code)
	if err != nil {
		return Entry{}, err
	}
	d.mu.Lock()
	next := *e
	next.state, next.name, next.until = Rejected, "", time.Time{}
	next.accepting, next.pause = false, pause{}
	old := []*entry{e}
	if d.rejected.Len() >= maxRejected && e.state != Rejected {
		old = append(old, d.rejected.Front().Value.(*entry))
	}
	if o := d.oldestRejected(e); o != nil && !slices.Contains(old, o) {
		old = append(old, o)
	}
	d.mu.Unlock()
	if err := a.drop(&next, e, old); err != nil {
		return Entry{}, err
	}
	a.cfg.Logger.Info("a device is rejected", "client", Printable(e.client), "code", code, "listener", e.listener)
	return d.show(&next, a.cfg.Now()), nil
}

// oldestRejected is the rejected device that has to go before e, which has the
// same name, is remembered; nil for none. Called with mu held.
func (d *desk) oldestRejected(e *entry) *entry {
	var oldest *entry
	n := 0
	for _, o := range d.known[e.device] {
		if o.state == Rejected && o != e {
			if n++; oldest == nil {
				oldest = o
			}
		}
	}
	if n < maxRejectedOfOne {
		return nil
	}
	return oldest
}

// Forget makes a device unknown again, and sends it away if it is connected.
func (a *Authenticator) Forget(code string) (Entry, error) {
	d := a.desk
	d.change.Lock()
	defer d.change.Unlock()
	e, err := a.find(code)
	if err != nil {
		return Entry{}, err
	}
	if err := a.drop(nil, e, []*entry{e}); err != nil {
		return Entry{}, err
	}
	a.cfg.Logger.Info("a device is forgotten", "client", Printable(e.client), "code", code, "listener", e.listener)
	return a.desk.show(e, a.cfg.Now()), nil
}

// drop puts next, or nothing, in the place of e and other old ones.
func (a *Authenticator) drop(next, e *entry, old []*entry) error {
	d := a.desk
	if err := d.commit(next, old...); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revoke(e, a.cfg.Now())
	if next == nil {
		d.retire(e.code, a.cfg.Now())
	}
	return nil
}

// Bounds of an open door.
const (
	MaxOpen    = time.Hour
	MaxOpenFor = 1000 // devices
)

// Open approves the next devices that ask, as many as most, within a time. It
// takes the place of an earlier call; most 0 ends that.
func (a *Authenticator) Open(within time.Duration, most int, listener string) error {
	switch {
	case most < 0 || most > MaxOpenFor:
		return fmt.Errorf("%d devices: not between 0 and %d", most, MaxOpenFor)
	case most > 0 && (within < time.Second || within > MaxOpen):
		return fmt.Errorf("%v: not between 1s and %v", within, MaxOpen)
	case listener != "" && !a.cfg.serves(listener):
		return fmt.Errorf("devices of listener %q cannot ask for approval", listener)
	}
	d, now := a.desk, a.cfg.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.window = window{until: now.Add(within), left: most, listener: listener}
	a.cfg.Logger.Info("the next devices are approved without being asked about", "within", within, "devices", most, "listener", listener)
	return nil
}

// Door is how long an open door stays open, and for how many devices.
type Door struct {
	Until    time.Time `json:"until"`
	Left     int       `json:"left"`
	Listener string    `json:"listener,omitempty"` // "": all
}

// Door returns nil when the door is shut.
func (a *Authenticator) Door() *Door {
	d := a.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.window; w.left > 0 && a.cfg.Now().Before(w.until) {
		return &Door{w.until, w.left, w.listener}
	}
	return nil
}
