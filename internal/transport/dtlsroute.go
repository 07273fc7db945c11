package transport

import (
	"crypto/rand"
	"net/netip"
)

// takeSecure passes b on, or answers it, or returns the connection that begins
// with it. There is no state for a client that has not returned its cookie.
func (d *datagrams) takeSecure(l *listener, set *settings, from netip.AddrPort, b []byte) (*conn, error) {
	if d.passNamed(from, b, set) {
		return nil, nil
	}
	if h, ok := parseHello(b); ok {
		return d.greet(l, set, from, &h, b)
	}
	if !d.pass(from, b, &set.cfg) {
		d.tally.dropped(DroppedGarbage)
	}
	return nil, nil
}

// passNamed puts b into the queue of the peer whose connection id it bears,
// wherever it comes from: RFC 9146. It reports whether b bears one. Whether the
// peer is there now is seen once the record has been verified.
func (d *datagrams) passNamed(from netip.AddrPort, b []byte, set *settings) bool {
	id := connectionID(b, d.idBytes)
	if id == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.ids[string(id)]
	switch {
	case p == nil:
		d.tally.dropped(DroppedGarbage)
	case from.Addr() != p.addr.Addr() && !allowed(set.rules, from.Addr()):
		d.tally.refused(RefusedRule)
	default:
		p.push(b, from, &set.cfg)
	}
	return true
}

// connectionID finds the connection id in a datagram, nil for none.
func connectionID(b []byte, idBytes int) []byte {
	for idBytes > 0 && len(b) > 0 {
		r, rest, ok := cutRecord(b, idBytes)
		switch {
		case !ok:
			return nil
		case r[0] == recordCID:
			return r[recordHeaderBytes-2:][:idBytes]
		}
		b = rest
	}
	return nil
}

// name gives p a connection id, in place of any that it has.
func (d *datagrams) name(p *peer) []byte {
	id := make([]byte, d.idBytes)
	d.mu.Lock()
	defer d.mu.Unlock()
	for taken := true; taken; _, taken = d.ids[string(id)] {
		rand.Read(id) // never fails
	}
	if p.left {
		return id
	}
	delete(d.ids, p.id)
	p.id = string(id)
	d.ids[p.id] = p
	return id
}
