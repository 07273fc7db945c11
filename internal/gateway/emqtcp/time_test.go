package emqtcp_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// inBubble runs a device's life in fake time. ended is when the server has
// closed its side.
func inBubble(t *testing.T, c emqtcp.Config, life func(t *testing.T, nc net.Conn, ended func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		inner := transporttest.NewPipeListener()
		l, err := transport.NewListener(inner, "emqtcp://127.0.0.1:0", transport.ListenConfig{Schemes: transport.EMQTCPSchemes()})
		if err != nil {
			t.Fatal(err)
		}
		s := serveOn(t, c, broker.Config{}, l)
		defer s.stop()
		nc, err := inner.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		began := time.Now()
		life(t, nc, func() time.Duration {
			if b, err := io.ReadAll(nc); err != nil && !errors.Is(err, io.ErrClosedPipe) || len(b) > 0 {
				t.Errorf("%x, %v", b, err)
			}
			return time.Since(began)
		})
	})
}

// logIn reads the answer, too.
func logIn(t *testing.T, nc net.Conn, keepAlive byte) {
	t.Helper()
	swap(t, nc, connectAs("dev", keepAlive), unhex(t, accepted))
}

// swap sends and waits for the answer.
func swap(t *testing.T, nc net.Conn, send, want []byte) {
	t.Helper()
	if _, err := nc.Write(send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x, %v", got, err)
	}
}

func TestNoConnectInTime(t *testing.T) {
	for _, sent := range []string{"", "11", "11 0007 3c"} {
		inBubble(t, emqtcp.Config{}, func(t *testing.T, nc net.Conn, ended func() time.Duration) {
			if sent != "" {
				time.Sleep(10 * time.Second) // a part of it gains nothing
				_, _ = nc.Write(unhex(t, sent))
			}
			if took := ended(); took != 15*time.Second {
				t.Errorf("%q: ended after %v", sent, took)
			}
		})
	}
}

// Test 10.
func TestKeepAlive(t *testing.T) {
	t.Run("expires after one and a half", func(t *testing.T) {
		inBubble(t, emqtcp.Config{}, func(t *testing.T, nc net.Conn, ended func() time.Duration) {
			logIn(t, nc, 1)
			if took := ended(); took != 1500*time.Millisecond {
				t.Errorf("ended after %v", took)
			}
		})
	})
	t.Run("lives by PING and by data", func(t *testing.T) {
		inBubble(t, emqtcp.Config{}, func(t *testing.T, nc net.Conn, ended func() time.Duration) {
			logIn(t, nc, 1)
			for range 20 {
				time.Sleep(500 * time.Millisecond)
				swap(t, nc, []byte{0x40}, []byte{0x50})
			}
			time.Sleep(1400 * time.Millisecond)
			if _, err := nc.Write(data("x")); err != nil {
				t.Fatal(err)
			}
			if took := ended(); took != 10*time.Second+1400*time.Millisecond+1500*time.Millisecond {
				t.Errorf("ended after %v", took)
			}
		})
	})
	t.Run("a part of a frame does not count", func(t *testing.T) {
		inBubble(t, emqtcp.Config{}, func(t *testing.T, nc net.Conn, ended func() time.Duration) {
			logIn(t, nc, 2)
			for _, b := range []byte{0x30, 0, 9} {
				time.Sleep(900 * time.Millisecond)
				if _, err := nc.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			if took := ended(); took != 3*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	})
	t.Run("another factor", func(t *testing.T) {
		inBubble(t, emqtcp.Config{KeepaliveFactor: 3}, func(t *testing.T, nc net.Conn, ended func() time.Duration) {
			logIn(t, nc, 255)
			if took := ended(); took != 765*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	})
	t.Run("none", func(t *testing.T) {
		inBubble(t, emqtcp.Config{}, func(t *testing.T, nc net.Conn, _ func() time.Duration) {
			logIn(t, nc, 0)
			time.Sleep(48 * time.Hour)
			swap(t, nc, []byte{0x40}, []byte{0x50})
		})
	})
}
