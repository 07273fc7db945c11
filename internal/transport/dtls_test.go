package transport

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// dtlsEnds dials l and returns what each side makes of the handshake.
func dtlsEnds(t *testing.T, l Listener, conns <-chan Conn, cfg *ClientTLS) (client, srv Conn, clientErr, serverErr error) {
	t.Helper()
	type result struct {
		c   Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := Dial(t.Context(), l.URL(), DialConfig{Schemes: packetSchemes(), TLS: cfg})
		ch <- result{c, err}
	}()
	srv = next(t, conns)
	serverErr = srv.Handshake(t.Context())
	r := <-ch
	if r.c != nil {
		t.Cleanup(func() { _ = r.c.Close() })
		_ = r.c.SetDeadline(deadline())
	}
	return r.c, srv, r.err, serverErr
}

func dtlsPair(t *testing.T, l Listener, conns <-chan Conn, cfg *ClientTLS) (client, srv Conn) {
	t.Helper()
	client, srv, clientErr, serverErr := dtlsEnds(t, l, conns, cfg)
	if clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", clientErr, serverErr)
	}
	return client, srv
}

func TestDTLSWithCertificatesBothWays(t *testing.T) {
	ca := newTestCA(t)
	ca.server.ClientAuth, ca.server.ClientCAs, ca.server.ALPN = ClientCertRequire, ca.Pool(), []string{"coap"}
	ca.client.Certificates, ca.client.ALPN = certs(ca.Client(t, nil, "device-1")), []string{"coap"}
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	client, srv := dtlsPair(t, l, conns, ca.client)

	send(t, client, "one")
	send(t, client, "two")
	for _, want := range []string{"one", "two"} {
		if got := receive(t, srv); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	send(t, srv, "back")
	buf := make([]byte, 9)
	if _, n, err := client.ReadWith(func() []byte { return buf }); err != nil || string(buf[:n]) != "back" {
		t.Errorf("%q, %v", buf[:n], err)
	}

	i := srv.Info()
	if i.TLS == nil || !i.Datagrams || i.Remote.String() != client.LocalAddr().String() {
		t.Fatalf("%+v", i)
	}
	s := i.TLS
	if s.PeerCertificates[0].Subject.CommonName != "device-1" || len(s.VerifiedChains) != 1 || len(s.VerifiedChains[0]) != 2 ||
		s.Version != VersionDTLS12 || s.CipherSuite == 0 || s.NegotiatedProtocol != "coap" || !s.HandshakeComplete {
		t.Errorf("%+v", s)
	}
	if got := client.Info().TLS.PeerCertificates[0].Subject.CommonName; got != "server" {
		t.Errorf("%q", got)
	}

	_ = srv.CloseReason("done")
	if _, err := client.Read(buf); err != io.EOF {
		t.Errorf("after close_notify: %v", err)
	}
	_ = client.Close()
	want := ListenerCounters{Accepted: 1, Closed: map[string]uint64{"done": 1}}
	got := l.Counters()
	got.Dropped = nil // the client's close_notify, or not
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDTLSClientCertificates(t *testing.T) {
	ca, other := newTestCA(t), transporttest.NewCA(t, "somebody else")
	good, bad := certs(ca.Client(t, nil, "device-1")), certs(other.Client(t, nil, "device-1"))
	for _, tc := range []struct {
		name  string
		auth  ClientAuth
		send  []tls.Certificate
		ok    bool
		chain bool
	}{
		{"not asked for", ClientCertNone, good, true, false},
		{"requested, none", ClientCertRequest, nil, true, false},
		{"requested, good", ClientCertRequest, good, true, true},
		{"requested, bad", ClientCertRequest, bad, false, false},
		{"required, none", ClientCertRequire, nil, false, false},
		{"required, good", ClientCertRequire, good, true, true},
		{"required, bad", ClientCertRequire, bad, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := &ServerTLS{Certificates: ca.server.Certificates, ClientAuth: tc.auth, ClientCAs: ca.Pool()}
			l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: server})
			_, srv, clientErr, serverErr := dtlsEnds(t, l, conns, &ClientTLS{RootCAs: ca.Pool(), Certificates: tc.send})
			if !tc.ok {
				if asError(t, serverErr).Op != "tls" {
					t.Errorf("server: %v", serverErr)
				}
				if e := asError(t, clientErr); e.Op != "tls" || !strings.Contains(e.Problem, "certificate") {
					t.Errorf("client: %v", clientErr)
				}
				if c := l.Counters(); c.Closed[ClosedTLS] != 1 || c.Open != 0 || c.Handshaking != 0 {
					t.Errorf("%+v", c)
				}
				return
			}
			if clientErr != nil || serverErr != nil {
				t.Fatalf("client: %v, server: %v", clientErr, serverErr)
			}
			if got := len(srv.Info().TLS.VerifiedChains) > 0; got != tc.chain {
				t.Errorf("verified: %v", got)
			}
		})
	}
}

