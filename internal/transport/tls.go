package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// tlsLayer is TLS above a socket.
type tlsLayer struct {
	*tls.Conn
	sock *tlsSocket
	// explain puts alerts that arrive after the handshake into words: in TLS
	// 1.3 a server refuses the client's certificate only then.
	explain func(error) error
	first   [1]byte // what ReadWith waits for
	rerr    error   // came after bytes that ReadWith has returned
}

// tlsSocket is the socket below TLS. It can pretend that nothing more arrives,
// so that a read takes only what crypto/tls holds already.
type tlsSocket struct {
	*socket
	dry bool // belongs to whoever reads
}

// Read implements net.Conn.
func (s *tlsSocket) Read(b []byte) (int, error) {
	if s.dry {
		return 0, dryError{}
	}
	return s.socket.Read(b)
}

// dryError is what crypto/tls takes for temporary: it keeps what it has of a
// record and can be asked again.
type dryError struct{}

func (dryError) Error() string   { return "nothing more has been read" }
func (dryError) Timeout() bool   { return true }
func (dryError) Temporary() bool { return true }

// Read implements net.Conn.
func (t *tlsLayer) Read(b []byte) (int, error) {
	if t.rerr != nil {
		return 0, t.rerr
	}
	n, err := t.Conn.Read(b)
	if err != nil && alertText(err) != "" {
		err = t.explain(err)
	}
	return n, err
}

// ReadWith implements Conn. Only crypto/tls knows whether there is a byte, and
// it tells by returning it; the rest of its record is there then.
func (t *tlsLayer) ReadWith(borrow func() []byte) ([]byte, int, error) {
	n, err := t.Read(t.first[:])
	if n == 0 {
		return nil, 0, err
	}
	t.defers(err)
	b := borrow()
	if len(b) == 0 {
		return b, 0, io.ErrShortBuffer
	}
	b[0] = t.first[0]
	if err != nil || len(b) == 1 {
		return b, 1, nil //nolint:nilerr // the next Read returns it
	}
	t.sock.dry = true
	n, err = t.Read(b[1:])
	t.sock.dry = false
	t.defers(err)
	return b, 1 + n, nil
}

// defers keeps an error that came with bytes, as close_notify does, for the
// read after them. Time-outs pass.
func (t *tlsLayer) defers(err error) {
	if err != nil && !isTimeout(err) {
		t.rerr = err
	}
}

// TryWrite implements Conn: whether a record fits cannot be known.
func (t *tlsLayer) TryWrite([]byte) (int, error) { return 0, nil }

// CloseWrite implements Conn.
func (t *tlsLayer) CloseWrite() error {
	err := t.Conn.CloseWrite()
	return errors.Join(err, t.sock.CloseWrite())
}

// Close sends close_notify if the kernel has room for it.
func (t *tlsLayer) Close() error {
	t.sock.hasty.Store(true)
	_ = t.Conn.Close()
	return nil
}

// ParseTLSVersion reads "1.2", "1.3", "tlsv1.2" and "tlsv1.3". Older versions
// are not offered.
func ParseTLSVersion(s string) (uint16, error) {
	switch strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "tls"), "v") {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("TLS version %q is neither 1.2 nor 1.3", s)
}

// openSSLNames gives OpenSSL's names of the suites that Go considers secure.
var openSSLNames = []struct {
	name string
	id   uint16
}{
	{"ECDHE-ECDSA-AES128-GCM-SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"ECDHE-ECDSA-AES256-GCM-SHA384", tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	{"ECDHE-ECDSA-AES128-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	{"ECDHE-ECDSA-AES256-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
	{"ECDHE-RSA-AES128-GCM-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	{"ECDHE-RSA-AES256-GCM-SHA384", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
	{"ECDHE-RSA-CHACHA20-POLY1305", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	{"ECDHE-RSA-AES128-SHA", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
	{"ECDHE-RSA-AES256-SHA", tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
}

// ParseCiphers reads suite names, IANA's or OpenSSL's, separated by colons,
// commas or spaces, for TLS 1.2. The suites of TLS 1.3 may be named and are
// always on; insecure suites are refused.
func ParseCiphers(list string) ([]uint16, error) {
	var ids []uint16
	secure := tls.CipherSuites()
	for name := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(":, ", r) }) {
		i := slices.IndexFunc(secure, func(c *tls.CipherSuite) bool { return strings.EqualFold(c.Name, name) })
		if i >= 0 {
			if slices.Contains(secure[i].SupportedVersions, tls.VersionTLS12) {
				ids = append(ids, secure[i].ID)
			}
			continue
		}
		for _, o := range openSSLNames {
			if strings.EqualFold(o.name, name) {
				ids, i = append(ids, o.id), 0
			}
		}
		if i < 0 {
			return nil, fmt.Errorf("cipher suite %q is unknown or not secure", name)
		}
	}
	return ids, nil
}
