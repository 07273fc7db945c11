package bench

import (
	"crypto/x509"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestTransports(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert := ca.Server(t, nil, "localhost", "127.0.0.1")
	certFile, keyFile := transporttest.WritePair(t, t.TempDir(), cert)
	caFile := ca.WriteFile(t)
	urls := []string{"mqtts://127.0.0.1:0", "ws://127.0.0.1:0/mqtt", "wss://127.0.0.1:0/mqtt"}
	if runtime.GOOS != "windows" {
		urls = append(urls, "unix://"+filepath.Join(t.TempDir(), "s"))
	}
	for _, url := range urls {
		server := servetest.Start(t, func(c *serve.Config) {
			l := &c.Listeners[0]
			l.URL = url
			if strings.HasPrefix(url, "mqtts") || strings.HasPrefix(url, "wss") {
				l.TLS = &transport.ServerTLS{CertFile: certFile, KeyFile: keyFile}
			}
		})
		e, err := transport.Parse(server.URLs()[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Run(t.Context(), Options{
			Spec: Pair(), Endpoint: e, Dial: transport.DialConfig{TLS: &transport.ClientTLS{CAFile: caFile}},
			Plan: Plan{Version: mqtt.V5, Publishers: 2, QoS: 2, SubQoS: -1, Rate: 2000, Messages: 400, Size: 5000},
		})
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if want := (Tally{Sent: 400, Expected: 400, Received: 400}); f.Account.QoS[2] != want {
			t.Errorf("%s: %+v", url, f.Account)
		}
		if shaken := f.Latency["tls"] != nil; shaken != (e.Scheme.TLS || e.Scheme.WebSocket) {
			t.Errorf("%s: handshakes recorded: %v", url, shaken)
		}
	}
}

// Identities are those of the file, one certificate each.
func TestIdentityPerClient(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	certFile, keyFile := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "127.0.0.1"))
	caFile := ca.WriteFile(t)
	server := servetest.Start(t, func(c *serve.Config) {
		c.Listeners[0].URL = "mqtts://127.0.0.1:0"
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: certFile, KeyFile: keyFile, ClientCAFile: caFile, ClientAuth: transport.ClientCertRequire}
	})
	e, err := transport.Parse(server.URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Spec: Conn(), Endpoint: e, Dial: transport.DialConfig{TLS: &transport.ClientTLS{CAFile: caFile}}, Plan: Plan{Clients: 2, Duration: time.Millisecond}}
	for _, name := range []string{"one", "two"} {
		cert, key := transporttest.WritePair(t, t.TempDir(), ca.Client(t, func(c *x509.Certificate) {}, name))
		o.Identities = append(o.Identities, Identity{ClientID: name, CertFile: cert, KeyFile: key})
	}
	f, err := Run(t.Context(), o)
	if err != nil || f.Total.Connects != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	o.Identities = nil
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("connected without a certificate")
	}
}

func TestNobodyThere(t *testing.T) {
	server := servetest.Start(t, nil)
	e, err := transport.Parse(server.URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Run(t.Context(), Options{Spec: Pair(), Endpoint: e})
	if err == nil || f == nil || f.Total.ConnectFails != 20 {
		t.Errorf("%+v, %v", f, err)
	}
}
