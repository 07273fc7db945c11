package dissect_test

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// Each packet has one line, with text of the wire that cannot spoil it.
func TestMQTTSummaries(t *testing.T) {
	publish := func(topic, payload string) mqtt.Publish {
		return mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload)}
	}
	var none mqtt.Properties
	var many mqtt.Subscribe
	var leave mqtt.Unsubscribe
	var codes mqtt.Suback
	for i := range 11 {
		many.Filters = append(many.Filters, mqtt.Subscription{Filter: string(rune('a' + i))})
		leave.Filters = append(leave.Filters, string(rune('a'+i)))
		codes.Codes = append(codes.Codes, 0)
	}
	many.PacketID, leave.PacketID, codes.PacketID = 1, 2, 3
	for _, c := range []struct {
		packet mqtt.Packet
		want   string
	}{
		{mqtt.Connect{Version: 5, ClientID: "c"}, "CONNECT client c"},
		{mqtt.Connect{Version: 5}, `CONNECT client ""`},
		{
			mqtt.Connect{Version: 5, ClientID: "cap-rich-5", HasUsername: true, Username: "ana", HasPassword: true, Password: []byte("pw"), Will: &mqtt.Will{Topic: "dev/7/lwt", QoS: 1, Retain: true}},
			"CONNECT ana, client cap-rich-5, will dev/7/lwt q1 r",
		},
		{mqtt.Connack{Properties: none.AppendUint16(mqtt.PropTopicAliasMaximum, 10)}, "CONNACK success, alias max 10"},
		{mqtt.Connack{SessionPresent: true}, "CONNACK success, session present"},
		{mqtt.Connack{Code: mqtt.NotAuthorized, Properties: none.AppendString(mqtt.PropReasonString, "go away")}, "CONNACK Not authorized, go away"},
		{publish("a", ""), "PUBLISH q0 a 0 B"},
		{publish("a", "x\ny"), "PUBLISH q0 a 3 B x y"},
		{publish("a", "\x00x"), "PUBLISH q0 a 2 B"},
		{publish("a", "tschüß, Köln und Münster am Rhein"), "PUBLISH q0 a 37 B tschüß, Köln und Mün…"},
		{publish("a", "\xff\xd8\xff"), "PUBLISH q0 a 3 B"},
		{publish("a b", "x"), "PUBLISH q0 a b 1 B x"},
		{publish(" a", "x"), `PUBLISH q0 " a" 1 B x`},
		{publish("a,b", "x"), `PUBLISH q0 "a,b" 1 B x`},
		{publish("a\nb", "x"), `PUBLISH q0 "a\nb" 1 B x`},
		{publish("a\u202eb", "x"), `PUBLISH q0 "a\u202eb" 1 B x`},
		{publish("straße/\u00fc", "x"), "PUBLISH q0 straße/ü 1 B x"},
		{publish(strings.Repeat("ü", 100), ""), "PUBLISH q0 " + strings.Repeat("ü", 64) + "… 0 B"},
		{
			mqtt.Publish{QoS: 1, PacketID: 10, Retain: true, Dup: true, Topic: []byte("dev/7/t"), Payload: []byte(`{"t":21.5}`), Properties: none.AppendString(mqtt.PropContentType, "application/json")},
			`PUBLISH q1 id 10 dup retain dev/7/t application/json 10 B {"t":21.5}`,
		},
		{mqtt.Publish{Properties: none.AppendUint16(mqtt.PropTopicAlias, 7)}, "PUBLISH q0 alias 7 0 B"},
		{mqtt.Puback{PacketID: 10}, "PUBACK id 10 success"},
		{mqtt.Pubrec{PacketID: 10, Code: mqtt.QuotaExceeded}, "PUBREC id 10 Quota exceeded"},
		{many, "SUBSCRIBE id 1 a q0, b q0, c q0, d q0, e q0, f q0, g q0, h q0 … 3 more"},
		{leave, "UNSUBSCRIBE id 2 a, b, c, d, e, f, g, h … 3 more"},
		{codes, "SUBACK id 3 0 0 0 0 0 0 0 0 … 3 more"},
		{mqtt.Suback{PacketID: 9, Codes: []mqtt.ReasonCode{1, 2, 0x87}}, "SUBACK id 9 1 2 Not authorized"},
		{mqtt.Unsuback{PacketID: 9, Codes: []mqtt.ReasonCode{0, 0x11}}, "UNSUBACK id 9 0 No subscription existed"},
		{mqtt.Pingreq{}, "PINGREQ"},
		{mqtt.Disconnect{}, "DISCONNECT Normal disconnection"},
		{mqtt.Disconnect{Code: mqtt.ServerShuttingDown}, "DISCONNECT Server shutting down"},
		{mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: none.AppendString(mqtt.PropAuthenticationMethod, "SCRAM").AppendBytes(mqtt.PropAuthenticationData, []byte("hidden"))}, "AUTH Continue authentication, method SCRAM"},
	} {
		b, err := c.packet.Append(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		st, quick := joined(5, dissect.Unknown), joined(5, dissect.Unknown)
		for range 2 { // the second may go the quick way
			p, _, err := dissecttest.Both(t, dissect.MQTT{}, b, st, quick)
			if got := strings.TrimSpace(p.Type + " " + p.Summary); got != c.want || err != nil {
				t.Errorf("%v:\n got %s\nwant %s", err, got, c.want)
			}
		}
	}
}

// Topics that are remembered for aliases are bounded; the alias stays known.
func TestMQTTAliasesAreBounded(t *testing.T) {
	st := &dissect.Stream{}
	read := func(from dissect.Direction, p mqtt.Packet) dissect.Packet {
		b, err := p.Append(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		st.Direction = from
		got, _, err := dissect.MQTT{}.Dissect(b, st)
		if err != nil || len(got.Problems) > 0 {
			t.Fatalf("%v, %v", got.Problems, err)
		}
		return got
	}
	var none mqtt.Properties
	read(fromClient, mqtt.Connect{Version: 5, ClientID: "c"})
	read(fromServer, mqtt.Connack{Properties: none.AppendUint16(mqtt.PropTopicAliasMaximum, 0xffff)})
	for alias := uint16(1); alias <= 100; alias++ {
		read(fromClient, mqtt.Publish{Topic: []byte(strings.Repeat("t", 60000)), Properties: none.AppendUint16(mqtt.PropTopicAlias, alias)})
	}
	first := read(fromClient, mqtt.Publish{Properties: none.AppendUint16(mqtt.PropTopicAlias, 1)})
	last := read(fromClient, mqtt.Publish{Properties: none.AppendUint16(mqtt.PropTopicAlias, 100)})
	if !strings.Contains(first.Summary, "ttt") || last.Summary != "q0 alias 100 0 B" {
		t.Errorf("%s\n%s", first.Summary, last.Summary)
	}
}
