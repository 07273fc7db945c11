package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// packetSchemes is a table as gateways have it.
func packetSchemes() []Scheme {
	return []Scheme{
		{Name: "frame+udp", Protocol: "frame", Network: "udp", Port: 7000},
		{Name: "exproto+udp", Protocol: "exproto", Network: "udp", Port: 7993},
		{Name: "exproto+dtls", Protocol: "exproto", Network: "udp", Port: 7994, TLS: true},
	}
}

// packetServer is a datagram listener whose new peers come out of the channel.
func packetServer(t testing.TB, url string, cfg ListenConfig) (Listener, <-chan Conn) {
	t.Helper()
	cfg.Schemes = packetSchemes()
	l := server(t, url, cfg)
	return l, accepting(t, l)
}

// accepting calls Accept until the listener closes, as a gateway does.
func accepting(t testing.TB, l Listener) <-chan Conn {
	conns := make(chan Conn, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(conns)
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			_ = c.SetDeadline(deadline())
			conns <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
		for c := range conns {
			_ = c.Close()
		}
	})
	return conns
}

func next(t testing.TB, conns <-chan Conn) Conn {
	t.Helper()
	select {
	case c, ok := <-conns:
		if !ok {
			t.Fatal("the listener has closed")
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	case <-time.After(limit):
		t.Fatal("no connection arrived")
		return nil
	}
}

func packetDial(t testing.TB, l Listener, cfg DialConfig) Conn {
	t.Helper()
	cfg.Schemes = packetSchemes()
	c, err := Dial(t.Context(), l.URL(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(deadline())
	return c
}

func send(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(c, s); err != nil || n != len(s) {
		t.Fatalf("write %d bytes: %d, %v", len(s), n, err)
	}
}

// receive reads one datagram.
func receive(t testing.TB, c io.Reader) string {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestParseSchemesWithPlus(t *testing.T) {
	for url, want := range map[string]string{
		"frame+udp://":               ":7000",
		"frame+udp://127.0.0.1:9":    "127.0.0.1:9",
		"exproto+dtls://[::1]":       "[::1]:7994",
		"EXPROTO+UDP://host.example": "host.example:7993",
	} {
		e, err := Parse(url, packetSchemes())
		if err != nil || e.Address() != want {
			t.Errorf("%s: %s, %v", url, e.Address(), err)
			continue
		}
		if again, err := Parse(e.String(), packetSchemes()); err != nil || again.Address() != want {
			t.Errorf("%s: its String %s is %s, %v", url, e, again.Address(), err)
		}
	}
}

func TestDatagramsOfTwoPeersInterleaved(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{Name: "under test", Acceptors: 7})
	if n := l.Config().Acceptors; n != 1 {
		t.Errorf("%d acceptors", n)
	}
	a, b := packetDial(t, l, DialConfig{}), packetDial(t, l, DialConfig{})
	send(t, a, "a1")
	srvA := next(t, conns)
	send(t, b, "b1")
	srvB := next(t, conns)
	for _, s := range []string{"a2", "a3"} {
		send(t, a, s)
		send(t, b, strings.Replace(s, "a", "b", 1))
	}
	for _, n := range []string{"1", "2", "3"} {
		if got := receive(t, srvA); got != "a"+n {
			t.Errorf("a: %q", got)
		}
		if got := receive(t, srvB); got != "b"+n {
			t.Errorf("b: %q", got)
		}
	}
	send(t, srvB, "to b")
	if n, err := srvA.TryWrite([]byte("to a")); n != 4 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got := receive(t, a); got != "to a" {
		t.Errorf("a got %q", got)
	}
	buf := make([]byte, 100)
	if _, n, err := b.ReadWith(func() []byte { return buf }); err != nil || string(buf[:n]) != "to b" {
		t.Errorf("b got %q, %v", buf[:n], err)
	}
	i := srvA.Info()
	if i.Remote.String() != a.LocalAddr().String() || i.Listener != "under test" || i.Scheme != "frame+udp" || i.Protocol != "frame" || !i.Datagrams || i.TLS != nil {
		t.Errorf("%+v", i)
	}
	if i := a.Info(); !i.Datagrams || i.Remote.String() != l.Addr().String() {
		t.Errorf("%+v", i)
	}
	if srvA.LocalAddr().String() != l.Addr().String() || srvA.RemoteAddr().String() != a.LocalAddr().String() {
		t.Errorf("%s, %s", srvA.LocalAddr(), srvA.RemoteAddr())
	}
	_, _ = srvA.CloseReason("done"), srvB.CloseReason("done")
	want := ListenerCounters{Accepted: 2, Closed: map[string]uint64{"done": 2}}
	if d := cmp.Diff(want, l.Counters()); d != "" {
		t.Error(d)
	}
}

func TestDatagramsOverBothFamilies(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://:0", ListenConfig{})
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), port)))
		if err != nil {
			t.Skipf("%s: %v", host, err)
		}
		defer c.Close()
		_ = c.SetDeadline(deadline())
		send(t, c, "hello")
		srv := next(t, conns)
		if got := srv.Info().Remote.Addr().String(); got != host {
			t.Errorf("%s is %s", host, got)
		}
		if n, err := srv.TryWrite([]byte("tried")); n == 0 && err == nil {
			t.Log("not taken")
		} else if err != nil {
			t.Error(err)
		} else if got := receive(t, c); got != "tried" {
			t.Errorf("%s: %q", host, got)
		}
		send(t, srv, "written")
		if got := receive(t, c); got != "written" {
			t.Errorf("%s: %q", host, got)
		}
	}
}

