package transport

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// peer is what a datagram listener has of one remote address: a queue on the
// way in, and the shared socket on the way out.
type peer struct {
	in   *datagrams
	addr netip.AddrPort // where it began

	// Guarded by in.mu, and for DTLS only: settled says that the handshake is
	// complete, elder is the connection that the client had before this one, which is
	// its heir and not settled. id is the connection id that the client is to use,
	// left says that it is of no use any more.
	settled     bool
	elder, heir *peer
	id          string
	left        bool

	cookie   cookie // with which its client has shown that it is there
	sequence uint64 // of the record that brought it
	named    bool   // it is to have a connection id

	reads    alarm     // guards what follows; rings when a read has something to look at
	queue    []arrival // queue[next:] waits
	next     int
	bytes    int       // in it
	until    time.Time // deadline of writes
	closed   bool
	finished bool // by CloseWrite
	alone    bool // the listener is closed
	replaced bool // the client has a new connection

	wmu sync.Mutex     // held by whoever writes
	to  netip.AddrPort // where the peer is now
	out sender
}

// arrival is a datagram that waits.
type arrival struct {
	b    []byte
	from netip.AddrPort
}

func newPeer(in *datagrams, addr netip.AddrPort) *peer { return &peer{in: in, addr: addr, to: addr} }

// push queues a copy of b, or drops it.
func (p *peer) push(b []byte, from netip.AddrPort, cfg *ListenConfig) {
	p.reads.Lock()
	defer p.reads.Unlock()
	waiting := len(p.queue) - p.next
	switch {
	case waiting >= cfg.QueueDatagrams, waiting > 0 && p.bytes+len(b) > cfg.QueueBytes, p.finished:
		p.in.tally.dropped(DroppedQueue)
		return
	case p.in.queued.Load()+int64(len(b)) > int64(cfg.AllQueuesBytes):
		p.in.tally.dropped(DroppedMemory)
		return
	}
	p.in.queued.Add(int64(len(b)))
	p.bytes += len(b)
	if len(p.queue) == cap(p.queue) && p.next >= waiting { // else it would grow as long as it is never empty
		p.queue, p.next = p.queue[:copy(p.queue, p.queue[p.next:])], 0
		clear(p.queue[waiting:cap(p.queue)])
	}
	p.queue = append(p.queue, arrival{append([]byte(nil), b...), from})
	if waiting == 0 {
		p.reads.ring()
	}
}

// keptQueue is how many places an empty queue keeps.
const keptQueue = 8

// pop waits for a datagram.
func (p *peer) pop() (arrival, error) {
	p.reads.Lock()
	defer p.reads.Unlock()
	for {
		switch {
		case p.closed:
			return arrival{}, net.ErrClosed
		case p.finished, p.replaced:
			return arrival{}, io.EOF
		case p.reads.late():
			return arrival{}, os.ErrDeadlineExceeded
		case p.next < len(p.queue):
			return p.popLocked(), nil
		case p.alone:
			return arrival{}, ErrListenerClosed
		}
		p.reads.wait()
	}
}

func (p *peer) popLocked() arrival {
	d := p.queue[p.next]
	p.queue[p.next] = arrival{}
	p.bytes -= len(d.b)
	p.in.queued.Add(-int64(len(d.b)))
	if p.next++; p.next == len(p.queue) {
		if p.queue, p.next = p.queue[:0], 0; cap(p.queue) > keptQueue {
			p.queue = nil
		}
	}
	return d
}

// Read implements net.Conn.
func (p *peer) Read(b []byte) (int, error) {
	d, err := p.pop()
	if err != nil {
		return 0, err
	}
	return p.fill(b, d.b)
}

// readFrom is Read that tells where the datagram came from.
func (p *peer) readFrom(b []byte) (int, netip.AddrPort, error) {
	d, err := p.pop()
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	n, err := p.fill(b, d.b)
	return n, d.from, err
}

// ReadWith implements Conn.
func (p *peer) ReadWith(borrow func() []byte) ([]byte, int, error) {
	d, err := p.pop()
	if err != nil {
		return nil, 0, err
	}
	b := borrow()
	n, err := p.fill(b, d.b)
	return b, n, err
}

func (p *peer) fill(b, datagram []byte) (int, error) {
	if len(b) < len(datagram) {
		p.in.tally.dropped(DroppedLong)
		return 0, io.ErrShortBuffer
	}
	return copy(b, datagram), nil
}

// Write implements net.Conn. It waits for this machine only, so a deadline that
// passes in the meantime does not interrupt it.
func (p *peer) Write(b []byte) (int, error) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	return p.write(b)
}

// writeTo is Write to where the peer is from now on.
func (p *peer) writeTo(b []byte, to netip.AddrPort) (int, error) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	if to != p.to {
		p.to, p.out = to, sender{}
	}
	return p.write(b)
}

// write is called with wmu held.
func (p *peer) write(b []byte) (int, error) {
	sent, err := p.send(b)
	if !sent && err == nil {
		_, err = p.in.sock.WriteToUDPAddrPort(b, p.to)
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// TryWrite implements Conn.
func (p *peer) TryWrite(b []byte) (int, error) {
	if !p.wmu.TryLock() {
		return 0, nil
	}
	defer p.wmu.Unlock()
	sent, err := p.send(b)
	if !sent || err != nil {
		return 0, err
	}
	return len(b), nil
}

// send sends b if the kernel takes it now. Called with wmu held.
func (p *peer) send(b []byte) (sent bool, err error) {
	p.reads.Lock()
	late := !p.until.IsZero() && !time.Now().Before(p.until)
	closed := p.closed
	p.reads.Unlock()
	switch {
	case closed:
		return false, net.ErrClosed
	case late:
		return false, os.ErrDeadlineExceeded
	}
	sent, err = p.out.try(p, b)
	return sent, socketError("write", err, p)
}

// CloseWrite implements Conn.
func (p *peer) CloseWrite() error {
	p.reads.Lock()
	defer p.reads.Unlock()
	p.finished = true
	p.emptyLocked()
	p.reads.ring()
	return nil
}

// end tells p that nothing more arrives; why is one of its fields.
func (p *peer) end(why *bool) {
	p.reads.Lock()
	defer p.reads.Unlock()
	*why = true
	p.reads.ring()
}

// Close implements net.Conn. What comes from the address afterwards is a new
// connection.
func (p *peer) Close() error {
	err := p.in.leave(p)
	p.reads.Lock()
	defer p.reads.Unlock()
	p.closed = true
	p.emptyLocked()
	p.reads.stop()
	return err
}

func (p *peer) emptyLocked() {
	p.in.queued.Add(-int64(p.bytes))
	p.queue, p.next, p.bytes = nil, 0, 0
}

// LocalAddr implements net.Conn.
func (p *peer) LocalAddr() net.Addr { return p.in.addr }

// RemoteAddr implements net.Conn. DTLS knows where a peer is that has moved.
func (p *peer) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(p.addr) }

// SetDeadline implements net.Conn.
func (p *peer) SetDeadline(t time.Time) error {
	_ = p.SetWriteDeadline(t)
	return p.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (p *peer) SetWriteDeadline(t time.Time) error {
	p.reads.Lock()
	defer p.reads.Unlock()
	p.until = t
	return nil
}

// SetReadDeadline implements net.Conn.
func (p *peer) SetReadDeadline(t time.Time) error {
	p.reads.Lock()
	defer p.reads.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	p.reads.set(t)
	return nil
}