func TestDTLSVerifiesTheServer(t *testing.T) {
	ca, other := newTestCA(t), transporttest.NewCA(t, "somebody else")
	for _, tc := range []struct {
		name   string
		client *ClientTLS
		want   string // in the client's error; "" for none
	}{
		{"address", &ClientTLS{RootCAs: ca.Pool()}, ""},
		{"name", &ClientTLS{RootCAs: ca.Pool(), ServerName: "localhost"}, ""},
		{"any certificate", &ClientTLS{SkipVerify: true}, ""},
		{"any name", &ClientTLS{RootCAs: ca.Pool(), ServerName: "other.example", SkipNameCheck: true}, ""},
		{"suite", &ClientTLS{RootCAs: ca.Pool(), Ciphers: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, ""},
		{"other name", &ClientTLS{RootCAs: ca.Pool(), ServerName: "other.example"}, "other.example"},
		{"other authority", &ClientTLS{RootCAs: other.Pool()}, "not trusted"},
		{"suite of RSA only", &ClientTLS{RootCAs: ca.Pool(), Ciphers: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
			_, _, clientErr, serverErr := dtlsEnds(t, l, conns, tc.client)
			if tc.name == "suite of RSA only" {
				if clientErr == nil || serverErr == nil {
					t.Errorf("client: %v, server: %v", clientErr, serverErr)
				}
				return
			}
			if tc.want == "" {
				if clientErr != nil || serverErr != nil {
					t.Errorf("client: %v, server: %v", clientErr, serverErr)
				}
				return
			}
			if e := asError(t, clientErr); !strings.Contains(e.Problem, tc.want) {
				t.Errorf("client: %v", clientErr)
			}
			if asError(t, serverErr).Op != "tls" {
				t.Errorf("server: %v", serverErr)
			}
		})
	}
}

func TestDTLSOptionsThatDoNotExist(t *testing.T) {
	ca := newTestCA(t)
	for _, tc := range []struct {
		server ServerTLS
		want   string
	}{
		{ServerTLS{MinVersion: tls.VersionTLS13}, "tls.min_version"},
		{ServerTLS{Ciphers: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}}, "tls.ciphers"},
	} {
		tc.server.Certificates = ca.server.Certificates
		if _, err := Listen(t.Context(), "exproto+dtls://127.0.0.1:0", ListenConfig{Schemes: packetSchemes(), TLS: &tc.server}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v", err)
		}
	}
	_, err := Dial(t.Context(), "exproto+dtls://127.0.0.1:9", DialConfig{Schemes: packetSchemes(), TLS: &ClientTLS{MinVersion: tls.VersionTLS13}})
	if e := asError(t, err); !strings.Contains(e.Problem, "DTLS 1.2") {
		t.Error(e)
	}
}

func TestReloadCertificatesOfDTLS(t *testing.T) {
	ca, dir := newTestCA(t), t.TempDir()
	cert, key := transporttest.WritePair(t, dir, ca.server.Certificates[0])
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{CertFile: cert, KeyFile: key}})
	first, _ := dtlsPair(t, l, conns, ca.client)
	transporttest.WritePair(t, dir, ca.Server(t, func(c *x509.Certificate) { c.Subject.CommonName = "renewed" }, "127.0.0.1"))
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	second, _ := dtlsPair(t, l, conns, ca.client)
	if a, b := first.Info().TLS.PeerCertificates[0].Subject.CommonName, second.Info().TLS.PeerCertificates[0].Subject.CommonName; a != "server" || b != "renewed" {
		t.Errorf("%q, then %q", a, b)
	}
}

