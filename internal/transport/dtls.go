package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
)

// VersionDTLS12 is DTLS 1.2 in tls.ConnectionState.Version, for which crypto/tls
// has no name.
const VersionDTLS12 = 0xfefd

// maxRecordBytes is what a DTLS record carries: RFC 5246 §6.2.1.
const maxRecordBytes = 1 << 14

// dtlsLayer is DTLS above a peer or a dialed socket. The library reads on a
// goroutine of its own, which ends with Close.
type dtlsLayer struct {
	*dtls.Conn
	link  *dtlsLink
	state tls.ConnectionState
	// identity is what a client has proved to have the key of.
	identity string
}

// newDTLSLayer is for a handshake that is complete.
func newDTLSLayer(c *dtls.Conn, link *dtlsLink, chains [][]*x509.Certificate) (*dtlsLayer, error) {
	s, ok := c.ConnectionState()
	if !ok {
		return nil, errors.New("no state after the handshake")
	}
	l := &dtlsLayer{Conn: c, link: link, state: tls.ConnectionState{
		Version: VersionDTLS12, HandshakeComplete: true, CipherSuite: uint16(s.CipherSuiteID),
		NegotiatedProtocol: s.NegotiatedProtocol, VerifiedChains: chains,
	}}
	var err error
	if l.state.PeerCertificates, err = parseCertificates(s.PeerCertificates); err != nil {
		return nil, err
	}
	if link.psk.proved {
		l.identity = link.psk.identity
	}
	link.settled.Store(true)
	return l, nil
}

