package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

func TestBothWaysOverEveryTransport(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		client, srv := pair(t, l, cfg)
		for _, way := range []struct{ from, to Conn }{{client, srv}, {srv, client}} {
			sent := make([]byte, 1<<20)
			for i := range sent {
				sent[i] = byte(i * 7 >> 3)
			}
			go func() {
				for rest, size := sent, 1; len(rest) > 0; size = size*3 + 1 { // frames of every length encoding
					n := min(size, len(rest))
					if _, err := way.from.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			}()
			var got []byte
			for len(got) < len(sent) {
				b, n, err := way.to.ReadWith(func() []byte { return make([]byte, 5000) })
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					t.Fatal("0 bytes without an error")
				}
				got = append(got, b[:n]...)
			}
			if !bytes.Equal(got, sent) {
				t.Fatal("the bytes differ")
			}
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the peer's CloseWrite: %v", err)
		}
	})
}

func TestInfo(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		client, srv := pair(t, l, cfg)
		i, s := srv.Info(), l.Scheme()
		if i.Listener != "under test" || i.Scheme != s.Name || i.Protocol != "mqtt" {
			t.Errorf("info %+v", i)
		}
		if (i.TLS != nil) != s.TLS {
			t.Errorf("TLS %v", i.TLS)
		}
		if want := ""; s.WebSocket {
			if want = "mqtt"; i.Subprotocol != want || client.Info().Subprotocol != want {
				t.Errorf("subprotocols %q, %q", i.Subprotocol, client.Info().Subprotocol)
			}
		}
		if s.Network == "tcp" && i.Peer() != client.LocalAddr().String() {
			t.Errorf("peer %s, want %s", i.Peer(), client.LocalAddr())
		}
		if s.Network == "unix" && i.Peer() != "unix" {
			t.Errorf("peer %s", i.Peer())
		}
	})
}

func TestReadWithHoldsNoBufferWhileIdle(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		client, srv := pair(t, l, cfg)
		var borrowed atomic.Int32
		borrow := func() []byte { borrowed.Add(1); return make([]byte, 64) }
		type result struct {
			s   string
			err error
		}
		ch := make(chan result)
		go func() {
			for range 3 {
				b, n, err := srv.ReadWith(borrow)
				ch <- result{string(b[:n]), err}
			}
		}()
		for i := range int32(2) {
			time.Sleep(20 * time.Millisecond) // nothing to wait for: it is about what does not happen
			if n := borrowed.Load(); n != i {
				t.Fatalf("%d buffers borrowed after %d messages", n, i)
			}
			if _, err := client.Write([]byte("ab")); err != nil {
				t.Fatal(err)
			}
			if r := <-ch; r.s != "ab" || r.err != nil {
				t.Fatal(r)
			}
		}
		_ = client.CloseWrite()
		if r := <-ch; r.err != io.EOF {
			t.Fatal(r)
		}
	})
}

func TestLastBytesArriveBeforeTheEnd(t *testing.T) {
	run := func(t *testing.T, l Listener, cfg DialConfig) {
		for _, last := range []string{"x", "last words"} {
			client, srv := pair(t, l, cfg)
			if _, err := client.Write([]byte(last)); err != nil {
				t.Fatal(err)
			}
			if err := client.CloseWrite(); err != nil { // both wait together before anybody reads
				t.Fatal(err)
			}
			b, n, err := srv.ReadWith(func() []byte { return make([]byte, 64) })
			if string(b[:n]) != last || err != nil {
				t.Fatalf("%q, %v", b[:n], err)
			}
			for range 2 {
				if _, n, err := srv.ReadWith(func() []byte { return make([]byte, 64) }); n != 0 || err != io.EOF {
					t.Fatalf("after the last bytes: %d, %v", n, err)
				}
			}
		}
	}
	everyScheme(t, run)
	t.Run("TLS 1.2", func(t *testing.T) { // where crypto/tls returns the bytes and the end together
		ca := newTestCA(t)
		ca.server.MaxVersion = tls.VersionTLS12
		run(t, server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: ca.server}), DialConfig{TLS: ca.client})
	})
}