func TestGarbageIsNoDTLSPeer(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, MaxConnections: 1})
	raw, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	garbage := []string{
		"hello", "\x10\x0c\x00\x04MQTT", strings.Repeat("\x16\xfe\xfd", 100),
		"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x02\x00\x00\x00", // a ServerHello
		"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00",             // data
		"\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01\x00",         // close_notify
		"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b",                                 // TLS
	}
	for _, g := range garbage {
		send(t, raw, g)
	}
	eventually(t, "all is dropped", func() bool { return l.Counters().Dropped[DroppedGarbage] == uint64(len(garbage)) })
	client, srv := dtlsPair(t, l, conns, ca.client) // there is room, and time
	send(t, client, "x")
	if got := receive(t, srv); got != "x" {
		t.Errorf("%q", got)
	}
}

// relay stands between a DTLS client and a listener; inject sends in the
// client's name.
func relay(t *testing.T, l Listener) (url string, inject func(string)) {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := make(chan *net.UDPAddr, 1)
	ended := make(chan struct{}, 2)
	go func() {
		defer func() { ended <- struct{}{} }()
		b := make([]byte, 1<<16)
		for known := false; ; known = true {
			n, from, err := front.ReadFromUDP(b)
			if err != nil {
				return
			}
			if !known {
				client <- from
			}
			_, _ = back.Write(b[:n])
		}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		b, to := make([]byte, 1<<16), (*net.UDPAddr)(nil)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			if to == nil {
				to = <-client
			}
			_, _ = front.WriteToUDP(b[:n], to)
		}
	}()
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		<-ended
		<-ended
	})
	return strings.Replace(l.URL(), l.Addr().String(), front.LocalAddr().String(), 1), func(s string) { send(t, back, s) }
}

// Whoever knows the address of a client, and not its keys, cannot end its
// connection.
func TestForgedRecordsDoNotDisturbDTLS(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	url, inject := relay(t, l)
	type result struct {
		c   Conn
		err error
	}
	dialed := make(chan result)
	go func() {
		c, err := Dial(t.Context(), url, DialConfig{Schemes: packetSchemes(), TLS: ca.client})
		dialed <- result{c, err}
	}()
	srv := next(t, conns)
	inject("garbage in between")
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := <-dialed
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.c.Close()
	_ = r.c.SetDeadline(deadline())
	const sequence = "\x00\x00\x00\x00\x10\x00"
	for _, forged := range []string{
		"garbage",
		strings.Repeat("x", 60_000),
		"\x15\xfe\xfd\x00\x00" + sequence + "\x00\x02\x02\x28",              // a plain alert
		"\x17\xfe\xfd\x00\x00" + sequence + "\x00\x01x",                     // plain data
		"\x17\xfe\xfd\x00\x01" + sequence + "\x00\x10" + "0123456789abcdef", // data by other keys
		"\x15\xfe\xfd\x00\x01" + sequence + "\x00\x10" + "0123456789abcdef",
		"\x14\xfe\xfd\x00\x00" + sequence + "\x00\x01\x01",
		"\x16\xfe\xfd\x00\x00" + sequence + "\x00\x0c\x01\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00", // an empty ClientHello
		"\x63\xfe\xfd\x00\x00" + sequence + "\x00\x00",
	} {
		inject(forged)
	}
	send(t, r.c, "genuine")
	if got := receive(t, srv); got != "genuine" {
		t.Errorf("%q", got)
	}
	send(t, srv, "answer")
	if got := receive(t, r.c); got != "answer" {
		t.Errorf("%q", got)
	}
}

func TestDTLSHandshakeTimeout(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, HandshakeTimeout: 50 * time.Millisecond})
	raw, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	send(t, raw, "\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0d\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00")
	srv := next(t, conns)
	if e := asError(t, srv.Handshake(t.Context())); !e.Timeout {
		t.Error(e)
	}
	if c := l.Counters(); c.Closed[ClosedTimeout] != 1 || c.Handshaking != 0 {
		t.Errorf("%+v", c)
	}
}

