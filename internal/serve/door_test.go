package serve_test

import (
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth/pairing"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// withPairing adds a doorkeeper to the methods.
func withPairing(c *serve.Config) {
	c.Builtin = builtinWithMethods()
	c.Builtin.Methods = append(c.Builtin.Methods, serve.NewMethod("pairing", "approval", serve.Strangers,
		func(l *slog.Logger, p pairing.Config) (serve.Checks, error) {
			p.Logger = l
			a, err := pairing.New(p)
			return serve.Checks{Doorkeeper: a, Listeners: p.Listeners}, err
		}))
	if c.Methods == nil {
		c.Methods = map[string]any{}
	}
	c.Methods["pairing"] = pairing.Config{}
	c.Listeners[0].Name = "field"
}

func pairingOf(t *testing.T, s *serve.Server) *pairing.Authenticator {
	t.Helper()
	a, ok := s.Doorkeeper().(*pairing.Authenticator)
	if !ok {
		t.Fatalf("%T", s.Doorkeeper())
	}
	return a
}

// asDevice connects with a client identifier and a secret, "" for none.
func asDevice(t *testing.T, rawURL, id, secret string, tc *tls.Config) (*client, mqtt.Connack) {
	t.Helper()
	c := dial(t, rawURL, tc)
	p := mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V5, CleanStart: true, ClientID: id}
	if secret != "" {
		p.HasPassword, p.Password = true, []byte(secret)
	}
	c.send(p)
	ack, ok := c.next().(mqtt.Connack)
	if !ok {
		t.Fatal("no CONNACK")
	}
	return c, ack
}

var pendingReason = regexp.MustCompile(`^pending approval, code (\d\d-\d\d)$`)

// waits returns the code of a device that has to wait.
func waits(t *testing.T, rawURL, id, secret string, tc *tls.Config) string {
	t.Helper()
	_, ack := asDevice(t, rawURL, id, secret, tc)
	reason, _ := ack.Properties.String(mqtt.PropReasonString)
	m := pendingReason.FindStringSubmatch(reason)
	if ack.Code != mqtt.NotAuthorized || m == nil {
		t.Fatalf("%s: CONNACK %v, %q", id, ack.Code, reason)
	}
	return m[1]
}

func comesIn(t *testing.T, rawURL, id, secret string, tc *tls.Config) *client {
	t.Helper()
	c, ack := asDevice(t, rawURL, id, secret, tc)
	if ack.Code != mqtt.Success {
		t.Fatalf("%s: CONNACK %v", id, ack.Code)
	}
	return c
}

func TestDevicesComeInWhenTheyAreApprovedAndGoWhenTheyAreRejected(t *testing.T) {
	s := servetest.Start(t, withPairing)
	a, u := pairingOf(t, s), s.URLs()[0]
	code := waits(t, u, "pump", "1", nil)
	if _, err := a.Approve(code, pairing.Approval{}); err != nil {
		t.Fatal(err)
	}
	c := comesIn(t, u, "pump", "1", nil)
	if other := waits(t, u, "pump", "2", nil); other == code {
		t.Error("another secret is the same request")
	}
	c.ping()
	if _, err := a.Reject(code); err != nil {
		t.Fatal(err)
	}
	if got := c.farewell(); got != mqtt.AdministrativeAction {
		t.Errorf("DISCONNECT %v", got)
	}
	if _, ack := asDevice(t, u, "pump", "1", nil); ack.Code != mqtt.NotAuthorized {
		t.Errorf("after the rejection: %v", ack.Code)
	}
	code = waits(t, u, "lamp", "1", nil)
	if _, err := a.Approve(code, pairing.Approval{For: time.Second}); err != nil {
		t.Fatal(err)
	}
	c = comesIn(t, u, "lamp", "1", nil)
	if got := c.farewell(); got != mqtt.AdministrativeAction {
		t.Errorf("DISCONNECT %v", got)
	}
	waits(t, u, "lamp", "1", nil)
}

func TestRejectionLeavesOthersOfThatNameAlone(t *testing.T) {
	names := write(t, filepath.Join(t.TempDir(), "names"), "ann")
	s := servetest.Start(t, func(c *serve.Config) {
		c.Methods = map[string]any{"names_file": serve.File(names)}
		withPairing(c)
	})
	a, u := pairingOf(t, s), s.URLs()[0]
	code := waits(t, u, "shared", "1", nil)
	if _, err := a.Approve(code, pairing.Approval{Name: "device"}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, u, nil)
	c.send(mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V5, ClientID: "shared", HasUsername: true, Username: "ann"})
	if ack, ok := c.next().(mqtt.Connack); !ok || ack.Code != mqtt.Success {
		t.Fatalf("%+v", ack)
	}
	if _, err := a.Forget(code); err != nil {
		t.Fatal(err)
	}
	s.SendAway()
	c.ping()
}

func TestForgettingADeviceLeavesItsOtherApprovalAlone(t *testing.T) {
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0")(c)
		withPairing(c)
	})
	a, before, after := pairingOf(t, s), s.URLs()[0], s.URLs()[1]
	old := waits(t, before, "pump", "1", nil)
	for _, code := range []string{old, waits(t, after, "pump", "1", nil)} {
		if _, err := a.Approve(code, pairing.Approval{Name: "pump"}); err != nil {
			t.Fatal(err)
		}
	}
	c := comesIn(t, after, "pump", "1", nil)
	if _, err := a.Forget(old); err != nil {
		t.Fatal(err)
	}
	s.SendAway()
	c.ping()
}

