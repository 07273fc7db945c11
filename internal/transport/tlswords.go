package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// alertWords says what a server's alert means to the client's user. The keys
// are the texts of crypto/tls, which keeps the numbers to itself.
var alertWords = map[string][2]string{
	"handshake failure":              {"the server finds no TLS version, cipher suite or certificate to agree on", "it may want a client certificate, or older cipher suites"},
	"bad certificate":                {"the server refused the client certificate", "is it signed by the authority that the server trusts?"},
	"revoked certificate":            {"the server says that the client certificate is revoked", ""},
	"expired certificate":            {"the server says that the client certificate has expired", "renew it, or check the server's clock"},
	"unknown certificate":            {"the server refused the client certificate", "is it signed by the authority that the server trusts?"},
	"unknown certificate authority":  {"the server does not know the authority that signed the client certificate", "is it signed by the authority that the server trusts?"},
	"protocol version not supported": {"the server does not speak the TLS versions offered", "allow TLS 1.2 and 1.3"},
	"unrecognized name":              {"the server has no certificate for the name asked for", "check the host name"},
	"certificate required":           {"the server demands a client certificate", "give a client certificate and its key"},
	"no application protocol":        {"the server speaks none of the ALPN protocols offered", "many brokers want \"mqtt\", or no ALPN at all"},
}

// alertText is the peer's alert in the words of crypto/tls; "" when err is none.
func alertText(err error) string {
	oe := (*net.OpError)(nil)
	if !errors.As(err, &oe) || oe.Op != "remote error" {
		return ""
	}
	return strings.TrimPrefix(oe.Err.Error(), "tls: ")
}

// explainServer puts a handshake failure into words for the client's user.
// name is what the server was asked to be.
func explainServer(target, name string, err error) error {
	e := &Error{Op: "tls", Target: target, Problem: strings.TrimPrefix(err.Error(), "tls: "), Timeout: isTimeout(err), Err: err}
	var (
		header tls.RecordHeaderError
		cert   *tls.CertificateVerificationError
	)
	alert := alertText(err)
	switch {
	case errors.As(err, &cert):
		e.Problem, e.Hint = certificateWords(name, cert)
	case alert != "":
		e.Problem = "the server refused: " + alert
		if w, ok := alertWords[alert]; ok {
			e.Problem, e.Hint = w[0], w[1]
		}
	case errors.As(err, &header):
		e.Problem = "the server does not speak TLS on this port"
		if what := Sniff(header.RecordHeader[:]); what != "" && what != "TLS" {
			e.Problem = "the server speaks " + what + " without TLS on this port"
		}
		e.Hint = "use the URL scheme without TLS, or the port that has TLS (often 8883)"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Problem = "the server closed the connection during the handshake"
		e.Hint = "the port may not speak TLS: use the URL scheme without TLS, or the port that has TLS (often 8883)"
	case e.Timeout:
		e.Problem = "the server did not answer the TLS handshake in time"
		e.Hint = "the port may not speak TLS"
	case strings.Contains(err.Error(), "unsupported versions"), strings.Contains(err.Error(), "protocol version"):
		e.Hint = "allow TLS 1.2 and 1.3"
	}
	return e
}

// certificateWords describes what is wrong with a server's certificate.
func certificateWords(name string, v *tls.CertificateVerificationError) (problem, hint string) {
	leaf := v.UnverifiedCertificates[0]
	var (
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
	)
	switch {
	case errors.As(v.Err, &host):
		return fmt.Sprintf("asked for %q, but the certificate is for %s", name, certificateNames(leaf)),
			"use one of these names, or name the one to expect as the TLS server name"
	case errors.As(v.Err, &invalid):
		c := invalid.Cert
		if c == nil {
			c = leaf
		}
		return invalidWords(c, leaf, invalid)
	case errors.As(v.Err, &authority):
		if string(leaf.RawIssuer) == string(leaf.RawSubject) {
			return fmt.Sprintf("the certificate of %s is self-signed and not trusted", quoteName(leaf.Subject.String())),
				"give this certificate as the CA file if you trust it"
		}
		return fmt.Sprintf("the certificate is issued by %s, which is not trusted", quoteName(leaf.Issuer.String())),
			"give that authority's certificate as the CA file"
	}
	return "the certificate is not valid: " + strings.TrimPrefix(v.Err.Error(), "x509: "), ""
}

func invalidWords(c, leaf *x509.Certificate, invalid x509.CertificateInvalidError) (problem, hint string) {
	whose := "the certificate"
	if c != leaf {
		whose = "the authority's certificate, " + quoteName(c.Subject.String()) + ","
	}
	switch invalid.Reason {
	case x509.Expired:
		if time.Now().Before(c.NotBefore) {
			return fmt.Sprintf("%s is not valid before %s", whose, date(c.NotBefore)), "check the clock of this machine"
		}
		return fmt.Sprintf("%s expired on %s", whose, date(c.NotAfter)), "the server needs a new certificate; check the clock of this machine, too"
	case x509.IncompatibleUsage:
		return whose + " is not meant for servers", "its extended key usage lacks server authentication"
	}
	return whose + " is not valid: " + strings.TrimPrefix(invalid.Error(), "x509: "), ""
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// maxNames bounds how many names of a certificate an error lists.
const maxNames = 8

func certificateNames(c *x509.Certificate) string {
	var all []string
	for _, n := range c.DNSNames {
		all = append(all, quoteName(n))
	}
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0 && c.Subject.CommonName != "":
		return "no name at all (only the old-fashioned common name " + quoteName(c.Subject.CommonName) + ")"
	case len(all) == 0:
		return "no name at all"
	case len(all) > maxNames:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxNames], ", "), len(all)-maxNames)
	}
	return strings.Join(all, ", ")
}

// quoteName keeps what the peer sent from reaching a terminal raw.
func quoteName(s string) string { return fmt.Sprintf("%.200q", s) }
