package access

import (
	"net/netip"
	"os"
	"path/filepath"
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

func TestFirstRuleDecides(t *testing.T) {
	c := Config{Default: "deny", Rules: []string{
		"deny all client=evil-*",
		"allow connect address=10.0.0.0/8",
		"allow connect address=fd00::1",
		"deny receive topic=up/secret/#",
		"allow publish topic=up/%c/#",
		"allow subscribe receive topic=up/#",
		"allow publish topic=users/%u user=a??",
		"deny subscribe topic=all/%c/#",
		"allow subscribe topic=all/#",
	}}
	all, err := c.compile()
	if err != nil {
		t.Fatal(err)
	}
	near, far := netip.MustParseAddr("::ffff:10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		client, user string
		from         netip.Addr
		act          action
		topic        string
		want         bool
	}{
		{"c1", "", near, connect, "", true},
		{"c1", "", netip.MustParseAddr("fd00::1"), connect, "", true},
		{"c1", "", far, connect, "", false},
		{"c1", "", netip.MustParseAddr("fd00::1%eth0"), connect, "", true},
		{"evil-1", "", near, connect, "", false},
		{"c1", "", near, publish, "up/c1/x", true},
		{"c1", "", near, publish, "up/c2/x", false},
		{"a/b", "", near, publish, "up/a/b", false}, // a name is one level
		{"+", "", near, publish, "up/x/b", false},
		{"c1", "", near, receive, "up/c2/x", true},
		{"c1", "", near, receive, "up/secret/x", false},
		{"c1", "", near, subscribe, "up/#", true},
		{"c1", "", near, subscribe, "#", false},
		{"c1", "ann", near, publish, "users/ann", true},
		{"c1", "bob", near, publish, "users/bob", false},
		{"c1", "", near, subscribe, "all/c1/x", false},
		{"c1", "", near, subscribe, "all/c2/x", true},
		{"+", "", near, subscribe, "all/c2/x", false}, // denies whatever the name could stand for
	} {
		rs := rules{list: about(all, who{tt.client, tt.user, tt.from}), rest: verdict{false, "default"}}
		if got := rs.decide(tt.act, tt.topic); got.allow != tt.want {
			t.Errorf("%+v: by %q", tt, got.rule)
		}
	}
}

func TestConfigNamesItsProblems(t *testing.T) {
	err := Config{Default: "no", Refused: "x", Rules: []string{
		"", "permit all", "deny write", "deny topic=a/#/b", "deny topic=x-%c", "deny address=10.0.0.0/99", "deny connect topic=a", "deny who=me",
	}}.Validate()
	for _, want := range []string{
		"rules[0]: is empty", "rules[1]: \"permit\"", "rules[2]: \"write\"", "rules[3]: topic=", "rules[4]: topic=", "rules[5]: address=",
		"rules[6]: topic= has no meaning for connect", "rules[7]: \"who\"", "default:", "refused:",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if f, err := New(Config{}); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
}

// begin starts a proxy with rules between a client and what takes the place of the
// broker.
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

func join(t *testing.T, c Config, v mqtt.Version) (client, broker *proxytest.Peer) {
	t.Helper()
	client, l := begin(t, c, v)
	client.Send(mqtt.Connect{ClientID: "c1", CleanStart: true})
	broker, _ = l.Welcome(v)
	expect(t, client, mqtt.Connack{})
	return client, broker
}

func expect[P mqtt.Packet](t *testing.T, from *proxytest.Peer, want P) {
	t.Helper()
	got := from.Next()
	if diff := cmp.Diff(mqtt.Packet(want), got, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func TestCONNECTIsRefusedInItsVersion(t *testing.T) {
	for v, want := range map[mqtt.Version]mqtt.ReasonCode{mqtt.V31: 5, mqtt.V311: 5, mqtt.V5: mqtt.NotAuthorized} {
		for name, connect := range map[string]mqtt.Connect{
			"by client": {ClientID: "c1", CleanStart: true},
			"by will":   {ClientID: "c2", CleanStart: true, Will: &mqtt.Will{Topic: "no"}},
		} {
			t.Run(v.String()+" "+name, func(t *testing.T) {
				client, _ := begin(t, Config{Rules: []string{"deny connect client=c1", "deny publish topic=no"}}, v)
				client.Send(connect)
				if got, ok := client.Next().(mqtt.Connack); !ok || got.Code != want {
					t.Errorf("%+v", got)
				}
				client.Closed()
			})
		}
	}
}

var some = Config{Rules: []string{"deny publish subscribe topic=no/#", "deny receive topic=secret/#"}}

func TestMessagesAreRefusedInTheirVersion(t *testing.T) {
	t.Run("5.0", func(t *testing.T) {
		client, broker := join(t, some, mqtt.V5)
		client.Send(mqtt.Publish{Topic: []byte("no"), QoS: 1, PacketID: 1})
		expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.NotAuthorized})
		client.Send(mqtt.Publish{Topic: []byte("no"), QoS: 2, PacketID: 2})
		expect(t, client, mqtt.Pubrec{PacketID: 2, Code: mqtt.NotAuthorized})
		client.Send(mqtt.Publish{Topic: []byte("no")})
		client.Send(mqtt.Publish{Topic: []byte("yes"), QoS: 2, PacketID: 2})
		expect(t, broker, mqtt.Publish{Topic: []byte("yes"), QoS: 2, PacketID: 2})
	})
	t.Run("3.1.1", func(t *testing.T) {
		client, broker := join(t, some, mqtt.V311)
		client.Send(mqtt.Publish{Topic: []byte("no"), QoS: 1, PacketID: 1})
		expect(t, client, mqtt.Puback{PacketID: 1})
		client.Send(mqtt.Publish{Topic: []byte("no"), QoS: 2, PacketID: 2})
		expect(t, client, mqtt.Pubrec{PacketID: 2})
		client.Send(mqtt.Pubrel{PacketID: 2})
		expect(t, client, mqtt.Pubcomp{PacketID: 2})
		client.Send(mqtt.Pubrel{PacketID: 3}) // not refused here: the broker's
		expect(t, broker, mqtt.Pubrel{PacketID: 3})
	})
	t.Run("3.1.1 close", func(t *testing.T) {
		c := some
		c.Refused = "close"
		client, _ := join(t, c, mqtt.V311)
		client.Send(mqtt.Publish{Topic: []byte("no"), QoS: 1, PacketID: 1})
		client.Closed()
	})
}

// Some brokers publish "$delayed/5/no/a" as "no/a".
func TestTopicsWithinOthersAreRefused(t *testing.T) {
	client, broker := join(t, some, mqtt.V5)
	client.Send(mqtt.Publish{Topic: []byte("$delayed/5/no/a"), QoS: 1, PacketID: 1})
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.NotAuthorized})
	client.Send(mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "$exclusive/no/a"}}})
	expect(t, client, mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{mqtt.NotAuthorized}})
	client.Send(mqtt.Publish{Topic: []byte("$delayed/5/yes")})
	expect(t, broker, mqtt.Publish{Topic: []byte("$delayed/5/yes")})
}

