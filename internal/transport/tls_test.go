package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func certs(c ...tls.Certificate) []tls.Certificate { return c }

type testCA struct {
	*transporttest.CA
	server *ServerTLS
	client *ClientTLS
}

func newTestCA(t testing.TB) testCA {
	ca := transporttest.NewCA(t, "test authority")
	return testCA{ca, &ServerTLS{Certificates: certs(ca.Server(t, nil, "127.0.0.1", "localhost"))}, &ClientTLS{RootCAs: ca.Pool()}}
}

// handshakes returns both sides' results of one connection; the client's
// includes what its first read says.
func handshakes(t *testing.T, l Listener, cfg DialConfig) (client, srv Conn, clientErr, serverErr error) {
	t.Helper()
	client, srv, clientErr, serverErr = bothEnds(t, l, cfg)
	if clientErr == nil && serverErr != nil {
		_, clientErr = client.Read(make([]byte, 1))
	}
	return client, srv, clientErr, serverErr
}

func TestTLSVersionsAndALPN(t *testing.T) {
	ca := newTestCA(t)
	ca.server.ALPN = []string{"mqtt"}
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: ca.server})
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, srv := pair(t, l, DialConfig{TLS: &ClientTLS{RootCAs: ca.Pool(), MinVersion: v, MaxVersion: v, ALPN: []string{"mqtt"}}})
		for _, c := range []Conn{client, srv} {
			if s := c.Info().TLS; s.Version != v || s.NegotiatedProtocol != "mqtt" {
				t.Errorf("%s: %s, %q", tls.VersionName(v), tls.VersionName(s.Version), s.NegotiatedProtocol)
			}
		}
	}
	_, _, err, _ := handshakes(t, l, DialConfig{TLS: &ClientTLS{RootCAs: ca.Pool(), ALPN: []string{"other"}}})
	if e := asError(t, err); !strings.Contains(e.Problem, "ALPN") {
		t.Errorf("%v", e)
	}
	old := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{Certificates: ca.server.Certificates, MaxVersion: tls.VersionTLS12}})
	_, _, err, _ = handshakes(t, old, DialConfig{TLS: &ClientTLS{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13}})
	if e := asError(t, err); !strings.Contains(e.Problem, "TLS versions") {
		t.Errorf("%v", e)
	}
}

// byteWise sends each byte by itself.
type byteWise struct{ net.Conn }

func (c byteWise) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestReadWithTakesRecordsThatArriveInPieces(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: ca.server})
	nc := rawDial(t, l)
	client := tls.Client(byteWise{nc}, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	sent := []byte(strings.Repeat("0123456789abcdef", 1<<10))
	go func() {
		for rest, size := sent, 1; len(rest) > 0; size++ {
			n := min(size, len(rest))
			if _, err := client.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		_ = client.CloseWrite()
	}()
	srv := accepted(t, l)
	var got []byte
	size := 0
	borrow := func() []byte { size = size%40 + 1; return make([]byte, size) } // from 1 on
	for {
		b, n, err := srv.ReadWith(borrow)
		got = append(got, b[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil || n == 0 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came of %d, or others", len(got), len(sent))
	}
}

func TestClientCertificates(t *testing.T) {
	ca := newTestCA(t)
	other := transporttest.NewCA(t, "somebody else")
	good, bad := certs(ca.Client(t, nil, "device-1")), certs(other.Client(t, nil, "device-1"))
	for _, tc := range []struct {
		name string
		auth ClientAuth
		send []tls.Certificate
		ok   bool
		cn   string
		want string // in the client's error
	}{
		{"none, none sent", ClientCertNone, nil, true, "", ""},
		{"none, one sent", ClientCertNone, good, true, "", ""},
		{"request, none sent", ClientCertRequest, nil, true, "", ""},
		{"request, good", ClientCertRequest, good, true, "device-1", ""},
		{"request, foreign", ClientCertRequest, bad, false, "", "client certificate"},
		{"require, none sent", ClientCertRequire, nil, false, "", "demands a client certificate"},
		{"require, good", ClientCertRequire, good, true, "device-1", ""},
		{"require, foreign", ClientCertRequire, bad, false, "", "the authority that signed the client certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{
				Certificates: ca.server.Certificates, ClientAuth: tc.auth, ClientCAs: ca.Pool(),
			}})
			_, srv, clientErr, serverErr := handshakes(t, l, DialConfig{TLS: &ClientTLS{RootCAs: ca.Pool(), Certificates: tc.send}})
			if !tc.ok {
				if e := asError(t, clientErr); !strings.Contains(e.Problem, tc.want) || e.Hint == "" {
					t.Errorf("client: %v (hint %q)", e, e.Hint)
				}
				asError(t, serverErr)
				if n := l.Counters().Closed[ClosedTLS]; n != 1 {
					t.Errorf("closed{tls} = %d", n)
				}
				return
			}
			if clientErr != nil || serverErr != nil {
				t.Fatal(clientErr, serverErr)
			}
			s := srv.Info().TLS
			if got := len(s.VerifiedChains) > 0; got != (tc.cn != "") {
				t.Fatalf("verified: %v", got)
			}
			if tc.cn != "" && s.PeerCertificates[0].Subject.CommonName != tc.cn {
				t.Errorf("common name %q", s.PeerCertificates[0].Subject.CommonName)
			}
		})
	}
}

