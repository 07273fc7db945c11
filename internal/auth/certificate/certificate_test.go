package certificate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/authtest"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.cert = sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, a.key, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// subject encodes common names, each in a relative name of its own.
func subject(t *testing.T, names ...string) []byte {
	t.Helper()
	var seq pkix.RDNSequence
	for _, n := range names {
		value := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(n)}
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}})
	}
	der, err := asn1.Marshal(seq)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (a *authority) issue(t *testing.T, names ...string) *x509.Certificate {
	t.Helper()
	return a.issueFrom(t, &x509.Certificate{RawSubject: subject(t, names...)})
}

func (a *authority) issueFrom(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	return sign(t, template, a.cert, newKey(t), a.key)
}

// verifiedState is what a handshake leaves when it has verified cert.
func verifiedState(a *authority, cert *x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{cert},
		VerifiedChains:   [][]*x509.Certificate{{cert, a.cert}},
	}
}

func TestF2_82_Contract(t *testing.T) {
	ca := newAuthority(t)
	with := func(cert *x509.Certificate) auth.Credentials {
		return auth.Credentials{ClientID: "c", TLS: verifiedState(ca, cert)}
	}
	as := func(c auth.Credentials, user string) auth.Credentials {
		c.HasUsername, c.Username = true, user
		return c
	}
	unverified := with(ca.issue(t, "meter 7"))
	unverified.TLS.VerifiedChains = nil
	foreign := with(ca.issue(t, "meter 7"))
	foreign.TLS.VerifiedChains = [][]*x509.Certificate{{ca.issue(t, "meter 8"), ca.cert}, nil}
	expired := ca.issueFrom(t, &x509.Certificate{
		RawSubject: subject(t, "meter 7"), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	})
	early := ca.issueFrom(t, &x509.Certificate{
		RawSubject: subject(t, "meter 7"), NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour),
	})
	forServers := ca.issueFrom(t, &x509.Certificate{
		RawSubject: subject(t, "meter 7"), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	forClients := ca.issueFrom(t, &x509.Certificate{
		RawSubject: subject(t, "client"), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	authtest.Run(t, authtest.Authenticator{
		New: func(*testing.T) auth.Authenticator { return New(Config{}) },
		Allowed: map[string]auth.Credentials{
			"meter 7":     with(ca.issue(t, "meter 7")),
			"zähler/1":    as(with(ca.issue(t, "zähler/1")), "zähler/1"),
			"client":      with(forClients),
			"with a user": as(with(ca.issue(t, "with a user")), "with a user"),
		},
		Denied: map[string]auth.Credentials{
			"NUL in the name":   with(ca.issue(t, "meter\x007")),
			"line break":        with(ca.issue(t, "meter\n7")),
			"escape":            with(ca.issue(t, "\x1b[31mmeter")),
			"empty name":        with(ca.issue(t, "")),
			"no name":           with(ca.issue(t)),
			"two names":         with(ca.issue(t, "meter 7", "admin")),
			"the same twice":    with(ca.issue(t, "meter 7", "meter 7")),
			"wildcard":          with(ca.issue(t, "*.example.com")),
			"long name":         with(ca.issue(t, strings.Repeat("x", maxNameBytes+1))),
			"expired":           with(expired),
			"not yet valid":     with(early),
			"for servers":       with(forServers),
			"not verified":      unverified,
			"another verified":  foreign,
			"another user name": as(with(ca.issue(t, "meter 7")), "admin"),
			"empty user name":   as(with(ca.issue(t, "meter 7")), ""),
		},
		Ignored: map[string]auth.Credentials{
			"plain":          {ClientID: "c", HasUsername: true, Username: "meter 7"},
			"no certificate": {ClientID: "c", TLS: &tls.ConnectionState{}},
		},
	})
}

func TestOnlyVerifiedCertificatesAreItsConcern(t *testing.T) {
	a := New(Config{})
	for _, c := range []struct {
		state *tls.ConnectionState
		want  bool
	}{
		{nil, false},
		{&tls.ConnectionState{}, false},
		{&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}, false},
		{&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}, VerifiedChains: [][]*x509.Certificate{{{}}}}, true},
	} {
		if got := a.Concerns(auth.Credentials{TLS: c.state}); got != c.want {
			t.Errorf("%+v: %v", c.state, got)
		}
	}
}

func TestAsUsername(t *testing.T) {
	ca := newAuthority(t)
	c := auth.Credentials{TLS: verifiedState(ca, ca.issue(t, "meter 7")), HasUsername: true, Username: "admin"}
	id, v, err := New(Config{AsUsername: true}).Authenticate(t.Context(), c)
	want := auth.Identity{Name: "meter 7", Method: "certificate", Username: "meter 7"}
	if id != want || v != auth.Allow || err != nil {
		t.Errorf("%+v, %v, %v", id, v, err)
	}
}

func TestName(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		names []string
		want  error
	}{
		{[]string{"a"}, nil},
		{nil, ErrNoName},
		{[]string{""}, ErrBadName},
		{[]string{"a", "b"}, ErrManyNames},
		{[]string{"a\x00"}, ErrBadName},
	} {
		name, err := Name(ca.issue(t, c.names...))
		if !errors.Is(err, c.want) || err == nil && name != "a" {
			t.Errorf("%q: %q, %v", c.names, name, err)
		}
	}
	number := &x509.Certificate{Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: 7},
	}}}
	if _, err := Name(number); !errors.Is(err, ErrBadName) {
		t.Errorf("a number: %v", err)
	}
}

func TestExpiresWhileConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		c := auth.Credentials{TLS: verifiedState(ca, ca.issue(t, "meter 7"))}
		for _, want := range []auth.Verdict{auth.Allow, auth.Deny} {
			if _, v, _ := New(Config{}).Authenticate(t.Context(), c); v != want {
				t.Errorf("%v, want %v", v, want)
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// TestHandshake has crypto/tls verify what the other tests make up.
func TestHandshake(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	serverKey, clientKey := newKey(t), newKey(t)
	server := sign(t, &x509.Certificate{DNSNames: []string{"s"}}, ca.cert, serverKey, ca.key)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for what, c := range map[string]struct {
		signer *authority
		mode   tls.ClientAuthType
		want   auth.Verdict
	}{
		"verified":   {ca, tls.RequireAndVerifyClientCert, auth.Allow},
		"requested":  {ca, tls.VerifyClientCertIfGiven, auth.Allow},
		"unverified": {other, tls.RequireAnyClientCert, auth.Deny},
		"not asked":  {ca, tls.NoClientCert, auth.Ignore},
	} {
		t.Run(what, func(t *testing.T) {
			cert := sign(t, &x509.Certificate{RawSubject: subject(t, "meter 7")}, c.signer.cert, clientKey, c.signer.key)
			state := handshake(t, &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
				ClientAuth:   c.mode, ClientCAs: pool,
			}, &tls.Config{
				RootCAs: pool, ServerName: "s",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: clientKey}, nil
				},
			})
			id, v, err := New(Config{}).Authenticate(t.Context(), auth.Credentials{TLS: &state})
			if v != c.want || err != nil || (v == auth.Allow) != (id.Name == "meter 7") {
				t.Errorf("%+v, %v, %v", id, v, err)
			}
		})
	}
}

// handshake returns what the server sees.
func handshake(t *testing.T, server, client *tls.Config) tls.ConnectionState {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, c := tls.Server(near, server), tls.Client(far, client)
	errs := make(chan error, 1)
	go func() {
		err := c.HandshakeContext(ctx)
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // takes the session tickets off the pipe
		}
		errs <- err
	}()
	if err := s.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	return s.ConnectionState()
}
