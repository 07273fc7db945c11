package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// soonDays is how long before its end a certificate is worth a warning.
const soonDays = 14

// look is what a handshake without verification has shown. Nothing is sent
// after it.
type look struct {
	state tls.ConnectionState
	asked bool // for a client certificate
	took  time.Duration
	err   error
}

func checkTLS(ctx context.Context, x *exam) Result {
	s := x.Target.Scheme
	switch {
	case s.TLS && s.Network == "udp":
		return skipped("DTLS: login tells whether it works")
	case !s.TLS:
		return skipped("%s:// has no TLS", s.Name)
	}
	own := x.Dial.TLS
	if own == nil {
		own = &transport.ClientTLS{}
	}
	loaded, err := own.Load()
	if err != nil {
		return failed(TLS, "%s", err)
	}
	seen := x.look(ctx, tls.VersionTLS12)
	real := x.shake(ctx)
	if seen.err != nil && len(seen.state.PeerCertificates) == 0 {
		return x.noHandshake(ctx, real)
	}
	r := x.describe(seen, loaded)
	problems, cause := inspect(&seen.state, loaded, x.wantedNames(loaded), time.Now())
	switch {
	case len(problems) > 0 && real != nil:
		r.Verdict, r.Cause = Failed, TLS
	case len(problems) > 0: // --insecure
		r.Verdict, r.Hint = Warning, "anybody in between could show such a certificate"
	case real != nil:
		bad := x.blame(ctx, real)
		r.Verdict, r.Cause, r.Hint = Failed, bad.Cause, bad.Hint
		if seen.asked && len(loaded.Certificates) == 0 {
			bad.Summary, r.Hint = "the server demands a client certificate", "--cert FILE --key FILE"
		}
		problems = []string{bad.Summary}
	case seen.asked && len(loaded.Certificates) == 0:
		r = r.detail("the server asks for a client certificate; there is none (--cert, --key)")
	}
	if len(problems) > 0 {
		r.Details = append(problems[1:], append([]string{r.Summary}, r.Details...)...)
		r.Summary = problems[0]
		if r.Hint == "" {
			r.Hint = cause
		}
		return r
	}
	leaf := seen.state.PeerCertificates[0]
	if days := daysLeft(leaf, time.Now()); days < soonDays {
		r.Verdict, r.Hint = Warning, "renew it in time"
		r.Summary = fmt.Sprintf("the certificate expires in %s, on %s; %s", dayWords(days), date(leaf.NotAfter), r.Summary)
	}
	return r
}

// look shakes hands without verification and notes what the server shows.
func (x *exam) look(ctx context.Context, least uint16) (l look) {
	c, err := transport.DialEndpoint(ctx, x.bare(), x.dialTimeout())
	if err != nil {
		return look{err: err}
	}
	defer c.Close()
	cfg := &tls.Config{
		ServerName: x.Target.Host, InsecureSkipVerify: true, MinVersion: least, //nolint:gosec // it looks, and sends nothing
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			l.asked = true
			return &tls.Certificate{}, nil
		},
		VerifyConnection: func(s tls.ConnectionState) error { l.state = s; return nil },
	}
	if t := x.Dial.TLS; t != nil {
		cfg.NextProtos, cfg.CipherSuites, cfg.MaxVersion = t.ALPN, t.Ciphers, t.MaxVersion
		if t.ServerName != "" {
			cfg.ServerName = t.ServerName
		}
	}
	began := time.Now()
	tc := tls.Client(c, cfg)
	ctx, cancel := context.WithTimeout(ctx, x.ConnectTimeout)
	defer cancel()
	if l.err = tc.HandshakeContext(ctx); l.err == nil {
		l.state = tc.ConnectionState()
	}
	l.took = time.Since(began)
	return l
}

// shake is the handshake as all other checks will make it.
func (x *exam) shake(ctx context.Context) error {
	e := x.Target
	e.Scheme.WebSocket, e.Scheme.Protocol = false, ""
	c, err := transport.DialEndpoint(ctx, e, x.dialTimeout())
	if err == nil {
		_ = c.Close()
	}
	return err
}