func TestTLSErrorsInWords(t *testing.T) {
	ca := newTestCA(t)
	day := 24 * time.Hour
	for _, tc := range []struct {
		name string
		cert tls.Certificate
		tls  *ClientTLS
		want []string
	}{
		{
			"wrong name",
			ca.Server(t, nil, "broker.example", "other.example"), ca.client,
			[]string{`asked for "127.0.0.1"`, `"broker.example", "other.example"`},
		},
		{
			"no name",
			ca.Server(t, nil), ca.client,
			[]string{"no name at all", `"server"`},
		},
		{
			"expired",
			ca.Server(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-30 * time.Minute) }, "127.0.0.1"), ca.client,
			[]string{"expired on " + date(time.Now().Add(-30 * time.Minute))[:10]},
		},
		{
			"not yet valid",
			ca.Server(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(day / 2) }, "127.0.0.1"), ca.client,
			[]string{"not valid before " + date(time.Now().Add(day / 2))[:10], "clock"},
		},
		{
			"unknown authority",
			transporttest.NewCA(t, "somebody else").Server(t, nil, "127.0.0.1"), ca.client,
			[]string{`issued by "CN=somebody else"`, "not trusted", "CA file"},
		},
		{
			"self-signed",
			transporttest.SelfSigned(t, "127.0.0.1"), ca.client,
			[]string{"self-signed"},
		},
		{
			"client certificate on a server",
			ca.Server(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "127.0.0.1"), ca.client,
			[]string{"not meant for servers"},
		},
		{
			"terminal escapes in a name",
			transporttest.NewCA(t, "evil\x1b[2J").Server(t, nil, "127.0.0.1"), ca.client,
			[]string{`evil\x1b[2J`},
		},
		{
			"other name asked for",
			ca.Server(t, nil, "127.0.0.1"), &ClientTLS{RootCAs: ca.Pool(), ServerName: "my.name"},
			[]string{`asked for "my.name"`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{Certificates: certs(tc.cert)}})
			_, _, err, _ := handshakes(t, l, DialConfig{TLS: tc.tls})
			e := asError(t, err)
			for _, w := range tc.want {
				if !strings.Contains(e.Error()+" "+e.Hint, w) {
					t.Errorf("%q is not in %q, %q", w, e, e.Hint)
				}
			}
			if e.Op != "tls" || e.Hint == "" || strings.ContainsRune(e.Error(), 0x1b) {
				t.Errorf("%+q", e)
			}
		})
	}
}

