package mqttsn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// lock is an authenticator with one key.
type lock struct{ asked []auth.Credentials }

// Authenticate implements auth.Authenticator.
func (l *lock) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	l.asked = append(l.asked, c)
	if !c.HasPassword || string(c.Password) != "secret" {
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: c.Username, ClientID: c.ClientID, Username: c.Username, Method: "test"}, auth.Allow, nil
}

// locked is a world with such a gateway.
func locked(t *testing.T, insecure bool) (w *world, l *lock, log *bytes.Buffer) {
	t.Helper()
	w, l, log = newWorld(t, nil), &lock{}, new(bytes.Buffer)
	w.config.AuthExtension = AuthExtension{Enabled: true, Insecure: insecure}
	w.gw.auth = l
	if err := w.gw.Reload(w.config); err != nil {
		t.Fatal(err)
	}
	w.gw.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		if strings.Contains(log.String(), "secret") {
			t.Errorf("the log has the password: %s", log)
		}
	})
	return w, l, log
}

func plain(user, password string) mqttsn.Auth {
	return mqttsn.Auth{Method: mqttsn.AuthPlain, Data: fmt.Appendf(nil, "\x00%s\x00%s", user, password)}
}

// says has a client send messages.
func (w *world) says(from netip.AddrPort, all ...mqttsn.Message) {
	w.t.Helper()
	for _, m := range all {
		w.receive(from, datagram(w.t, m))
	}
}

func TestAuthFollowsConnect(t *testing.T) {
	w, l, _ := locked(t, true)
	a := peerAddress("a")
	w.says(a, connectAs("dev"))
	w.silent()
	if len(l.asked) != 0 || w.gw.halfOpen.Load() != 1 {
		t.Fatalf("%d asked, %d half-open", len(l.asked), w.gw.halfOpen.Load())
	}
	w.says(a, connectAs("dev")) // sent again
	w.silent()
	w.says(a, plain("anna", "secret"))
	w.answered(a, datagram(t, mqttsn.Connack{}))
	if len(l.asked) != 1 || l.asked[0].Username != "anna" || !l.asked[0].HasUsername || l.asked[0].ClientID != "dev" {
		t.Fatalf("%+v", l.asked)
	}
	if id := w.gw.clients.named(w.gw.sessionID("dev")).link.Identity(); id.Name != "anna" {
		t.Errorf("%+v", id)
	}
	// CONNACK was lost: both come again.
	w.says(a, connectAs("dev"), plain("anna", "secret"))
	w.answered(a, datagram(t, mqttsn.Connack{}))
	w.says(a, connectAs("dev"), plain("anna", "secret"))
	w.answered(a, datagram(t, mqttsn.Connack{}))
	w.says(a, mqttsn.Pingreq{})
	w.answered(a, datagram(t, mqttsn.Pingresp{}))
	w.silent()
	if len(l.asked) != 1 || w.clients() != 1 || w.gw.halfOpen.Load() != 0 {
		t.Errorf("%d asked, %d clients, %d half-open", len(l.asked), w.clients(), w.gw.halfOpen.Load())
	}
}

func TestAuthComesBeforeTheWill(t *testing.T) {
	w, _, _ := locked(t, true)
	a := peerAddress("a")
	m := connectAs("dev")
	m.Will = true
	w.says(a, m, mqttsn.WillTopic{Topic: "too/early"})
	w.silent()
	w.says(a, plain("anna", "secret"))
	w.answered(a, datagram(t, mqttsn.WillTopicReq{}))
	w.says(a, plain("anna", "secret")) // sent again
	w.says(a, mqttsn.WillTopic{Topic: "w"})
	w.answered(a, datagram(t, mqttsn.WillMsgReq{}))
	w.says(a, mqttsn.WillMsg{Payload: []byte("gone")})
	w.answered(a, datagram(t, mqttsn.Connack{}))
	w.silent()
}

