package rewrite

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin starts a rewriting proxy between a client and what takes the place of the
// broker, neither of them connected yet.
func begin(t *testing.T, c Config, v mqtt.Version) (*proxytest.Peer, *proxytest.Listener) {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Stages = []proxy.Factory{f} })
	return proxytest.Dial(t, proxytest.URL(e), v), l
}

// join connects both sides. It returns the CONNECT as the broker and the CONNACK as
// the client has seen it.
func join(t *testing.T, c Config, v mqtt.Version, connect mqtt.Connect, ack mqtt.Connack) (client, broker *proxytest.Peer, seen mqtt.Connect, told mqtt.Connack) {
	t.Helper()
	client, l := begin(t, c, v)
	client.Send(connect)
	broker = l.Next(v)
	var ok bool
	if seen, ok = broker.Next().(mqtt.Connect); !ok {
		t.Fatal("no CONNECT")
	}
	broker.Send(ack)
	if told, ok = client.Next().(mqtt.Connack); !ok {
		t.Fatal("no CONNACK")
	}
	return client, broker, seen, told
}

func expect[P mqtt.Packet](t *testing.T, from *proxytest.Peer, want P) {
	t.Helper()
	got := from.Next()
	if diff := cmp.Diff(mqtt.Packet(want), got, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

var sensor = mqtt.Connect{ClientID: "dev1", CleanStart: true, HasUsername: true, Username: "ann", HasPassword: true, Password: []byte("pw")}

func TestTopicsOfEveryPacket(t *testing.T) {
	response := func(s string) mqtt.Properties {
		return mqtt.Properties{}.AppendString(mqtt.PropResponseTopic, s)
	}
	connect := sensor
	connect.Will = &mqtt.Will{Topic: "gone", Properties: response("r")}
	client, broker, seen, _ := join(t, Config{Topics: Topics{Prefix: "t/%u/"}}, mqtt.V5, connect, mqtt.Connack{})
	if w := seen.Will; w == nil || w.Topic != "t/ann/gone" || !bytes.Equal(w.Properties, response("t/ann/r")) {
		t.Errorf("will %+v", w)
	}
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1, Properties: response("r"), Payload: []byte("x")})
	expect(t, broker, mqtt.Publish{Topic: []byte("t/ann/a"), QoS: 1, PacketID: 1, Properties: response("t/ann/r"), Payload: []byte("x")})
	broker.Send(mqtt.Puback{PacketID: 1})
	expect(t, client, mqtt.Puback{PacketID: 1})

	client.Send(mqtt.Subscribe{
		PacketID: 2, Properties: mqtt.Properties{}.AppendVarint(mqtt.PropSubscriptionIdentifier, 9),
		Filters: []mqtt.Subscription{{Filter: "$share/g/+/x", QoS: 1}, {Filter: "a/#/b"}, {Filter: "$SYS/#"}},
	})
	expect(t, broker, mqtt.Subscribe{
		PacketID: 2, Properties: mqtt.Properties{}.AppendVarint(mqtt.PropSubscriptionIdentifier, 9),
		Filters: []mqtt.Subscription{{Filter: "$share/g/t/ann/+/x", QoS: 1}, {Filter: "$SYS/#"}},
	})
	broker.Send(mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{1, mqtt.NotAuthorized}})
	expect(t, client, mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{1, mqtt.TopicFilterInvalid, mqtt.NotAuthorized}})

	broker.Send(mqtt.Publish{Topic: []byte("t/ann/k/x"), QoS: 2, PacketID: 1, Properties: response("t/ann/r")})
	expect(t, client, mqtt.Publish{Topic: []byte("k/x"), QoS: 2, PacketID: 1, Properties: response("r")})
	broker.Send(mqtt.Publish{Topic: []byte("t/eve/k/x"), QoS: 2, PacketID: 2}) // no name here: answered for the client
	expect(t, broker, mqtt.Pubrec{PacketID: 2})
	broker.Send(mqtt.Pubrel{PacketID: 2})
	expect(t, broker, mqtt.Pubcomp{PacketID: 2})

	client.Send(mqtt.Unsubscribe{PacketID: 3, Filters: []string{"x", "#x"}})
	expect(t, broker, mqtt.Unsubscribe{PacketID: 3, Filters: []string{"t/ann/x"}})
	broker.Send(mqtt.Unsuback{PacketID: 3, Codes: []mqtt.ReasonCode{mqtt.NoSubscriptionExisted}})
	expect(t, client, mqtt.Unsuback{PacketID: 3, Codes: []mqtt.ReasonCode{mqtt.NoSubscriptionExisted, mqtt.TopicFilterInvalid}})
}

