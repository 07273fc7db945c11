package pairing

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"
)

// State of a device that has been heard of.
type State uint8

// States. Expired is an approval whose time is over; requests that are not
// repeated are forgotten.
const (
	Pending State = iota + 1
	Approved
	Rejected
	Expired
)

var states = [...]string{Pending: "pending", Approved: "approved", Rejected: "rejected", Expired: "expired"}

// String is the state in lower case.
func (s State) String() string {
	if s == 0 || int(s) >= len(states) {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return states[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(b []byte) error {
	for i, word := range states {
		if word != "" && word == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of pending, approved, rejected, expired", b)
}

// Entry is a device as the operator sees it. The names are as the device has
// presented them: see Printable.
type Entry struct {
	Seq         uint64     `json:"seq"` // in the order of first sight
	Code        string     `json:"code"`
	State       State      `json:"state"`
	Client      string     `json:"client"`
	Listener    string     `json:"listener"`
	Protocol    string     `json:"protocol"`
	Address     string     `json:"address"` // of the last try, "" for a Unix socket
	Proof       Proof      `json:"proof"`
	Fingerprint string     `json:"fingerprint,omitempty"` // SHA-256 of the public key, in hex
	Username    *string    `json:"username,omitempty"`
	Insecure    bool       `json:"insecure"` // it has presented nothing but names
	Name        string     `json:"name,omitempty"`
	Until       *time.Time `json:"until,omitempty"` // nil: for good
	First       time.Time  `json:"first"`
	Last        time.Time  `json:"last"`
	Tries       int        `json:"tries"`
}

// entry is a device. Its fields are guarded by desk.mu; those of one that is
// remembered do not change but for address, last, tries, pause and lapsed:
// another takes its place.
type entry struct {
	candidate // without the secret
	seq       uint64
	code      string
	state     State  // Expired is told by until
	salt      []byte // of hash
	hash      []byte // digest of the secret, for Secret
	name      string // for Approved
	until     time.Time
	protocol  string
	addr      netip.Addr
	first     time.Time
	last      time.Time
	tries     int

	pause                   // between lines about it
	lapsed    bool          // the end of the approval has been seen
	accepting bool          // an open window is about to approve it
	place     *list.Element // in desk.waiting
	index     [32]byte      // in desk.pending
	source    netip.Prefix  // that it counts for in desk.sources
}

const saltBytes = 16

// bind keeps what k presents without its secret.
func (e *entry) bind(key []byte, k candidate) {
	e.candidate = k
	e.secret = nil
	if k.proof == Secret {
		e.salt = make([]byte, saltBytes)
		rand.Read(e.salt) // never fails
		e.hash = e.hashOf(key, k)
	}
}

func (e *entry) hashOf(key []byte, k candidate) []byte {
	sum := k.digest(append(key[:len(key):len(key)], e.salt...))
	return sum[:]
}

// is reports whether k presents what e is bound to. Their devices are the same.
func (e *entry) is(key []byte, k candidate) bool {
	switch {
	case e.proof != k.proof:
		return false
	case e.proof == Key:
		return e.fingerprint == k.fingerprint
	case e.proof == Bare:
		return e.hasUsername == k.hasUsername && e.username == k.username
	}
	return hmac.Equal(e.hash, e.hashOf(key, k))
}

// stateAt is the state, time considered.
func (e *entry) stateAt(now time.Time) State {
	if e.state == Approved && !e.until.IsZero() && !now.Before(e.until) {
		return Expired
	}
	return e.state
}

// seen counts a try.
func (e *entry) seen(now time.Time, addr netip.Addr) {
	e.last, e.addr = now, addr
	e.tries++
}

// show is public for whoever does not hold mu: the device may be trying.
func (d *desk) show(e *entry, now time.Time) Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.public(now)
}

// public is what an operator sees. Called with mu held.
func (e *entry) public(now time.Time) Entry {
	p := Entry{
		Seq: e.seq, Code: e.code, State: e.stateAt(now), Client: e.client, Listener: e.listener,
		Protocol: e.protocol, Proof: e.proof, Fingerprint: e.fingerprint, Insecure: e.proof == Bare,
		Name: e.name, First: e.first, Last: e.last, Tries: e.tries,
	}
	if e.addr.IsValid() {
		p.Address = e.addr.String()
	}
	if e.hasUsername {
		name := e.username
		p.Username = &name
	}
	if !e.until.IsZero() {
		until := e.until
		p.Until = &until
	}
	return p
}
