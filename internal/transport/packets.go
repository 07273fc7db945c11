package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// PacketListener is what a Scheme with Packets listens with: the datagrams of all
// peers, without a Conn for each. It has no queues either; what nobody reads waits
// in the kernel, which drops what does not fit ReadBufferBytes.
//
// Accept waits for Close. Close makes reading end at once, while writing goes on
// for a second, for last words; the port is taken until then.
//
// Of ListenConfig, Access, the buffers of the socket, Name and Logger mean
// something here. There are no connections and no handshakes to be limited;
// whoever keeps state for peers finds the limits in Config and applies them.
type PacketListener interface {
	Listener

	// ReadBatch waits for datagrams and fills ds from the start: with the address of
	// the sender, IPv4 never mapped to IPv6, and Data up to its length. It reads into
	// Data[:cap(Data)], so the same ds can be passed again (NewDatagrams); buffers may
	// change places within ds. It returns how many there are, one at least, and
	// leaves the rest of ds as it likes. One goroutine at a time is served.
	//
	// Those that a rule refuses, that are empty or longer than their buffer are
	// dropped and counted. The only error is net.ErrClosed, after Close.
	ReadBatch(ds []Datagram) (int, error)

	// WriteBatch sends all of ds in order. What the kernel refuses is skipped and
	// counted, and the first such error returned; too long ones are ErrTooLong. It
	// waits for the kernel's buffer, not for the peers. Nothing of ds is kept. It may
	// be called from any goroutine; batches of several mix.
	WriteBatch(ds []Datagram) error

	// ListenGroup joins a multicast group, with the listener's rules and counters:
	// see Group. interfaces are names; without any it is all that are up and capable
	// of multicast. Errors say which interface is missing or refuses.
	ListenGroup(group netip.AddrPort, interfaces []string) ([]*Group, error)

	// WriteGroup sends b to a multicast group, out of the interface of that name and
	// from the listener's port. The network passes it on for ttl hops (RFC 1112 §6.1:
	// 0 is this machine alone, 1 the local network; at most 255). Members on this
	// machine hear it, too. A listener on one address sends from that address, which
	// must suit the interface.
	WriteGroup(group netip.AddrPort, iface string, ttl int, b []byte) error
}

// Datagram is one, with the address that it comes from or goes to.
type Datagram struct {
	Addr netip.AddrPort
	Data []byte
}

// NewDatagrams makes n of them for ReadBatch, with room for size bytes each.
func NewDatagrams(n, size int) []Datagram {
	ds, all := make([]Datagram, n), make([]byte, n*size)
	for i := range ds {
		ds[i].Data = all[i*size : i*size : (i+1)*size]
	}
	return ds
}

// packetSocket reads and writes several datagrams at once where the system can.
type packetSocket interface {
	// receive waits, and fills ds from the start. One caller at a time.
	receive(ds []Datagram) (n int, err error)
	// truncated says of those that the last receive has returned whether more
	// belonged to it.
	truncated(i int) bool
	// send sends ds[:n], at least one unless err is about ds[n]. It waits for the
	// kernel. Any number of callers.
	send(ds []Datagram) (n int, err error)
}

// packetReader reads for a listener, by whose rules and into whose tally.
type packetReader struct {
	ln   *listener
	sock packetSocket

	reading sync.Mutex // held by the one that reads
}

type packetListener struct {
	*listener
	packetReader
	udp *net.UDPConn

	lost atomic.Uint64 // datagrams that the kernel had no room for, as it last said

	sending sync.Mutex // to groups, for which the socket is set up each time

	mu     sync.Mutex
	groups map[*Group]bool // nil once the listener is closed
}

func newPacketListener(udp *net.UDPConn, e Endpoint, set *settings) (*packetListener, error) {
	sock, err := newPacketSocket(udp)
	if err != nil {
		_ = udp.Close()
		return nil, err
	}
	tune(udp, &set.cfg)
	enlarge(udp, set.cfg.ReadBufferBytes)
	l := &packetListener{udp: udp, groups: map[*Group]bool{}}
	l.listener = newListener(lingering{udp, l.closeGroups}, e, set)
	l.packetReader = packetReader{ln: l.listener, sock: sock}
	l.take = func() (*conn, error) {
		<-l.done
		return nil, net.ErrClosed
	}
	return l, nil
}

