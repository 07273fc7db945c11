package transport

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/dtls/v3"
)

// clientHello is a small one: a suite, no compression, and the extended master
// secret.
func clientHello(random []byte, number byte, cookie []byte) []byte {
	body := append([]byte{0xfe, 0xfd}, random...)
	body = append(append(append(body, 0), byte(len(cookie))), cookie...)
	body = append(body, 0, 2, 0xc0, 0x2b, 1, 0, 0, 4, 0, 0x17, 0, 0)
	b := appendMessageHeader(nil, 0xfd, uint64(number), messageClientHello, len(body))
	b[recordHeaderBytes+5] = number
	return append(b, body...)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// knock sends a ClientHello and returns the one that bears the cookie.
func knock(t testing.TB, c net.Conn) []byte {
	t.Helper()
	_ = c.SetDeadline(deadline())
	random := randomBytes(32)
	send(t, c, string(clientHello(random, 0, nil)))
	answer := receive(t, c)
	if len(answer) != helloVerifyBytes {
		t.Fatalf("%d bytes: %x", len(answer), answer)
	}
	return clientHello(random, 1, []byte(answer[helloVerifyBytes-cookieBytes:]))
}

// halfOpen begins a handshake that comes no further than the cookie.
func halfOpen(t testing.TB, c net.Conn) {
	t.Helper()
	send(t, c, string(knock(t, c)))
}

// A library that keeps its cookie elsewhere is noticed here first.
func TestTheLibraryTakesACookie(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c, err := dtls.ServerWithOptions(dtlsPacketConn{a}, a.RemoteAddr(), dtls.WithPSK(func([]byte) ([]byte, error) { return nil, nil }), dtls.WithCipherSuites(pskSuites()...))
	if err != nil {
		t.Fatal(err)
	}
	if err := adopt(c, cookie{}); !errors.Is(err, errNoCookie) { // it has none before it sends it
		t.Errorf("%v", err)
	}
}

type dtlsPacketConn struct{ net.Conn }

func (c dtlsPacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := c.Read(b)
	return n, c.RemoteAddr(), err
}
func (c dtlsPacketConn) WriteTo(b []byte, _ net.Addr) (int, error) { return c.Write(b) }

func TestHelloWithCookieBecomesTheFirstOne(t *testing.T) {
	random := randomBytes(32)
	second, ok := parseHello(clientHello(random, 7, randomBytes(cookieBytes)))
	if !ok || second.number != 7 || second.sequence != 7 || !bytes.Equal(second.random, random) || len(second.cookie) != cookieBytes {
		t.Fatalf("%v, %+v", ok, second)
	}
	want := clientHello(random, 0, nil)
	want[recordHeaderBytes-3] = 6 // its number
	if got := second.first(); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestCookieIsForOneAddressOneClientAndAMinute(t *testing.T) {
	d := &datagrams{secret: [32]byte{1}}
	from, now := netip.MustParseAddrPort("192.0.2.1:5000"), time.Unix(1_000_000_000, 0)
	random := randomBytes(32)
	first, _ := parseHello(clientHello(random, 0, nil))
	c := d.expected(&first, from, now)
	second, _ := parseHello(clientHello(random, 1, c[:]))
	for name, tc := range map[string]struct {
		h    []byte
		from string
		at   time.Duration
		d    *datagrams
		want bool
	}{
		"right":           {nil, "192.0.2.1:5000", 0, d, true},
		"later":           {nil, "192.0.2.1:5000", cookieTime, d, true},
		"too late":        {nil, "192.0.2.1:5000", 2 * cookieTime, d, false},
		"before":          {nil, "192.0.2.1:5000", -cookieTime, d, false},
		"another port":    {nil, "192.0.2.1:5001", 0, d, false},
		"another host":    {nil, "192.0.2.2:5000", 0, d, false},
		"another server":  {nil, "192.0.2.1:5000", 0, &datagrams{}, false},
		"another client":  {clientHello(randomBytes(32), 1, c[:]), "192.0.2.1:5000", 0, d, false},
		"the first":       {clientHello(random, 0, c[:]), "192.0.2.1:5000", 0, d, false},
		"the third":       {clientHello(random, 2, c[:]), "192.0.2.1:5000", 0, d, false},
		"short":           {clientHello(random, 1, c[1:]), "192.0.2.1:5000", 0, d, false},
		"none":            {clientHello(random, 1, nil), "192.0.2.1:5000", 0, d, false},
		"long":            {clientHello(random, 1, append(c[:], 0)), "192.0.2.1:5000", 0, d, false},
		"a changed octet": {clientHello(random, 1, append([]byte{c[0] ^ 1}, c[1:]...)), "192.0.2.1:5000", 0, d, false},
	} {
		h := second
		if tc.h != nil {
			h, _ = parseHello(tc.h)
		}
		if got := tc.d.verified(&h, netip.MustParseAddrPort(tc.from), now.Add(tc.at)); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Nobody who does not receive at an address gets more sent to it than he has sent
// in its name, and there is nothing that would be kept for it.
func TestLessGoesOutThanComesInBeforeTheCookie(t *testing.T) {
	ca := newTestCA(t)
	l, _ := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	c := stranger(t, l)
	_ = c.SetDeadline(deadline())
	random := randomBytes(32)
	hello := clientHello(random, 0, nil)
	in, out := 0, 0
	for _, b := range [][]byte{
		hello, hello, clientHello(random, 1, nil), clientHello(random, 1, randomBytes(cookieBytes)),
		clientHello(random, 1, randomBytes(255)), append(bytes.Clone(hello), hello...),
	} {
		send(t, c, string(b))
		answer := receive(t, c)
		if len(answer) != helloVerifyBytes || answer[recordHeaderBytes] != messageHelloVerify || !bytes.Equal([]byte(answer[3:11]), b[3:11]) {
			t.Errorf("%x for %x", answer, b)
		}
		in, out = in+len(b), out+len(answer)
	}
	if out > in {
		t.Errorf("%d bytes out for %d", out, in)
	}
	silent := [][]byte{hello[:len(hello)-1], nil, nil, nil}
	for i := 1; i < len(silent); i++ {
		silent[i] = bytes.Clone(hello)
	}
	silent[1][recordHeaderBytes+8] = 1       // a fragment that does not begin the message
	silent[2][recordHeaderBytes+11]--        // one that does not end it
	silent[3][recordHeaderBytes+12+34] = 255 // a session id that is not there
	for _, b := range silent {
		send(t, c, string(b))
	}
	send(t, c, string(hello))
	if answer := receive(t, c); len(answer) != helloVerifyBytes {
		t.Errorf("%x", answer)
	}
	eventually(t, "the rest is dropped", func() bool { return l.Counters().Dropped[DroppedGarbage] == uint64(len(silent)) })
	got := l.Counters()
	got.Dropped = nil
	if d := cmp.Diff(ListenerCounters{}, got); d != "" {
		t.Error(d)
	}
	d := l.(*listener).inner.(*datagrams)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.peers)+len(d.ids) > 0 || d.queued.Load() > 0 {
		t.Errorf("%d peers, %d bytes", len(d.peers), d.queued.Load())
	}
}

func TestAccessRulesAreAskedBeforeTheCookie(t *testing.T) {
	ca := newTestCA(t)
	l, _ := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server, Access: []string{"deny all"}})
	c := stranger(t, l)
	send(t, c, string(clientHello(randomBytes(32), 0, nil)))
	eventually(t, "it is refused", func() bool { return l.Counters().Refused[RefusedRule] == 1 })
}

// flood sends ClientHellos from many addresses, as fast as they are answered, until
// it is stopped. Half of them bear a cookie that somebody has made up.
func flood(t *testing.T, l Listener, sources int) (sent *atomic.Int64, stop func()) {
	t.Helper()
	sent = new(atomic.Int64)
	var wg sync.WaitGroup
	var conns []net.Conn
	for i := range sources {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, byte(1+i/100), byte(i%100), 9)}, l.Addr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		wg.Go(func() {
			b := make([]byte, 1<<10)
			for n := 0; ; n++ {
				h := clientHello(randomBytes(32), byte(n%2), randomBytes(n%2*cookieBytes))
				if _, err := c.Write(h); errors.Is(err, net.ErrClosed) {
					return
				}
				sent.Add(1)
				_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // the kernel may have dropped it
				if _, err := c.Read(b); errors.Is(err, net.ErrClosed) {
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		for _, c := range conns {
			_ = c.Close()
		}
		wg.Wait()
	})
	t.Cleanup(stop)
	return sent, stop
}

func TestHonestClientsGetThroughAFloodOfForgedHellos(t *testing.T) {
	ca := newTestCA(t)
	cfg := ListenConfig{TLS: ca.server, MaxHandshakes: 64, MaxConnRate: 1000, MaxConnections: 100}
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", cfg)
	began := time.Now()
	sent, stop := flood(t, l, 32)
	eventually(t, "the flood has begun", func() bool { return sent.Load() > 5000 })
	const honest = 40
	var wg sync.WaitGroup
	for i := range honest {
		wg.Go(func() {
			c, err := Dial(t.Context(), l.URL(), DialConfig{Schemes: packetSchemes(), TLS: ca.client})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			text, b := fmt.Sprint("client ", i), make([]byte, 100)
			for end, n := deadline(), 0; string(b[:n]) != text; { // the kernel may drop it among so many
				if time.Now().After(end) {
					t.Errorf("no answer for client %d: %v", i, err)
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
				if _, err = c.Write([]byte(text)); err == nil {
					n, err = c.Read(b)
				}
			}
		})
	}
	for range honest {
		srv := next(t, conns)
		wg.Go(func() { echo(srv) })
	}
	eventually(t, "the flood is one", func() bool { return sent.Load() > 20_000 })
	wg.Wait()
	stop()
	t.Logf("%d forged in %v", sent.Load(), time.Since(began))
	if c := l.Counters(); c.Accepted != honest || len(c.Refused) > 0 {
		t.Errorf("%+v", c)
	}
}

// A client that starts again before its handshake is complete need not wait for
// the end of that one.
func TestClientStartsAgainDuringItsHandshake(t *testing.T) {
	ca := newTestCA(t)
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
	c := stranger(t, l)
	halfOpen(t, c)
	first := next(t, conns)
	shaken := make(chan error, 1)
	go func() { shaken <- first.Handshake(t.Context()) }()
	if answer := receive(t, c); record(answer).message() != messageServerHello {
		t.Errorf("%x", answer)
	}
	address := c.LocalAddr().String()
	_ = c.Close()
	dialed := dialing(t, l.URL(), DialConfig{TLS: ca.client, LocalAddress: address})
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := dialed()
	if err := <-shaken; err == nil {
		t.Error("the first handshake is complete")
	}
	send(t, client, "x")
	if got := receive(t, srv); got != "x" {
		t.Errorf("%q", got)
	}
}

// Datagrams of the handshake that come twice, and late, do no harm.
func TestHandshakeOverANetworkThatRepeats(t *testing.T) {
	ca := newTestCA(t)
	for _, id := range []int{-1, 8} {
		ca.server.CIDBytes = id
		l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
		n := newNAT(t, l)
		n.repeat(3)
		dialed := dialing(t, n.url, DialConfig{TLS: ca.client})
		srv := next(t, conns)
		if err := srv.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := dialed()
		send(t, client, "once")
		if got := receive(t, srv); got != "once" {
			t.Errorf("%q", got)
		}
		for _, b := range n.history() { // all again
			send(t, stranger(t, l), string(b))
			n.resend(b)
		}
		send(t, srv, "answer")
		if got := receive(t, client); got != "answer" {
			t.Errorf("%q", got)
		}
		send(t, client, "twice")
		if got := receive(t, srv); got != "twice" {
			t.Errorf("%q", got)
		}
	}
}

// The version of a record is that of DTLS 1.0 or 1.2, or none, until the two have
// agreed on one.
func TestHelloOfAnotherRecordVersion(t *testing.T) {
	ca := newTestCA(t)
	for _, minor := range []byte{0x00, 0xff} {
		l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: ca.server})
		n := newNAT(t, l)
		n.rewrite(func(b []byte) {
			if record(b).message() == messageClientHello {
				b[2] = minor
			}
		})
		dialed := dialing(t, n.url, DialConfig{TLS: ca.client})
		srv := next(t, conns)
		if err := srv.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := dialed()
		send(t, client, "x")
		if got := receive(t, srv); got != "x" {
			t.Errorf("%q", got)
		}
	}
}

// Replies to lost datagrams have numbers that the client has not seen: OpenSSL drops
// others as repeated.
func TestOpenSSLClientWhoseFirstAnswerIsLost(t *testing.T) {
	l, conns := packetServer(t, "exproto+dtls://127.0.0.1:0", ListenConfig{TLS: &ServerTLS{PSKFile: pskFile(t, "device-1:"+testPSK)}})
	n := newNAT(t, l)
	var lost atomic.Int32
	n.filter(func([]byte) bool { return lost.Add(1) > 2 })
	in, _ := openssl(t, "s_client", "-dtls1_2", "-connect", strings.TrimPrefix(n.url, "exproto+dtls://"), "-quiet", "-psk", testPSK, "-psk_identity", "device-1")
	srv := next(t, conns)
	if err := srv.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(t, in, "through\n")
	if got := receive(t, srv); got != "through\n" {
		t.Errorf("%q", got)
	}
}

func FuzzClientHello(f *testing.F) {
	f.Add(clientHello(randomBytes(32), 0, nil))
	f.Add(clientHello(randomBytes(32), 1, randomBytes(cookieBytes)))
	f.Add([]byte("\x16\xfe\xfd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, ok := parseHello(b)
		if !ok {
			return
		}
		first, again := parseHello(h.first())
		if !again || len(first.cookie) > 0 || first.number != 0 || !bytes.Equal(first.random, h.random) || !bytes.Equal(first.rest, h.rest) {
			t.Errorf("%x becomes %x", b, h.first())
		}
		if answer := h.challenge(cookie{}); len(answer) != helloVerifyBytes || len(answer) > len(b) {
			t.Errorf("%d bytes for %d", len(answer), len(b))
		}
		_ = h.wantsID(certificateSuites())
		renumber(slices.Clone(b), 1)
		if !bytes.Equal(b, before) {
			t.Error("the datagram has changed")
		}
	})
}