func TestWhatHasNoNameIsRefused(t *testing.T) {
	c := Config{Topics: Topics{Strip: "old/"}}
	client, broker, _, _ := join(t, c, mqtt.V5, sensor, mqtt.Connack{})
	client.Send(mqtt.Publish{Topic: []byte("new/a"), QoS: 1, PacketID: 1})
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.TopicNameInvalid})
	client.Send(mqtt.Publish{Topic: []byte("new/a"), QoS: 2, PacketID: 2})
	expect(t, client, mqtt.Pubrec{PacketID: 2, Code: mqtt.TopicNameInvalid})
	client.Send(mqtt.Publish{Topic: []byte("new/a")})
	client.Send(mqtt.Subscribe{PacketID: 3, Filters: []mqtt.Subscription{{Filter: "new/#"}}})
	expect(t, client, mqtt.Suback{PacketID: 3, Codes: []mqtt.ReasonCode{mqtt.TopicFilterInvalid}})
	client.Send(mqtt.Pingreq{})
	expect(t, broker, mqtt.Pingreq{})

	client, broker, _, _ = join(t, c, mqtt.V311, sensor, mqtt.Connack{})
	client.Send(mqtt.Publish{Topic: []byte("new/a"), QoS: 2, PacketID: 2})
	expect(t, client, mqtt.Pubrec{PacketID: 2})
	client.Send(mqtt.Pubrel{PacketID: 2})
	expect(t, client, mqtt.Pubcomp{PacketID: 2})
	client.Send(mqtt.Subscribe{PacketID: 3, Filters: []mqtt.Subscription{{Filter: "new/#"}, {Filter: "old/a"}}})
	expect(t, broker, mqtt.Subscribe{PacketID: 3, Filters: []mqtt.Subscription{{Filter: "a"}}})
	broker.Send(mqtt.Suback{PacketID: 3, Codes: []mqtt.ReasonCode{0}})
	expect(t, client, mqtt.Suback{PacketID: 3, Codes: []mqtt.ReasonCode{0x80, 0}})
}

func TestAliasesWhereTopicsAreRewritten(t *testing.T) {
	client, broker, _, _ := join(t, Config{Topics: Topics{Strip: "old/"}}, mqtt.V5, sensor,
		mqtt.Connack{Properties: mqtt.Properties{}.AppendUint16(mqtt.PropTopicAliasMaximum, 5)})
	alias := func(n uint16) mqtt.Properties { return mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, n) }
	client.Send(mqtt.Publish{Topic: []byte("old/a"), Properties: alias(1)})
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), Properties: alias(1)})
	client.Send(mqtt.Publish{Properties: alias(1), Payload: []byte("2")})
	expect(t, broker, mqtt.Publish{Topic: []byte{}, Properties: alias(1), Payload: []byte("2")})
	client.Send(mqtt.Publish{Topic: []byte("foreign"), Properties: alias(1)}) // refused: the alias is set nevertheless
	client.Send(mqtt.Publish{Properties: alias(1), QoS: 1, PacketID: 1})
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.TopicNameInvalid})
	client.Send(mqtt.Publish{Topic: []byte("old/b"), Properties: alias(1)})
	expect(t, broker, mqtt.Publish{Topic: []byte("b"), Properties: alias(1)})
	client.Send(mqtt.Publish{Properties: alias(2)})
	if got, ok := client.Next().(mqtt.Disconnect); !ok || got.Code != mqtt.TopicAliasInvalid {
		t.Errorf("%+v", got)
	}
}

func TestPacketsThatGrowTooLarge(t *testing.T) {
	c := Config{Topics: Topics{Prefix: strings.Repeat("x", 40) + "/"}, UserProperties: []UserProperty{
		{Direction: "s2c", Name: "n", Value: strings.Repeat("v", 60)},
	}}
	limit := mqtt.Properties{}.AppendUint32(mqtt.PropMaximumPacketSize, 50)
	connect := sensor
	connect.Properties = limit
	client, broker, _, _ := join(t, c, mqtt.V5, connect, mqtt.Connack{Properties: limit})
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1, Payload: []byte("more than is left")})
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.QuotaExceeded})
	broker.Send(mqtt.Publish{Topic: []byte(c.Topics.Prefix + "a"), QoS: 1, PacketID: 1})
	expect(t, broker, mqtt.Puback{PacketID: 1})
}

func TestClientIdentifiersAndCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{ClientID: "site1-%c", Credentials: Credentials{Username: "gw-%u", PasswordFile: file}}
	_, _, seen, _ := join(t, c, mqtt.V311, sensor, mqtt.Connack{})
	if seen.ClientID != "site1-dev1" || seen.Username != "gw-ann" || string(seen.Password) != "secret" {
		t.Errorf("%+v", seen)
	}
	t.Setenv("PROXY_TEST_PASSWORD", "other")
	c = Config{ClientID: "site1-%c", Credentials: Credentials{PasswordEnv: "PROXY_TEST_PASSWORD"}}
	_, _, seen, told := join(t, c, mqtt.V5, mqtt.Connect{CleanStart: true}, mqtt.Connack{})
	id, _ := told.Properties.String(mqtt.PropAssignedClientIdentifier)
	if id == "" || seen.ClientID != "site1-"+id || string(seen.Password) != "other" {
		t.Errorf("%+v, assigned %q", seen, id)
	}
	_, _, seen, _ = join(t, Config{Credentials: Credentials{Remove: true}}, mqtt.V311, sensor, mqtt.Connack{})
	if seen.HasUsername || seen.HasPassword {
		t.Errorf("%+v", seen)
	}
	if _, err := New(Config{Credentials: Credentials{PasswordEnv: "PROXY_TEST_NOT_SET"}}); err == nil {
		t.Error("a password that is not there")
	}
}

func TestPasswordsAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	f, err := New(Config{Credentials: Credentials{PasswordFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	l := proxytest.Listen(t, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	e := proxytest.Start(t, l.URL(), func(c *proxy.Config) { c.Stages = []proxy.Factory{f} })
	shown := func() string {
		client := proxytest.Dial(t, proxytest.URL(e), mqtt.V5)
		client.Send(sensor)
		_, c := l.Welcome(mqtt.V5)
		return string(c.Password)
	}
	before := shown()
	write("new")
	if err := e.Reload(); err != nil {
		t.Fatal(err)
	}
	after := shown()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := e.Reload(); err == nil || before != "old" || after != "new" || shown() != "new" {
		t.Errorf("%q, then %q, %v", before, after, err)
	}
}

func TestQoSCapped(t *testing.T) {
	one, zero := uint8(1), uint8(0)
	c := Config{Publish: Message{MaxQoS: &one}, Deliver: Message{MaxQoS: &zero}}
	connect := sensor
	connect.Will = &mqtt.Will{Topic: "w", QoS: 2}
	client, broker, seen, _ := join(t, c, mqtt.V5, connect, mqtt.Connack{})
	if seen.Will.QoS != 1 {
		t.Errorf("will with QoS %d", seen.Will.QoS)
	}
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 1})
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1})
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 1, Dup: true}) // not answered yet: the first counts
	client.Send(mqtt.Pingreq{})
	expect(t, broker, mqtt.Pingreq{})
	broker.Send(mqtt.Puback{PacketID: 1})
	expect(t, client, mqtt.Pubrec{PacketID: 1})
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 1, Dup: true}) // answered: not sent again
	expect(t, client, mqtt.Pubrec{PacketID: 1})
	client.Send(mqtt.Pubrel{PacketID: 1})
	expect(t, client, mqtt.Pubcomp{PacketID: 1})
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2})
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 2})
	broker.Send(mqtt.Puback{PacketID: 2, Code: mqtt.NotAuthorized})
	expect(t, client, mqtt.Pubrec{PacketID: 2, Code: mqtt.NotAuthorized})

	client.Send(mqtt.Subscribe{PacketID: 3, Filters: []mqtt.Subscription{{Filter: "a", QoS: 2}}})
	expect(t, broker, mqtt.Subscribe{PacketID: 3, Filters: []mqtt.Subscription{{Filter: "a", QoS: 0}}})
	broker.Send(mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 1}) // of an old session
	expect(t, client, mqtt.Publish{Topic: []byte("a")})
	expect(t, broker, mqtt.Pubrec{PacketID: 1})
	broker.Send(mqtt.Pubrel{PacketID: 1})
	expect(t, broker, mqtt.Pubcomp{PacketID: 1})
}

