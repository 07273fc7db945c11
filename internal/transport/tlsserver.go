package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
)

// ClientAuth says what a server does about client certificates.
type ClientAuth uint8

// Values of ClientAuth.
const (
	ClientCertNone    ClientAuth = iota // not asked for
	ClientCertRequest                   // asked for; verified when there is one
	ClientCertRequire                   // asked for, verified, required
	ClientCertAny                       // asked for; not verified, so it tells the key of a client and nothing else
)

var clientAuthNames = [...]string{"none", "request", "require", "any"}

// String is the name in configuration files.
func (a ClientAuth) String() string {
	if int(a) < len(clientAuthNames) {
		return clientAuthNames[a]
	}
	return fmt.Sprintf("ClientAuth(%d)", uint8(a))
}

// UnmarshalText makes ClientAuth usable in configuration files.
func (a *ClientAuth) UnmarshalText(b []byte) error {
	for i, name := range clientAuthNames {
		if string(b) == name {
			*a = ClientAuth(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of none, request, require, any", b)
}

// ServerTLS holds a listener's TLS options. Files are PEM and are read when
// the listener opens and at every Reload.
type ServerTLS struct {
	CertFile     string // the certificate, then its chain
	KeyFile      string
	Certificates []tls.Certificate // in place of the files

	ClientAuth   ClientAuth
	ClientCAFile string         // who may sign client certificates
	ClientCAs    *x509.CertPool // in place of the file

	MinVersion uint16   // 0: TLS 1.2
	MaxVersion uint16   // 0: the newest
	Ciphers    []uint16 // of TLS 1.2; nil: Go's choice
	// ALPN protocols. With a list, a client that offers others and none of
	// these is refused; one that offers nothing is accepted. nil: not negotiated.
	ALPN []string

	// KeyLogFile gets the session keys in NSS key log format, appended, for
	// Wireshark; created with mode 0600. Not of DTLS.
	KeyLogFile string

	// PSKFile is for DTLS only: pre-shared keys, one "identity:key" per line, the
	// key in hexadecimal digits. Who proves an identity is in Info.PSKIdentity. With
	// it a certificate is optional; with both, clients choose.
	PSKFile string
	PSKHint string // tells clients which identity to use; "" for none

	// CIDBytes is the length of the connection ids of DTLS, by which a client keeps
	// its connection when its address changes, from 4 to 32. 0: 8; negative: there
	// are none. It belongs to the socket and does not change with it open.
	CIDBytes int
}

// pskOnly reports whether there are pre-shared keys and no certificate.
func (t *ServerTLS) pskOnly() bool {
	return t.PSKFile != "" && t.CertFile == "" && t.KeyFile == "" && len(t.Certificates) == 0
}

func (t *ServerTLS) problems() []error {
	var errs []error
	if len(t.Certificates) == 0 && !t.pskOnly() {
		if t.CertFile == "" {
			errs = append(errs, errors.New("cert: no certificate file is named"))
		}
		if t.KeyFile == "" {
			errs = append(errs, errors.New("key: no key file is named"))
		}
	}
	if (t.ClientAuth == ClientCertRequest || t.ClientAuth == ClientCertRequire) && t.ClientCAFile == "" && t.ClientCAs == nil {
		errs = append(errs, fmt.Errorf("client_ca: verify is %s, but no CA file is named", t.ClientAuth))
	}
	if t.pskOnly() && t.ClientAuth != ClientCertNone {
		errs = append(errs, fmt.Errorf("client_auth: %s needs cert and key: without them there are pre-shared keys only", t.ClientAuth))
	}
	if t.PSKHint != "" && t.PSKFile == "" {
		errs = append(errs, errors.New("psk_hint: no psk_file is named"))
	}
	if len(t.PSKHint) > maxPSKIdentityBytes {
		errs = append(errs, fmt.Errorf("psk_hint: longer than %d bytes", maxPSKIdentityBytes))
	}
	if t.CIDBytes > 0 && (t.CIDBytes < minCIDBytes || t.CIDBytes > maxCIDBytes) {
		errs = append(errs, fmt.Errorf("cid_length: %d is not from %d to %d; -1: no connection ids", t.CIDBytes, minCIDBytes, maxCIDBytes))
	}
	if t.MaxVersion != 0 && t.MinVersion > t.MaxVersion {
		errs = append(errs, fmt.Errorf("min_version: %s is above max_version, %s", tls.VersionName(t.MinVersion), tls.VersionName(t.MaxVersion)))
	}
	if t.MinVersion != 0 && t.MinVersion < tls.VersionTLS12 || t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS12 {
		errs = append(errs, errors.New("min_version: TLS before 1.2 is not supported"))
	}
	return errs
}

// Check reads the files, if Validate finds them named, and returns every
// problem with them, joined. A nil t has none.
func (t *ServerTLS) Check() error {
	if t == nil || len(t.problems()) > 0 {
		return nil
	}
	_, err := t.config()
	return err
}

// serverConfig is what a handshake uses; immutable.
type serverConfig struct {
	*tls.Config
	psk *pskTable // nil without PSKFile
}

// config reads the files; errors tell about all of them. Every call makes new session ticket keys, so that
// sessions from before a reload are not resumed: their client certificates may
// be no longer trusted.
func (t *ServerTLS) config() (*serverConfig, error) {
	c := &tls.Config{
		Certificates: t.Certificates,
		ClientCAs:    t.ClientCAs,
		MinVersion:   max(t.MinVersion, tls.VersionTLS12),
		MaxVersion:   t.MaxVersion,
		CipherSuites: t.Ciphers,
		NextProtos:   t.ALPN,
	}
	switch t.ClientAuth {
	case ClientCertRequest:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case ClientCertRequire:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case ClientCertAny:
		c.ClientAuth = tls.RequestClientCert
	}
	var errs []error
	if len(c.Certificates) == 0 && !t.pskOnly() {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls: certificate %q with key %q: %w", t.CertFile, t.KeyFile, err))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if c.ClientCAs == nil && t.ClientCAFile != "" {
		pool := x509.NewCertPool()
		if err := addCertificates(pool, t.ClientCAFile); err != nil {
			errs = append(errs, fmt.Errorf("tls: client_ca: %w", err))
		}
		c.ClientCAs = pool
	}
	all := &serverConfig{Config: c}
	if t.PSKFile != "" {
		var err error
		if all.psk, err = loadPSK(t.PSKFile); err != nil {
			errs = append(errs, fmt.Errorf("tls: psk_file: %w", err))
		}
	}
	return all, errors.Join(errs...)
}

// addCertificates adds every certificate of a PEM file. A file without any and
// a certificate that cannot be read are errors.
func addCertificates(pool *x509.CertPool, file string) error {
	rest, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	n := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%q: certificate %d: %w", file, n+1, err)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return fmt.Errorf("%q holds no certificate in PEM form", file)
	}
	return nil
}

// tlsServer is a listener's TLS. Each handshake uses the configuration that is
// current when it begins.
type tlsServer struct {
	source  ServerTLS
	current atomic.Pointer[serverConfig]
}

func (t *ServerTLS) load(scheme *Scheme) (*tlsServer, error) {
	if t.PSKFile != "" && !scheme.datagrams() {
		return nil, fmt.Errorf("tls.psk_file: %s:// is TLS; pre-shared keys are for DTLS only", scheme.Name)
	}
	s := &tlsServer{source: *t}
	return s, s.reload()
}

func (s *tlsServer) reload() error {
	c, err := s.source.config()
	if err != nil {
		return err
	}
	s.current.Store(c)
	return nil
}

func (s *tlsServer) accept(c *conn) error {
	sock := &tlsSocket{socket: c.sock.(*socket)}
	cfg := s.current.Load().Config
	if s.source.KeyLogFile != "" {
		f, err := openKeyLog(s.source.KeyLogFile)
		if err != nil {
			return &Error{Op: "tls", Target: c.RemoteAddr().String(), Problem: err.Error(), Err: err}
		}
		defer f.Close() // each line was written by itself
		cfg = cfg.Clone()
		cfg.KeyLogWriter = f
	}
	t := tls.Server(sock, cfg)
	peer := c.RemoteAddr().String()
	if c.proxy.IsValid() {
		peer = c.remote.String()
	}
	if err := t.Handshake(); err != nil {
		return explainClient(peer, err)
	}
	c.top = &tlsLayer{Conn: t, sock: sock, explain: func(err error) error { return explainClient(peer, err) }}
	return nil
}

// openKeyLog opens a key log that grows, for whoever may read it.
func openKeyLog(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("key log: %w", err)
	}
	return f, nil
}

// explainClient puts a handshake failure into words for the server's log.
func explainClient(peer string, err error) error {
	e := &Error{Op: "tls", Target: peer, Problem: strings.TrimPrefix(err.Error(), "tls: "), Timeout: isTimeout(err), Err: err}
	header, alert := tls.RecordHeaderError{}, alertText(err)
	switch {
	case errors.As(err, &header):
		if e.Problem = "the client does not speak TLS"; header.Conn != nil {
			if what := Sniff(bytes.TrimRight(header.RecordHeader[:], "\x00")); what != "" && what != "TLS" {
				e.Problem = "the client speaks " + what + " without TLS on a TLS port"
			}
		}
	case alert != "":
		e.Problem = "the client refused: " + alert
		switch alert {
		case "bad certificate", "unknown certificate", "unknown certificate authority":
			e.Hint = "the client does not trust this server's certificate"
		}
	case errors.Is(err, io.EOF):
		e.Problem = "the client closed the connection during the handshake"
	case e.Timeout:
		e.Problem = "the client did not complete the handshake in time"
	}
	return e
}
