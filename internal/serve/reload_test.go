package serve_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gatewaymqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// reload fails the test when the configuration is refused.
func reload(t *testing.T, s *serve.Server, edit func(*serve.Config)) []string {
	t.Helper()
	c := serve.Config{Builtin: builtinWithMethods(), Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}}}
	if edit != nil {
		edit(&c)
	}
	restart, err := s.Reload(t.Context(), c)
	if err != nil {
		t.Fatal("reload:", err)
	}
	return restart
}

func withMethods(c *serve.Config) { c.Builtin = builtinWithMethods() }

func TestReloadKeepsClientsAndSockets(t *testing.T) {
	s := servetest.Start(t, withMethods)
	before := s.URLs()
	c := mustConnect(t, before[0], "", nil)
	reload(t, s, func(c *serve.Config) { c.Listeners[0].Access = []string{"deny all"} })
	if diff := cmp.Diff(before, s.URLs()); diff != "" {
		t.Errorf("URLs -before +after:\n%s", diff)
	}
	c.ping()
	// The option applies to those who come now: they are cut off at once.
	stranger := dial(t, before[0], nil)
	if _, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Error("the new access rule does not apply")
	}
}

func TestReloadAddsAndRemovesListeners(t *testing.T) {
	s := servetest.Start(t, withMethods)
	old := s.URLs()[0]
	c := mustConnect(t, old, "", nil)
	socket := filepath.Join(t.TempDir(), "s")
	reload(t, s, listeners("unix://"+socket, "ws://127.0.0.1:0"))
	urls := s.URLs()
	if len(urls) != 2 || urls[0] != "unix://"+socket || !strings.HasPrefix(urls[1], "ws://") {
		t.Fatalf("URLs %q", urls)
	}
	c.ping() // stays connected although its listener is gone
	mustConnect(t, urls[0], "", nil).ping()
	if nc, err := net.Dial("tcp", strings.TrimPrefix(old, "mqtt://")); err == nil {
		nc.Close()
		t.Error("the removed listener is still open")
	}
	s.Stop()
	if code := c.farewell(); code != mqtt.ServerShuttingDown {
		t.Errorf("farewell of the removed listener's client: %v", code)
	}
	c.Close()
}

func TestReloadGivesAnAddressToAnotherListener(t *testing.T) {
	s := servetest.Start(t, withMethods)
	u, err := url.Parse(s.URLs()[0])
	if err != nil {
		t.Fatal(err)
	}
	c := mustConnect(t, u.String(), "", nil)
	reload(t, s, listeners("ws://"+u.Host))
	if got := s.URLs(); len(got) != 1 || got[0] != "ws://"+u.Host+"/mqtt" {
		t.Errorf("URLs %q", got)
	}
	c.ping()
}

func TestReloadThatCanNotOpenAPortChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := servetest.Start(t, withMethods)
	before := s.URLs()
	c := mustConnect(t, before[0], "", nil)
	next := serve.Config{Builtin: builtinWithMethods()}
	listeners("mqtt://"+taken.Addr().String(), "ws://"+strings.TrimPrefix(before[0], "mqtt://"))(&next)
	if _, err := s.Reload(t.Context(), next); err == nil {
		t.Fatal("reload succeeded with a port that is taken")
	}
	if diff := cmp.Diff(before, s.URLs()); diff != "" {
		t.Errorf("URLs -before +after:\n%s", diff)
	}
	c.ping()
	mustConnect(t, before[0], "", nil).ping()
}

func TestReloadReadsMethodsAgain(t *testing.T) {
	dir := t.TempDir()
	nameFile, denyFile := filepath.Join(dir, "names"), filepath.Join(dir, "deny")
	write(t, nameFile, "ann")
	write(t, denyFile, "secret")
	methods := func(c *serve.Config) {
		c.Builtin = builtinWithMethods()
		c.Methods = map[string]any{"names_file": serve.File(nameFile), "deny_file": serve.File(denyFile)}
	}
	s := servetest.Start(t, methods)
	u := s.URLs()[0]
	c := mustConnect(t, u, "ann", nil)
	if code := c.subscribe("secret"); code != mqtt.NotAuthorized {
		t.Errorf("secret before the reload: %v", code)
	}
	write(t, nameFile, "bob")
	write(t, denyFile, "open")
	reload(t, s, methods)
	if code := c.subscribe("secret"); code != mqtt.GrantedQoS0 {
		t.Errorf("secret after the reload: %v", code)
	}
	if code := c.subscribe("open"); code != mqtt.NotAuthorized {
		t.Errorf("open after the reload: %v", code)
	}
	mustConnect(t, u, "bob", nil).Close()
	if again, ack := connect(t, u, "ann", nil); ack.Code != mqtt.BadUserNameOrPassword {
		t.Errorf("ann after the reload: %v", ack.Code)
		again.Close()
	}
}

