package transport

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
)

// cidListeners are a listener with certificates and one with pre-shared keys, and
// how to dial them.
func cidListeners(t *testing.T, run func(t *testing.T, l Listener, conns <-chan Conn, client *ClientTLS)) {
	ca := newTestCA(t)
	for name, tc := range map[string]struct {
		server *ServerTLS
		client *ClientTLS
	}{
		"certificate": {ca.server, ca.client},
		"psk":         {&ServerTLS{PSKFile: pskFile(t, "device-1:"+testPSK), CIDBytes: 5}, &ClientTLS{PSKIdentity: "device-1", PSK: testPSK}},
	} {
		t.Run(name, func(t *testing.T) {
			l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: tc.server})
			run(t, l, conns, tc.client)
		})
	}
}

// echo serves c until it ends.
func echo(c Conn) {
	b := make([]byte, 1<<14)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// exchange sends from the client and waits for the echo.
func exchange(t *testing.T, client Conn, text string) {
	t.Helper()
	send(t, client, text)
	if got := receive(t, client); got != text {
		t.Fatalf("%q, want %q", got, text)
	}
}

func natted(t *testing.T, l Listener, conns <-chan Conn, tls *ClientTLS) (n *nat, client, srv Conn) {
	t.Helper()
	n = newNAT(t, l)
	dialed := dialing(t, n.url, DialConfig{TLS: tls})
	srv = next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client = dialed()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		echo(srv)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
	})
	return n, client, srv
}

func TestAssociationSurvivesANewPortForEachRecord(t *testing.T) {
	cidListeners(t, func(t *testing.T, l Listener, conns <-chan Conn, tls *ClientTLS) {
		n, client, srv := natted(t, l, conns, tls)
		began := srv.RemoteAddr().String()
		n.rebind(true)
		for i := range 50 {
			exchange(t, client, fmt.Sprint("record ", i))
			_, from := n.last()
			if got := n.answered(); got != from {
				t.Fatalf("the answer went to %s, not %s", got, from)
			}
			if a, b := srv.RemoteAddr().String(), srv.Info().Remote.String(); a != from || b != from || a == began {
				t.Fatalf("the client is at %s, not at %s or %s", from, a, b)
			}
		}
		if c := l.Counters(); c.Accepted != 1 || c.Dropped[DroppedGarbage] != 0 {
			t.Errorf("%+v", c)
		}
		_ = client.Close() // close_notify is from a new port, too
		eventually(t, "the connection ends", func() bool { _, err := srv.Write([]byte("x")); return err != nil })
	})
}

// stranger is a socket that the client does not have.
func stranger(t *testing.T, l Listener) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

func TestForgedRecordsWithAConnectionID(t *testing.T) {
	cidListeners(t, func(t *testing.T, l Listener, conns <-chan Conn, tls *ClientTLS) {
		n, client, srv := natted(t, l, conns, tls)
		exchange(t, client, "before")
		genuine, from := n.last()
		other := stranger(t, l)
		forge := func(at int, to ...byte) {
			b := bytes.Clone(genuine)
			copy(b[at:], to)
			send(t, other, string(b))
		}
		forge(5, 0, 0, 0xff)                                      // a number far ahead
		forge(len(genuine)-1, genuine[len(genuine)-1]^1, 0)       // a wrong tag
		forge(3, 0, 2)                                            // another epoch
		forge(3, 0, 0)                                            // none
		forge(0, recordAlert)                                     // another kind
		forge(11, []byte{1, 2, 3, 4}...)                          // another id
		send(t, other, string(genuine[:len(genuine)-1]))          // cut
		send(t, other, string(genuine[:recordHeaderBytes]))       //
		send(t, other, string(genuine))                           // replayed
		send(t, other, string(genuine)+string(genuine))           //
		send(t, other, strings.Repeat("\x19\xfe\xfd\x00\x01", 9)) // garbage
		exchange(t, client, "after")
		if got := srv.RemoteAddr().String(); got != from || n.answered() != from {
			t.Errorf("answers go to %s and %s, not to %s", got, n.answered(), from)
		}
		_, _ = srv.Write([]byte("on its own"))
		if got := receive(t, client); got != "on its own" {
			t.Errorf("%q", got)
		}
	})
}

// What was sent from an old address and comes late, for the first time, is read
// and does not move the client back.
func TestLateRecordsDoNotDivertAnswers(t *testing.T) {
	cidListeners(t, func(t *testing.T, l Listener, conns <-chan Conn, tls *ClientTLS) {
		n, client, srv := natted(t, l, conns, tls)
		exchange(t, client, "first")
		first, _ := n.last()
		n.rebind(false)
		exchange(t, client, "second")
		_, from := n.last()
		send(t, stranger(t, l), string(first))
		exchange(t, client, "third")
		if got := srv.RemoteAddr().String(); got != from {
			t.Errorf("the client is at %s, not at %s", got, from)
		}
	})
}

