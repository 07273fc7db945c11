package translate

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	downwards = "5.0 client to 3.1.1 broker"
	upwards   = "3.1.1 client to 5.0 broker"
)

// begin starts a translating proxy between a client and what takes the place of the
// broker, neither of them connected yet.
func begin(t *testing.T, c Config, client mqtt.Version) (*proxytest.Peer, *proxytest.Listener) {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Stages = []proxy.Factory{f} })
	return proxytest.Dial(t, proxytest.URL(e), client), l
}

// join connects both sides.
func join(t *testing.T, c Config, connect mqtt.Connect, from, to mqtt.Version, ack mqtt.Connack) (client, broker *proxytest.Peer) {
	t.Helper()
	client, l := begin(t, c, from)
	client.Send(connect)
	broker = l.Next(to)
	if _, ok := broker.Next().(mqtt.Connect); !ok {
		t.Fatal("no CONNECT")
	}
	broker.Send(ack)
	if got, ok := client.Next().(mqtt.Connack); !ok || got.Code != mqtt.Success {
		t.Fatalf("answer to CONNECT: %+v", got)
	}
	return client, broker
}

func down5(t *testing.T, c Config, ps mqtt.Properties) (client, broker *proxytest.Peer) {
	c.To = "3.1.1"
	return join(t, c, mqtt.Connect{ClientID: "c", CleanStart: true, Properties: ps}, mqtt.V5, mqtt.V311, mqtt.Connack{})
}

func up3(t *testing.T, c Config, ps mqtt.Properties) (client, broker *proxytest.Peer) {
	c.To = "5.0"
	return join(t, c, mqtt.Connect{ClientID: "c", CleanStart: true}, mqtt.V311, mqtt.V5, mqtt.Connack{Properties: ps})
}