func TestVerificationCanBeRelaxed(t *testing.T) {
	ca := newTestCA(t)
	wrongName := ca.Server(t, nil, "broker.example")
	for _, tc := range []struct {
		name string
		cert tls.Certificate
		tls  ClientTLS
		ok   bool
	}{
		{"name skipped", wrongName, ClientTLS{RootCAs: ca.Pool(), SkipNameCheck: true}, true},
		{"name skipped does not skip the authority", transporttest.SelfSigned(t, "x"), ClientTLS{RootCAs: ca.Pool(), SkipNameCheck: true}, false},
		{"all skipped", transporttest.SelfSigned(t, "x"), ClientTLS{SkipVerify: true}, true},
		{"named", wrongName, ClientTLS{RootCAs: ca.Pool(), ServerName: "broker.example"}, true},
		{"system's authorities", wrongName, ClientTLS{ServerName: "broker.example"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{Certificates: certs(tc.cert)}})
			if _, _, err, _ := handshakes(t, l, DialConfig{TLS: &tc.tls}); (err == nil) != tc.ok {
				t.Error(err)
			}
		})
	}
}

// F.2 item 16: each wrong protocol on a port ends with one error that says so.
func TestItem16WrongProtocolOnThePort(t *testing.T) {
	ca := newTestCA(t)
	connect := "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"
	for _, tc := range []struct{ name, scheme, sent, want string }{
		{"MQTT on TLS", "mqtts", connect, "speaks MQTT without TLS"},
		{"HTTP on TLS", "mqtts", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "speaks HTTP without TLS"},
		{"MQTT on WebSocket", "ws", connect, "speaks MQTT on a WebSocket port"},
		{"TLS on WebSocket", "ws", "\x16\x03\x01\x02\x00\x01\x00", "speaks TLS on a WebSocket port"},
		{"PROXY header on TLS", "mqtts", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY header"},
		{"PROXY header on WebSocket", "ws", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY header"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := server(t, tc.scheme+"://127.0.0.1:0", ListenConfig{TLS: ca.server})
			c := rawDial(t, l)
			_, _ = io.WriteString(c, tc.sent)
			srv := accepted(t, l)
			if e := asError(t, srv.Handshake(t.Context())); !strings.Contains(e.Problem, tc.want) {
				t.Errorf("%v", e)
			}
			closedByPeer(t, c)
		})
	}
}

func TestDialingTheWrongKindOfPort(t *testing.T) {
	// Answers to MQTT by a TLS server (an alert) and by a web server.
	for answer, want := range map[string]string{
		"\x15\x03\x01\x00\x02\x02\x46":     "speaks TLS",
		"HTTP/1.1 400 Bad Request\r\n\r\n": "speaks HTTP",
	} {
		url := answering(t, "mqtt", answer)
		c, err := Dial(t.Context(), url, DialConfig{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
		_, err = c.Read(make([]byte, 10))
		if e := asError(t, err); !strings.Contains(e.Problem, want) || e.Hint == "" {
			t.Errorf("%v", e)
		}
		_ = c.Close()
	}

	// Whatever a plain server says or does, the client knows that it is no TLS.
	for _, answer := range []string{"", "\x20\x02\x00\x05", "HTTP/1.1 400 Bad Request\r\n\r\n"} {
		_, err := Dial(t.Context(), answering(t, "mqtts", answer), DialConfig{})
		if e := asError(t, err); !strings.Contains(e.Hint, "without TLS") {
			t.Errorf("TLS to a port that answers %q: %v, %q", answer, e, e.Hint)
		}
	}
}

// answering is the URL of a server that answers the first bytes of each
// connection and closes it.
func answering(t *testing.T, scheme, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(deadline())
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}()
	return scheme + "://" + l.Addr().String()
}

func TestReloadChangesTheCertificateAndKeepsConnections(t *testing.T) {
	ca := newTestCA(t)
	dir := t.TempDir()
	first := ca.Server(t, nil, "127.0.0.1")
	cfg := &ServerTLS{}
	cfg.CertFile, cfg.KeyFile = transporttest.WritePair(t, dir, first)
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: cfg})
	serial := func(c Conn) string { return c.Info().TLS.PeerCertificates[0].SerialNumber.String() }
	before, beforeSrv := pair(t, l, DialConfig{TLS: ca.client})

	second := ca.Server(t, nil, "127.0.0.1")
	transporttest.WritePair(t, dir, second)
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	after, _ := pair(t, l, DialConfig{TLS: ca.client})
	if serial(before) == serial(after) || serial(after) != second.Leaf.SerialNumber.String() {
		t.Error("the new connection got the old certificate")
	}
	_, _ = before.Write([]byte("x"))
	if _, err := beforeSrv.Read(make([]byte, 1)); err != nil {
		t.Errorf("the old connection broke: %v", err)
	}

	if err := os.WriteFile(cfg.CertFile, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); err == nil {
		t.Error("rubbish was loaded")
	}
	if again, _ := pair(t, l, DialConfig{TLS: ca.client}); serial(again) != serial(after) {
		t.Error("a failed reload changed the certificate")
	}
}

