package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tlsLayer is TLS above a socket.
type tlsLayer struct {
	*tls.Conn
	sock *socket
	// explain puts alerts that arrive after the handshake into words: in TLS
	// 1.3 a server refuses the client's certificate only then.
	explain func(error) error
}

// Read implements net.Conn.
func (t *tlsLayer) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if err != nil && alertText(err) != "" {
		err = t.explain(err)
	}
	return n, err
}

// ReadWith implements Conn.
func (t *tlsLayer) ReadWith(borrow func() []byte) ([]byte, int, error) {
	b := borrow()
	n, err := t.Read(b)
	return b, n, err
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