// expect waits for a packet and compares.
func expect[P mqtt.Packet](t *testing.T, from *proxytest.Peer, want P) {
	t.Helper()
	got := from.Next()
	if diff := cmp.Diff(mqtt.Packet(want), got, cmp.Transformer("empty", func(b []byte) string { return string(b) })); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func TestSession(t *testing.T) {
	expiry := func(n uint32) mqtt.Properties {
		return mqtt.Properties{}.AppendUint32(mqtt.PropSessionExpiryInterval, n)
	}
	for _, tt := range []struct {
		name          string
		clean         bool
		ps            mqtt.Properties
		want, present bool // clean session; session present as the client sees it
	}{
		{"clean start, no expiry", true, nil, true, false},
		{"clean start, expiry 0", true, expiry(0), true, false},
		{"no clean start", false, expiry(60), false, true},
		{"no clean start, no expiry", false, nil, false, true},
	} {
		t.Run(downwards+": "+tt.name, func(t *testing.T) {
			client, l := begin(t, Config{To: "3.1.1"}, mqtt.V5)
			client.Send(mqtt.Connect{ClientID: "c", CleanStart: tt.clean, Properties: tt.ps})
			broker := l.Next(mqtt.V311)
			expect(t, broker, mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V311, ClientID: "c", CleanStart: tt.want})
			broker.Send(mqtt.Connack{SessionPresent: tt.present})
			if got, ok := client.Next().(mqtt.Connack); !ok || got.SessionPresent != tt.present {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run(downwards+": clean start with expiry connects, disconnects and connects again", func(t *testing.T) {
		client, l := begin(t, Config{To: "3.1.1"}, mqtt.V5)
		client.Send(mqtt.Connect{
			ClientID: "c", CleanStart: true, Properties: expiry(60), KeepAlive: 30, HasUsername: true, Username: "u",
			HasPassword: true, Password: []byte("p"), Will: &mqtt.Will{Topic: "w", Payload: []byte("gone")},
		})
		first := l.Next(mqtt.V311)
		want := mqtt.Connect{
			ProtocolName: "MQTT", Version: mqtt.V311, ClientID: "c", CleanStart: true, KeepAlive: 30,
			HasUsername: true, Username: "u", HasPassword: true, Password: []byte("p"),
		}
		expect(t, first, want)
		first.Send(mqtt.Connack{})
		expect(t, first, mqtt.Disconnect{})
		_ = first.Close()
		second := l.Next(mqtt.V311)
		want.CleanStart, want.Will = false, &mqtt.Will{Topic: "w", Payload: []byte("gone")}
		expect(t, second, want)
		second.Send(mqtt.Connack{})
		if got, ok := client.Next().(mqtt.Connack); !ok || got.Code != mqtt.Success {
			t.Errorf("%+v", got)
		}
	})
	t.Run(downwards+": a refusal of the first connect is the client's", func(t *testing.T) {
		client, l := begin(t, Config{To: "3.1.1"}, mqtt.V5)
		client.Send(mqtt.Connect{ClientID: "c", CleanStart: true, Properties: expiry(60)})
		first := l.Next(mqtt.V311)
		first.Next()
		first.Send(mqtt.Connack{Code: mqtt.V3NotAuthorized})
		if got, ok := client.Next().(mqtt.Connack); !ok || got.Code != mqtt.NotAuthorized {
			t.Errorf("%+v", got)
		}
		client.Closed()
	})
	for _, clean := range []bool{true, false} {
		t.Run(upwards, func(t *testing.T) {
			client, l := begin(t, Config{To: "5.0"}, mqtt.V311)
			client.Send(mqtt.Connect{ClientID: "c", CleanStart: clean})
			want := mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V5, ClientID: "c", CleanStart: clean}
			if !clean {
				want.Properties = expiry(math.MaxUint32)
			}
			broker := l.Next(mqtt.V5)
			expect(t, broker, want)
			broker.Send(mqtt.Connack{SessionPresent: !clean})
			expect(t, client, mqtt.Connack{SessionPresent: !clean})
		})
	}
}

func TestClientID(t *testing.T) {
	t.Run(downwards, func(t *testing.T) {
		client, l := begin(t, Config{To: "3.1"}, mqtt.V5)
		client.Send(mqtt.Connect{CleanStart: false})
		broker := l.Next(mqtt.V31)
		c, ok := broker.Next().(mqtt.Connect)
		if !ok || c.ClientID == "" || len(c.ClientID) > 23 || c.ProtocolName != "MQIsdp" {
			t.Fatalf("%+v", c)
		}
		broker.Send(mqtt.Connack{})
		ack, ok := client.Next().(mqtt.Connack)
		if id, _ := ack.Properties.String(mqtt.PropAssignedClientIdentifier); !ok || id != c.ClientID {
			t.Errorf("assigned %q, connected as %q", id, c.ClientID)
		}
	})
	t.Run(upwards+": an empty one without clean session is refused", func(t *testing.T) {
		client, _ := begin(t, Config{To: "5.0"}, mqtt.V311)
		client.Send(mqtt.Connect{CleanStart: false})
		expect(t, client, mqtt.Connack{Code: mqtt.V3IdentifierRejected})
		client.Closed()
	})
	t.Run(upwards+": an empty one with clean session is the broker's to make", func(t *testing.T) {
		client, l := begin(t, Config{To: "5.0"}, mqtt.V311)
		client.Send(mqtt.Connect{CleanStart: true})
		broker := l.Next(mqtt.V5)
		expect(t, broker, mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V5, CleanStart: true})
		broker.Send(mqtt.Connack{Properties: mqtt.Properties{}.AppendString(mqtt.PropAssignedClientIdentifier, "x")})
		expect(t, client, mqtt.Connack{})
	})
}

func TestProperties(t *testing.T) {
	t.Run(downwards+": aliases are resolved, the rest is dropped", func(t *testing.T) {
		client, broker := down5(t, Config{}, nil)
		alias := mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 3)
		client.Send(mqtt.Publish{
			Topic: []byte("a/b"), Payload: []byte("1"),
			Properties: alias.AppendUserProperty("n", "v").AppendUint32(mqtt.PropMessageExpiryInterval, 9),
		})
		expect(t, broker, mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("1")})
		client.Send(mqtt.Publish{Properties: alias, Payload: []byte("2"), QoS: 1, PacketID: 7})
		expect(t, broker, mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("2"), QoS: 1, PacketID: 7})
		client.Send(mqtt.Publish{Properties: mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 17), Topic: []byte("x")})
		expect(t, client, mqtt.Disconnect{Code: mqtt.TopicAliasInvalid})
	})
	t.Run(downwards+": receive maximum", func(t *testing.T) {
		client, broker := down5(t, Config{}, mqtt.Properties{}.AppendUint16(mqtt.PropReceiveMaximum, 2))
		for id := uint16(1); id <= 4; id++ {
			broker.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1 + uint8(id%2), PacketID: id, Payload: []byte{byte(id)}})
		}
		broker.Send(mqtt.Publish{Topic: []byte("a"), Payload: []byte("quick")})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 1, Payload: []byte{1}})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 2, Payload: []byte{2}})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), Payload: []byte("quick")})
		client.Send(mqtt.Puback{PacketID: 2})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 3, Payload: []byte{3}})
		client.Send(mqtt.Pubrec{PacketID: 1, Code: mqtt.QuotaExceeded})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 4, Payload: []byte{4}})
		expect(t, broker, mqtt.Puback{PacketID: 2})
		expect(t, broker, mqtt.Pubrec{PacketID: 1})
		broker.Send(mqtt.Pubrel{PacketID: 1}) // the end for the client, but not for the broker
		expect(t, broker, mqtt.Pubcomp{PacketID: 1})
	})
	t.Run(downwards+": maximum packet size", func(t *testing.T) {
		client, broker := down5(t, Config{}, mqtt.Properties{}.AppendUint32(mqtt.PropMaximumPacketSize, 50))
		large := bytes.Repeat([]byte("x"), 60)
		broker.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1, Payload: large})
		expect(t, broker, mqtt.Puback{PacketID: 1})
		broker.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2, Payload: large})
		expect(t, broker, mqtt.Pubrec{PacketID: 2})
		broker.Send(mqtt.Pubrel{PacketID: 2})
		expect(t, broker, mqtt.Pubcomp{PacketID: 2})
		broker.Send(mqtt.Publish{Topic: []byte("a"), Payload: large[:10]})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), Payload: large[:10]})
	})
	t.Run(downwards+": subscription identifiers", func(t *testing.T) {
		client, broker := down5(t, Config{}, nil)
		for id, filter := range []string{"a/+", "a/#", "b"} {
			sub := mqtt.Subscribe{PacketID: uint16(id + 1), Filters: []mqtt.Subscription{{Filter: filter, QoS: 1}}}
			if filter != "b" {
				sub.Properties = mqtt.Properties{}.AppendVarint(mqtt.PropSubscriptionIdentifier, 200+uint32(id))
			}
			client.Send(sub)
			sub.Properties = nil
			expect(t, broker, sub)
			broker.Send(mqtt.Suback{PacketID: sub.PacketID, Codes: []mqtt.ReasonCode{1}})
			expect(t, client, mqtt.Suback{PacketID: sub.PacketID, Codes: []mqtt.ReasonCode{1}})
		}
		ids := func(topic string) (n int) {
			broker.Send(mqtt.Publish{Topic: []byte(topic)})
			p, ok := client.Next().(mqtt.Publish)
			for q := range p.Properties.All() {
				if q.ID == mqtt.PropSubscriptionIdentifier {
					n += int(q.Num)
				}
			}
			if !ok || string(p.Topic) != topic {
				t.Fatalf("%+v", p)
			}
			return n
		}
		if got := [3]int{ids("a/x"), ids("a/x/y"), ids("b")}; got != [3]int{401, 201, 0} {
			t.Errorf("%v", got)
		}
	})
	t.Run(upwards+": dropped towards the client", func(t *testing.T) {
		client, broker := up3(t, Config{}, nil)
		broker.Send(mqtt.Publish{
			Topic: []byte("a"), Payload: []byte("x"),
			Properties: mqtt.Properties{}.AppendUserProperty("n", "v").AppendUint32(mqtt.PropMessageExpiryInterval, 3),
		})
		expect(t, client, mqtt.Publish{Topic: []byte("a"), Payload: []byte("x")})
	})
	t.Run(upwards+": receive maximum", func(t *testing.T) {
		client, broker := up3(t, Config{}, mqtt.Properties{}.AppendUint16(mqtt.PropReceiveMaximum, 1))
		for id := uint16(1); id <= 3; id++ {
			client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: id})
		}
		client.Send(mqtt.Pingreq{})
		expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		expect(t, broker, mqtt.Pingreq{})
		for id := uint16(1); id <= 3; id++ {
			broker.Send(mqtt.Puback{PacketID: id})
			expect(t, client, mqtt.Puback{PacketID: id})
			if id < 3 {
				expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: id + 1})
			}
		}
	})
	t.Run(upwards+": maximum packet size", func(t *testing.T) {
		large := mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 5, Payload: bytes.Repeat([]byte("x"), 99)}
		ps := mqtt.Properties{}.AppendUint32(mqtt.PropMaximumPacketSize, 50)
		client, broker := up3(t, Config{}, ps)
		client.Send(large)
		expect(t, client, mqtt.Pubrec{PacketID: 5})
		client.Send(mqtt.Pubrel{PacketID: 5})
		expect(t, client, mqtt.Pubcomp{PacketID: 5})
		client.Send(mqtt.Subscribe{PacketID: 6, Filters: []mqtt.Subscription{{Filter: strings.Repeat("f", 60)}}})
		expect(t, client, mqtt.Suback{PacketID: 6, Codes: []mqtt.ReasonCode{0x80}})
		client.Send(mqtt.Pingreq{})
		expect(t, broker, mqtt.Pingreq{})
		client, _ = up3(t, Config{Failures: "close"}, ps)
		client.Send(large)
		client.Closed()
	})
	t.Run(upwards+": server keep alive is kept by pings of the proxy", func(t *testing.T) {
		client, broker := up3(t, Config{}, mqtt.Properties{}.AppendUint16(mqtt.PropServerKeepAlive, 1))
		for range 2 {
			expect(t, broker, mqtt.Pingreq{})
			broker.Send(mqtt.Pingresp{})
		}
		broker.Send(mqtt.Publish{Topic: []byte("a")})
		expect(t, client, mqtt.Publish{Topic: []byte("a")}) // and no PINGRESP before it
	})
	t.Run(upwards+": maximum QoS and retain", func(t *testing.T) {
		client, broker := up3(t, Config{}, mqtt.Properties{}.AppendByte(mqtt.PropMaximumQoS, 1).AppendByte(mqtt.PropRetainAvailable, 0))
		client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 1, Retain: true})
		expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		broker.Send(mqtt.Puback{PacketID: 1})
		expect(t, client, mqtt.Pubrec{PacketID: 1})
		client.Send(mqtt.Pubrel{PacketID: 1})
		expect(t, client, mqtt.Pubcomp{PacketID: 1})
	})
}