func TestReadWithFullBuffersThenIdle(t *testing.T) {
	client, srv := pair(t, server(t, "mqtt://127.0.0.1:0", ListenConfig{}), DialConfig{})
	_, _ = client.Write([]byte("abcdef"))
	var got []byte
	small := make([]byte, 3)
	for len(got) < 6 {
		b, n, err := srv.ReadWith(func() []byte { return small })
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	_ = srv.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, n, err := srv.ReadWith(func() []byte { return small }); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	_ = srv.SetReadDeadline(deadline())
	_, _ = client.Write([]byte("x"))
	if b, n, err := srv.ReadWith(func() []byte { return small }); err != nil || string(b[:n]) != "x" {
		t.Fatalf("after the deadline: %q, %v", b[:n], err)
	}
}

func TestReadsEndWithDeadlineAndClose(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		client, srv := pair(t, l, cfg)
		_ = srv.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, _, err := srv.ReadWith(func() []byte { return make([]byte, 10) }); !isTimeout(err) {
			t.Fatalf("deadline: %v", err)
		}
		_ = srv.SetReadDeadline(time.Time{})
		if _, err := client.Write([]byte("more")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		if _, err := io.ReadFull(srv, b); err != nil || string(b) != "more" {
			t.Fatalf("after the deadline was moved: %q, %v", b, err)
		}
		ended := make(chan error)
		go func() {
			_, _, err := srv.ReadWith(func() []byte { return make([]byte, 10) })
			ended <- err
		}()
		time.Sleep(10 * time.Millisecond)
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Fatal("a read goes on after Close")
		}
		if err := srv.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestTryWriteTakesWhatFits(t *testing.T) {
	for _, scheme := range []string{"mqtt", "ws", "unix"} {
		t.Run(scheme, func(t *testing.T) {
			url := scheme + "://127.0.0.1:0"
			if scheme == "unix" {
				url = "unix://" + t.TempDir() + "/s"
			}
			client, srv := pair(t, server(t, url, ListenConfig{WriteBufferBytes: 64 << 10}), DialConfig{})
			sent := make([]byte, 4<<20)
			for i := range sent {
				sent[i] = byte(i ^ i>>9)
			}
			done := 0
			for idle := 0; idle < 3; {
				n, err := srv.TryWrite(sent[done:])
				if err != nil {
					t.Fatal(err)
				}
				if done += n; n == 0 {
					idle++
				}
			}
			if done == 0 || done == len(sent) {
				t.Fatalf("took %d of %d bytes", done, len(sent))
			}
			got := make(chan []byte)
			go func() {
				b := make([]byte, len(sent))
				n, _ := io.ReadFull(client, b)
				got <- b[:n]
			}()
			// The rest in turns of both kinds, as a broker would.
			for turn := 0; done < len(sent); turn++ {
				var n int
				var err error
				if end := min(len(sent), done+100_000); turn%2 == 0 {
					n, err = srv.Write(sent[done:end])
				} else {
					n, err = srv.TryWrite(sent[done:end])
				}
				if err != nil {
					t.Fatal(err)
				}
				done += n
			}
			if !bytes.Equal(<-got, sent) {
				t.Fatal("the bytes differ")
			}
		})
	}
}

func TestTryWriteTakesNothingWhereItCannotKnow(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		client, srv := pair(t, l, cfg)
		for _, c := range []Conn{client, srv} {
			n, err := c.TryWrite([]byte("abc"))
			s := l.Scheme()
			knows := !s.TLS && (!s.WebSocket || c == srv)
			if err != nil || (n == 3) != knows {
				t.Errorf("took %d, %v; knows: %v", n, err, knows)
			}
		}
	})
}

func TestRawReadAndWriteDoNotAllocate(t *testing.T) {
	client, srv := pair(t, server(t, "mqtt://127.0.0.1:0", ListenConfig{}), DialConfig{})
	buf, msg := make([]byte, 64), []byte("0123456789")
	borrow := func() []byte { return buf }
	if got := testing.AllocsPerRun(200, func() {
		if n, err := client.TryWrite(msg); n != len(msg) || err != nil {
			t.Fatal(n, err)
		}
		if _, _, err := srv.ReadWith(borrow); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("%v allocations per message", got)
	}
}

func TestLastPacketArrivesDespiteUnreadInput(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		client, srv := pair(t, l, cfg)
		if _, err := client.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Write([]byte("goodbye")); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- closeGracefully(srv, limit, "kicked") }()
		b, err := io.ReadAll(client)
		if string(b) != "goodbye" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		_ = client.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := l.Counters().Closed["kicked"]; n != 1 {
			t.Errorf("closed{kicked} = %d", n)
		}
	})
}

func TestGracefulCloseEndsWithoutThePeer(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		_, srv := pair(t, l, cfg)
		begin := time.Now()
		_ = closeGracefully(srv, 30*time.Millisecond, "kicked")
		if d := time.Since(begin); d > limit/2 {
			t.Errorf("took %s", d)
		}
	})
}

func TestCloseDoesNotWaitForAPeerThatDoesNotRead(t *testing.T) {
	everyScheme(t, func(t *testing.T, l Listener, cfg DialConfig) {
		_, srv := pair(t, l, cfg)
		_ = srv.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			if _, err := srv.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		begin := time.Now()
		_ = srv.Close()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("took %s", d)
		}
	})
}

func TestHandshakeIsCancelled(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{})
	_ = rawDial(t, l)
	srv := accepted(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Handshake(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := srv.Read(make([]byte, 1)); err == nil {
		t.Error("a read works after the handshake failed")
	}
}

func TestHandshakeTimeout(t *testing.T) {
	ca := newTestCA(t)
	for _, scheme := range []string{"ws", "mqtts", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			l := server(t, scheme+"://127.0.0.1:0", ListenConfig{HandshakeTimeout: 20 * time.Millisecond, TLS: ca.server})
			c := rawDial(t, l)
			srv := accepted(t, l)
			if e := asError(t, srv.Handshake(t.Context())); !e.Timeout {
				t.Errorf("%v", e)
			}
			closedByPeer(t, c)
			if n := l.Counters(); n.Closed[ClosedTimeout] != 1 || n.Handshaking != 0 || n.Open != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// The deadline for a protocol's first packet is set before the handshake and
// covers it.
func TestDeadlineCoversHandshakeAndSurvivesIt(t *testing.T) {
	l := server(t, "ws://127.0.0.1:0", ListenConfig{})
	_ = rawDial(t, l)
	srv := accepted(t, l)
	_ = srv.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if e := asError(t, srv.Handshake(t.Context())); !e.Timeout {
		t.Errorf("%v", e)
	}

	dialed := make(chan Conn)
	go func() {
		c, _ := Dial(context.Background(), l.URL(), DialConfig{})
		dialed <- c
	}()
	srv = accepted(t, l)
	_ = srv.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	err := srv.Handshake(t.Context())
	if c := <-dialed; c != nil {
		defer c.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("%v", err)
	}
}
