package transport

import (
	"maps"
	"net/netip"
	"sync"
)

// Why a connection was refused: keys of ListenerCounters.Refused.
const (
	RefusedRule       = "rule"       // an access rule denies the address
	RefusedMax        = "max"        // MaxConnections
	RefusedRate       = "rate"       // MaxConnRate
	RefusedSource     = "source"     // MaxPerSource
	RefusedHandshakes = "handshakes" // MaxHandshakes
	RefusedProxy      = "proxy"      // not one of Proxies
)

// Why a connection was closed by its handshake: keys of
// ListenerCounters.Closed, beside those that callers of CloseReason choose.
const (
	ClosedProxy     = "proxy"
	ClosedTLS       = "tls"
	ClosedWebSocket = "websocket"
	ClosedTimeout   = "handshake-timeout"
)

// ListenerCounters is a snapshot. Accepted counts connections that Accept
// returned; those refused later, for the address in their PROXY header, appear
// both there and in Refused.
type ListenerCounters struct {
	Accepted     uint64
	Open         int               // accepted and not closed
	Handshaking  int               // of those, not through their handshake
	Refused      map[string]uint64 // by one of the Refused constants
	Closed       map[string]uint64 // by reason
	AcceptErrors uint64            // EMFILE and the like
}

// tally is what a listener counts.
type tally struct {
	mu      sync.Mutex
	c       ListenerCounters
	sources map[netip.Addr]int
}

// maxReasons bounds the map against a caller that puts input into reasons.
const maxReasons = 100

func (t *tally) refused(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.c.Refused == nil {
		t.c.Refused = map[string]uint64{}
	}
	t.c.Refused[why]++
}

// enter counts a connection in, or says which limit forbids it.
func (t *tally) enter(cfg *ListenConfig, shaking bool) (refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case cfg.MaxConnections > 0 && t.c.Open >= cfg.MaxConnections:
		return RefusedMax
	case shaking && cfg.MaxHandshakes > 0 && t.c.Handshaking >= cfg.MaxHandshakes:
		return RefusedHandshakes
	}
	t.c.Open++
	if shaking {
		t.c.Handshaking++
	}
	return ""
}

// undo takes a connection back that was counted in and then refused.
func (t *tally) undo(shaking bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Open--
	if shaking {
		t.c.Handshaking--
	}
}

func (t *tally) accepted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Accepted++
}

func (t *tally) shaken() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Handshaking--
}

func (t *tally) acceptError() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.AcceptErrors++
}

// addSource counts a client address in unless it has limit connections.
// Addresses are counted even without a limit, because Apply may set one.
func (t *tally) addSource(a netip.Addr, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sources == nil {
		t.sources = map[netip.Addr]int{}
	}
	if limit > 0 && t.sources[a] >= limit {
		return false
	}
	t.sources[a]++
	return true
}

func (t *tally) removeSource(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sources[a]--; t.sources[a] <= 0 {
		delete(t.sources, a)
	}
}

func (t *tally) close(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Open--
	if t.c.Closed == nil {
		t.c.Closed = map[string]uint64{}
	}
	if _, known := t.c.Closed[reason]; !known && len(t.c.Closed) >= maxReasons {
		reason = "other"
	}
	t.c.Closed[reason]++
}

func (t *tally) snapshot() ListenerCounters {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.c
	c.Refused, c.Closed = maps.Clone(c.Refused), maps.Clone(c.Closed)
	return c
}
