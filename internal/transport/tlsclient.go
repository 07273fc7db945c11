package transport

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ClientTLS holds the TLS options of Dial.
type ClientTLS struct {
	CAFile string // PEM file of trusted authorities
	CAPath string // directory of such files
	// RootCAs in place of the files. Without any of the three the system's
	// authorities are trusted.
	RootCAs *x509.CertPool

	CertFile     string            // client certificate, then its chain
	KeyFile      string            // "": the key is in CertFile
	Certificates []tls.Certificate // in place of the files; the first is sent

	ServerName    string // to verify and to send; "" is the URL's host
	SkipNameCheck bool   // the certificate may be for another name
	SkipVerify    bool   // any certificate will do

	MinVersion uint16   // 0: TLS 1.2
	MaxVersion uint16   // 0: the newest
	Ciphers    []uint16 // of TLS 1.2; nil: Go's choice
	ALPN       []string

	// PSKIdentity and PSK, which is in hexadecimal digits, are for DTLS only: a key
	// that both sides know, in place of certificates. The options about those mean
	// nothing then.
	PSKIdentity string
	PSK         string

	// KeyLogFile gets the session keys in NSS key log format, appended, for
	// Wireshark; created with mode 0600.
	KeyLogFile string
}

// Check reads the pre-shared key, the files of authorities and the client
// certificate, as each connection does, and keeps nothing.
func (t *ClientTLS) Check() error {
	if _, err := t.preShared(); err != nil {
		return err
	}
	if _, err := t.loadRoots(); err != nil {
		return err
	}
	_, err := t.loadOwn()
	return err
}

// Load reads the files of authorities and the client certificate once, for many
// connections: the result has them in place of the files.
func (t *ClientTLS) Load() (*ClientTLS, error) {
	loaded := *t
	var err error
	if loaded.RootCAs == nil {
		if loaded.RootCAs, err = t.loadRoots(); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	if loaded.Certificates, err = t.loadOwn(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &loaded, nil
}

// config makes the configuration for one connection. names are what the
// certificate may be for; the first is sent to the server. done closes the key
// log.
func (t *ClientTLS) config(names []string) (c *tls.Config, done func(), err error) {
	if t.ServerName != "" {
		names = []string{t.ServerName}
	}
	c = &tls.Config{
		RootCAs:      t.RootCAs,
		ServerName:   names[0],
		MinVersion:   max(t.MinVersion, tls.VersionTLS12),
		MaxVersion:   t.MaxVersion,
		CipherSuites: t.Ciphers,
		NextProtos:   t.ALPN,
		// Verification follows in VerifyConnection, which knows the choices here.
		InsecureSkipVerify: true, //nolint:gosec // see verify
	}
	if c.MaxVersion != 0 && c.MinVersion > c.MaxVersion {
		return nil, nil, fmt.Errorf("tls: minimum version %s is above the maximum, %s", tls.VersionName(c.MinVersion), tls.VersionName(c.MaxVersion))
	}
	if c.RootCAs == nil {
		if c.RootCAs, err = t.loadRoots(); err != nil {
			return nil, nil, fmt.Errorf("tls: %w", err)
		}
	}
	own, err := t.loadOwn()
	if err != nil {
		return nil, nil, fmt.Errorf("tls: %w", err)
	}
	if len(own) > 0 {
		// Sent even if the server names other authorities, so that the server
		// can say what it dislikes instead of missing a certificate.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own[0], nil }
	}
	done = func() {}
	if t.KeyLogFile != "" {
		f, err := openKeyLog(t.KeyLogFile)
		if err != nil {
			return nil, nil, fmt.Errorf("tls: %w", err)
		}
		c.KeyLogWriter, done = f, func() { _ = f.Close() }
	}
	if !t.SkipVerify {
		c.VerifyConnection = func(s tls.ConnectionState) error { return t.verify(s, c.RootCAs, names) }
	}
	return c, done, nil
}

// loadOwn is what this side may show.
func (t *ClientTLS) loadOwn() ([]tls.Certificate, error) {
	if len(t.Certificates) > 0 || t.CertFile == "" {
		return t.Certificates, nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, cmp.Or(t.KeyFile, t.CertFile))
	if err != nil {
		return nil, fmt.Errorf("client certificate %q with key %q: %w", t.CertFile, cmp.Or(t.KeyFile, t.CertFile), err)
	}
	return []tls.Certificate{pair}, nil
}

// loadRoots is nil for the system's authorities.
func (t *ClientTLS) loadRoots() (*x509.CertPool, error) {
	if t.CAFile == "" && t.CAPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if t.CAFile != "" {
		if err := addCertificates(pool, t.CAFile); err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
	}
	if t.CAPath == "" {
		return pool, nil
	}
	files, err := os.ReadDir(t.CAPath)
	if err != nil {
		return nil, fmt.Errorf("CA directory: %w", err)
	}
	found := false
	for _, f := range files {
		// The directory may hold other files too; a CA that cannot be read
		// shows up as an unknown authority.
		if addCertificates(pool, filepath.Join(t.CAPath, f.Name())) == nil {
			found = true
		}
	}
	if !found {
		return nil, fmt.Errorf("CA directory: %q holds no certificate in PEM form", t.CAPath)
	}
	return pool, nil
}

// verify checks the chain and then the name.
func (t *ClientTLS) verify(s tls.ConnectionState, roots *x509.CertPool, names []string) error {
	leaf := s.PeerCertificates[0]
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	if t.SkipNameCheck {
		return nil
	}
	var first error
	for _, name := range names {
		err := leaf.VerifyHostname(name)
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: first}
}

// dial is the client's side of TLS.
func (t *ClientTLS) dial(c *conn, target string, names []string) error {
	cfg, done, err := t.config(names)
	if err == nil && t.PSK+t.PSKIdentity != "" {
		done()
		err = errors.New("tls: pre-shared keys are for DTLS only")
	}
	if err != nil {
		return &Error{Op: "tls", Target: target, Problem: err.Error()[len("tls: "):], Err: err}
	}
	defer done()
	sock := &tlsSocket{socket: c.sock.(*socket)}
	tc := tls.Client(sock, cfg)
	if err := tc.Handshake(); err != nil {
		return explainServer(target, cfg.ServerName, err)
	}
	c.top = &tlsLayer{Conn: tc, sock: sock, explain: func(err error) error {
		return explainServer(target, cfg.ServerName, err)
	}}
	return nil
}
