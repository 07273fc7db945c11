package translate

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestCodes(t *testing.T) {
	for code, want := range map[mqtt.ReasonCode]mqtt.ReasonCode{1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87} {
		t.Run(downwards+": CONNACK "+code.Name(mqtt.TypeConnack, mqtt.V311), func(t *testing.T) {
			client, l := begin(t, Config{To: "3.1.1"}, mqtt.V5)
			client.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
			broker := l.Next(mqtt.V311)
			broker.Next()
			broker.Send(mqtt.Connack{Code: code})
			expect(t, client, mqtt.Connack{Code: want})
		})
	}
	t.Run(downwards+": SUBACK and UNSUBACK", func(t *testing.T) {
		client, broker := down5(t, Config{}, nil)
		client.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a"}, {Filter: "b/#/c"}, {Filter: "c"}}})
		expect(t, broker, mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a"}, {Filter: "c"}}})
		broker.Send(mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0x80, 2}})
		expect(t, client, mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0x80, mqtt.TopicFilterInvalid, 2}})
		client.Send(mqtt.Unsubscribe{PacketID: 2, Filters: []string{"a", "c"}})
		expect(t, broker, mqtt.Unsubscribe{PacketID: 2, Filters: []string{"a", "c"}})
		broker.Send(mqtt.Unsuback{PacketID: 2})
		expect(t, client, mqtt.Unsuback{PacketID: 2, Codes: []mqtt.ReasonCode{0, 0}})
	})
	for code, want := range map[mqtt.ReasonCode]mqtt.ReasonCode{0x84: 1, 0x85: 2, 0x86: 4, 0x87: 5, 0x88: 3, 0x89: 3, 0x8a: 5, 0x97: 3, 0x9f: 3} {
		t.Run(upwards+": CONNACK "+code.String(), func(t *testing.T) {
			client, l := begin(t, Config{To: "5.0"}, mqtt.V311)
			client.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
			broker := l.Next(mqtt.V5)
			broker.Next()
			broker.Send(mqtt.Connack{Code: code, Properties: mqtt.Properties{}.AppendString(mqtt.PropReasonString, "no")})
			expect(t, client, mqtt.Connack{Code: want})
		})
	}
	t.Run(upwards+": SUBACK", func(t *testing.T) {
		client, broker := up3(t, Config{}, nil)
		client.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a", QoS: 2}, {Filter: "b"}}})
		expect(t, broker, mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a", QoS: 2}, {Filter: "b"}}})
		broker.Send(mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{2, mqtt.NotAuthorized}})
		expect(t, client, mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{2, 0x80}})
		client.Send(mqtt.Unsubscribe{PacketID: 2, Filters: []string{"a"}})
		broker.Next()
		broker.Send(mqtt.Unsuback{PacketID: 2, Codes: []mqtt.ReasonCode{mqtt.NoSubscriptionExisted}})
		expect(t, client, mqtt.Unsuback{PacketID: 2})
	})
	t.Run(upwards+": failing PUBACK and PUBREC are swallowed", func(t *testing.T) {
		client, broker := up3(t, Config{}, nil)
		client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		broker.Next()
		broker.Send(mqtt.Puback{PacketID: 1, Code: mqtt.NotAuthorized})
		expect(t, client, mqtt.Puback{PacketID: 1})
		client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2})
		broker.Next()
		broker.Send(mqtt.Pubrec{PacketID: 2, Code: mqtt.QuotaExceeded})
		expect(t, client, mqtt.Pubrec{PacketID: 2})
		client.Send(mqtt.Pubrel{PacketID: 2})
		expect(t, client, mqtt.Pubcomp{PacketID: 2})
	})
	t.Run(upwards+": failing PUBACK closes", func(t *testing.T) {
		client, broker := up3(t, Config{Failures: "close"}, nil)
		client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		broker.Next()
		broker.Send(mqtt.Puback{PacketID: 1, Code: mqtt.NotAuthorized})
		client.Closed()
	})
}

func TestDISCONNECT(t *testing.T) {
	t.Run(downwards+": 0 is passed on", func(t *testing.T) {
		client, broker := down5(t, Config{}, nil)
		client.Send(mqtt.Disconnect{})
		expect(t, broker, mqtt.Disconnect{})
		_ = broker.Close()
		client.Closed()
	})
	t.Run(downwards+": 4 drops the connection, so that the will fires", func(t *testing.T) {
		client, broker := down5(t, Config{}, nil)
		client.Send(mqtt.Disconnect{Code: mqtt.DisconnectWithWill})
		broker.Closed()
		_ = client.Close()
	})
	t.Run(upwards+": from the broker closes", func(t *testing.T) {
		client, broker := up3(t, Config{}, nil)
		broker.Send(mqtt.Disconnect{Code: mqtt.ServerShuttingDown})
		client.Closed()
	})
}