func TestQoSForced(t *testing.T) {
	client, broker, _, told := join(t, Config{Publish: Message{MinQoS: 1}}, mqtt.V5, sensor,
		mqtt.Connack{Properties: mqtt.Properties{}.AppendUint16(mqtt.PropReceiveMaximum, 4)})
	if n, _ := told.Properties.Uint16(mqtt.PropReceiveMaximum); n != 2 {
		t.Errorf("the client may have %d in flight", n)
	}
	client.Send(mqtt.Publish{Topic: []byte("a")})
	raised, ok := broker.Next().(mqtt.Publish)
	if !ok || raised.QoS != 1 || raised.PacketID == 0 {
		t.Fatalf("%+v", raised)
	}
	// The client's own message with the same identifier gets another.
	client.Send(mqtt.Publish{Topic: []byte("b"), QoS: 1, PacketID: raised.PacketID})
	own, ok := broker.Next().(mqtt.Publish)
	if !ok || own.PacketID == raised.PacketID {
		t.Fatalf("%+v", own)
	}
	client.Send(mqtt.Publish{Topic: []byte("a")})
	second, _ := broker.Next().(mqtt.Publish)
	client.Send(mqtt.Publish{Topic: []byte("a")}) // above what the broker takes at a time
	expect(t, broker, mqtt.Publish{Topic: []byte("a")})
	client.Send(mqtt.Subscribe{PacketID: second.PacketID, Filters: []mqtt.Subscription{{Filter: "x"}}})
	sub, ok := broker.Next().(mqtt.Subscribe)
	if !ok || sub.PacketID == raised.PacketID || sub.PacketID == own.PacketID || sub.PacketID == second.PacketID {
		t.Fatalf("%+v", sub)
	}
	broker.Send(mqtt.Puback{PacketID: raised.PacketID})
	broker.Send(mqtt.Suback{PacketID: sub.PacketID, Codes: []mqtt.ReasonCode{0}})
	broker.Send(mqtt.Puback{PacketID: own.PacketID})
	expect(t, client, mqtt.Suback{PacketID: second.PacketID, Codes: []mqtt.ReasonCode{0}})
	expect(t, client, mqtt.Puback{PacketID: raised.PacketID})
	client.Send(mqtt.Publish{Topic: []byte("c")})
	if p, ok := broker.Next().(mqtt.Publish); !ok || p.QoS != 1 {
		t.Fatalf("%+v", p)
	}
}

func TestQoSForcedTo2CompletesTheExchange(t *testing.T) {
	client, broker, _, _ := join(t, Config{Publish: Message{MinQoS: 2}}, mqtt.V311, sensor, mqtt.Connack{})
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 7})
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 7})
	broker.Send(mqtt.Pubrec{PacketID: 7})
	expect(t, broker, mqtt.Pubrel{PacketID: 7})
	broker.Send(mqtt.Pubcomp{PacketID: 7})
	expect(t, client, mqtt.Puback{PacketID: 7})
}

// A broker that keeps an exchange of QoS 2 over a reconnect would take another message
// with its identifier for a duplicate.
func TestQoSForcedTo2LeavesNoExchangesInSessionsThatLast(t *testing.T) {
	connect := sensor
	connect.CleanStart = false
	client, broker, _, _ := join(t, Config{Publish: Message{MinQoS: 2}, Deliver: Message{MinQoS: 2}}, mqtt.V311, connect, mqtt.Connack{})
	client.Send(mqtt.Publish{Topic: []byte("a")})
	if p, ok := broker.Next().(mqtt.Publish); !ok || p.QoS != 1 {
		t.Fatalf("%+v", p)
	}
	client.Send(mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 7}) // sent again by the client, if need be
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 7})
	broker.Send(mqtt.Publish{Topic: []byte("a")})
	if p, ok := client.Next().(mqtt.Publish); !ok || p.QoS != 1 {
		t.Fatalf("%+v", p)
	}
}

