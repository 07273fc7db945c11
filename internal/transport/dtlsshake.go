package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"github.com/pion/dtls/v3"
)

// acceptDatagrams is the server's side of DTLS. Clients show by a cookie that
// they receive at their address before anything costly is done for them:
// RFC 6347 §4.2.1.
func (s *tlsServer) acceptDatagrams(ctx context.Context, c *conn) error {
	remote := c.sock.RemoteAddr()
	cfg := s.current.Load()
	link := newDTLSLink(c)
	suites, err := s.source.dtlsSuites()
	if err != nil {
		return explainClient(remote.String(), err)
	}
	named := link.peer.named
	if named {
		suites = withoutCBC(suites)
	}
	var chains [][]*x509.Certificate
	options := []dtls.ServerOption{
		dtls.WithCipherSuites(suites...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithVerifyConnection(func(*dtls.State) error {
			link.psk.proved = link.psk.claimed
			return nil
		}),
		dtls.WithClientAuth(dtls.ClientAuthType(cfg.ClientAuth)), // the numbers are those of crypto/tls
		dtls.WithVerifyPeerCertificate(func(_ [][]byte, verified [][]*x509.Certificate) error {
			chains = verified
			return nil
		}),
	}
	for _, o := range dtlsOptions(cfg.Config) {
		options = append(options, o)
	}
	if cfg.ClientCAs != nil {
		options = append(options, dtls.WithClientCAs(cfg.ClientCAs))
	}
	if link.psk.table = cfg.psk; cfg.psk != nil {
		options = append(options, dtls.WithPSK(link.psk.claim))
	}
	if s.source.PSKHint != "" {
		options = append(options, dtls.WithPSKIdentityHint([]byte(s.source.PSKHint)))
	}
	if named {
		options = append(options, dtls.WithConnectionIDGenerator(func() []byte { return link.peer.in.name(link.peer) }))
	}
	d, err := dtls.ServerWithOptions(link, remote, options...)
	if link.owner = d; err == nil {
		err = d.HandshakeContext(ctx)
	}
	if err == nil {
		c.top, err = newDTLSLayer(d, link, chains)
	}
	if err != nil {
		return explainClient(remote.String(), dtlsError(err))
	}
	if p, ok := c.sock.(*peer); ok {
		p.in.settle(p)
	}
	return nil
}

// dialDatagrams is the client's side of DTLS.
func (t *ClientTLS) dialDatagrams(ctx context.Context, c *conn, e Endpoint, names []string) error {
	cfg, done, err := t.config(names)
	if err == nil && cfg.MinVersion > tls.VersionTLS12 {
		done()
		err = errors.New("tls: there is DTLS 1.2 only, not " + tls.VersionName(cfg.MinVersion))
	}
	if err != nil {
		return &Error{Op: "tls", Target: e.Address(), Problem: err.Error()[len("tls: "):], Err: err}
	}
	defer done()
	key, err := t.preShared()
	if err != nil {
		return &Error{Op: "tls", Target: e.Address(), Problem: err.Error(), Err: err}
	}
	link := newDTLSLink(c)
	d, err := t.dialDTLS(link, cfg, key)
	if link.owner = d; err == nil {
		err = d.HandshakeContext(ctx)
	}
	if err == nil {
		c.top, err = newDTLSLayer(d, link, nil)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return explainConnect(e.Address(), e, err)
	case err != nil && isTimeout(err) && !link.answered:
		return explainSilence(e.Address(), err)
	case err != nil && key != nil:
		return explainPSK(e.Address(), t.PSKIdentity, link.answered, dtlsError(err))
	case err != nil:
		return explainDTLS(e.Address(), cfg.ServerName, dtlsError(err))
	}
	return nil
}

// dialDTLS begins with a key in place of certificates if there is one.
func (t *ClientTLS) dialDTLS(link *dtlsLink, cfg *tls.Config, key []byte) (*dtls.Conn, error) {
	suites, err := dtlsSuites(cfg.CipherSuites)
	if err != nil {
		return nil, err
	}
	if key != nil {
		suites = pskSuites()
	}
	if len(cfg.CipherSuites) == 0 || key != nil {
		suites = withoutCBC(suites)
	}
	var options []dtls.ClientOption
	if len(withoutCBC(suites)) == len(suites) {
		// The server gives a connection id, and needs none: it does not move.
		options = append(options, dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
	}
	options = append(options, dtls.WithCipherSuites(suites...))
	for _, o := range dtlsOptions(cfg) {
		options = append(options, o)
	}
	if key != nil {
		options = append(options, dtls.WithPSKIdentityHint([]byte(t.PSKIdentity)),
			dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil }))
		return dtls.ClientWithOptions(link, link.RemoteAddr(), options...)
	}
	options = append(options,
		dtls.WithInsecureSkipVerify(true), // verified below, as with TLS
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if cfg.VerifyConnection == nil {
				return nil
			}
			certs, err := parseCertificates(raw)
			if err != nil {
				return err
			}
			return cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: certs})
		}))
	if _, err := netip.ParseAddr(cfg.ServerName); err != nil { // RFC 6066 §3: no addresses
		options = append(options, dtls.WithServerName(cfg.ServerName))
	}
	if cfg.GetClientCertificate != nil {
		options = append(options, dtls.WithGetClientCertificate(func(*dtls.CertificateRequestInfo) (*tls.Certificate, error) {
			return cfg.GetClientCertificate(nil)
		}))
	}
	return dtls.ClientWithOptions(link, link.RemoteAddr(), options...)
}

// Alerts: RFC 5246 §7.2 has none for a missing certificate, and the library
// sends the one of SSL 3.0. TLS 1.3 has its own again.
const (
	noCertificate       = 41
	certificateRequired = 116
)

// dtlsError brings the library's errors into the form of crypto/tls, which the
// explanations know.
func dtlsError(err error) error {
	var (
		failed *dtls.HandshakeError
		alert  interface {
			error
			IsFatalOrCloseNotify() bool
			Marshal() ([]byte, error)
		}
	)
	if errors.As(err, &alert) {
		if b, err := alert.Marshal(); err == nil && len(b) == 2 {
			if b[1] == noCertificate {
				b[1] = certificateRequired
			}
			return &net.OpError{Op: "remote error", Err: tls.AlertError(b[1])}
		}
	}
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