func TestDTLSClosedDuringHandshake(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	raw, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	send(t, raw, "\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0d\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00")
	srv := next(t, conns)
	shaken := make(chan error)
	go func() { shaken <- srv.Handshake(t.Context()) }()
	_ = srv.Close()
	if err := <-shaken; err == nil {
		t.Error("the handshake of a closed connection is complete")
	}
}

func TestDialDTLSWhereNobodyListens(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "exproto+dtls://" + pc.LocalAddr().String()
	_ = pc.Close()
	_, err = Dial(t.Context(), url, DialConfig{Schemes: packetSchemes(), Timeout: limit})
	if e := asError(t, err); !errors.Is(err, syscall.ECONNREFUSED) || e.Op != "connect" || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}

func TestDTLSDeadlinesAndSizes(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	client, srv := dtlsPair(t, l, conns, ca.client)
	for name, ends := range map[string][2]Conn{"accepted": {srv, client}, "dialed": {client, srv}} {
		c, other := ends[0], ends[1]
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.SetDeadline(deadline())
		send(t, other, "ten bytes.")
		send(t, other, "nine byte")
		short := make([]byte, 9)
		if n, err := c.Read(short); n != 0 || err != io.ErrShortBuffer {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if n, err := c.Read(short); err != nil || string(short[:n]) != "nine byte" {
			t.Errorf("%s: %q, %v", name, short[:n], err)
		}
		if n, err := c.Write(make([]byte, 1<<14+1)); n != 0 || !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		send(t, other, strings.Repeat("x", 8000))
		if got := receive(t, c); len(got) != 8000 {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}

func TestClosedListenerEndsItsDTLSPeers(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	client, srv := dtlsPair(t, l, conns, ca.client)
	read := make(chan error)
	go func() {
		_, err := srv.Read(make([]byte, 9))
		read <- err
	}()
	_ = l.Close()
	if err := <-read; err != ErrListenerClosed {
		t.Error(err)
	}
	send(t, srv, "goodbye")
	if got := receive(t, client); got != "goodbye" {
		t.Errorf("%q", got)
	}
	if err := closeGracefully(srv, limit, "done"); err != nil {
		t.Error(err)
	}
	if _, err := client.Read(make([]byte, 9)); err != io.EOF {
		t.Errorf("client: %v", err)
	}
}

// openssl starts OpenSSL with its arguments, and ends it with the test.
func openssl(t *testing.T, args ...string) (in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Stderr = t.Output()
	if in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		stop.Stop()
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return in, bufio.NewReader(pipe)
}

func TestOpenSSLClientOverDTLS(t *testing.T) {
	ca := newTestCA(t)
	ca.server.ClientAuth, ca.server.ClientCAs = ClientCertRequire, ca.Pool()
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Client(t, nil, "device-1"))
	in, out := openssl(t, "s_client", "-dtls1_2", "-connect", l.Addr().String(), "-quiet", "-CAfile", ca.WriteFile(t), "-verify_return_error", "-cert", cert, "-key", key)
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := srv.Info().TLS.VerifiedChains[0][0].Subject.CommonName; got != "device-1" {
		t.Errorf("%q", got)
	}
	send(t, in, "from openssl\n")
	if got := receive(t, srv); got != "from openssl\n" {
		t.Errorf("%q", got)
	}
	send(t, srv, "to openssl\n")
	if got, err := out.ReadString('\n'); got != "to openssl\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpenSSLServerOverDTLS(t *testing.T) {
	ca := newTestCA(t)
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "127.0.0.1"))
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	_ = pc.Close()
	in, out := openssl(t, "s_server", "-dtls1_2", "-accept", address, "-quiet", "-cert", cert, "-key", key)
	var c Conn
	eventually(t, "openssl listens", func() bool {
		c, err = Dial(t.Context(), "exproto+dtls://"+address, DialConfig{Schemes: packetSchemes(), TLS: ca.client})
		return err == nil
	})
	defer c.Close()
	_ = c.SetDeadline(deadline())
	send(t, c, "to openssl\n")
	if got, err := out.ReadString('\n'); got != "to openssl\n" {
		t.Errorf("%q, %v", got, err)
	}
	send(t, in, "from openssl\n")
	if got := receive(t, c); got != "from openssl\n" {
		t.Errorf("%q", got)
	}
}