// noHandshake explains a server that shows no certificate.
func (x *exam) noHandshake(ctx context.Context, err error) Result {
	if err == nil { // it has changed its mind
		return fine("the handshake works, the second time")
	}
	r := x.blame(ctx, err)
	if network := (*transport.Error)(nil); errors.As(err, &network) && network.Timeout {
		r = failed(TLS, "the server does not answer the TLS handshake").hint("the port may not speak TLS: the one that does is often 8883")
	}
	if x.speaksPlain(ctx) {
		at := x.Target
		at.Scheme.Name = strings.TrimSuffix(at.Scheme.Name, "s")
		r.Summary = "the server speaks MQTT without TLS on this port"
		r.Hint = "iotctl doctor " + at.String() + ", or the port that has TLS (often 8883)"
		return r
	}
	if old := x.look(ctx, tls.VersionTLS10); len(old.state.PeerCertificates) > 0 && old.state.Version != 0 && old.state.Version < tls.VersionTLS12 {
		r.Summary = fmt.Sprintf("the server speaks nothing newer than %s, and that is not used any more", tls.VersionName(old.state.Version))
		r.Hint = "the server has to allow TLS 1.2 or 1.3"
	}
	return r
}

// typed adds the options to what the transport suggests.
func typed(hint string) string {
	switch {
	case strings.HasSuffix(hint, "client certificate and its key"):
		return hint + ": --cert FILE --key FILE"
	case strings.HasPrefix(hint, "many brokers want"):
		return hint + ": --tls-alpn mqtt"
	case strings.HasPrefix(hint, "allow TLS"):
		return hint + ": leave --tls-version away"
	}
	return hint
}

// speaksPlain tells whether a port answers CONNECT without TLS, with nobody's
// name in it and none of the user's headers before it.
func (x *exam) speaksPlain(ctx context.Context) bool {
	plain := *x
	plain.Target.Scheme.TLS, plain.Dial.Header = false, nil
	plain.ClientID, plain.Username, plain.Password, plain.Properties = "", nil, nil, nil
	m, err := plain.join(ctx, mqtt.V311, nil)
	if err == nil {
		m.leave()
	}
	return err == nil || errors.As(err, new(*client.ConnectError))
}

func (x *exam) wantedNames(t *transport.ClientTLS) []string {
	if t.ServerName != "" {
		return []string{t.ServerName}
	}
	return []string{x.Target.Host}
}

// describe says what was agreed on.
func (x *exam) describe(l look, t *transport.ClientTLS) Result {
	s := &l.state
	leaf := s.PeerCertificates[0]
	version, suite := tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite)
	r := fine("%s, %s, for %s, %s left", version, suite, listed(namesOf(leaf), 3), dayWords(daysLeft(leaf, time.Now())))
	var chain []string
	for _, c := range s.PeerCertificates {
		chain = append(chain, nameOf(c))
	}
	r = r.detail("the server sends: %s; issued by %s", strings.Join(chain, ", "), issuerOf(s.PeerCertificates[len(s.PeerCertificates)-1]))
	switch {
	case s.NegotiatedProtocol != "":
		r = r.detail("ALPN: %s", s.NegotiatedProtocol)
	case len(t.ALPN) > 0:
		r = r.detail("ALPN: %s was offered, the server chose none", strings.Join(t.ALPN, ", "))
	}
	if s.Version == tls.VersionTLS12 && x.Dial.TLS != nil && x.Dial.TLS.MaxVersion == 0 {
		r = r.detail("the server does not speak TLS 1.3")
	}
	return r.with("version", version).with("cipher", suite).with("alpn", s.NegotiatedProtocol).
		with("names", namesOf(leaf)).with("wanted", x.wantedNames(t)[0]).
		with("not_before", leaf.NotBefore.UTC().Format(time.RFC3339)).with("not_after", leaf.NotAfter.UTC().Format(time.RFC3339)).
		with("days_left", daysLeft(leaf, time.Now())).with("chain", chain).with("issuer", issuerOf(leaf)).
		with("client_certificate_asked", l.asked).with("handshake_ms", ms(l.took))
}

