package capture

import (
	"net/netip"
)

// flowKey is what the packets of both directions of a flow have in common: side 0 is
// the one with the lower address, then the lower port.
type flowKey struct {
	addr  [2]address
	ports uint64 // side 0, side 1, protocol
}

func (k *flowKey) port(side int) uint16 { return uint16(k.ports >> (48 - 16*side)) }

func (k *flowKey) proto() uint8 { return uint8(k.ports) }

// conn is a flow and what TCP needs to know of it.
type conn struct {
	key    flowKey
	flow   *Flow // nil until it has something to say
	client int   // the side that is; -1: not known
	closed bool  // by a reset
	joined bool
	half   [2]half // by the side that sends

	newer, older *conn // in the order of their last packets
	waits        bool  // it is in holding.waiting
}

// flowTable finds flows. The one that was quiet for longest goes when there are too many.
type flowTable struct {
	byKey   map[flowKey]*conn
	last    [4]*conn // found lately: most packets belong to them
	order   conn     // ring: order.older is the newest, order.newer the oldest
	numbers int      // of flows so far
}

func (t *flowTable) init() {
	t.byKey = make(map[flowKey]*conn)
	t.order.newer, t.order.older = &t.order, &t.order
}

// find returns the flow of p, a new one if need be, and the side that has sent it.
func (t *flowTable) find(r *Reader, p *packet, from, to uint16) (c *conn, side int) {
	key := flowKey{addr: [2]address{p.src, p.dst}}
	s, d := p.src, p.dst
	if d.hi < s.hi || d.hi == s.hi && (d.lo < s.lo || d.lo == s.lo && to < from) {
		side = 1
		key.addr = [2]address{p.dst, p.src}
		from, to = to, from
	}
	key.ports = uint64(from)<<48 | uint64(to)<<32 | uint64(p.proto)
	slot := &t.last[(from^to)%uint16(len(t.last))]
	if c = *slot; c != nil && c.key == key {
		t.touch(c)
		return c, side
	}
	if c = t.byKey[key]; c == nil {
		if len(t.byKey) >= r.o.MaxFlows {
			oldest := t.order.newer
			r.end(oldest, true)
			t.remove(oldest)
			r.count.evicted++
		}
		c = &conn{key: key, client: -1}
		t.byKey[key] = c
		t.push(c)
	} else {
		t.touch(c)
	}
	*slot = c
	return c, side
}

// touch makes c the newest.
func (t *flowTable) touch(c *conn) {
	if t.order.older == c {
		return
	}
	t.unlink(c)
	t.push(c)
}

func (t *flowTable) push(c *conn) {
	c.older, c.newer = t.order.older, &t.order
	c.older.newer, c.newer.older = c, c
}

func (t *flowTable) unlink(c *conn) { c.newer.older, c.older.newer = c.older, c.newer }

func (t *flowTable) remove(c *conn) {
	delete(t.byKey, c.key)
	t.unlink(c)
	for i := range t.last {
		if t.last[i] == c {
			t.last[i] = nil
		}
	}
}

// renew makes of c a flow that has not said anything.
func (t *flowTable) renew(c *conn) {
	*c = conn{key: c.key, client: -1, newer: c.newer, older: c.older, waits: c.waits}
}

// announce gives a flow its number, and says who is who.
func (t *flowTable) announce(c *conn) *Flow {
	t.numbers++
	f := &Flow{Number: t.numbers, Transport: "tcp", Joined: c.joined}
	if c.key.proto() == protoUDP {
		f.Transport = "udp"
	}
	f.Client = netip.AddrPortFrom(c.key.addr[c.client].netip(), c.key.port(c.client))
	f.Server = netip.AddrPortFrom(c.key.addr[1-c.client].netip(), c.key.port(1-c.client))
	return f
}

// services are ports that servers of these protocols have, the most telling first.
var services = []uint16{1883, 8883, 1884, 8884, 1885, 1886, 5683, 5684, 8083, 8084, 443, 80, 8080, 8443, 14567}

// guessClient says which side is the client when the flow does not: sender has sent
// what was seen of it first.
func guessClient(c *conn, sender int) int {
	p0, p1 := c.key.port(0), c.key.port(1)
	if p0 == p1 {
		return sender
	}
	for _, s := range services {
		switch s {
		case p0:
			return 1
		case p1:
			return 0
		}
	}
	const ephemeral = 32768
	if p0 >= ephemeral && p1 >= ephemeral {
		return sender
	}
	if p0 < p1 {
		return 1
	}
	return 0
}
