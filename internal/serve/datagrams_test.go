package serve_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// datagramEcho is a gateway for datagrams. It keeps its connections until released
// is closed.
type datagramEcho struct{ released <-chan struct{} }

func (g datagramEcho) Serve(ctx context.Context, l transport.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		wg.Go(func() {
			defer c.Close()
			b := make([]byte, 100)
			for {
				n, err := c.Read(b)
				if err != nil {
					break
				}
				_, _ = c.Write(b[:n])
			}
			<-g.released
		})
	}
}

func echoSchemes() []transport.Scheme {
	return []transport.Scheme{
		{Name: "echo+udp", Protocol: "echo", Network: "udp"},
		{Name: "echo+dtls", Protocol: "echo", Network: "udp", TLS: true},
	}
}

// withEcho adds the gateway and listeners on the URLs. It returns what releases
// its connections.
func withEcho(released <-chan struct{}, urls ...string) func(*serve.Config) {
	return func(c *serve.Config) {
		c.Builtin = servetest.Builtin()
		c.Builtin.Gateways = append(c.Builtin.Gateways, serve.NewGateway("echo", echoSchemes(),
			func(serve.Environment, struct{}) (gateway.Gateway, error) { return datagramEcho{released}, nil }))
		listeners(urls...)(c)
	}
}

func echoed(t *testing.T, url string, tls *transport.ClientTLS) {
	t.Helper()
	c, err := transport.Dial(t.Context(), url, transport.DialConfig{Schemes: echoSchemes(), TLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = c.Write([]byte("hello"))
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("%s: %q, %v", url, b[:n], err)
	}
}

func TestPortsOfDatagramListeners(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "127.0.0.1"))
	released := make(chan struct{})
	s := servetest.Start(t, func(c *serve.Config) {
		withEcho(released, "echo+udp://:0", "echo+dtls://127.0.0.1:0")(c)
		yes := true
		c.AllowAnonymous = &yes
		c.Listeners[1].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key}
	})
	defer close(released)
	var got []string
	for _, p := range s.Ports() {
		got = append(got, p.Protocol+" "+p.Transport)
	}
	if d := cmp.Diff([]string{"echo udp", "echo dtls"}, got); d != "" {
		t.Error(d)
	}
	for _, url := range s.URLs() { // that of all addresses, too
		echoed(t, url, &transport.ClientTLS{RootCAs: ca.Pool()})
	}
}

func TestExposedDatagramListener(t *testing.T) {
	for url, want := range map[string]bool{
		"echo+udp://127.0.0.1:0": false, "echo+udp://[::1]:0": false, "echo+udp://:0": true, "echo+udp://0.0.0.0:0": true,
	} {
		var c serve.Config
		withEcho(nil, url)(&c)
		exposed := (*serve.ExposedError)(nil)
		if err := c.Check(); errors.As(err, &exposed) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
	var c serve.Config
	withEcho(nil, "echo+udp://127.0.0.1:0")(&c)
	c.Listeners[0].Proxies = []string{"127.0.0.1"}
	if err := c.Check(); err == nil {
		t.Error("PROXY headers on UDP are accepted")
	}
	c.Listeners[0] = serve.Listener{URL: "echo+dtls://127.0.0.1:0", ListenConfig: transport.ListenConfig{
		TLS: &transport.ServerTLS{CertFile: filepath.Join(t.TempDir(), "none"), KeyFile: "none"},
	}}
	if err := c.Check(); err == nil {
		t.Error("a certificate that is not there is accepted")
	}
}

// A listener that has a new name takes over the address, although peers of the
// old one still hold its socket.
func TestReloadRenamesADatagramListener(t *testing.T) {
	released := make(chan struct{})
	s := servetest.Start(t, withEcho(released, "echo+udp://127.0.0.1:0"))
	defer close(released)
	url := s.URLs()[0]
	echoed(t, url, nil)
	var c serve.Config
	withEcho(released, url)(&c)
	c.Listeners[0].Name = "renamed"
	if _, err := s.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := s.Ports()[0]; got.Name != "renamed" || got.URL != url {
		t.Errorf("%+v", got)
	}
	echoed(t, url, nil)
}
