package doctor_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/doctor"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// issuer is an authority that signs others, too.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue signs c; by nil it is signed with its own key.
func issue(t *testing.T, by *issuer, c *x509.Certificate) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(100*24*time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, key}
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func leaf(edit func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"broker.example"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(c)
	}
	return c
}

func sent(all ...*issuer) tls.Certificate {
	c := tls.Certificate{PrivateKey: all[0].key, Leaf: all[0].cert}
	for _, x := range all {
		c.Certificate = append(c.Certificate, x.cert.Raw)
	}
	return c
}

func pool(all ...*issuer) *x509.CertPool {
	p := x509.NewCertPool()
	for _, x := range all {
		p.AddCert(x.cert)
	}
	return p
}

// tlsServer shakes hands, and counts what comes after that.
func tlsServer(t *testing.T, cfg *tls.Config) (url string, read *atomic.Int64) {
	read = new(atomic.Int64)
	return "mqtts://" + listen(t, func(c net.Conn) {
		tc := tls.Server(c, cfg)
		b := make([]byte, 1000)
		for {
			n, err := tc.Read(b)
			read.Add(int64(n))
			if err != nil {
				return
			}
		}
	}), read
}

func TestCertificatesInWords(t *testing.T) {
	root := issue(t, nil, authority("Root"))
	between := issue(t, root, authority("Between"))
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-72*time.Hour), time.Now().Add(-25*time.Hour)
	}
	future := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
	}
	old := authority("Old")
	past(old)
	expired := issue(t, root, old)
	good := issue(t, root, leaf(nil))
	for name, tt := range map[string]struct {
		cert     tls.Certificate
		trust    *x509.CertPool
		edit     func(*transport.ClientTLS)
		verdict  doctor.Verdict
		says     []string // in summary and details
		hint     string
		dontRead bool
	}{
		"well": {cert: sent(good), trust: pool(root), verdict: doctor.OK, says: []string{"TLS 1.3, TLS_", "for broker.example, 127.0.0.1", "99 days left", "issued by CN=Root"}},
		"soon": {
			cert: sent(issue(t, root, leaf(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(60*time.Hour)
			}))),
			trust: pool(root), verdict: doctor.Warning, says: []string{"expires in 2 days"}, hint: "renew",
		},
		"with an intermediate":  {cert: sent(issue(t, between, leaf(nil)), between), trust: pool(root), verdict: doctor.OK, says: []string{"the server sends: CN=server, CN=Between; issued by CN=Root"}},
		"missing intermediate":  {cert: sent(issue(t, between, leaf(nil))), trust: pool(root), verdict: doctor.Failed, says: []string{"CN=server is issued by CN=Between, which the server does not send and nobody here trusts"}, hint: "intermediate"},
		"missing, with address": {cert: sent(issue(t, between, leaf(func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/between.crt"} }))), trust: pool(root), verdict: doctor.Failed, says: []string{"issued by CN=Between"}, hint: `it is at "http://ca.example/between.crt"`},
		"self-signed":           {cert: sent(issue(t, nil, leaf(nil))), trust: pool(root), verdict: doctor.Failed, says: []string{"CN=server, is self-signed, and not trusted"}, hint: "--cafile FILE"},
		"unknown root":          {cert: sent(good, root), trust: pool(between), verdict: doctor.Failed, says: []string{"the chain ends at CN=Root, which is not trusted"}, hint: "--cafile FILE"},
		"expired":               {cert: sent(issue(t, root, leaf(past))), trust: pool(root), verdict: doctor.Failed, says: []string{"the certificate expired on", "1 day ago"}, hint: "new certificate"},
		"not yet valid":         {cert: sent(issue(t, root, leaf(future))), trust: pool(root), verdict: doctor.Failed, says: []string{"is not valid before"}, hint: "clock"},
		"expired authority":     {cert: sent(issue(t, expired, leaf(nil)), expired), trust: pool(root), verdict: doctor.Failed, says: []string{"the authority's certificate, CN=Old, expired"}, hint: "new certificate"},
		"wrong name": {
			cert: sent(issue(t, root, leaf(func(c *x509.Certificate) { c.IPAddresses = nil }))), trust: pool(root), verdict: doctor.Failed,
			says: []string{"asked for 127.0.0.1, but the certificate is for broker.example"}, hint: "--tls-server-name broker.example",
		},
		"the other name": {
			cert: sent(issue(t, root, leaf(func(c *x509.Certificate) { c.IPAddresses = nil }))), trust: pool(root), verdict: doctor.OK,
			edit: func(c *transport.ClientTLS) { c.ServerName = "broker.example" },
		},
		"common name": {
			cert: sent(issue(t, root, leaf(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, nil }))), trust: pool(root), verdict: doctor.Failed,
			says: []string{"no name at all, only the old-fashioned common name server"},
		},
		"for clients": {
			cert: sent(issue(t, root, leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))), trust: pool(root), verdict: doctor.Failed,
			says: []string{"not meant for servers"},
		},
		"all at once": {
			cert: sent(issue(t, nil, leaf(func(c *x509.Certificate) { past(c); c.IPAddresses = nil }))), trust: pool(root), verdict: doctor.Failed,
			says: []string{"expired on", "asked for 127.0.0.1", "is self-signed", "TLS 1.3"}, hint: "new certificate",
		},
		"insecure": {
			cert: sent(issue(t, nil, leaf(past))), trust: pool(root), verdict: doctor.Warning, edit: func(c *transport.ClientTLS) { c.SkipVerify = true },
			says: []string{"expired on", "self-signed"}, hint: "in between", dontRead: true,
		},
		"escapes": {
			cert: sent(issue(t, nil, leaf(func(c *x509.Certificate) { c.Subject.CommonName = "\x1b[31mred" }))), trust: pool(root), verdict: doctor.Failed, says: []string{`\x1b[31mred`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, read := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{tt.cert}})
			user := "me"
			r := examine(t, u, func(c *doctor.Config) {
				c.Dial.TLS = &transport.ClientTLS{RootCAs: tt.trust}
				if tt.edit != nil {
					tt.edit(c.Dial.TLS)
				}
				c.Username, c.Password, c.Version = &user, []byte("secret"), 5
				c.ConnectTimeout, c.Only = 30*time.Second, []string{"tls", "connect5"}
				if tt.verdict != doctor.Failed {
					c.Only = []string{"tls"}
				}
			})
			got := result(t, r, "tls")
			text := strings.Join(append([]string{got.Summary}, got.Details...), "\n")
			if got.Verdict != tt.verdict || !strings.Contains(got.Hint, tt.hint) || (got.Verdict == doctor.Failed) != (got.Cause == doctor.TLS) {
				t.Errorf("%+v", got)
			}
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in %s", want, text)
				}
			}
			if tt.verdict == doctor.Failed && result(t, r, "connect5").Summary != "because of tls" {
				t.Errorf("%+v", result(t, r, "connect5"))
			}
			if n := read.Load(); n != 0 {
				t.Errorf("%d bytes went over an unverified connection", n)
			}
		})
	}
}

