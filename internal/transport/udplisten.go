package transport

import (
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrListenerClosed is what reads of a datagram listener's connections return
// once the listener is closed; errors.Is finds net.ErrClosed in it. There is a
// second left for last words.
var ErrListenerClosed error = listenerClosedError{}

type listenerClosedError struct{}

func (listenerClosedError) Error() string        { return "the listener is closed, and nothing more arrives" }
func (listenerClosedError) Is(target error) bool { return target == net.ErrClosed }

// datagrams is a UDP socket that many peers share. Whoever is in Accept reads
// it: what comes from a known address goes to the queue of its peer, anything
// else is a new one.
type datagrams struct {
	sock  *net.UDPConn
	raw   syscall.RawConn
	addr  net.Addr
	tally *tally

	reading sync.Mutex // held by the one that reads
	buf     [1 << 16]byte
	desk    peer // whoever is answered and forgotten, at the moment

	queued atomic.Int64 // bytes in all queues

	idBytes int      // of connection ids; 0: there are none
	secret  [32]byte // of cookies

	mu    sync.Mutex               // before peer.reads
	peers map[netip.AddrPort]*peer // by address
	ids   map[string]*peer         // by connection id
	ended bool                     // the listener is closed
	last  *time.Timer              // closes the socket, whoever still has it
}

// farewellTime is how long peers may write after their listener has closed.
const farewellTime = time.Second

func newDatagramListener(sock *net.UDPConn, e Endpoint, set *settings) (*listener, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	tune(sock, &set.cfg)
	d := &datagrams{sock: sock, raw: raw, addr: sock.LocalAddr(), peers: map[netip.AddrPort]*peer{}, ids: map[string]*peer{}}
	d.desk.in = d
	if set.tls != nil {
		d.idBytes = set.tls.source.idBytes()
		rand.Read(d.secret[:]) // never fails
	}
	l := newListener(d, e, set)
	d.tally = &l.tally
	l.take = func() (*conn, error) { return d.takePeer(l) }
	return l, nil
}

// takePeer reads one datagram. It returns the connection that begins with it, if
// one does.
func (d *datagrams) takePeer(l *listener) (*conn, error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	n, from, err := d.sock.ReadFromUDPAddrPort(d.buf[:])
	if err != nil {
		return nil, err
	}
	b, set := d.buf[:n], l.set.Load()
	if from = unmapped(from); n == 0 {
		d.tally.dropped(DroppedEmpty)
		return nil, nil
	}
	if set.tls != nil {
		return d.takeSecure(l, set, from, b)
	}
	if d.pass(from, b, &set.cfg) {
		return nil, nil
	}
	c := l.admit(set, from)
	if c == nil {
		return nil, nil
	}
	p := newPeer(d, from)
	c.begin(p, set)
	if !d.enter(p, &set.cfg, b) {
		_ = c.CloseReason("listener-closed")
		return nil, net.ErrClosed
	}
	return c, nil
}

// pass puts b into the queue of its peer, if there is one.
func (d *datagrams) pass(from netip.AddrPort, b []byte, cfg *ListenConfig) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.peers[from]
	switch {
	case p == nil:
		return false
	case !p.settled || !isPlain(b) || p.heir == nil:
		p.push(b, from, cfg)
	}
	if p.heir != nil { // whose keys are right will be seen
		p.heir.push(b, from, cfg)
	}
	return true
}

// enter adds p, with what it has to read first. One at its address that is in its
// handshake ends.
func (d *datagrams) enter(p *peer, cfg *ListenConfig, bs ...[]byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return false
	}
	before := d.peers[p.addr]
	if elder := before; elder != nil && elder.settled {
		before, elder.heir, p.elder = elder.heir, p, elder
	} else {
		d.peers[p.addr] = p
	}
	if before != nil {
		before.elder = nil
		before.end(&before.replaced)
	}
	for _, b := range bs {
		p.push(b, p.addr, cfg)
	}
	return true
}

// settle is for a peer whose DTLS handshake is complete. It takes the place of
// the one that its client had before, which a ClientHello alone, with a cookie or
// without, cannot end: RFC 6347 §4.2.8. A client with a connection id may be anywhere from
// now on, and another one may have its address: it has a place of its own.
func (d *datagrams) settle(p *peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.settled = true
	if e := p.elder; e != nil {
		d.peers[p.addr], p.elder, e.heir = p, nil, nil
		e.end(&e.replaced)
	}
	if p.id != "" && d.peers[p.addr] == p {
		delete(d.peers, p.addr)
	}
}

// leave forgets p. The last one closes the socket behind itself.
func (d *datagrams) leave(p *peer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.left = true
	if p.id != "" {
		delete(d.ids, p.id)
	}
	switch {
	case p.elder != nil:
		p.elder.heir, p.elder = nil, nil
	case d.peers[p.addr] != p:
	case p.heir != nil:
		d.peers[p.addr], p.heir.elder, p.heir = p.heir, nil, nil
	default:
		delete(d.peers, p.addr)
	}
	return d.closeLocked()
}

func (d *datagrams) closeLocked() error {
	if !d.ended || len(d.peers)+len(d.ids) > 0 {
		return nil
	}
	if d.last != nil && !d.last.Stop() {
		return nil // closed already
	}
	return d.sock.Close()
}

// Accept implements net.Listener, of which the listener uses the rest.
func (d *datagrams) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }

// Addr implements net.Listener.
func (d *datagrams) Addr() net.Addr { return d.addr }

// Close implements net.Listener.
func (d *datagrams) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return net.ErrClosed
	}
	d.ended = true
	_ = d.sock.SetReadDeadline(past()) // whoever reads stops
	for _, p := range d.peers {
		p.end(&p.alone)
		if p.heir != nil {
			p.heir.end(&p.heir.alone)
		}
	}
	for _, p := range d.ids {
		p.end(&p.alone)
	}
	if len(d.peers)+len(d.ids) > 0 {
		d.last = time.AfterFunc(farewellTime, func() { _ = d.sock.Close() })
	}
	return d.closeLocked()
}
