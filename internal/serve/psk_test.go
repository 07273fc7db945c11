package serve_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/psk"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// whoAmI is a gateway that tells each client, at each datagram, who it is. The
// datagram is the user name that the client presents.
type whoAmI struct{ a auth.Authenticator }

func (g whoAmI) Serve(ctx context.Context, l transport.Listener) error {
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
					return
				}
				i := c.Info()
				id, v, err := g.a.Authenticate(ctx, auth.Credentials{
					HasUsername: string(b[:n]) != "-", Username: string(b[:n]),
					TLS: i.TLS, PSKIdentity: i.PSKIdentity, Listener: i.Listener,
				})
				answer := id.Method + " " + id.Name
				if err != nil || v != auth.Allow {
					answer = "denied"
				}
				_, _ = c.Write([]byte(answer))
			}
		})
	}
}

// withKeys has the gateway and the method of pre-shared keys.
func withKeys(c *serve.Config) {
	c.Builtin = builtinWithMethods()
	c.Builtin.Gateways = append(c.Builtin.Gateways, serve.NewGateway("echo", echoSchemes(),
		func(e serve.Environment, _ struct{}) (gateway.Gateway, error) { return whoAmI{e.Authenticator}, nil }))
	c.Builtin.Methods = slices.Insert(c.Builtin.Methods, 1, serve.NewMethod("psk", "psk", serve.WithPSK,
		func(*slog.Logger, struct{}) (serve.Checks, error) {
			return serve.Checks{Authenticator: psk.New()}, nil
		}))
}

// ask dials and returns who the server says that the client is.
func ask(t *testing.T, url, username string, opts *transport.ClientTLS) string {
	t.Helper()
	c, err := transport.Dial(t.Context(), url, transport.DialConfig{Schemes: echoSchemes(), TLS: opts})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = c.Write([]byte(username))
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

func TestWhoHasAPreSharedKeyIsThatUser(t *testing.T) {
	dir := t.TempDir()
	keys := write(t, filepath.Join(dir, "keys"), "device-1:00ff\n")
	write(t, filepath.Join(dir, "names"), "ann")
	ca := transporttest.NewCA(t, "authority")
	transporttest.WritePair(t, dir, ca.Server(t, nil, "127.0.0.1"))
	config := func(more string) serve.Config {
		var c serve.Config
		withKeys(&c)
		c, err := serve.Load([]byte("listeners: [{url: echo+dtls://0.0.0.0:0, tls: {psk_file: keys, psk_hint: serial"+more+"}}]\n"), filepath.Join(dir, "c.yaml"), c.Builtin)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	cfg := config("")
	s := servetest.Start(t, func(c *serve.Config) {
		logger := c.Logger
		*c = cfg
		c.Logger = logger
	})
	if got := s.Ports()[0].Auth; !slices.Equal(got, []string{"psk"}) { // in an open network, with nothing else
		t.Errorf("%q", got)
	}
	url := s.URLs()[0]
	one := &transport.ClientTLS{PSKIdentity: "device-1", PSK: "00ff"}
	for username, want := range map[string]string{"-": "psk device-1", "device-1": "psk device-1", "ann": "denied"} {
		if got := ask(t, url, username, one); got != want {
			t.Errorf("as %q: %q, want %q", username, got, want)
		}
	}
	if got := ask(t, url, "-", &transport.ClientTLS{PSKIdentity: "device-2", PSK: "00ff"}); !strings.Contains(got, "does not know the identity") {
		t.Error(got)
	}

	write(t, keys, "device-2:00ff\n")
	if _, err := s.Reload(t.Context(), config("")); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, url, "-", &transport.ClientTLS{PSKIdentity: "device-2", PSK: "00ff"}); got != "psk device-2" {
		t.Error(got)
	}
	if got := ask(t, url, "-", one); !strings.Contains(got, "does not know the identity") {
		t.Error(got)
	}

	write(t, keys, "device-2:00f\n")
	_, err := s.Reload(t.Context(), config(""))
	if err == nil || !strings.Contains(err.Error(), "listeners[0]") || !strings.Contains(err.Error(), "line 1") || strings.Contains(err.Error(), "00f") {
		t.Error(err)
	}
}

func TestPortsTellOfPreSharedKeys(t *testing.T) {
	dir := t.TempDir()
	keys := write(t, filepath.Join(dir, "keys"), "device-1:00ff\n")
	nameFile := write(t, filepath.Join(dir, "names"), "ann")
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "127.0.0.1"))
	for want, tc := range map[string]struct {
		tls   transport.ServerTLS
		names bool
	}{
		"psk":                     {transport.ServerTLS{PSKFile: keys}, true},
		"psk, name":               {transport.ServerTLS{PSKFile: keys, CertFile: cert, KeyFile: key}, true},
		"certificate, psk":        {transport.ServerTLS{PSKFile: keys, CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertRequire, ClientCAs: ca.Pool()}, false},
		"psk, certificate + name": {transport.ServerTLS{PSKFile: keys, CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertRequire, ClientCAs: ca.Pool()}, true},
		"name":                    {transport.ServerTLS{CertFile: cert, KeyFile: key}, true},
	} {
		s := servetest.Start(t, func(c *serve.Config) {
			withKeys(c)
			if tc.names {
				c.Methods = map[string]any{"names_file": serve.File(nameFile)}
			}
			listeners("echo+dtls://127.0.0.1:0")(c)
			c.Listeners[0].TLS = &tc.tls
		})
		if got := strings.Join(s.Ports()[0].Auth, ", "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
