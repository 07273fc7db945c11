package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"strings"
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
		if n, err := c.Write(make([]byte, 1<<14+1)); n != 0 || !errors.Is(err, ErrTooLong) {
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

// TestIdleDTLSHoldsNoBuffer: a read borrows only when there is something, and
// everything that comes is noticed, however many records a datagram has.
func TestIdleDTLSHoldsNoBuffer(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	client, srv := dtlsPair(t, l, conns, ca.client)
	for _, ends := range [][2]Conn{{srv, client}, {client, srv}} {
		reader, writer := ends[0], ends[1]
		_ = reader.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := reader.ReadWith(func() []byte { t.Error("borrowed for nothing"); return make([]byte, 9) }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		_ = reader.SetReadDeadline(deadline())
		const n = 500
		acked := make(chan struct{}, 100) // bounds what is under way, so that nothing is dropped
		written := make(chan error, 1)
		go func() {
			for range n {
				acked <- struct{}{}
				if _, err := writer.Write([]byte("x")); err != nil {
					written <- err
					return
				}
			}
			written <- nil
		}()
		b := make([]byte, 9)
		for i := range n {
			if _, got, err := reader.ReadWith(func() []byte { return b }); err != nil || got != 1 {
				t.Fatalf("datagram %d: %d, %v", i, got, err)
			}
			<-acked
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
	_ = client.Close()
	if _, _, err := srv.ReadWith(func() []byte { return make([]byte, 9) }); err != io.EOF {
		t.Errorf("after close_notify: %v", err)
	}
}
