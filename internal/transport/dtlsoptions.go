package transport

import (
	"crypto/tls"
	"fmt"
	"io"
	"slices"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

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

// Lengths of connection ids.
const (
	minCIDBytes     = 4
	maxCIDBytes     = 32
	defaultCIDBytes = 8
)

// idBytes is the length of connection ids, 0 for none.
func (t *ServerTLS) idBytes() int {
	if t.CIDBytes == 0 {
		return defaultCIDBytes
	}
	return max(t.CIDBytes, 0)
}

// dtlsSuites are those that the server's keys and certificates are for.
func (t *ServerTLS) dtlsSuites() ([]dtls.CipherSuiteID, error) {
	if t.pskOnly() {
		return pskSuites(), nil
	}
	suites, err := dtlsSuites(t.Ciphers)
	if t.PSKFile != "" {
		suites = append(suites, pskSuites()...)
	}
	return suites, err
}

// certificateSuites are those with certificates.
func certificateSuites() []dtls.CipherSuiteID {
	return []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, // what small devices have
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, dtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	}
}

// pskSuites are those with pre-shared keys. Those with ECDHE keep what was said
// secret when a key becomes known later.
func pskSuites() []dtls.CipherSuiteID {
	return []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256,
		dtls.TLS_PSK_WITH_AES_128_GCM_SHA256, dtls.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256,
		dtls.TLS_PSK_WITH_AES_128_CCM, dtls.TLS_PSK_WITH_AES_128_CCM_8, dtls.TLS_PSK_WITH_AES_256_CCM_8,
		dtls.TLS_PSK_WITH_AES_128_CBC_SHA256,
	}
}

// dtlsSuites are all with certificates for nil.
func dtlsSuites(ids []uint16) ([]dtls.CipherSuiteID, error) {
	known := certificateSuites()
	if len(ids) == 0 {
		return known, nil
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

// withoutCBC leaves out the suites with which the library computes the codes of
// records with connection ids otherwise than RFC 9146 §5.1.
func withoutCBC(ids []dtls.CipherSuiteID) []dtls.CipherSuiteID {
	return slices.DeleteFunc(slices.Clone(ids), func(id dtls.CipherSuiteID) bool {
		switch id {
		case dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, dtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			dtls.TLS_PSK_WITH_AES_128_CBC_SHA256, dtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256:
			return true
		}
		return false
	})
}

// dtlsOptions is what both sides have in common, but for the cipher suites.
func dtlsOptions(c *tls.Config) []dtls.Option {
	o := []dtls.Option{dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled})}
	if len(c.NextProtos) > 0 {
		o = append(o, dtls.WithSupportedProtocols(c.NextProtos...))
	}
	if len(c.Certificates) > 0 {
		o = append(o, dtls.WithCertificates(c.Certificates...))
	}
	if c.KeyLogWriter != nil {
		o = append(o, dtls.WithKeyLogWriter(c.KeyLogWriter))
	}
	return o
}