func TestNotPossible(t *testing.T) {
	t.Run(downwards+": AUTH in CONNECT", func(t *testing.T) {
		client, _ := begin(t, Config{To: "3.1.1"}, mqtt.V5)
		client.Send(mqtt.Connect{
			ClientID: "c", CleanStart: true, Properties: mqtt.Properties{}.AppendString(mqtt.PropAuthenticationMethod, "m"),
		})
		if got, ok := client.Next().(mqtt.Connack); !ok || got.Code != mqtt.BadAuthenticationMethod {
			t.Errorf("%+v", got)
		}
		client.Closed()
	})
	t.Run(downwards+": AUTH", func(t *testing.T) {
		client, _ := down5(t, Config{}, nil)
		client.Send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: mqtt.Properties{}.AppendString(mqtt.PropAuthenticationMethod, "m")})
		if got, ok := client.Next().(mqtt.Disconnect); !ok || got.Code != mqtt.BadAuthenticationMethod {
			t.Errorf("%+v", got)
		}
	})
	t.Run(downwards+": no local", func(t *testing.T) {
		client, broker := down5(t, Config{NoLocal: "refuse"}, nil)
		client.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a", NoLocal: true}}})
		expect(t, client, mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{mqtt.ImplementationSpecificError}})
		client.Send(mqtt.Pingreq{})
		expect(t, broker, mqtt.Pingreq{})
	})
	t.Run(downwards+": retain handling", func(t *testing.T) {
		client, broker := down5(t, Config{}, nil)
		subscribe := func(id uint16, filter string, handling uint8) {
			client.Send(mqtt.Subscribe{PacketID: id, Filters: []mqtt.Subscription{{Filter: filter, RetainHandling: handling}}})
			broker.Next()
			broker.Send(mqtt.Suback{PacketID: id, Codes: []mqtt.ReasonCode{0}})
			broker.Send(mqtt.Publish{Topic: []byte(filter), Retain: true, QoS: 1, PacketID: id})
		}
		got := func(what string) {
			if _, ok := client.Next().(mqtt.Suback); !ok {
				t.Fatal("no SUBACK")
			}
			if p, ok := client.Next().(mqtt.Publish); !ok || !p.Retain {
				t.Fatalf("%s: %+v", what, p)
			}
		}
		gotNone := func() {
			if _, ok := client.Next().(mqtt.Suback); !ok {
				t.Fatal("no SUBACK")
			}
			if _, ok := broker.Next().(mqtt.Puback); !ok {
				t.Fatal("no PUBACK in the place of the client")
			}
		}
		subscribe(1, "never", 2)
		gotNone()
		subscribe(2, "new", 1)
		got("a new subscription")
		subscribe(3, "new", 1)
		gotNone()
		subscribe(4, "new", 0)
		got("asked for again")
		broker.Send(mqtt.Publish{Topic: []byte("never")})
		expect(t, client, mqtt.Publish{Topic: []byte("never")})
	})
	t.Run(downwards+": the will goes without delay", func(t *testing.T) {
		client, l := begin(t, Config{To: "3.1.1"}, mqtt.V5)
		client.Send(mqtt.Connect{ClientID: "c", CleanStart: true, Will: &mqtt.Will{
			Topic: "w", Payload: []byte("x"), QoS: 1, Retain: true,
			Properties: mqtt.Properties{}.AppendUint32(mqtt.PropWillDelayInterval, 9),
		}})
		expect(t, l.Next(mqtt.V311), mqtt.Connect{
			ProtocolName: "MQTT", Version: mqtt.V311, ClientID: "c", CleanStart: true,
			Will: &mqtt.Will{Topic: "w", Payload: []byte("x"), QoS: 1, Retain: true},
		})
	})
	t.Run(upwards+": reason strings and user properties", func(t *testing.T) {
		client, broker := up3(t, Config{}, nil)
		client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
		broker.Next()
		broker.Send(mqtt.Puback{PacketID: 1, Properties: mqtt.Properties{}.AppendString(mqtt.PropReasonString, "fine").AppendUserProperty("n", "v")})
		expect(t, client, mqtt.Puback{PacketID: 1})
	})
}

func TestBridgesGetNoLocalAndRetainAsPublished(t *testing.T) {
	client, l := begin(t, Config{To: "5.0"}, mqtt.V311)
	client.Send(mqtt.Connect{ClientID: "c", CleanStart: true, Version: mqtt.V311, Bridge: true})
	broker, _ := l.Welcome(mqtt.V5)
	expect(t, client, mqtt.Connack{})
	client.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a", QoS: 1}}})
	expect(t, broker, mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true}}})
}

func TestAcross31And311(t *testing.T) {
	client, l := begin(t, Config{To: "3.1.1"}, mqtt.V31)
	client.Send(mqtt.Connect{ClientID: "c", CleanStart: true})
	broker := l.Next(mqtt.V311)
	expect(t, broker, mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V311, ClientID: "c", CleanStart: true})
	broker.Send(mqtt.Connack{})
	expect(t, client, mqtt.Connack{})
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 9})
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 9})
}

func TestConfigNamesItsProblems(t *testing.T) {
	err := Config{To: "4.2", Failures: "x", NoLocal: "y", TopicAliases: 1 << 20, Subscriptions: -1, Expiries: -1, HoldBytes: -1}.Validate()
	for _, want := range []string{"to:", "failures:", "no_local:", "topic_aliases:", "subscriptions:", "expiries:", "hold_bytes:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if f, err := New(Config{}); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
}
