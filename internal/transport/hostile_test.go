package transport

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serving accepts until the listener closes and echoes whatever passes the
// handshake, as a gateway would.
func serving(t *testing.T, l Listener) {
	t.Helper()
	var conns sync.WaitGroup
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if c.Handshake(context.Background()) == nil {
					_, _ = io.Copy(c, c)
				}
			})
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
		conns.Wait()
	})
}

// stillServes is the control client.
func stillServes(t *testing.T, l Listener, cfg DialConfig) {
	t.Helper()
	c, err := Dial(t.Context(), l.URL(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(deadline())
	b := []byte("still there?")
	_, _ = c.Write(b)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "still there?" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestItem14HandshakesNeverFinished(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{
		TLS: ca.server, MaxHandshakes: 20, MaxConnRate: -1, HandshakeTimeout: 500 * time.Millisecond,
	})
	serving(t, l)
	var open []net.Conn
	for range 200 {
		c := rawDial(t, l)
		_, _ = c.Write([]byte{0x16, 3, 1}) // the beginning of a hello
		open = append(open, c)
	}
	for _, c := range open {
		closedByPeer(t, c)
	}
	n := l.Counters()
	if n.Refused[RefusedHandshakes] == 0 || n.Refused[RefusedHandshakes]+n.Accepted != 200 {
		t.Errorf("%+v", n)
	}
	eventually(t, "every connection is gone", func() bool { n := l.Counters(); return n.Open == 0 && n.Handshaking == 0 })
	if n := l.Counters(); n.Closed[ClosedTimeout] != n.Accepted {
		t.Errorf("%+v", n)
	}
	stillServes(t, l, DialConfig{TLS: ca.client})
}

func TestItem15HostileHellos(t *testing.T) {
	ca := newTestCA(t)
	l := server(t, "mqtts://127.0.0.1:0", ListenConfig{TLS: ca.server})
	serving(t, l)
	for name, sent := range map[string]string{
		"16 KB of garbage":          strings.Repeat("\xde\xad", 8<<10),
		"16 KB of hello in garbage": "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + strings.Repeat("\xde\xad", 8<<10),
		"SSL 3":                     "\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + strings.Repeat("\x00", 41),
		"SSL 2":                     "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x00", 37),
		"record of 65,535 bytes":    "\x16\x03\x01\xff\xff" + strings.Repeat("\x01", 100),
		"application data first":    "\x17\x03\x03\x00\x05hello",
		"hello of 16 MB announced":  "\x16\x03\x01\x00\x10\x01\xff\xff\xff" + strings.Repeat("\x00", 12),
	} {
		t.Run(name, func(t *testing.T) {
			c := rawDial(t, l)
			_, _ = io.WriteString(c, sent)
			closedByPeer(t, c)
		})
	}
	stillServes(t, l, DialConfig{TLS: ca.client})
}

func TestItem91FloodOfEmptyFramesEndsWithTheDeadline(t *testing.T) {
	client, srv, _ := upgraded(t)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		flood := []byte(strings.Repeat("\x82\x80\x00\x00\x00\x00", 1000))
		for {
			if _, err := client.Write(flood); err != nil {
				return
			}
		}
	}()
	_ = srv.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, _, err := srv.ReadWith(func() []byte { return make([]byte, 4096) }); !isTimeout(err) {
		t.Errorf("%v", err)
	}
	_ = srv.Close()
	<-stop
}