// inspect lists all that is wrong with what the server has shown, and what to
// do about the first of it.
func inspect(s *tls.ConnectionState, t *transport.ClientTLS, wanted []string, now time.Time) (problems []string, hint string) {
	say := func(problem, what string) {
		problems = append(problems, problem)
		if hint == "" {
			hint = what
		}
	}
	leaf := s.PeerCertificates[0]
	for i, c := range s.PeerCertificates {
		whose := "the certificate"
		if i > 0 {
			whose = "the authority's certificate, " + nameOf(c) + ","
		}
		switch {
		case now.Before(c.NotBefore):
			say(fmt.Sprintf("%s is not valid before %s", whose, date(c.NotBefore)), "check the clock of this machine with date, or the server's certificate")
		case now.After(c.NotAfter):
			say(fmt.Sprintf("%s expired on %s, %s ago", whose, date(c.NotAfter), dayWords(-daysLeft(c, now))), "the server needs a new certificate")
		}
	}
	if !t.SkipNameCheck && !slices.ContainsFunc(wanted, func(n string) bool { return leaf.VerifyHostname(n) == nil }) {
		names := namesOf(leaf)
		what := "--tls-server-name NAME says which one to expect"
		if len(names) > 0 && !strings.Contains(names[0], "*") {
			what = "--tls-server-name " + names[0] + " expects that one, if it is the right server"
		}
		say(fmt.Sprintf("asked for %s, but the certificate is for %s", wanted[0], cmpNames(leaf, names)), what)
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		say("the certificate is not meant for servers", "its extended key usage lacks server authentication")
	}
	if problem, what := chainProblem(s.PeerCertificates, t.RootCAs); problem != "" {
		say(problem, what)
	}
	return problems, hint
}

// chainProblem says why the chain does not lead to a trusted authority; dates
// do not count here.
func chainProblem(sent []*x509.Certificate, roots *x509.CertPool) (problem, hint string) {
	leaf := sent[0]
	o := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		CurrentTime: leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2),
	}
	for _, c := range sent[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(o)
	switch {
	case err == nil, errors.As(err, new(x509.CertificateInvalidError)) && expiredOnly(err):
		return "", ""
	case !errors.As(err, new(x509.UnknownAuthorityError)):
		return "the chain is not valid: " + strings.TrimPrefix(err.Error(), "x509: "), ""
	}
	last := climb(sent)
	switch {
	case last == leaf && selfSigned(leaf):
		return fmt.Sprintf("the certificate, %s, is self-signed, and not trusted", nameOf(leaf)), "--cafile FILE with this certificate trusts it"
	case selfSigned(last):
		return fmt.Sprintf("the chain ends at %s, which is not trusted", nameOf(last)), "--cafile FILE with that authority's certificate trusts it"
	}
	problem = fmt.Sprintf("%s is issued by %s, which the server does not send and nobody here trusts", nameOf(last), issuerOf(last))
	hint = "either the server lacks an intermediate certificate, or --cafile FILE has to name that authority"
	if len(last.IssuingCertificateURL) > 0 {
		hint = fmt.Sprintf("the server has to send the missing one, too; it is at %.200q", last.IssuingCertificateURL[0])
	}
	return problem, hint
}

func expiredOnly(err error) bool {
	invalid := x509.CertificateInvalidError{}
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// climb follows the issuers from the first certificate as far as they were sent.
func climb(sent []*x509.Certificate) *x509.Certificate {
	at := sent[0]
	for range sent {
		i := slices.IndexFunc(sent, func(c *x509.Certificate) bool {
			return c != at && string(c.RawSubject) == string(at.RawIssuer) && at.CheckSignatureFrom(c) == nil
		})
		if i < 0 || selfSigned(at) {
			break
		}
		at = sent[i]
	}
	return at
}

func selfSigned(c *x509.Certificate) bool { return string(c.RawSubject) == string(c.RawIssuer) }

// namesOf are the names that a certificate is for.
func namesOf(c *x509.Certificate) []string {
	all := make([]string, 0, len(c.DNSNames)+len(c.IPAddresses))
	for _, n := range c.DNSNames {
		all = append(all, tame(n))
	}
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

func cmpNames(leaf *x509.Certificate, names []string) string {
	if len(names) == 0 && leaf.Subject.CommonName != "" {
		return "no name at all, only the old-fashioned common name " + tame(leaf.Subject.CommonName)
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return listed(names, 8)
}

func nameOf(c *x509.Certificate) string   { return tame(c.Subject.String()) }
func issuerOf(c *x509.Certificate) string { return tame(c.Issuer.String()) }

// tame keeps what the server sent from reaching a terminal raw.
func tame(s string) string {
	q := fmt.Sprintf("%.200q", s)
	if inner := q[1 : len(q)-1]; !strings.ContainsAny(inner, `\`) {
		return inner
	}
	return q
}

func daysLeft(c *x509.Certificate, now time.Time) int {
	return int(c.NotAfter.Sub(now).Hours() / 24)
}

func dayWords(n int) string {
	switch n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
