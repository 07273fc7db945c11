package transport

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

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
// client's name. While join is set, it makes one of each two datagrams of the
// client.
func relay(t *testing.T, l Listener, join *atomic.Bool) (url string, inject func(string)) {
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
		b, held := make([]byte, 1<<16), 0
		for known := false; ; known = true {
			n, from, err := front.ReadFromUDP(b[held:])
			if err != nil {
				return
			}
			if !known {
				client <- from
			}
			if held += n; join != nil && join.Load() && held == n {
				continue
			}
			_, _ = back.Write(b[:held])
			held = 0
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

// dialing dials url meanwhile. The function that it returns waits for the
// connection.
func dialing(t *testing.T, url string, cfg DialConfig) func() Conn {
	t.Helper()
	type result struct {
		c   Conn
		err error
	}
	cfg.Schemes = packetSchemes()
	dialed := make(chan result, 1)
	go func() {
		c, err := Dial(t.Context(), url, cfg)
		dialed <- result{c, err}
	}()
	return func() Conn {
		t.Helper()
		r := <-dialed
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.Cleanup(func() { _ = r.c.Close() })
		_ = r.c.SetDeadline(deadline())
		return r.c
	}
}

// Whoever knows the address of a client, and not its keys, cannot end its
// connection.
func TestForgedRecordsDoNotDisturbDTLS(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	url, inject := relay(t, l, nil)
	dialed := dialing(t, url, DialConfig{TLS: ca.client})
	srv := next(t, conns)
	inject("garbage in between")
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := dialed()
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
	send(t, client, "genuine")
	if got := receive(t, srv); got != "genuine" {
		t.Errorf("%q", got)
	}
	send(t, srv, "answer")
	if got := receive(t, client); got != "answer" {
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
	halfOpen(t, raw)
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
	halfOpen(t, raw)
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

func TestDTLSClientStartsAgainFromItsPort(t *testing.T) {
	ca := newTestCA(t)
	ca.server.CIDBytes = -1
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	first, old := dtlsPair(t, l, conns, ca.client)
	address := first.LocalAddr().String()
	_ = first.(*conn).sock.Close() // without a word
	dialed := dialing(t, l.URL(), DialConfig{TLS: ca.client, LocalAddress: address})
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := dialed()
	if _, err := old.Read(make([]byte, 9)); err != io.EOF {
		t.Errorf("the old connection: %v", err)
	}
	_ = old.CloseReason("gone")
	send(t, client, "again")
	if got := receive(t, srv); got != "again" {
		t.Errorf("%q", got)
	}
	send(t, srv, "welcome")
	if got := receive(t, client); got != "welcome" {
		t.Errorf("%q", got)
	}
	_ = srv.CloseReason("done")
	if c := l.Counters(); c.Open != 0 || c.Accepted != 2 || c.Closed["gone"] != 1 || c.Closed["done"] != 1 {
		t.Errorf("%+v", c)
	}
	d := l.(*listener).inner.(*datagrams)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.peers) > 0 {
		t.Errorf("%d peers are left", len(d.peers))
	}
}

// A ClientHello that somebody forges begins nothing, and one from the address of a
// client, whoever can read there, a handshake that leads nowhere.
func TestForgedClientHelloEndsNoConnection(t *testing.T) {
	ca := newTestCA(t)
	ca.server.CIDBytes = -1
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, HandshakeTimeout: 5 * time.Second})
	n, client, srv := natted(t, l, conns, ca.client)
	answers := make(chan []byte, 10)
	n.filter(func(b []byte) bool {
		challenge := isPlain(b) && record(b).message() == messageHelloVerify
		if challenge {
			answers <- append([]byte(nil), b...)
		}
		return !challenge
	})
	exchange(t, client, "before")
	random := randomBytes(32)
	n.resend(clientHello(random, 0, nil))
	n.resend(clientHello(random, 1, randomBytes(cookieBytes)))
	<-answers
	answer := <-answers
	exchange(t, client, "in between")
	if c := l.Counters(); c.Accepted != 1 {
		t.Errorf("%+v", c)
	}
	again := clientHello(random, 1, answer[helloVerifyBytes-cookieBytes:])
	n.resend(again)
	heir := next(t, conns)
	shaken := make(chan error)
	go func() { shaken <- heir.Handshake(t.Context()) }()
	exchange(t, client, "during")
	n.resend(again) // goes to the handshake, and makes no third connection
	exchange(t, client, "still")
	_ = heir.Close()
	if err := <-shaken; err == nil {
		t.Error("the forged handshake is complete")
	}
	exchange(t, client, "after")
	if c := l.Counters(); c.Accepted != 2 || c.Open != 1 {
		t.Errorf("%+v", c)
	}
	_ = srv.Close()
}

func TestDTLSRecordsInOneDatagram(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	var join atomic.Bool
	url, _ := relay(t, l, &join)
	dialed := dialing(t, url, DialConfig{TLS: ca.client})
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := dialed()
	join.Store(true)
	b := make([]byte, 9)
	for range 50 {
		send(t, client, "one")
		send(t, client, "two")
		for _, want := range []string{"one", "two"} {
			if _, n, err := srv.ReadWith(func() []byte { return b }); err != nil || string(b[:n]) != want {
				t.Fatalf("%q, %v, want %q", b[:n], err, want)
			}
		}
	}
}
