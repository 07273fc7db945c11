package serve_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestWhoMayComeIn(t *testing.T) {
	dir := t.TempDir()
	nameFile := write(t, filepath.Join(dir, "names"), "ann")
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "localhost"))
	tlsOptions := func(a transport.ClientAuth) *transport.ServerTLS {
		return &transport.ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: a, ClientCAs: ca.Pool()}
	}
	none, request, require := tlsOptions(transport.ClientCertNone), tlsOptions(transport.ClientCertRequest), tlsOptions(transport.ClientCertRequire)
	names := map[string]any{"names_file": serve.File(nameFile)}
	denials := map[string]any{"deny_file": serve.File(nameFile)}
	const exposed, nobody = "other machines", "nobody could log in"
	for _, tt := range []struct {
		url     string
		tls     *transport.ServerTLS
		allow   string // allow_anonymous: "", "yes" or "no"
		methods map[string]any
		want    string // part of the problem; "" for none
	}{
		{"mqtt://127.0.0.1:0", nil, "", nil, ""},
		{"mqtt://127.9.9.9:0", nil, "", nil, ""},
		{"mqtt://[::1]:0", nil, "", nil, ""},
		{"mqtt://localhost:0", nil, "", nil, ""},
		{"ws://127.0.0.1:0", nil, "", nil, ""},
		{"unix:///run/iotctl/mqtt.sock", nil, "", nil, ""},
		{"mqtt://0.0.0.0:0", nil, "", nil, exposed},
		{"mqtt://:0", nil, "", nil, exposed},
		{"mqtt://[::]:0", nil, "", nil, exposed},
		{"mqtt://192.0.2.1:0", nil, "", nil, exposed},
		{"mqtt://broker.example:0", nil, "", nil, exposed},
		{"mqtt://localhost.example:0", nil, "", nil, exposed},
		{"ws://0.0.0.0:0", nil, "", nil, exposed},
		{"mqtts://0.0.0.0:0", none, "", nil, exposed},
		{"mqtts://0.0.0.0:0", request, "", nil, ""}, // only those with a certificate get in
		{"mqtts://0.0.0.0:0", require, "", nil, ""},
		{"mqtt://0.0.0.0:0", nil, "", names, ""},
		{"mqtts://0.0.0.0:0", none, "", names, ""},
		{"mqtt://0.0.0.0:0", nil, "", denials, exposed}, // rights are no log-in
		{"mqtt://0.0.0.0:0", nil, "yes", nil, ""},
		{"mqtt://0.0.0.0:0", nil, "no", nil, nobody},
		{"mqtt://127.0.0.1:0", nil, "no", nil, nobody},
		{"unix:///run/iotctl/mqtt.sock", nil, "no", nil, nobody},
		{"mqtt://127.0.0.1:0", nil, "no", names, ""},
	} {
		c := serve.Config{Builtin: builtinWithMethods(), Methods: tt.methods}
		listeners(tt.url)(&c)
		c.Listeners[0].TLS = tt.tls
		if tt.allow != "" {
			yes := tt.allow == "yes"
			c.AllowAnonymous = &yes
		}
		err := c.Check()
		if tt.want == "" && err == nil {
			continue
		}
		if tt.want == "" || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, allow %q, methods %v: %v, want %q", tt.url, tt.allow, tt.methods, err, tt.want)
			continue
		}
		if _, startErr := serve.Start(t.Context(), c); startErr == nil || startErr.Error() != err.Error() {
			t.Errorf("%s: start: %v, check: %v", tt.url, startErr, err)
		}
	}
}

func TestOneExposedListenerIsNamed(t *testing.T) {
	c := serve.Config{Builtin: servetest.Builtin()}
	listeners("mqtt://127.0.0.1:0", "ws://0.0.0.0:8083")(&c)
	var exposed *serve.ExposedError
	if err := c.Check(); !errors.As(err, &exposed) || exposed.URL != "ws://0.0.0.0:8083" {
		t.Errorf("%v", err)
	}
}

func TestPasswordsOnOneMachineEndAnonymity(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "names"), "ann")
	s := servetest.Start(t, func(c *serve.Config) {
		c.Builtin = builtinWithMethods()
		c.Methods = map[string]any{"names_file": serve.File(file)}
	})
	u := s.URLs()[0]
	mustConnect(t, u, "ann", nil).Close()
	for user, want := range map[string]mqtt.ReasonCode{"": mqtt.NotAuthorized, "bob": mqtt.BadUserNameOrPassword} {
		if c, ack := connect(t, u, user, nil); ack.Code != want {
			t.Errorf("user %q: %v, want %v", user, ack.Code, want)
			c.Close()
		}
	}
}

func TestAnonymityIsPerListener(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost"))
	s := servetest.Start(t, func(c *serve.Config) {
		c.Builtin = builtinWithMethods()
		listeners("mqtt://127.0.0.1:0", "mqtts://127.0.0.1:0")(c)
		c.Listeners[1].TLS = &transport.ServerTLS{
			CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertRequest, ClientCAs: ca.Pool(),
		}
	})
	mustConnect(t, s.URLs()[0], "", nil).Close()
	tc := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	if _, ack := connect(t, s.URLs()[1], "", tc); ack.Code != mqtt.NotAuthorized {
		t.Errorf("without certificate: %v", ack.Code)
	}
	tc.Certificates = []tls.Certificate{ca.Client(t, nil, "device")}
	mustConnect(t, s.URLs()[1], "", tc).Close()
	if got := strings.Join(s.Ports()[1].Auth, " "); got != "certificate" {
		t.Errorf("port table says %q", got)
	}
}

// write replaces a file at once: a server may be reading it.
func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", []byte(content), 0o600), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPortsTellThatACertificateIsNeededBesideTheName(t *testing.T) {
	dir := t.TempDir()
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "localhost"))
	nameFile := write(t, filepath.Join(dir, "names"), "ann")
	for a, want := range map[transport.ClientAuth]string{
		transport.ClientCertRequest: "name", transport.ClientCertRequire: "certificate + name",
	} {
		s := servetest.Start(t, func(c *serve.Config) {
			withMethods(c)
			c.Methods = map[string]any{"names_file": serve.File(nameFile)}
			listeners("mqtts://127.0.0.1:0")(c)
			c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: a, ClientCAs: ca.Pool()}
		})
		if got := strings.Join(s.Ports()[0].Auth, ", "); got != want {
			t.Errorf("client_auth %s: %q, want %q", a, got, want)
		}
	}
}
