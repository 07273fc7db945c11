package pairing

import (
	"context"
	"net/netip"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
)

// methodName begins Identity.Method.
const methodName = "pairing"

// Authenticator is the method. It is an auth.Doorkeeper.
type Authenticator struct {
	cfg   Config
	desk  *desk
	taken func(name string) bool // nobody else has a name: nil
}

// New reads what is remembered.
func New(c Config) (*Authenticator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d, err := newDesk(c.Path)
	if err != nil {
		return nil, err
	}
	return &Authenticator{cfg: c.withDefaults(), desk: d}, nil
}

// TakeOver implements auth.Doorkeeper.
func (a *Authenticator) TakeOver(from auth.Doorkeeper, taken func(name string) bool) {
	a.taken = taken
	if before, ok := from.(*Authenticator); ok && before.cfg.Path == a.cfg.Path {
		a.desk = before.desk
	}
}

// Authenticate implements auth.Authenticator. It ignores clients of listeners
// that it is not meant for. A client that waits gets *auth.Pending.
func (a *Authenticator) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if !a.cfg.serves(c.Listener) {
		return auth.Identity{}, auth.Ignore, nil
	}
	now, addr := a.cfg.Now(), addrOf(c.Remote)
	k, why := a.candidateOf(c)
	d := a.desk
	d.mu.Lock()
	if why != "" {
		defer d.mu.Unlock()
		if more, due := d.impossible.due(now); due {
			a.cfg.Logger.Warn("a client cannot ask for approval", append(turnedAway(c), "why", why, "more_before", more)...)
		}
		return auth.Identity{}, auth.Deny, nil
	}
	e := d.match(k)
	if e != nil && e.stateAt(now) != Expired {
		defer d.mu.Unlock()
		e.seen(now, addr)
		if e.state == Rejected {
			if more, due := e.due(now); due {
				a.cfg.Logger.Info("a rejected device has tried again", append(e.described(), "more_before", more)...)
			}
			return auth.Identity{}, auth.Deny, nil
		}
		id := e.identity()
		id.Username = c.Username
		return id, auth.Allow, nil
	}
	e = a.ask(now, k, c.Protocol, addr)
	if e == nil {
		defer d.mu.Unlock()
		if more, due := d.full.due(now); due {
			a.cfg.Logger.Warn("a request for approval is turned away: there are too many, in total or from its address",
				append(turnedAway(c), "more_before", more)...)
		}
		return auth.Identity{}, auth.Deny, &auth.Pending{}
	}
	accept := d.window.fits(e, now)
	if accept {
		d.window.left--
		e.accepting = true
	} else if more, due := e.due(now); due {
		a.cfg.Logger.Info("a device waits for approval", append(e.described(), "more_before", more)...)
	}
	code := e.code
	d.mu.Unlock()
	if accept {
		if id, ok := a.admit(e); ok {
			id.Username = c.Username
			return id, auth.Allow, nil
		}
	}
	return auth.Identity{}, auth.Deny, &auth.Pending{Code: code}
}

// ask returns the request of k, a new one if there is none; nil when there are
// too many. Called with mu held.
func (a *Authenticator) ask(now time.Time, k candidate, protocol string, addr netip.Addr) *entry {
	d := a.desk
	d.expire(now, a.cfg.Lifetime)
	index := k.digest(d.indexKey[:])
	if e := d.pending[index]; e != nil {
		e.seen(now, addr)
		d.waiting.MoveToBack(e.place)
		return e
	}
	source := sourceOf(addr)
	if len(d.pending) >= a.cfg.MaxPending || d.sources[source] >= a.cfg.MaxPerAddress {
		return nil
	}
	d.seq++
	e := &entry{
		seq: d.seq, state: Pending, protocol: protocol, first: now, index: index, source: source,
		code: newCode(d.taken),
	}
	e.bind(d.key, k)
	e.seen(now, addr)
	e.place = d.waiting.PushBack(e)
	d.pending[index] = e
	d.codes[e.code] = e
	d.sources[source]++
	return e
}

// fits reports whether e may come in by the window.
func (w *window) fits(e *entry, now time.Time) bool {
	return w.left > 0 && now.Before(w.until) && !e.accepting && (w.listener == "" || w.listener == e.listener)
}

// admit approves e by the open window. When that is not possible it keeps
// waiting, and the window has its place back.
func (a *Authenticator) admit(e *entry) (auth.Identity, bool) {
	d := a.desk
	d.change.Lock()
	defer d.change.Unlock()
	id, err := a.approve(e, Approval{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.window.left++
		e.accepting = false
		if more, due := e.due(a.cfg.Now()); due {
			a.cfg.Logger.Warn("a device is not approved although the door is open",
				"client", Printable(e.client), "code", e.code, "err", err, "more_before", more)
		}
		return auth.Identity{}, false
	}
	a.cfg.Logger.Info("a device is approved: the door is open", "client", Printable(e.client), "user", id.name, "code", e.code, "left", d.window.left)
	return id.identity(), true
}