func TestDatagramSizes(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	most := strings.Repeat("x", 65_507)
	send(t, client, most)
	srv := next(t, conns)
	for _, dir := range []struct {
		name     string
		from, to Conn
	}{{"to the server", client, srv}, {"to the client", srv, client}} {
		t.Run(dir.name, func(t *testing.T) {
			if dir.to == srv {
				if got := receive(t, srv); got != most {
					t.Errorf("%d bytes", len(got))
				}
			}
			if _, err := dir.from.Write(make([]byte, 65_508)); !errors.Is(err, ErrTooLong) {
				t.Errorf("a datagram that is too long: %v", err)
			}
			if n, err := dir.from.TryWrite(make([]byte, 65_508)); n > 0 || !errors.Is(err, ErrTooLong) {
				t.Errorf("a datagram that is too long: %d, %v", n, err)
			}
			send(t, dir.from, "ten bytes.")
			send(t, dir.from, "ten bytes!")
			send(t, dir.from, "")
			send(t, dir.from, "nine byte")
			short := make([]byte, 9)
			if n, err := dir.to.Read(short); n != 0 || err != io.ErrShortBuffer {
				t.Errorf("read: %d, %v", n, err)
			}
			if b, n, err := dir.to.ReadWith(func() []byte { return short }); n != 0 || err != io.ErrShortBuffer || b == nil {
				t.Errorf("ReadWith: %d, %v", n, err)
			}
			if n, err := dir.to.Read(short); err != nil || string(short[:n]) != "nine byte" {
				t.Errorf("read: %q, %v", short[:n], err)
			}
		})
	}
	if d := cmp.Diff(map[string]uint64{DroppedLong: 2, DroppedEmpty: 1, DroppedSize: 2}, l.Counters().Dropped); d != "" {
		t.Error(d)
	}
}

func TestClosedPeerReturnsAsNewConnection(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{MaxConnections: 1, MaxPerSource: 1})
	client := packetDial(t, l, DialConfig{})
	for _, s := range []string{"first", "second", "third"} {
		send(t, client, s)
		srv := next(t, conns)
		if got := receive(t, srv); got != s {
			t.Errorf("%q, want %q", got, s)
		}
		read := make(chan error)
		go func() {
			_, err := srv.Read(make([]byte, 9))
			read <- err
		}()
		_ = srv.CloseReason("done")
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read under way: %v", err)
		}
		if _, err := srv.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if _, err := srv.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("TryWrite: %v", err)
		}
	}
	want := ListenerCounters{Accepted: 3, Closed: map[string]uint64{"done": 3}}
	if d := cmp.Diff(want, l.Counters()); d != "" {
		t.Error(d)
	}
}

func TestClosedListenerEndsItsPeers(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "queued")
	srv := next(t, conns)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, srv); got != "queued" {
		t.Errorf("%q", got)
	}
	if _, err := srv.Read(make([]byte, 9)); err != ErrListenerClosed || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	send(t, srv, "goodbye")
	if got := receive(t, client); got != "goodbye" {
		t.Errorf("%q", got)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	again, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = again.Close()
}

func TestSocketOutlivesItsListenerBriefly(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	_ = l.Close()
	eventually(t, "the port is free", func() bool {
		again, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			_ = again.Close()
		}
		return err == nil
	})
	if _, err := srv.Write([]byte("too late")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if n, err := srv.TryWrite([]byte("too late")); n > 0 || !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadUnderWayEndsWithItsListener(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	receive(t, srv)
	read := make(chan error)
	go func() {
		_, _, err := srv.ReadWith(func() []byte { t.Error("borrowed for nothing"); return nil })
		read <- err
	}()
	_ = l.Close()
	if err := <-read; err != ErrListenerClosed {
		t.Error(err)
	}
}

func TestCloseWriteEndsReadsOfDatagrams(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	for _, c := range []Conn{srv, client} {
		if err := closeGracefully(c, limit, "done"); err != nil {
			t.Error(err)
		}
	}
}

func TestDatagramDeadlines(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	send(t, srv, "y")
	for name, c := range map[string]Conn{"accepted": srv, "dialed": client} {
		receive(t, c)
		for _, d := range []time.Duration{time.Millisecond, 0, -time.Hour} {
			_ = c.SetReadDeadline(time.Now().Add(d))
			if _, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %v: %v", name, d, err)
			}
		}
		// A deadline that is set while a read waits counts.
		_ = c.SetReadDeadline(time.Time{})
		read := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 9))
			read <- err
		}()
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, moved: %v", name, err)
		}
		_ = c.SetWriteDeadline(time.Unix(1, 0))
		if _, err := c.Write([]byte("z")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, write: %v", name, err)
		}
		_ = c.SetDeadline(deadline())
	}
	send(t, client, "late")
	if got := receive(t, srv); got != "late" {
		t.Errorf("%q after a deadline", got)
	}
}

// A deadline that moves on is kept, whatever the timer of the first one says.
func TestDeadlineOfDatagramsMoves(t *testing.T) {
	l, conns := packetServer(t, "frame+udp://127.0.0.1:0", ListenConfig{})
	client := packetDial(t, l, DialConfig{})
	send(t, client, "x")
	srv := next(t, conns)
	receive(t, srv)
	begin := time.Now()
	_ = srv.SetReadDeadline(begin.Add(time.Millisecond))
	_ = srv.SetReadDeadline(begin.Add(50 * time.Millisecond))
	if _, err := srv.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}