func TestClientFiles(t *testing.T) {
	ca := newTestCA(t)
	dir := t.TempDir()
	certFile, keyFile := transporttest.WritePair(t, dir, ca.Client(t, nil, "device-1"))
	caFile := ca.WriteFile(t)
	l := server(t, "mqtts://localhost:0", ListenConfig{TLS: &ServerTLS{
		Certificates: ca.server.Certificates, ClientAuth: ClientCertRequire, ClientCAFile: caFile,
	}})
	keyLog := filepath.Join(dir, "keys")
	for _, cfg := range []ClientTLS{
		{CAFile: caFile, CertFile: certFile, KeyFile: keyFile, KeyLogFile: keyLog},
		{CAPath: filepath.Dir(caFile), CertFile: certFile, KeyFile: keyFile},
	} {
		_, srv := pair(t, l, DialConfig{TLS: &cfg})
		if cn := srv.Info().TLS.PeerCertificates[0].Subject.CommonName; cn != "device-1" {
			t.Errorf("common name %q", cn)
		}
	}
	if b, err := os.ReadFile(keyLog); err != nil || !strings.Contains(string(b), "CLIENT_TRAFFIC_SECRET_0 ") {
		t.Errorf("key log: %q, %v", b, err)
	}
	for _, cfg := range []ClientTLS{
		{CAFile: filepath.Join(dir, "missing")},
		{CAFile: keyFile},
		{CAPath: t.TempDir()},
		{CertFile: certFile, KeyFile: caFile},
		{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12},
	} {
		_, err := Dial(t.Context(), l.URL(), DialConfig{TLS: &cfg})
		if e := asError(t, err); e.Op != "tls" {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestServerTLSProblems(t *testing.T) {
	if _, err := Listen(t.Context(), "mqtts://127.0.0.1:0", ListenConfig{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("no TLS options: %v", err)
	}
	err := ListenConfig{TLS: &ServerTLS{ClientAuth: ClientCertRequire, MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12}}.Validate()
	for _, want := range []string{"tls.cert:", "tls.key:", "tls.client_ca:", "tls.min_version:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := Listen(t.Context(), "mqtts://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{CertFile: "/nonexistent", KeyFile: "/nonexistent"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing files: %v", err)
	}
}

func TestParseTLSNames(t *testing.T) {
	ids, err := ParseCiphers("ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")
	want := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	if err != nil || !slices.Equal(ids, want) {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := ParseCiphers("RC4-SHA"); err == nil {
		t.Error("RC4 was accepted")
	}
	for s, want := range map[string]uint16{"1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13, "TLSv1.1": 0, "": 0} {
		if v, err := ParseTLSVersion(s); v != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", s, v, err)
		}
	}
	var a ClientAuth
	if err := a.UnmarshalText([]byte("require")); err != nil || a != ClientCertRequire || a.String() != "require" {
		t.Error(a, err)
	}
	if a.UnmarshalText([]byte("maybe")) == nil {
		t.Error("maybe was accepted")
	}
}