// ReadBatch implements PacketListener.
func (r *packetReader) ReadBatch(ds []Datagram) (int, error) {
	r.reading.Lock()
	defer r.reading.Unlock()
	backOff := time.Duration(0)
	for len(ds) > 0 {
		n, err := r.sock.receive(ds)
		switch {
		case err == nil:
			backOff = 0
		case isPeerError(err):
			r.ln.tally.acceptError()
		default:
			if err := r.ln.outlive(err, &backOff); err != nil {
				return 0, err
			}
		}
		if n = r.sift(ds, n); n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// sift moves those of ds[:n] that may pass to the start, and returns how many.
func (r *packetReader) sift(ds []Datagram, n int) int {
	set, kept, bytes := r.ln.set.Load(), 0, 0
	for i := range n {
		d := ds[i]
		switch {
		case !allowed(set.rules, d.Addr.Addr()):
			r.ln.tally.refused(RefusedRule)
		case r.sock.truncated(i):
			r.ln.tally.dropped(DroppedLong)
		case len(d.Data) == 0:
			r.ln.tally.dropped(DroppedEmpty)
		default:
			ds[i], ds[kept] = ds[kept], d
			kept++
			bytes += len(d.Data)
		}
	}
	if kept > 0 {
		r.ln.tally.received(kept, bytes)
	}
	return kept
}

// WriteBatch implements PacketListener.
func (l *packetListener) WriteBatch(ds []Datagram) (first error) {
	sent, bytes := 0, 0
	for len(ds) > 0 {
		n, err := l.sock.send(ds)
		for _, d := range ds[:n] {
			bytes += len(d.Data)
		}
		sent += n
		ds = ds[n:]
		if err == nil {
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			first = net.ErrClosed
			break
		}
		if err = l.unsent(ds[0].Addr, err); first == nil {
			first = err
		}
		ds = ds[1:]
	}
	if sent > 0 {
		l.tally.sent(sent, bytes)
	}
	return first
}

// unsent counts a datagram that the kernel has refused, and puts the reason into
// the form that package net gives it.
func (l *packetListener) unsent(to netip.AddrPort, err error) error {
	if oe := (*net.OpError)(nil); !errors.As(err, &oe) {
		err = &net.OpError{Op: "write", Net: "udp", Source: l.Addr(), Addr: net.UDPAddrFromAddrPort(to), Err: err}
	}
	if !errors.Is(err, errnoTooLong) {
		l.tally.dropped(DroppedUnsent)
		return err
	}
	l.tally.dropped(DroppedSize)
	return fmt.Errorf("%w: %w", ErrTooLong, err)
}

// Counters implements Listener.
func (l *packetListener) Counters() ListenerCounters {
	c := l.listener.Counters()
	if n, ok := kernelDrops(l.udp); ok {
		l.lost.Store(n)
	}
	if n := l.lost.Load(); n > 0 {
		if c.Dropped == nil {
			c.Dropped = map[string]uint64{}
		}
		c.Dropped[DroppedBuffer] = n
	}
	return c
}

// wsaConnReset is what Windows reports for a socket that has sent to a closed
// port: WSAECONNRESET.
const wsaConnReset = syscall.Errno(10054)

// isPeerError reports an ICMP message about something that was sent. The socket is
// everybody's, so it says nothing about what arrives next.
func isPeerError(err error) bool {
	for _, e := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, wsaConnReset} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// lingering is the socket of a packetListener as a net.Listener. Its Close leaves
// time for last words.
type lingering struct {
	udp  *net.UDPConn
	also func()
}

// Accept implements net.Listener, of which the listener uses the rest.
func (s lingering) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }

// Addr implements net.Listener.
func (s lingering) Addr() net.Addr { return s.udp.LocalAddr() }

// Close implements net.Listener.
func (s lingering) Close() error {
	s.also()
	time.AfterFunc(farewellTime, func() { _ = s.udp.Close() })
	return s.udp.SetReadDeadline(past())
}