func TestSubscriptionsAreRefusedOneByOne(t *testing.T) {
	for v, code := range map[mqtt.Version]mqtt.ReasonCode{mqtt.V311: 0x80, mqtt.V5: mqtt.NotAuthorized} {
		t.Run(v.String(), func(t *testing.T) {
			client, broker := join(t, some, v)
			client.Send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "no/a"}}})
			expect(t, client, mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{code}})
			client.Send(mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "no/a"}, {Filter: "a"}, {Filter: "$share/g/no/#"}, {Filter: "$queue/no/#"}, {Filter: "b", QoS: 1}}})
			expect(t, broker, mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "a"}, {Filter: "b", QoS: 1}}})
			broker.Send(mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{0, 1}})
			expect(t, client, mqtt.Suback{PacketID: 2, Codes: []mqtt.ReasonCode{code, 0, code, code, 1}})
		})
	}
}

func TestDeliveriesAreKeptBackAndAcknowledged(t *testing.T) {
	client, broker := join(t, some, mqtt.V5)
	broker.Send(mqtt.Publish{Topic: []byte("secret/a"), QoS: 1, PacketID: 1})
	expect(t, broker, mqtt.Puback{PacketID: 1})
	broker.Send(mqtt.Publish{Topic: []byte("secret/a"), QoS: 2, PacketID: 2})
	expect(t, broker, mqtt.Pubrec{PacketID: 2})
	broker.Send(mqtt.Pubrel{PacketID: 2})
	expect(t, broker, mqtt.Pubcomp{PacketID: 2})
	broker.Send(mqtt.Publish{Topic: []byte("open"), QoS: 2, PacketID: 2})
	expect(t, client, mqtt.Publish{Topic: []byte("open"), QoS: 2, PacketID: 2})
	broker.Send(mqtt.Pubrel{PacketID: 2})
	expect(t, client, mqtt.Pubrel{PacketID: 2})
}

func TestAliasesOutliveTheirRefusedPacket(t *testing.T) {
	client, broker := join(t, Config{Rules: []string{"deny publish topic=no"}}, mqtt.V5)
	alias := mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 1)
	client.Send(mqtt.Publish{Topic: []byte("no"), Properties: alias})
	client.Send(mqtt.Publish{Properties: alias, QoS: 1, PacketID: 1})
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.NotAuthorized})
	client.Send(mqtt.Publish{Topic: []byte("yes"), Properties: alias})
	expect(t, broker, mqtt.Publish{Topic: []byte("yes"), Properties: alias})
	client.Send(mqtt.Publish{Properties: alias})
	expect(t, broker, mqtt.Publish{Topic: []byte{}, Properties: alias})
}

func TestFileIsAskedWhereNoRuleSpeaks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(path, []byte("pattern write up/%c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, broker := join(t, Config{File: path, Rules: []string{"allow publish topic=free"}}, mqtt.V5)
	for id, topic := range []string{"free", "up/c1"} {
		p := mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: uint16(id + 1)}
		client.Send(p)
		expect(t, broker, p)
	}
	client.Send(mqtt.Publish{Topic: []byte("up/c2"), QoS: 1, PacketID: 9})
	expect(t, client, mqtt.Puback{PacketID: 9, Code: mqtt.NotAuthorized})
}

func TestTheFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	write := func(rules string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pattern write old\n")
	f, err := New(Config{File: path})
	if err != nil {
		t.Fatal(err)
	}
	e := proxytest.Start(t, proxytest.Broker(t), func(c *proxy.Config) { c.Stages = []proxy.Factory{f} })
	client := proxytest.Connect(t, proxytest.URL(e), mqtt.V5, "c1")
	client.Send(mqtt.Publish{Topic: []byte("new"), QoS: 1, PacketID: 1})
	expect(t, client, mqtt.Puback{PacketID: 1, Code: mqtt.NotAuthorized})
	write("pattern write new\n")
	if err := e.Reload(); err != nil {
		t.Fatal(err)
	}
	client.Send(mqtt.Publish{Topic: []byte("new"), QoS: 1, PacketID: 2})
	expect(t, client, mqtt.Puback{PacketID: 2, Code: mqtt.NoMatchingSubscribers})
	client.Send(mqtt.Publish{Topic: []byte("old"), QoS: 1, PacketID: 3})
	expect(t, client, mqtt.Puback{PacketID: 3, Code: mqtt.NotAuthorized})
}