func TestPacketIdentifiersCountAgainstTheLargestPacket(t *testing.T) {
	m := mqtt.Publish{Topic: []byte("a"), Payload: []byte("as large as the broker takes")}
	limit := mqtt.Properties{}.AppendUint32(mqtt.PropMaximumPacketSize, uint32(m.Size(mqtt.V5)))
	client, broker, _, _ := join(t, Config{Publish: Message{MinQoS: 1}}, mqtt.V5, sensor, mqtt.Connack{Properties: limit})
	client.Send(m)
	client.Send(mqtt.Publish{Topic: []byte("b")})
	if p, ok := broker.Next().(mqtt.Publish); !ok || string(p.Topic) != "b" {
		t.Fatalf("%+v", p)
	}
}

func TestRetain(t *testing.T) {
	c := Config{Publish: Message{Retain: "strip"}, Deliver: Message{Retain: "force"}}
	connect := sensor
	connect.Will = &mqtt.Will{Topic: "w", Retain: true}
	client, broker, seen, _ := join(t, c, mqtt.V311, connect, mqtt.Connack{})
	client.Send(mqtt.Publish{Topic: []byte("a"), Retain: true})
	expect(t, broker, mqtt.Publish{Topic: []byte("a")})
	broker.Send(mqtt.Publish{Topic: []byte("a")})
	expect(t, client, mqtt.Publish{Topic: []byte("a"), Retain: true})
	if seen.Will.Retain {
		t.Error("the will is retained")
	}
}

func TestKeepAliveAndSessionExpiry(t *testing.T) {
	hour := time.Hour
	connect := sensor
	connect.KeepAlive = 600
	connect.Properties = mqtt.Properties{}.AppendUint32(mqtt.PropSessionExpiryInterval, 1<<30)
	client, broker, seen, told := join(t, Config{KeepAlive: time.Second, SessionExpiry: &hour}, mqtt.V5, connect, mqtt.Connack{})
	if n, _ := seen.Properties.Uint32(mqtt.PropSessionExpiryInterval); n != 3600 || seen.KeepAlive != 1 {
		t.Errorf("%+v", seen)
	}
	if n, _ := told.Properties.Uint32(mqtt.PropSessionExpiryInterval); n != 3600 {
		t.Errorf("%+v", told)
	}
	for range 2 {
		expect(t, broker, mqtt.Pingreq{})
		broker.Send(mqtt.Pingresp{})
	}
	client.Send(mqtt.Publish{Topic: []byte("a")})
	for {
		if p, ok := broker.Next().(mqtt.Publish); ok {
			expect(t, broker, mqtt.Pingreq{})
			_ = p
			break
		}
	}
	broker.Send(mqtt.Publish{Topic: []byte("b")})
	expect(t, client, mqtt.Publish{Topic: []byte("b")}) // and none of the answers to pings
}

func TestUserProperties(t *testing.T) {
	c := Config{UserProperties: []UserProperty{
		{Direction: "c2s", Types: []string{"PUBLISH", "connect", "WILL"}, Name: "who", Value: "%c"},
		{Direction: "s2c", Name: "secret", Remove: true},
	}}
	who := mqtt.Properties{}.AppendUserProperty("who", "dev1")
	connect := sensor
	connect.Will = &mqtt.Will{Topic: "w"}
	client, broker, seen, _ := join(t, c, mqtt.V5, connect, mqtt.Connack{})
	if !bytes.Equal(seen.Properties, who) || !bytes.Equal(seen.Will.Properties, who) {
		t.Errorf("%+v", seen)
	}
	client.Send(mqtt.Publish{Topic: []byte("a"), Properties: mqtt.Properties{}.AppendUserProperty("secret", "kept")})
	expect(t, broker, mqtt.Publish{Topic: []byte("a"), Properties: mqtt.Properties{}.AppendUserProperty("secret", "kept").AppendUserProperty("who", "dev1")})
	ps := mqtt.Properties{}.AppendUserProperty("a", "1").AppendUserProperty("secret", "x").AppendString(mqtt.PropContentType, "t")
	broker.Send(mqtt.Publish{Topic: []byte("a"), Properties: ps})
	expect(t, client, mqtt.Publish{Topic: []byte("a"), Properties: mqtt.Properties{}.AppendUserProperty("a", "1").AppendString(mqtt.PropContentType, "t")})
}
