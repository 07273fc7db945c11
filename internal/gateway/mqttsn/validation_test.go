package mqttsn

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// forge has somebody at the address send m. It returns the length.
func (w *world) forge(from netip.AddrPort, m mqttsn.Message) int {
	w.t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.receive(from, b)
	return len(b)
}

// latest is the last message of that type to the address.
func latest[M mqttsn.Message](w *world, to netip.AddrPort) (m M) {
	w.t.Helper()
	found := false
	for _, d := range w.air.queue {
		if got, _, err := mqttsn.Parse(d.Data, mqttsn.Options{FromServer: true}); err == nil && d.Addr == to {
			if last, ok := got.(M); ok {
				m, found = last, true
			}
		}
	}
	if !found {
		w.t.Fatalf("no %T to %s in %x", m, to, w.air.queue)
	}
	return m
}

// TestSecretsOfAnotherAddressProveNothing has a client show that it hears at its own
// address, and then go on in the name of a victim, with all that it has been told.
func TestSecretsOfAnotherAddressProveNothing(t *testing.T) {
	forger, victim := peerAddress("f"), peerAddress("v")
	connect := mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 65535, ClientID: "x"}
	type ways map[string]func(w *world) int
	moves := ways{
		"connect": func(w *world) int { return w.forge(victim, connect) },
		"reconnect": func(w *world) int {
			w.forge(forger, mqttsn.Disconnect{})
			return w.forge(victim, connect)
		},
		"wake": func(w *world) int {
			w.forge(forger, mqttsn.Disconnect{HasDuration: true, Duration: 65535})
			return w.forge(victim, mqttsn.Pingreq{ClientID: "x"}) + w.forge(victim, connect)
		},
		"restart": func(w *world) int {
			n := w.forge(victim, connect)
			w.restart()
			return n
		},
	}
	proofs := ways{
		"topic of REGACK": func(w *world) int {
			w.forge(forger, mqttsn.Register{MsgID: 2, Topic: "a/b"})
			return int(latest[mqttsn.Regack](w, forger).TopicID)
		},
		"next PUBACK": func(w *world) int {
			w.mqtt.mustPublish(w, "ab", 1, "1")
			m := latest[mqttsn.Publish](w, forger)
			w.forge(forger, mqttsn.Puback{TopicID: m.TopicID, MsgID: m.MsgID})
			return int(m.MsgID)
		},
		"next REGACK": func(w *world) int {
			w.mqtt.mustPublish(w, "t/1", 0, "1")
			m := latest[mqttsn.Register](w, forger)
			w.forge(forger, mqttsn.Regack{TopicID: m.TopicID, MsgID: m.MsgID})
			return int(m.MsgID)
		},
	}
	use := map[string]func(w *world, secret int) int{
		"topic of REGACK": func(w *world, id int) int {
			return w.forge(victim, mqttsn.Publish{TopicID: uint16(id)})
		},
		"next PUBACK": func(w *world, id int) int {
			w.mqtt.mustPublish(w, "ab", 1, "2")
			m, _ := mqttsn.ShortID("ab")
			return w.forge(victim, mqttsn.Puback{TopicID: m, MsgID: uint16(id)%65535 + 1})
		},
		"next REGACK": func(w *world, id int) int {
			w.mqtt.mustPublish(w, "t/1", 0, "1")
			topic := w.gw.clients.named(w.gw.sessionID("x")).out.topics.named("t/1")
			return w.forge(victim, mqttsn.Regack{TopicID: topic.id, MsgID: uint16(id) + 1})
		},
	}
	for move, moved := range moves {
		for proof, learn := range proofs {
			t.Run(move+"/"+proof, func(t *testing.T) {
				w := newWorld(t, nil)
				w.forge(forger, connect)
				w.forge(forger, mqttsn.Subscribe{QoS: 1, MsgID: 1, Filter: "ab"})
				w.forge(forger, mqttsn.Subscribe{QoS: 1, MsgID: 2, Filter: "t/+"})
				secret := learn(w)
				in := moved(w) + use[proof](w, secret)
				for range 100 {
					w.mqtt.mustPublish(w, "ab", 0, strings.Repeat("y", 1000))
					w.mqtt.mustPublish(w, "t/1", 0, strings.Repeat("y", 1000))
				}
				out := 0
				for _, d := range w.air.queue {
					if d.Addr == victim {
						out += len(d.Data)
					}
				}
				if out > 3*in {
					t.Errorf("%d bytes in, %d bytes out", in, out)
				}
			})
		}
	}
}

// mustPublish publishes by the MQTT side.
func (m *mqttSide) mustPublish(w *world, topic string, qos byte, payload string) {
	w.t.Helper()
	if err := m.publish(topic, qos, payload, false); err != nil {
		w.t.Fatal(err)
	}
}

func TestIdentifiersThatAreNotRandomProveNothing(t *testing.T) {
	w := newWorld(t, map[string]string{"topics.random_ids": "false"})
	victim := peerAddress("v")
	w.forge(victim, mqttsn.Connect{CleanSession: true, ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "x"})
	w.forge(victim, mqttsn.Register{MsgID: 1, Topic: "a/b"})
	w.forge(victim, mqttsn.Publish{TopicID: latest[mqttsn.Regack](w, victim).TopicID})
	if w.gw.clients.named(w.gw.sessionID("x")).out.proved {
		t.Error("somebody who has been sent nothing that cannot be told is taken to receive it")
	}
}

// TestTopicsThatCouldNotBeStoredAreDelivered has a client refused an identifier, since
// the store fails. It has not refused the topic.
func TestTopicsThatCouldNotBeStoredAreDelivered(t *testing.T) {
	w := newWorld(t, nil)
	a := peerAddress("a")
	w.forge(a, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "x"})
	w.forge(a, mqttsn.Subscribe{QoS: 1, MsgID: 1, Filter: "#"})
	w.store.err = errors.New("the disk is gone")
	w.forge(a, mqttsn.Register{MsgID: 2, Topic: "a/b"})
	if m := latest[mqttsn.Regack](w, a); m.Code != mqttsn.Congestion {
		t.Errorf("%+v", m)
	}
	w.store.err = nil
	w.mqtt.mustPublish(w, "a/b", 1, "x")
	m := latest[mqttsn.Register](w, a)
	w.forge(a, mqttsn.Regack{TopicID: m.TopicID, MsgID: m.MsgID})
	if p := latest[mqttsn.Publish](w, a); p.QoS != 1 || string(p.Payload) != "x" {
		t.Errorf("%+v", p)
	}
}

// TestTopicsThatBothRegisterAreKept has a client ask for an identifier that it is just
// being told.
func TestTopicsThatBothRegisterAreKept(t *testing.T) {
	w := newWorld(t, nil)
	a := peerAddress("a")
	w.forge(a, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "x"})
	w.forge(a, mqttsn.Subscribe{MsgID: 1, Filter: "#"})
	w.mqtt.mustPublish(w, "a/b", 0, "x")
	told := latest[mqttsn.Register](w, a).TopicID
	w.forge(a, mqttsn.Register{MsgID: 2, Topic: "a/b"})
	if m := latest[mqttsn.Regack](w, a); m.Code != mqttsn.Accepted || m.TopicID != told {
		t.Errorf("%+v, and %d in REGISTER", m, told)
	}
	w.restart()
	w.forge(a, mqttsn.Publish{QoS: 1, MsgID: 3, TopicID: told})
	if m := latest[mqttsn.Puback](w, a); m.Code != mqttsn.Accepted {
		t.Errorf("%+v", m)
	}
}