func TestKeysOfCertificatesAreApproved(t *testing.T) {
	dir := t.TempDir()
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "localhost"))
	names := write(t, filepath.Join(dir, "names"), "ann") // so that names of certificates are not implied
	s := servetest.Start(t, func(c *serve.Config) {
		c.Methods = map[string]any{"names_file": serve.File(names)}
		listeners("mqtts://127.0.0.1:0")(c)
		withPairing(c)
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertRequest, ClientCAs: ca.Pool()}
	})
	with := func() *tls.Config {
		return &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{ca.Client(t, nil, "device")}}
	}
	a, u, mine := pairingOf(t, s), s.URLs()[0], with()
	code := waits(t, u, "pump", "", mine)
	if _, err := a.Approve(code, pairing.Approval{}); err != nil {
		t.Fatal(err)
	}
	comesIn(t, u, "pump", "", mine).ping()
	if other := waits(t, u, "pump", "", with()); other == code {
		t.Error("another key is the same request")
	}
	comesIn(t, u, "pump", "", mine).ping()
	if e := a.Find(code, ""); len(e) != 1 || e[0].Proof != pairing.Key || len(e[0].Fingerprint) != 64 {
		t.Errorf("%+v", e)
	}
}

func TestKeysThatNobodyHasSignedAreApproved(t *testing.T) {
	dir := t.TempDir()
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "localhost"))
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtts://127.0.0.1:0", "mqtts://127.0.0.1:0")(c)
		withPairing(c)
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertAny}
		c.Listeners[1].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertRequest, ClientCAs: ca.Pool()}
	})
	with := func(c tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{c}}
	}
	a, u, mine := pairingOf(t, s), s.URLs()[0], with(transporttest.SelfSigned(t, "pump"))
	if _, err := a.Approve(waits(t, u, "pump", "", mine), pairing.Approval{}); err != nil {
		t.Fatal(err)
	}
	comesIn(t, u, "pump", "", mine).ping()
	waits(t, u, "pump", "", with(transporttest.SelfSigned(t, "pump")))
	waits(t, u, "signed", "", with(ca.Client(t, nil, "signed"))) // here nobody has looked at the signature
	comesIn(t, s.URLs()[1], "signed", "", with(ca.Client(t, nil, "signed")))
	if _, ack := asDevice(t, u, "pump", "", &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}); ack.Code != mqtt.NotAuthorized {
		t.Errorf("without a key: %v", ack.Code)
	}
	var ways []string
	for _, p := range s.Ports() {
		ways = append(ways, strings.Join(p.Auth, " or "))
	}
	if want := []string{"approval", "certificate or approval"}; !slices.Equal(ways, want) {
		t.Errorf("%q, want %q", ways, want)
	}
}

// TestSessionsOfCertificatesAreNotForStrangers who call themselves as their owner.
func TestSessionsOfCertificatesAreNotForStrangers(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost"))
	s := servetest.Start(t, func(c *serve.Config) {
		listeners("mqtts://127.0.0.1:0")(c)
		withPairing(c)
		c.Listeners[0].TLS = &transport.ServerTLS{CertFile: cert, KeyFile: key, ClientAuth: transport.ClientCertRequest, ClientCAs: ca.Pool()}
	})
	a, u := pairingOf(t, s), s.URLs()[0]
	stranger := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	owner := stranger.Clone()
	owner.Certificates = []tls.Certificate{ca.Client(t, nil, "boss")}
	c := comesIn(t, u, "boss", "", owner)
	if err := a.Open(time.Minute, 1, ""); err != nil {
		t.Fatal(err)
	}
	if _, ack := asDevice(t, u, "boss", "1", stranger); ack.Code == mqtt.Success {
		t.Error("a stranger has the session of the owner of a certificate")
	}
	c.ping()
}

func TestPairingIsPerListener(t *testing.T) {
	names := write(t, filepath.Join(t.TempDir(), "names"), "ann")
	yes := true
	edit := func(c *serve.Config) {
		c.Methods = map[string]any{"names_file": serve.File(names)}
		listeners("mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0")(c)
		withPairing(c)
		c.Listeners[1].Name = "open"
		c.AllowAnonymous = &yes
		c.Methods["pairing"] = pairing.Config{Listeners: []string{"field"}}
	}
	s := servetest.Start(t, edit)
	field, open := s.URLs()[0], s.URLs()[1]
	code := waits(t, field, "pump", "1", nil)
	comesIn(t, open, "pump", "1", nil)
	if _, ack := asDevice(t, field, "pump", "", nil); ack.Code != mqtt.NotAuthorized {
		t.Errorf("without a secret: %v", ack.Code)
	}
	mustConnect(t, field, "ann", nil)
	var ways []string
	for _, p := range s.Ports() {
		ways = append(ways, strings.Join(p.Auth, " or "))
	}
	if want := []string{"name or approval", "name or anonymous"}; !slices.Equal(ways, want) {
		t.Errorf("%q, want %q", ways, want)
	}
	reload(t, s, edit)
	if again := waits(t, field, "pump", "1", nil); again != code {
		t.Error("a reload forgets requests")
	}
	reload(t, s, func(c *serve.Config) {
		edit(c)
		delete(c.Methods, "pairing")
	})
	comesIn(t, field, "stranger", "1", nil)
}

func TestPairingIsAWayToLogIn(t *testing.T) {
	c := serve.Config{Listeners: []serve.Listener{{URL: "mqtt://0.0.0.0:0"}, {URL: "mqtt://127.0.0.1:0"}}}
	withPairing(&c)
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	no := false
	c.AllowAnonymous = &no
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	c.AllowAnonymous = nil
	c.Methods["pairing"] = pairing.Config{Listeners: []string{"elsewhere"}}
	err := c.Check()
	for _, want := range []string{`auth.pairing.listeners[0]: no listener has the name "elsewhere"`, "other machines can reach this listener"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