func parseCertificates(raw [][]byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Read implements net.Conn. What the library reports of single datagrams does
// not end the connection.
func (l *dtlsLayer) Read(b []byte) (int, error) {
	l.link.claim()
	for {
		n, err := l.Conn.Read(b)
		var (
			short *dtls.TemporaryError
			op    *net.OpError
		)
		switch {
		case n > 0:
			l.link.arrive()
			return n, nil
		case errors.Is(err, io.EOF) && l.link.cut.Load():
			return 0, ErrListenerClosed
		case errors.Is(err, io.EOF):
			return 0, err
		case isTimeout(err):
			return 0, os.ErrDeadlineExceeded
		case errors.As(err, &op): // the socket's
			return 0, err
		case errors.As(err, &short):
			l.link.dropped(DroppedLong)
			return 0, io.ErrShortBuffer
		case err != nil:
			l.link.dropped(DroppedGarbage)
		}
	}
}

// ReadWith implements Conn.
func (l *dtlsLayer) ReadWith(borrow func() []byte) ([]byte, int, error) {
	if err := l.link.await(); err != nil {
		return nil, 0, err
	}
	b := borrow()
	n, err := l.Read(b)
	return b, n, err
}

// Write implements net.Conn.
func (l *dtlsLayer) Write(b []byte) (int, error) {
	if len(b) > maxRecordBytes {
		return 0, fmt.Errorf("write: %d bytes in one datagram, at most %d with DTLS: %w", len(b), maxRecordBytes, errnoTooLong)
	}
	n, err := l.Conn.Write(b)
	switch {
	case isTimeout(err):
		err = os.ErrDeadlineExceeded
	case errors.Is(err, dtls.ErrConnClosed):
		err = net.ErrClosed
	}
	if err != nil {
		n = 0
	}
	return n, err
}

// TryWrite implements Conn: whether the kernel takes the record cannot be known.
func (l *dtlsLayer) TryWrite([]byte) (int, error) { return 0, nil }

// SetDeadline implements net.Conn.
func (l *dtlsLayer) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. The library waits with timers of its own;
// what was set below for the handshake would end its reading.
func (l *dtlsLayer) SetReadDeadline(t time.Time) error {
	_ = l.link.SetReadDeadline(time.Time{})
	l.link.news.Lock()
	l.link.news.set(t)
	l.link.news.Unlock()
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (l *dtlsLayer) SetWriteDeadline(t time.Time) error {
	_ = l.link.SetWriteDeadline(time.Time{})
	return l.Conn.SetWriteDeadline(t)
}

// CloseWrite implements Conn.
func (l *dtlsLayer) CloseWrite() error { return l.Conn.Close() }

// Close sends close_notify.
func (l *dtlsLayer) Close() error {
	_ = l.Conn.Close()
	return l.link.layer.Close()
}

// dtlsLink is what the library reads and writes: the datagrams of one peer,
// without those that a stranger could have sent in its name to disturb.
type dtlsLink struct {
	layer
	owner   *dtls.Conn
	peer    *peer        // the layer, of a listener
	from    *net.UDPAddr // of the last datagram of a peer
	settled atomic.Bool  // the handshake is complete
	cut     atomic.Bool  // the listener is closed
	idBytes int          // of the connection ids that the peer may send
	dropped func(why string)

	// Of the handshake; the library's goroutines take turns with it.
	psk      pskProof // of a server
	ciphered bool     // ChangeCipherSpec has come
	finished bool     // and after it, in the last datagram, what must be Finished
	hidden   bool     // that had a connection id
	answered bool     // the server has agreed to a handshake
	taken    int      // bytes of the handshake that the library has been given

	// The library returns data only with a buffer to copy it to, so what it may
	// have is told by the records that went into it.
	news     alarm // guards what follows
	outcomes int   // of records, that no read has been made for: that many, or fewer
	moving   bool  // the library has a record that tells a new address, perhaps
	ended    bool  // the library reads no more
}

func newDTLSLink(c *conn) *dtlsLink {
	k := &dtlsLink{layer: c.sock, dropped: func(string) {}}
	if c.ln != nil {
		k.dropped = c.ln.tally.dropped
	}
	if p, ok := c.sock.(*peer); ok {
		k.peer, k.idBytes, k.from = p, p.in.idBytes, net.UDPAddrFromAddrPort(p.addr)
	}
	return k
}

// ReadFrom implements net.PacketConn. When it is called, the library has done with
// all that came before, but for one outcome at most, which it holds.
func (k *dtlsLink) ReadFrom(b []byte) (int, net.Addr, error) {
	k.report(0, false)
	if k.finished && k.psk.claimed && !k.psk.proved { // the library drops what it cannot decrypt
		_, _ = k.peer.Write(k.numbered(decryptError()))
		return 0, nil, k.psk.failure()
	}
	k.finished = false
	for {
		n, from, err := k.read(b)
		settled := k.settled.Load()
		records, ok := sound(b[:n], k.idBytes, settled)
		switch {
		case errors.Is(err, io.ErrShortBuffer): // longer than any that the library takes
		case err != nil:
			k.cut.Store(errors.Is(err, ErrListenerClosed))
			k.failed(err)
			return n, from, err
		case ok && !k.take(b[:n], settled):
			if !settled {
				return 0, from, errLongHandshake
			}
			k.dropped(DroppedGarbage)
		case ok:
			if !settled {
				records -= k.follow(b[:n])
			}
			k.report(records, records == 1 && addrPort(from) != addrPort(k.owner.RemoteAddr()))
			return n, from, nil
		default:
			k.dropped(DroppedGarbage)
		}
	}
}

// maxShakeBytes is what one side may send for a handshake, repetitions included.
// The library keeps fragments, and what it cannot decrypt yet; with enough of that
// it takes nothing any more.
const maxShakeBytes = 64 << 10

var errLongHandshake = fmt.Errorf("the handshake has more than %d bytes", maxShakeBytes)

// take counts what belongs to the handshake: all of it before it is complete,
// and what repeats it, or pretends to, afterwards.
func (k *dtlsLink) take(b []byte, settled bool) (ok bool) {
	n := len(b)
	if settled {
		n = handshakeBytes(b, k.idBytes)
	}
	if n > maxShakeBytes-k.taken {
		return false
	}
	k.taken += n
	return true
}

// read reads a datagram and tells where it comes from. The library takes that for
// the peer's address if a verified record with a connection id is the newest.
func (k *dtlsLink) read(b []byte) (int, net.Addr, error) {
	if k.peer == nil {
		n, err := k.layer.Read(b)
		return n, k.RemoteAddr(), err
	}
	n, from, err := k.peer.readFrom(b)
	if err == nil && from != k.from.AddrPort() {
		k.from = net.UDPAddrFromAddrPort(from)
	}
	return n, k.from, err
}

// follow notes what a datagram of a handshake tells about keys. It returns how
// many records with a connection id are no data.
func (k *dtlsLink) follow(b []byte) (hidden int) {
	exchanged := k.psk.claimed
	for len(b) > 0 {
		r, rest, _ := cutRecord(b, k.idBytes)
		if r.plain() && r[2] != 0xfd { // Mbed TLS 2 begins with fe00, which the library drops
			r[2] = 0xff
		}
		switch {
		case r[0] == recordCipherSpec:
			k.ciphered = true
		case !r.plain():
			k.finished = k.finished || k.ciphered && exchanged
			if r[0] == recordCID && !k.hidden { // the first is Finished
				k.hidden, hidden = true, 1
			}
		case r.message() == messageClientKeyExchange:
			exchanged = true
		case r.message() == messageServerHello:
			k.answered = true
		}
		b = rest
	}
	return hidden
}

// report counts what a datagram may lead to.
func (k *dtlsLink) report(records int, moving bool) {
	k.news.Lock()
	defer k.news.Unlock()
	if k.moving != moving {
		k.moving = moving
		k.news.ring()
	}
	if records == 0 {
		k.outcomes = min(k.outcomes, 1)
		return
	}
	k.outcomes += records
	k.news.ring()
}

// failed counts what an error leads to: the end, or a read that returns it.
func (k *dtlsLink) failed(err error) {
	op := (*net.OpError)(nil)
	k.news.Lock()
	defer k.news.Unlock()
	if errors.As(err, &op) && !errors.Is(err, net.ErrClosed) && !isTimeout(err) {
		k.outcomes++
	} else {
		k.ended = true
	}
	k.news.ring()
}

// await waits until the library may have something to read.
func (k *dtlsLink) await() error {
	k.news.Lock()
	defer k.news.Unlock()
	for {
		switch {
		case k.ended:
			return nil // the read says why
		case k.news.late():
			return os.ErrDeadlineExceeded
		case k.outcomes > 0:
			return nil
		}
		k.news.wait()
	}
}

// arrive waits until an answer to what has been read goes to where that came from:
// the library returns data before it has noted a new address. It notes it at once
// if there is one record, for which it needs nobody.
func (k *dtlsLink) arrive() {
	k.news.Lock()
	defer k.news.Unlock()
	for k.moving && !k.ended {
		k.news.wait()
	}
}

// claim is called before each read, which takes one outcome.
func (k *dtlsLink) claim() {
	k.news.Lock()
	defer k.news.Unlock()
	k.outcomes = max(k.outcomes-1, 0)
}

// WriteTo implements net.PacketConn.
func (k *dtlsLink) WriteTo(b []byte, to net.Addr) (int, error) {
	var err error
	switch out := unwrapAlert(b); {
	case k.peer == nil:
		_, err = k.layer.Write(out)
	case isPlain(out) && record(out).message() == messageHelloVerify: // the client has had one
		err = adopt(k.owner, k.peer.cookie)
	default:
		_, err = k.peer.writeTo(k.numbered(out), addrPort(to))
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// numbered is b as a client expects its records to be numbered.
func (k *dtlsLink) numbered(b []byte) []byte {
	if !isPlain(b) || k.peer.sequence <= 1 {
		return b // the library begins with 1
	}
	b = bytes.Clone(b)
	renumber(b, k.peer.sequence-1)
	return b
}

// Close implements net.PacketConn. The layer closes the connection below, since
// close_notify may come before the connection is closed here.
func (k *dtlsLink) Close() error {
	k.news.Lock()
	k.ended = true
	k.news.stop()
	k.news.Unlock()
	return k.layer.CloseWrite()
}
