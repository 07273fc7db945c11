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
	RefusedHandshakes = "handshakes" // MaxHandshakes, or one address's share
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

// Why a datagram was dropped, received or to be sent: keys of
// ListenerCounters.Dropped. Those from addresses that were refused are in Refused
// instead.
const (
	DroppedQueue   = "queue"   // the queue of its peer was full
	DroppedMemory  = "memory"  // all queues together were
	DroppedEmpty   = "empty"   // it held nothing
	DroppedLong    = "long"    // longer than the reader's buffer
	DroppedSize    = "size"    // too long to be sent: ErrTooLong
	DroppedGarbage = "garbage" // no DTLS, or none that could mean something now
	DroppedUnsent  = "unsent"  // refused by the kernel, on the way out of a PacketListener
	DroppedBuffer  = "buffer"  // the socket's buffer was full, of a PacketListener on Linux: ReadBufferBytes
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
	Dropped      map[string]uint64 // datagrams, by one of the Dropped constants
	AcceptErrors uint64            // EMFILE and the like

	// Of a PacketListener, what it has passed on, in datagrams and bytes. It has no
	// connections, and counts each datagram in Refused or Dropped.
	Received, ReceivedBytes uint64
	Sent, SentBytes         uint64
}

// tally is what a listener counts.
type tally struct {
	mu      sync.Mutex
	c       ListenerCounters
	sources map[netip.Addr]source // by sourceOf
}

// source is what one client address has open.
type source struct{ open, shaking int }

// entry is one connection's place in the tally, which guards it.
type entry struct {
	open    bool
	shaking bool       // not through its handshake
	source  netip.Addr // where it is counted, once that is known
}

// maxReasons bounds the map against a caller that puts input into reasons.
const maxReasons = 100

// sourceOf is what counts as one client address. Whoever has an IPv6 address
// has the other 2^64 of its network as well, except on the local link, where
// the neighbours have them.
func sourceOf(a netip.Addr) netip.Addr {
	if !a.Is6() || a.IsLinkLocalUnicast() {
		return a
	}
	p, _ := a.Prefix(64) // IPv6 has that many bits
	return p.Addr()
}

// handshakeShare is how many of MaxHandshakes one client address may take, so
// that one host cannot keep all others out. 0: no limit.
func handshakeShare(cfg *ListenConfig) int {
	if cfg.MaxHandshakes <= 0 {
		return 0
	}
	return max(minHandshakeShare, cfg.MaxHandshakes/4)
}

const minHandshakeShare = 16

func (t *tally) refused(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.c.Refused == nil {
		t.c.Refused = map[string]uint64{}
	}
	t.c.Refused[why]++
}

// dropped counts a datagram that nobody will read.
func (t *tally) dropped(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.c.Dropped == nil {
		t.c.Dropped = map[string]uint64{}
	}
	t.c.Dropped[why]++
}

// received counts datagrams that were passed on.
func (t *tally) received(n, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Received += uint64(n)
	t.c.ReceivedBytes += uint64(bytes)
}

// sent counts datagrams that the kernel has taken.
func (t *tally) sent(n, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Sent += uint64(n)
	t.c.SentBytes += uint64(bytes)
}

// enter counts a connection in, or says which limit forbids it.
func (t *tally) enter(e *entry, cfg *ListenConfig, shaking bool) (refused string) {
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
	e.open, e.shaking = true, shaking
	return ""
}

// addSource counts e at a client address, or says which limit forbids it.
// Addresses are counted even without a limit, because Apply may set one. All
// processes of this machine share its loopback address, proxies that send no
// header among them, so the share of handshakes is not for that.
func (t *tally) addSource(e *entry, a netip.Addr, cfg *ListenConfig) (refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !a.IsValid() || !e.open {
		return ""
	}
	if t.sources == nil {
		t.sources = map[netip.Addr]source{}
	}
	at, share := sourceOf(a), handshakeShare(cfg)
	s := t.sources[at]
	switch {
	case cfg.MaxPerSource > 0 && s.open >= cfg.MaxPerSource:
		return RefusedSource
	case e.shaking && share > 0 && s.shaking >= share && !a.IsLoopback():
		return RefusedHandshakes
	}
	s.open++
	if e.shaking {
		s.shaking++
	}
	t.sources[at], e.source = s, at
	return ""
}

// undo takes a connection back that was counted in and then refused.
func (t *tally) undo(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveLocked(e)
}

func (t *tally) leaveLocked(e *entry) {
	t.shakenLocked(e)
	t.c.Open--
	e.open = false
	if !e.source.IsValid() {
		return
	}
	s := t.sources[e.source]
	if s.open--; s.open > 0 {
		t.sources[e.source] = s
	} else {
		delete(t.sources, e.source)
	}
}

func (t *tally) accepted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Accepted++
}

// shaken counts the end of a handshake: it is done, or the connection closes
// without.
func (t *tally) shaken(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shakenLocked(e)
}

func (t *tally) shakenLocked(e *entry) {
	if !e.shaking {
		return
	}
	e.shaking = false
	t.c.Handshaking--
	if e.source.IsValid() {
		s := t.sources[e.source]
		s.shaking--
		t.sources[e.source] = s
	}
}

func (t *tally) acceptError() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.AcceptErrors++
}

// close counts a connection out.
func (t *tally) close(e *entry, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveLocked(e)
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
	c.Refused, c.Closed, c.Dropped = maps.Clone(c.Refused), maps.Clone(c.Closed), maps.Clone(c.Dropped)
	return c
}
