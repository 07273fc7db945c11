package mqttsn

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// path is where a client is. Two clients behind one forwarder differ by the node.
// The zero value is nowhere: the client has lost its address to another.
type path struct {
	port *port
	addr netip.AddrPort // of the client, or of its forwarder; zero on a DTLS association
	node node
}

// node is the wireless node identifier that a forwarder puts around what it
// passes on. It is opaque, and may be empty. SN-5.4.20
type node struct {
	forwarded bool
	id        string
}

// port is a listener, or one DTLS association of a listener: whatever takes
// datagrams to clients.
type port struct {
	listener string // the name, for credentials and restored clients
	carrier  carrier
	info     transport.Info // of the association; zero for plain UDP
	members  *members       // of the association; nil for plain UDP
	crowd    *crowd         // on the listener
}

// crowd is how many clients a listener has. How many it may have is in its options,
// which a reload changes.
type crowd struct {
	n        atomic.Int64
	listener atomic.Pointer[transport.PacketListener] // nil: not open yet
}

// full reports whether no more clients may come.
func (c *crowd) full() bool {
	if c == nil {
		return false
	}
	l := c.listener.Load()
	if l == nil {
		return false
	}
	most := (*l).Config().MaxConnections
	return most > 0 && c.n.Load() >= int64(most)
}

// add counts n more clients.
func (c *crowd) add(n int64) {
	if c != nil {
		c.n.Add(n)
	}
}

// remote is the address of the client, or of its forwarder.
func (p path) remote() netip.AddrPort {
	if p.port != nil && p.port.secure() {
		return p.port.info.Remote
	}
	return p.addr
}

// secure reports whether p is a DTLS association.
func (p *port) secure() bool { return p.members != nil }

// overhead is how many bytes precede each message on the path.
func (p path) overhead() int {
	if !p.node.forwarded {
		return 0
	}
	return 3 + len(p.node.id)
}

// carrier takes datagrams to clients.
type carrier interface {
	// send queues a copy of head and b as one datagram. It does not block.
	send(to netip.AddrPort, head, b []byte)
	// flush has everything leave that is queued.
	flush()
}

// Bounds of what waits to be sent by a socket: more is dropped, as a network
// would.
const (
	queuedDatagrams = 8192
	longQueue       = queuedDatagrams / 4
	keptDatagram    = 2048 // bytes of a buffer that is kept for the next
)

// socket is the carrier of a plain listener. Whoever flushes sends what everybody
// has queued, in large batches.
type socket struct {
	g *Gateway

	mu       sync.Mutex
	l        transport.PacketListener // nil while it is not open
	queue    []transport.Datagram
	spare    []transport.Datagram // the other queue, whose buffers are used again
	flushing bool
	shorter  sync.Cond // the queue is, or nobody flushes any more
}

// open has datagrams leave by l.
func (s *socket) open(l transport.PacketListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l, s.shorter.L = l, &s.mu
}

// close has none leave by l any more.
func (s *socket) close(l transport.PacketListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.l == l {
		s.l, s.queue, s.spare = nil, nil, nil
	}
}

// send implements carrier.
func (s *socket) send(to netip.AddrPort, head, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.queue)
	if n >= queuedDatagrams || s.l == nil {
		s.g.counts.unsent.Add(1)
		return
	}
	if n < cap(s.queue) {
		s.queue = s.queue[:n+1]
	} else {
		s.queue = append(s.queue, transport.Datagram{})
	}
	d := &s.queue[n]
	d.Addr, d.Data = to, append(append(d.Data[:0], head...), b...)
}

// flush implements carrier. Who finds another at it leaves it to that, unless there
// is much: then it waits, because what is not worked off yet has more room to wait in
// than the answers to it.
func (s *socket) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.flushing {
		if len(s.queue) < longQueue {
			return
		}
		s.shorter.Wait()
	}
	s.flushing = true
	for len(s.queue) > 0 && s.l != nil {
		batch, l := s.queue, s.l
		s.queue, s.spare = s.spare[:0], nil
		s.shorter.Broadcast()
		s.mu.Unlock()
		if err := l.WriteBatch(batch); err != nil {
			s.g.counts.unsent.Add(1)
		}
		for i := range batch {
			if cap(batch[i].Data) > keptDatagram {
				batch[i].Data = nil
			}
		}
		s.mu.Lock()
		if s.l != nil {
			s.spare = batch
		}
	}
	s.flushing = false
	s.shorter.Broadcast()
}

// association is the carrier of a DTLS association, which has one address.
type association struct {
	conn transport.Conn
	g    *Gateway
}

// send implements carrier. The library cannot queue.
func (a association) send(_ netip.AddrPort, head, b []byte) {
	if len(head) > 0 {
		b = append(append(make([]byte, 0, len(head)+len(b)), head...), b...)
	}
	if _, err := a.conn.Write(b); err != nil {
		a.g.counts.unsent.Add(1)
	}
}

// flush implements carrier.
func (association) flush() {}

// head is what precedes every datagram to the node. It does not depend on the
// message.
func (n node) head(dst []byte) []byte {
	if !n.forwarded {
		return dst
	}
	dst, _ = mqttsn.Encapsulated{NodeID: []byte(n.id)}.AppendHead(dst) // it came by such a head, so it fits into one
	return dst
}

// discard is a carrier that takes nothing anywhere.
type discard struct{}

// send implements carrier.
func (discard) send(netip.AddrPort, []byte, []byte) {}

// flush implements carrier.
func (discard) flush() {}