// A client whose mapping has ended is there still, when another one gets its port.
func TestAnotherClientGetsTheOldPort(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	n, sleeper, srv := natted(t, l, conns, ca.client)
	exchange(t, sleeper, "good night")
	_, port := n.last()
	n.mu.Lock()
	_ = n.out.Close()
	n.out = nil
	n.mu.Unlock()

	dialed := dialing(t, l.URL(), DialConfig{TLS: ca.client, LocalAddress: port})
	other := next(t, conns)
	if err := other.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := dialed()
	send(t, client, "hello")
	if got := receive(t, other); got != "hello" {
		t.Errorf("%q", got)
	}
	exchange(t, sleeper, "good morning")
	if srv.RemoteAddr().String() == port || other.RemoteAddr().String() != port {
		t.Errorf("%s, %s", srv.RemoteAddr(), other.RemoteAddr())
	}
}

func TestNoConnectionIDs(t *testing.T) {
	ca := newTestCA(t)
	ca.server.CIDBytes = -1
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	n, client, srv := natted(t, l, conns, ca.client)
	exchange(t, client, "stays")
	if b, _ := n.last(); b[0] != recordData {
		t.Errorf("a record of type %d", b[0])
	}
	at := srv.RemoteAddr().String()
	n.rebind(false)
	send(t, client, "lost")
	eventually(t, "it is dropped", func() bool { return l.Counters().Dropped[DroppedGarbage] == 1 })
	if got := srv.RemoteAddr().String(); got != at {
		t.Errorf("the client has moved to %s", got)
	}
}

func TestAccessRulesHoldForClientsThatMove(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, Access: []string{"allow 127.0.0.1", "deny all"}})
	n, client, srv := natted(t, l, conns, ca.client)
	exchange(t, client, "before")
	send(t, client, "captured")
	if got := receive(t, client); got != "captured" {
		t.Errorf("%q", got)
	}
	b, at := n.last()
	denied, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, l.Addr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer denied.Close()
	send(t, denied, string(b))
	eventually(t, "it is refused", func() bool { return l.Counters().Refused[RefusedRule] == 1 })
	if got := srv.RemoteAddr().String(); got != at {
		t.Errorf("the client has moved to %s", got)
	}
}

func TestConnectionIDsAreForgotten(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	d := l.(*listener).inner.(*datagrams)
	for range 3 {
		client, srv := dtlsPair(t, l, conns, ca.client)
		send(t, client, "x")
		_ = receive(t, srv)
		_ = srv.Close()
		_ = client.Close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ids)+len(d.peers) > 0 {
		t.Errorf("%d ids, %d peers", len(d.ids), len(d.peers))
	}
}

func TestLengthOfConnectionIDs(t *testing.T) {
	ca := newTestCA(t)
	for length, ok := range map[int]bool{-1: true, 0: true, 3: false, 4: true, 32: true, 33: false} {
		ca.server.CIDBytes = length
		err := ca.server.Check()
		problems := ListenConfig{TLS: ca.server}.Validate()
		if err != nil || (problems == nil) != ok || !ok && !strings.Contains(problems.Error(), "tls.cid_length") {
			t.Errorf("%d: %v, %v", length, err, problems)
		}
	}
}

// The library's codes of records with connection ids are wrong for CBC.
func TestNoConnectionIDsWithCBC(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	const gcm, cbc = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
	for _, tc := range []struct {
		offered []uint16
		suite   uint16
		named   bool
	}{{nil, gcm, true}, {[]uint16{gcm}, gcm, true}, {[]uint16{cbc}, cbc, false}} {
		ca.client.Ciphers = tc.offered
		n, client, srv := natted(t, l, conns, ca.client)
		exchange(t, client, "x")
		b, _ := n.last()
		if got := srv.Info().TLS.CipherSuite; got != tc.suite || (b[0] == recordCID) != tc.named {
			t.Errorf("%x: suite %x, record of type %d", tc.offered, got, b[0])
		}
	}
}

func TestWhoWantsAConnectionID(t *testing.T) {
	const gcm, cbc = "\xc0\x2b", "\xc0\x0a"
	cid := "\x00\x36\x00\x01\x00"
	other := "\x00\x17\x00\x00"
	for name, tc := range map[string]struct {
		suites, extensions string
		want               bool
	}{
		"both":         {cbc + gcm, other + cid, true},
		"no id":        {gcm, other, false},
		"no extension": {gcm, "", false},
		"CBC alone":    {cbc, cid, false},
		"cut":          {gcm, "\x00\x17\x00\xff" + cid, false},
	} {
		rest := fmt.Sprintf("\x00%c%s\x01\x00\x00%c%s", len(tc.suites), tc.suites, len(tc.extensions), tc.extensions)
		h := hello{rest: []byte(rest)}
		if got := h.wantsID(withoutCBC(certificateSuites())); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
