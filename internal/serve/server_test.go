package serve_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listeners(urls ...string) func(*serve.Config) {
	return func(c *serve.Config) {
		c.Listeners = nil
		for _, u := range urls {
			c.Listeners = append(c.Listeners, serve.Listener{URL: u})
		}
	}
}

func TestStartServesUntilClosed(t *testing.T) {
	s := servetest.Start(t, nil)
	url := s.URLs()[0]
	if !strings.HasPrefix(url, "mqtt://127.0.0.1:") || strings.HasSuffix(url, ":0") {
		t.Fatalf("URL %q, want the real port", url)
	}
	c := mustConnect(t, url, "", nil)
	c.ping()
	c.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(url, "mqtt://")); err == nil {
		c.Close()
		t.Error("the port is still open after Close")
	}
}

func TestTheEndOfTheContextEndsTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := serve.Start(ctx, serve.Config{Builtin: servetest.Builtin(), Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	c := mustConnect(t, s.URLs()[0], "", nil)
	cancel()
	if code := c.farewell(); code != mqtt.ServerShuttingDown {
		t.Errorf("farewell %v", code)
	}
	c.Close()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestDrainTellsClientsAndRefusesNewOnes(t *testing.T) {
	s := servetest.Start(t, listeners("mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0"))
	a, b := mustConnect(t, s.URLs()[0], "", nil), mustConnect(t, s.URLs()[1], "", nil)
	s.Stop()
	for _, c := range []*client{a, b} {
		if code := c.farewell(); code != mqtt.ServerShuttingDown {
			t.Errorf("farewell %v, want %v", code, mqtt.ServerShuttingDown)
		}
		c.Close()
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := s.Reload(t.Context(), serve.Config{Builtin: servetest.Builtin()}); !errors.Is(err, serve.ErrEnded) {
		t.Errorf("reload after the end: %v", err)
	}
}

func TestDrainTimeoutAbandonsClients(t *testing.T) {
	s, err := serve.Start(t.Context(), serve.Config{
		Builtin: servetest.Builtin(), DrainTimeout: time.Millisecond,
		Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := mustConnect(t, s.URLs()[0], "", nil) // and never closes
	if err := s.Close(); !errors.Is(err, serve.ErrDrain) {
		t.Errorf("%v, want %v", err, serve.ErrDrain)
	}
	c.Close()
}

func TestAPortInUseOpensNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket := filepath.Join(t.TempDir(), "s")
	c := serve.Config{Builtin: servetest.Builtin()}
	listeners("unix://"+socket, "mqtt://"+taken.Addr().String())(&c)
	if _, err = serve.Start(t.Context(), c); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("%v, want EADDRINUSE", err)
	}
	if c, err := net.Dial("unix", socket); err == nil {
		c.Close()
		t.Error("the other listener is open")
	}
}

func TestEveryTransportTellsItsURL(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost"))
	socket := filepath.Join(t.TempDir(), "s")
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtt://localhost:0", "mqtts://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0/x", "unix://"+socket)(c)
		c.Listeners[0].Name = "first"
		c.Listeners[1].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key}
		c.Listeners[3].TLS = c.Listeners[1].TLS
	})
	var kinds []string
	for _, p := range s.Ports() {
		kinds = append(kinds, p.Transport)
		scheme, rest, _ := strings.Cut(p.URL, "://")
		if p.Transport == "unix" {
			if p.URL != "unix://"+socket || p.Address != socket {
				t.Errorf("%+v", p)
			}
			continue
		}
		_, port, _ := net.SplitHostPort(p.Address)
		if port == "0" || !strings.Contains(rest, ":"+port) || p.Protocol != "mqtt" || len(p.Auth) != 1 || p.Auth[0] != "anonymous" {
			t.Errorf("%s: %+v", scheme, p)
		}
	}
	if got := strings.Join(kinds, " "); got != "tcp tls ws wss unix" {
		t.Errorf("transports %q", got)
	}
	if s.Ports()[0].Name != "first" || s.Ports()[1].Name != s.URLs()[1] {
		t.Errorf("names %q, %q", s.Ports()[0].Name, s.Ports()[1].Name)
	}
	mustConnect(t, s.URLs()[0], "", nil).ping()
	mustConnect(t, s.URLs()[4], "", nil).ping()
}

func TestURLOfAnOpenListenerCanBeDialed(t *testing.T) {
	yes := true
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtt://0.0.0.0:0", "mqtt://:0")(c)
		c.AllowAnonymous = &yes
	})
	for _, u := range s.URLs() {
		if !strings.HasPrefix(u, "mqtt://127.0.0.1:") {
			t.Errorf("URL %q", u)
		}
		mustConnect(t, u, "", nil).ping()
	}
}