// A broken configuration changes nothing, whatever is broken.
func TestBrokenReloadKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	nameFile := write(t, filepath.Join(dir, "names"), "ann")
	good := func(c *serve.Config) {
		c.Builtin = builtinWithMethods()
		c.Methods = map[string]any{"names_file": serve.File(nameFile)}
	}
	s := servetest.Start(t, good)
	before := s.URLs()
	c := mustConnect(t, before[0], "ann", nil)
	for name, breakIt := range map[string]func(*serve.Config){
		"method file": func(c *serve.Config) {
			c.Methods = map[string]any{"names_file": serve.File(write(t, filepath.Join(dir, "broken"), "bob !"))}
		},
		"exposed":     func(c *serve.Config) { c.Methods = nil; listeners("mqtt://0.0.0.0:0")(c) },
		"certificate": func(c *serve.Config) { listeners("mqtt://127.0.0.1:0", "mqtts://127.0.0.1:0")(c) },
		"gateway":     func(c *serve.Config) { c.Gateways = map[string]any{"mqtt": gatewaymqtt.Config{MaxInflight: -1}} },
		"settings":    func(c *serve.Config) { c.Gateways = map[string]any{"mqtt": 5} },
		"access":      func(c *serve.Config) { c.Listeners[0].Access = []string{"deny all", "?"} },
	} {
		next := serve.Config{Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}}}
		good(&next)
		breakIt(&next)
		_, err := s.Reload(t.Context(), next)
		var list serve.Problems
		if !errors.As(err, &list) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, s.URLs()); diff != "" {
			t.Errorf("%s: URLs -before +after:\n%s", name, diff)
		}
		c.ping()
		mustConnect(t, before[0], "ann", nil).Close()
		if bob, ack := connect(t, before[0], "bob", nil); ack.Code == mqtt.Success {
			t.Errorf("%s: bob is let in", name)
			bob.Close()
		}
	}
}

func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	s := servetest.Start(t, withMethods)
	if got := reload(t, s, nil); got != nil {
		t.Errorf("the same configuration: %q", got)
	}
	for range 2 { // it stays needed
		got := reload(t, s, func(c *serve.Config) {
			c.Gateways = map[string]any{"mqtt": gatewaymqtt.Config{MaxInflight: 7}}
			c.Broker.MaxSessions = 5
		})
		if diff := cmp.Diff([]string{"broker"}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// servedBy dials with TLS and returns the serial number of the certificate.
func servedBy(t *testing.T, rawURL string, ca *transporttest.CA) string {
	t.Helper()
	tc := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	c := dial(t, rawURL, tc)
	defer c.Close()
	if err := c.Conn.(*tls.Conn).HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestReloadSwapsCertificates(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	dir := t.TempDir()
	first, second := ca.Server(t, nil, "localhost"), ca.Server(t, nil, "localhost")
	cert, key := transporttest.WritePair(t, dir, first)
	secure := func(c *serve.Config) {
		withMethods(c)
		listeners("mqtts://127.0.0.1:0")(c)
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key}
		c.CertificateCheck = -1
	}
	s := servetest.Start(t, secure)
	u := s.URLs()[0]
	c := mustConnect(t, u, "", &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	if got := servedBy(t, u, ca); got != first.Leaf.SerialNumber.String() {
		t.Fatal("not the first certificate")
	}
	transporttest.WritePair(t, dir, second)
	reload(t, s, secure)
	if got := servedBy(t, u, ca); got != second.Leaf.SerialNumber.String() {
		t.Error("not the second certificate")
	}
	c.ping()
}

func TestChangedCertificateFilesAreLoaded(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	dir := t.TempDir()
	first, second := ca.Server(t, nil, "localhost"), ca.Server(t, nil, "localhost")
	cert, key := transporttest.WritePair(t, dir, first)
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtts://127.0.0.1:0")(c)
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key}
		c.CertificateCheck = time.Millisecond
	})
	u := s.URLs()[0]
	c := mustConnect(t, u, "", &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	// Half a pair is of no use: the old one stays until the other half is there.
	halves := t.TempDir()
	newCert, newKey := transporttest.WritePair(t, halves, second)
	replace(t, newCert, cert)
	for range 5 {
		if got := servedBy(t, u, ca); got != first.Leaf.SerialNumber.String() {
			t.Fatal("half a pair is in use")
		}
	}
	replace(t, newKey, key)
	for deadline := time.Now().Add(patience); servedBy(t, u, ca) != second.Leaf.SerialNumber.String(); {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not in use")
		}
	}
	c.ping()
}

// replace moves from over to with a modification time of its own: file systems
// can be too coarse to tell two files written within a test apart.
func replace(t *testing.T, from, to string) {
	t.Helper()
	at := time.Now().Add(time.Duration(len(to)) * time.Second)
	if err := errors.Join(os.Chtimes(from, at, at), os.Rename(from, to)); err != nil {
		t.Fatal(fmt.Errorf("replace %s: %w", to, err))
	}
}