func TestHandshakesInWords(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert := ca.Server(t, nil, "127.0.0.1")
	base := func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }
	for name, tt := range map[string]struct {
		server  func(*tls.Config)
		client  func(*transport.ClientTLS)
		verdict doctor.Verdict
		says    string
		hint    string
	}{
		"client certificate wanted": {
			server: func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, verdict: doctor.Warning, says: "asks for a client certificate; there is none",
		},
		"client certificate demanded": {
			server: func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }, verdict: doctor.Failed,
			says: "client certificate", hint: "--cert FILE --key FILE",
		},
		"no common ALPN": {
			server: func(c *tls.Config) { c.NextProtos = []string{"other"} }, client: func(c *transport.ClientTLS) { c.ALPN = []string{"mine"} },
			verdict: doctor.Failed, says: "none of the ALPN protocols offered", hint: "--tls-alpn mqtt",
		},
		"ALPN": {
			server: func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }, client: func(c *transport.ClientTLS) { c.ALPN = []string{"mqtt"} },
			verdict: doctor.Warning, says: "ALPN: mqtt",
		},
		"ALPN that nobody knows": {
			client: func(c *transport.ClientTLS) { c.ALPN = []string{"mqtt"} }, verdict: doctor.Warning, says: "the server chose none",
		},
		"old": {
			server: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, verdict: doctor.Failed,
			says: "nothing newer than TLS 1.1", hint: "TLS 1.2 or 1.3",
		},
		"1.2": {
			server: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, verdict: doctor.Warning, says: "does not speak TLS 1.3",
		},
		"new only": {
			server: func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, client: func(c *transport.ClientTLS) { c.MaxVersion = tls.VersionTLS12 },
			verdict: doctor.Failed, says: "does not speak the TLS versions offered", hint: "--tls-version",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, own := base(), &transport.ClientTLS{RootCAs: ca.Pool()}
			if tt.server != nil {
				tt.server(cfg)
			}
			if tt.client != nil {
				tt.client(own)
			}
			u, _ := tlsServer(t, cfg)
			r := examine(t, u, func(c *doctor.Config) { c.Dial.TLS, c.Only = own, []string{"tls"} })
			got := result(t, r, "tls")
			text := strings.Join(append([]string{got.Summary}, got.Details...), "\n")
			if got.Verdict != tt.verdict || !strings.Contains(text, tt.says) || !strings.Contains(got.Hint, tt.hint) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestHeadersAreNotSentWithoutTLS(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	var mu sync.Mutex
	var heard bytes.Buffer
	u := "wss://" + listen(t, func(c net.Conn) { // it knows no TLS
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			mu.Lock()
			heard.Write(b[:n])
			mu.Unlock()
			if err != nil || b[0] == 0x16 {
				return
			}
		}
	})
	r := examine(t, u+"/mqtt", func(c *doctor.Config) {
		c.Dial.TLS = &transport.ClientTLS{RootCAs: ca.Pool()}
		c.Dial.Header = http.Header{"Authorization": {"Bearer secret"}}
		c.ConnectTimeout, c.Only = 2*time.Second, []string{"tls"}
	})
	if got := result(t, r, "tls"); got.Verdict != doctor.Failed {
		t.Errorf("%+v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(heard.String(), "GET /mqtt") || strings.Contains(heard.String(), "secret") {
		t.Errorf("%q", heard.String())
	}
}
