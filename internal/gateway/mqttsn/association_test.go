package mqttsn

import (
	"context"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// keyholders lets everybody in, as who it has proved to be by its key.
type keyholders struct{}

// Authenticate implements auth.Authenticator.
func (keyholders) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	return auth.Identity{Name: c.PSKIdentity, Method: "test"}, auth.Allow, nil
}

// associate is a DTLS association of who has the key.
func (w *world) associate(identity string) (*port, *air) {
	a := &air{life: w.life}
	return &port{
		listener: "test", carrier: a, members: &members{},
		info: transport.Info{PSKIdentity: identity, Remote: peerAddress("a")},
	}, a
}

// say has a message come by an association.
func (w *world) say(p *port, m mqttsn.Message) {
	w.work.begin()
	w.gw.receive(w.work, path{port: p}, datagram(w.t, m))
	w.work.end()
}

// heard takes the types of what has come to a carrier.
func (a *air) heard() (types string) {
	for _, d := range a.queue {
		m, _, err := mqttsn.Parse(d.Data, mqttsn.Options{FromServer: true})
		if err != nil {
			return err.Error()
		}
		types += m.Type().String() + " "
	}
	a.queue = nil
	return types
}

func newSecureWorld(t *testing.T, settings map[string]string) *world {
	t.Helper()
	w := newWorld(t, settings)
	w.config.Authenticator = keyholders{}
	w.restart()
	return w
}

var connectDev = mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "dev"}

// asleep has a client with the key dev sleep on an association, which ends then.
func (w *world) asleep() {
	w.t.Helper()
	p, a := w.associate("dev")
	w.say(p, connectDev)
	w.say(p, mqttsn.Disconnect{HasDuration: true, Duration: 600})
	if got := a.heard(); got != "CONNACK DISCONNECT " {
		w.t.Fatal(got)
	}
	w.gw.ended(w.work, p, false)
	if p.members.any() {
		w.t.Error("the association has a client after its end")
	}
	if n := w.clients(); n != 1 {
		w.t.Fatalf("%d clients after the end of the association of one that sleeps", n)
	}
}

func TestASleeperOutlivesItsAssociation(t *testing.T) {
	for _, c := range []struct {
		name, identity, rebind string
		answer                 string
	}{
		{"the same key", "dev", "never", "PINGRESP "},
		{"another key", "other", "always", "DISCONNECT "},
		{"no key", "", "always", "DISCONNECT "},
	} {
		w := newSecureWorld(t, map[string]string{"sessions.rebind": c.rebind})
		w.asleep()
		p, a := w.associate(c.identity)
		w.say(p, mqttsn.Pingreq{ClientID: "dev"})
		if got := a.heard(); got != c.answer {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestWhoHasComeByDTLSDoesNotGoOnWithout(t *testing.T) {
	w := newSecureWorld(t, map[string]string{"sessions.rebind": "always"})
	w.asleep()
	w.receive(peerAddress("a"), datagram(t, mqttsn.Pingreq{ClientID: "dev"}))
	if got := w.air.heard(); got != "DISCONNECT " {
		t.Error(got)
	}
	w.receive(peerAddress("a"), datagram(t, connectDev))
	if got := w.air.heard(); got != "CONNACK " || w.risen("denied") != 1 {
		t.Errorf("%s to a CONNECT of somebody without the key", got)
	}
}

func TestTheEndOfAnAssociationLosesWhoIsAwake(t *testing.T) {
	w := newSecureWorld(t, nil)
	p, _ := w.associate("dev")
	m := connectDev
	m.Will = true
	w.say(p, m)
	w.say(p, mqttsn.WillTopic{Topic: "gone"})
	w.say(p, mqttsn.WillMsg{Payload: []byte("dev")})
	w.gw.ended(w.work, p, false)
	if got, _ := w.mqtt.next(); got != "gone 0 dev" {
		t.Errorf("the MQTT side got %q", got)
	}
	if n := w.clients(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
}

func TestClientIdentifiersAreBoundToKeys(t *testing.T) {
	for _, c := range []struct{ rule, name, id, answer string }{
		{"free", "dev", "x", "CONNACK "},
		{"identity", "dev", "dev", "CONNACK "},
		{"prefix", "dev", "dev-1", "CONNACK "},
		{"identity", "dev", "dev-1", "refused"},
		{"prefix", "dev", "x", "refused"},
		{"identity", "", "dev", "refused"},
		{"prefix", "", "dev", "refused"},
	} {
		w := newSecureWorld(t, map[string]string{"sessions.client_ids": c.rule})
		p, a := w.associate(c.name)
		m := connectDev
		m.ClientID = c.id
		w.say(p, m)
		got := a.heard()
		if w.risen("denied") > 0 {
			got = "refused"
		}
		if got != c.answer {
			t.Errorf("%s: %q as %q: %s, want %s", c.rule, c.name, c.id, got, c.answer)
		}
	}
}
