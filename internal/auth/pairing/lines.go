package pairing

import (
	"time"

	"github.com/iotctl/iotctl/internal/auth"
)

// logPause is the time between two log lines about one device, or about
// everybody who is turned away for one reason.
const logPause = time.Minute

// pause keeps one device, or one reason, from filling the log.
type pause struct {
	logged time.Time // when the last line was written
	since  int       // how often there was none
}

// due reports whether it is time for a line, and for how many it stands.
func (p *pause) due(now time.Time) (more int, due bool) {
	if !p.logged.IsZero() && now.Sub(p.logged) < logPause {
		p.since++
		return 0, false
	}
	more = p.since
	*p = pause{logged: now}
	return more, true
}

// described is e for a log line.
func (e *entry) described() []any {
	return []any{
		"client", Printable(e.client), "code", e.code, "listener", e.listener,
		"remote", e.addr, "presents", e.proof.String(), "tries", e.tries,
	}
}

// turnedAway is a client for a log line.
func turnedAway(c auth.Credentials) []any {
	id := c.ClientID[:min(len(c.ClientID), maxNameBytes)]
	return []any{"client", Printable(id), "listener", c.Listener, "remote", addrOf(c.Remote)}
}
