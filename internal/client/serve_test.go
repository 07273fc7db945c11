package client_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/iotctl/iotctl/internal/auth/aclfile"
	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/clienttest"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gatewaymqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// TestServe runs the suite over our own broker and every transport that it has.
func TestServe(t *testing.T) {
	for _, s := range transport.MQTTSchemes() {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			t.Run(s.Name+" "+v.String(), func(t *testing.T) {
				t.Parallel()
				clienttest.Run(t, v, client.New, func(t *testing.T, c clienttest.Config) *clienttest.Broker {
					return startServe(t, s, c)
				})
			})
		}
	}
}

// startServe starts our broker behind one listener. What it keeps outlives a
// restart in memory.
func startServe(t *testing.T, s transport.Scheme, c clienttest.Config) *clienttest.Broker {
	t.Helper()
	ca := transporttest.NewCA(t, "clienttest")
	listener := serve.Listener{URL: (&url.URL{Scheme: s.Name, Host: "127.0.0.1:0", Path: s.Path}).String()}
	if s.Network == "unix" {
		// Not t.TempDir: the path of a Unix socket has about 100 bytes.
		dir, err := os.MkdirTemp("", "serve")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		listener.URL = "unix://" + filepath.Join(dir, "s")
	}
	if s.TLS {
		listener.TLS = &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}
	}
	kept := mem.New()
	config := serve.Config{
		Builtin:   servetest.Builtin(),
		Listeners: []serve.Listener{listener},
		Methods:   methodsFor(t, c),
		Gateways:  map[string]any{"mqtt": gatewaymqtt.Config{MaxPacketBytes: 2 << 20}},
	}
	config.Builtin.Methods = []serve.Method{
		serve.NewMethod("password_file", "password", serve.Everywhere, func(_ *slog.Logger, f serve.File) (serve.Checks, error) {
			p, err := passwordfile.New(passwordfile.Config{Path: string(f)})
			return serve.Checks{Authenticator: p}, err
		}),
		serve.NewMethod("acl_file", "", serve.Nowhere, func(_ *slog.Logger, f serve.File) (serve.Checks, error) {
			a, err := aclfile.New(aclfile.Config{Path: string(f)})
			return serve.Checks{Authorizer: a}, err
		}),
	}
	config.Builtin.Stores = []serve.Store{
		serve.NewStore("mem", func(*slog.Logger, struct{}) (store.Store, error) { return kept, nil }),
	}

	var server *serve.Server
	start := func() {
		var err error
		if server, err = serve.Start(context.Background(), config); err != nil {
			t.Fatal(err)
		}
		config.Listeners[0].URL = server.URLs()[0] // the same port after a restart
	}
	stop := func() {
		if server == nil {
			return
		}
		if err := server.Close(); err != nil {
			t.Error("server:", err)
		}
		server = nil
	}
	start()
	t.Cleanup(stop)
	target := config.Listeners[0].URL
	return &clienttest.Broker{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, target, transport.DialConfig{TLS: &transport.ClientTLS{RootCAs: ca.Pool()}})
		},
		Stop: stop, Start: start,
	}
}

// methodsFor is what c asks for, by the files that users write.
func methodsFor(t *testing.T, c clienttest.Config) map[string]any {
	methods := map[string]any{}
	if c.User != "" {
		file := filepath.Join(t.TempDir(), "passwords")
		if err := passwordfile.Put(file, c.User, []byte(c.Password)); err != nil {
			t.Fatal(err)
		}
		methods["password_file"] = serve.File(file)
	}
	if c.Deny != "" {
		file := filepath.Join(t.TempDir(), "acl")
		if err := os.WriteFile(file, []byte("topic readwrite #\ntopic deny "+c.Deny+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		methods["acl_file"] = serve.File(file)
	}
	return methods
}