func TestAuthThatIsRefused(t *testing.T) {
	for name, m := range map[string]mqttsn.Auth{
		"password": plain("anna", "guess"),
		"method":   {Method: "SCRAM", Data: []byte("\x00anna\x00secret")},
		"form":     {Method: mqttsn.AuthPlain, Data: []byte("anna secret")},
		"other":    {Method: mqttsn.AuthPlain, Data: []byte("bert\x00anna\x00secret")},
		"name":     {Method: "PL\xff", Data: []byte("\x00anna\x00secret")},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, log := locked(t, true)
			a := peerAddress("a")
			w.says(a, connectAs("dev"), m)
			w.answered(a, datagram(t, mqttsn.Connack{Code: mqttsn.NotSupported}))
			w.silent()
			if w.clients() != 0 || w.sessions() != 0 || w.gw.halfOpen.Load() != 0 || w.risen("denied") != 1 {
				t.Errorf("%d clients, %d sessions", w.clients(), w.sessions())
			}
			if !strings.Contains(log.String(), "client refused") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestAuthDoesNotComeForEver(t *testing.T) {
	w, l, _ := locked(t, true)
	a := peerAddress("a")
	w.says(a, connectAs("dev"))
	w.advance(31 * time.Second)
	w.silent()
	if w.clients() != 0 || w.gw.halfOpen.Load() != 0 || len(l.asked) != 0 || w.risen("abandoned") != 1 {
		t.Errorf("%d clients, %d half-open", w.clients(), w.gw.halfOpen.Load())
	}
	w.dropped()
	w.says(a, plain("anna", "secret")) // of somebody unknown
	if n := w.dropped(); n != 1 {
		t.Errorf("%d are counted", n)
	}
	w.silent()
}

// Who is connected and connects again has to say again who it is, and somebody else
// does not get its session.
func TestAuthOfAReconnect(t *testing.T) {
	w, l, _ := locked(t, true)
	a, b := peerAddress("a"), peerAddress("b")
	w.says(a, connectAs("dev"), plain("anna", "secret"), mqttsn.Subscribe{QoS: 1, MsgID: 1, Filter: "ab"})
	w.answered(a, datagram(t, mqttsn.Connack{}))
	w.air.queue = nil
	w.advance(time.Minute)
	w.says(a, mqttsn.Pingreq{}, connectAs("dev"))
	w.answered(a, datagram(t, mqttsn.Pingresp{}))
	w.silent()
	w.says(a, plain("anna", "secret"))
	w.answered(a, datagram(t, mqttsn.Connack{}))
	w.says(b, connectAs("dev"), plain("bert", "secret"))
	w.answered(b, datagram(t, mqttsn.Connack{Code: mqttsn.NotSupported}))
	w.says(b, connectAs("dev"), plain("anna", "guess"))
	w.answered(b, datagram(t, mqttsn.Connack{Code: mqttsn.NotSupported}))
	w.says(a, mqttsn.Pingreq{})
	w.answered(a, datagram(t, mqttsn.Pingresp{}))
	// Another client at the same address.
	w.says(a, connectAs("dev-2"), plain("anna", "secret"))
	w.answered(a, datagram(t, mqttsn.Connack{}))
	w.silent()
	if len(l.asked) != 5 || w.sessions() != 2 {
		t.Errorf("%d asked, %d sessions", len(l.asked), w.sessions())
	}
}

// A PINGREQ from elsewhere cannot say who it is.
func TestAuthIsNotCircumventedByRebinding(t *testing.T) {
	w, _, _ := locked(t, true)
	a, b := peerAddress("a"), peerAddress("b")
	w.says(a, connectAs("dev"), plain("anna", "secret"), mqttsn.Disconnect{HasDuration: true, Duration: 60})
	w.air.queue = nil
	w.says(b, mqttsn.Pingreq{ClientID: "dev"})
	w.answered(b, datagram(t, mqttsn.Disconnect{}))
	w.silent()
}

func TestAuthIsReservedWithoutDTLS(t *testing.T) {
	w, l, _ := locked(t, false)
	a := peerAddress("a")
	w.dropped()
	w.says(a, plain("anna", "secret"))
	if n := w.risen("dropped/unknown_type"); n != 1 {
		t.Errorf("%d are counted", n)
	}
	w.says(a, connectAs("dev")) // is as always
	w.answered(a, datagram(t, mqttsn.Connack{Code: mqttsn.NotSupported}))
	if len(l.asked) != 1 || l.asked[0].HasPassword {
		t.Errorf("%+v", l.asked)
	}
	if err := (Config{AuthExtension: AuthExtension{Insecure: true}}).Validate(); err == nil {
		t.Error("insecure alone is let")
	}
}

func TestAuthOverDTLS(t *testing.T) {
	w, _, _ := locked(t, false)
	p := path{port: &port{listener: "dtls", carrier: w.air, members: &members{}}}
	for _, m := range []mqttsn.Message{connectAs("dev"), plain("anna", "secret")} {
		w.silent()
		w.work.begin()
		w.gw.receive(w.work, p, datagram(t, m))
		w.work.end()
	}
	w.answered(netip.AddrPort{}, datagram(t, mqttsn.Connack{}))
}

// CONNECT says nothing but a client identifier: the settings say the rest, unless the
// handshake has.
func TestWhoClientsAre(t *testing.T) {
	device := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	for _, c := range []struct {
		info transport.Info
		said bool
		want string // user:password
	}{
		{transport.Info{}, false, "sn-dev:dev!"},
		{transport.Info{TLS: &tls.ConnectionState{}}, false, "sn-dev:dev!"},
		{transport.Info{PSKIdentity: "meter"}, false, ":"},
		{transport.Info{TLS: device}, false, ":"},
		{transport.Info{}, true, "anna:secret"},
		{transport.Info{PSKIdentity: "meter"}, true, "anna:secret"},
	} {
		w, l, _ := locked(t, false)
		w.config.AuthExtension.Enabled = c.said
		w.config.ClientinfoOverride = Override{Username: "sn-${clientid}", Password: "${clientid}!"}
		if err := w.gw.Reload(w.config); err != nil {
			t.Fatal(err)
		}
		p := path{port: &port{listener: "dtls", carrier: w.air, members: &members{}, info: c.info}}
		for _, m := range []mqttsn.Message{connectAs("dev"), plain("anna", "secret")} {
			w.work.begin()
			w.gw.receive(w.work, p, datagram(t, m))
			w.work.end()
		}
		if len(l.asked) != 1 || l.asked[0].Username+":"+string(l.asked[0].Password) != c.want || l.asked[0].PSKIdentity != c.info.PSKIdentity || l.asked[0].TLS != c.info.TLS {
			t.Errorf("%+v: %+v", c, l.asked)
		}
	}
}
