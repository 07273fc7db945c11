package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
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
	settled atomic.Bool // the handshake is complete
	cut     atomic.Bool // the listener is closed
	dropped func(why string)

	// The library returns data only with a buffer to copy it to, so what it may
	// have is told by the records that went into it.
	news     alarm // guards what follows
	outcomes int   // of records, that no read has been made for: that many, or fewer
	ended    bool  // the library reads no more
}

func newDTLSLink(c *conn) *dtlsLink {
	k := &dtlsLink{layer: c.sock, dropped: func(string) {}}
	if c.ln != nil {
		k.dropped = c.ln.tally.dropped
	}
	return k
}

// ReadFrom implements net.PacketConn. When it is called, the library has done with
// all that came before, but for one outcome at most, which it holds.
func (k *dtlsLink) ReadFrom(b []byte) (int, net.Addr, error) {
	k.report(0)
	for {
		n, err := k.layer.Read(b)
		records, ok := sound(b[:n], k.settled.Load())
		switch {
		case errors.Is(err, io.ErrShortBuffer): // longer than any that the library takes
		case err != nil:
			k.cut.Store(errors.Is(err, ErrListenerClosed))
			k.failed(err)
			return n, k.RemoteAddr(), err
		case ok:
			k.report(records)
			return n, k.RemoteAddr(), nil
		default:
			k.dropped(DroppedGarbage)
		}
	}
}

// report counts what a datagram may lead to.
func (k *dtlsLink) report(records int) {
	k.news.Lock()
	defer k.news.Unlock()
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

// claim is called before each read, which takes one outcome.
func (k *dtlsLink) claim() {
	k.news.Lock()
	defer k.news.Unlock()
	k.outcomes = max(k.outcomes-1, 0)
}

// WriteTo implements net.PacketConn.
func (k *dtlsLink) WriteTo(b []byte, _ net.Addr) (int, error) { return k.layer.Write(b) }

// Close implements net.PacketConn. The layer closes the connection below, since
// close_notify may come before the connection is closed here.
func (k *dtlsLink) Close() error {
	k.news.Lock()
	k.ended = true
	k.news.stop()
	k.news.Unlock()
	return k.layer.CloseWrite()
}

// Records of DTLS: RFC 6347 §4.1.
const (
	recordHeaderBytes = 13
	recordCipherSpec  = 20
	recordAlert       = 21
	recordHandshake   = 22
	recordData        = 23
	recordCID         = 25
	messageHello      = 1
)

// sound reports whether b consists of records that may come now: plain data
// never does, nor a plain alert once there are keys. outcomes is how many of them
// a reader may hear of.
func sound(b []byte, settled bool) (outcomes int, ok bool) {
	for len(b) > 0 {
		if len(b) < recordHeaderBytes || b[1] != 0xfe {
			return 0, false
		}
		plain := b[3] == 0 && b[4] == 0 // epoch 0
		told := settled
		switch b[0] {
		case recordHandshake, recordCipherSpec:
		case recordAlert:
			if told = !plain; plain && settled {
				return 0, false
			}
		case recordData, recordCID:
			if told = !plain; plain {
				return 0, false
			}
		default:
			return 0, false
		}
		n := recordHeaderBytes + int(b[11])<<8 + int(b[12])
		if n > len(b) {
			return 0, false
		}
		if told {
			outcomes++
		}
		b = b[n:]
	}
	return outcomes, true
}

// isPlain reports whether b begins with a record without keys.
func isPlain(b []byte) bool { return len(b) >= recordHeaderBytes && b[3] == 0 && b[4] == 0 }

// isClientHello reports whether b can be a client's first datagram.
func isClientHello(b []byte) bool {
	_, ok := sound(b, false)
	return ok && b[0] == recordHandshake && len(b) > recordHeaderBytes && b[recordHeaderBytes] == messageHello
}

// fitDatagrams refuses options that DTLS cannot have. It reads no files.
func (t *ServerTLS) fitDatagrams() error {
	if t.MinVersion > tls.VersionTLS12 {
		return fmt.Errorf("tls.min_version: there is DTLS 1.2 only, not %s", tls.VersionName(t.MinVersion))
	}
	if _, err := dtlsSuites(t.Ciphers); err != nil {
		return fmt.Errorf("tls.ciphers: %w", err)
	}
	return nil
}

// dtlsSuites is nil for nil: the library's choice.
func dtlsSuites(ids []uint16) ([]dtls.CipherSuiteID, error) {
	known := []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, dtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	var out []dtls.CipherSuiteID
	for _, id := range ids {
		if !slices.Contains(known, dtls.CipherSuiteID(id)) {
			return nil, fmt.Errorf("%s does not exist in DTLS here", tls.CipherSuiteName(id))
		}
		out = append(out, dtls.CipherSuiteID(id))
	}
	return out, nil
}

// dtlsOptions is what both sides have in common.
func dtlsOptions(c *tls.Config) ([]dtls.Option, error) {
	suites, err := dtlsSuites(c.CipherSuites)
	if err != nil {
		return nil, err
	}
	o := []dtls.Option{dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled})}
	if len(suites) > 0 {
		o = append(o, dtls.WithCipherSuites(suites...))
	}
	if len(c.NextProtos) > 0 {
		o = append(o, dtls.WithSupportedProtocols(c.NextProtos...))
	}
	if len(c.Certificates) > 0 {
		o = append(o, dtls.WithCertificates(c.Certificates...))
	}
	if c.KeyLogWriter != nil {
		o = append(o, dtls.WithKeyLogWriter(c.KeyLogWriter))
	}
	return o, nil
}
