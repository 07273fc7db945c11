package mqtt

import (
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	for _, tc := range []struct {
		p    Packet
		v    Version
		want string
	}{
		{
			Connect{
				Version: V5, ClientID: "c\n", CleanStart: true, KeepAlive: 60, HasUsername: true, Username: "ana", HasPassword: true, Password: []byte("secret"),
				Properties: props().AppendString(PropAuthenticationMethod, "m").AppendBytes(PropAuthenticationData, []byte("secret")),
				Will:       &Will{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true, Properties: props().AppendUint32(PropWillDelayInterval, 5)},
			},
			V5,
			`CONNECT MQTT 5.0, client "c\n", clean start, keep alive 60 s, user "ana", password hidden, authentication-method "m", ` +
				`authentication-data hidden, will topic "w", QoS 1, retain, 4 bytes, will-delay-interval 5`,
		},
		{Connect{Version: V31, Bridge: true, ClientID: "b"}, V31, `CONNECT MQTT 3.1, client "b", bridge, keep alive 0 s`},
		{Connack{Code: V3BadUserNameOrPassword}, V311, "CONNACK Bad user name or password"},
		{Connack{SessionPresent: true}, V5, "CONNACK Success, session present"},
		{
			Publish{Dup: true, QoS: 1, Retain: true, Topic: []byte("a\x1b"), PacketID: 3, Payload: []byte("xy"), Properties: props().AppendUserProperty("k", "v").AppendBytes(PropCorrelationData, []byte{1, 0xff})},
			V5,
			`PUBLISH topic "a\x1b", QoS 1, id 3, retain, dup, 2 bytes, user-property "k"="v", correlation-data 01ff`,
		},
		{Publish{Topic: []byte("a")}, V311, `PUBLISH topic "a", QoS 0, 0 bytes`},
		{Puback{PacketID: 3}, V311, "PUBACK id 3"},
		{Pubrec{PacketID: 3, Code: QuotaExceeded}, V5, "PUBREC id 3, Quota exceeded"},
		{Pubrel{PacketID: 3}, V5, "PUBREL id 3, Success"},
		{Pubcomp{PacketID: 3}, V5, "PUBCOMP id 3, Success"},
		{
			Subscribe{PacketID: 1, Filters: []Subscription{{Filter: "a/#", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}, {Filter: "b"}}},
			V5,
			`SUBSCRIBE id 1, filter "a/#", QoS 2, no local, retain as published, retain handling 2, filter "b", QoS 0`,
		},
		{Suback{PacketID: 1, Codes: []ReasonCode{0, 0x80}}, V311, "SUBACK id 1, Granted QoS 0, Failure"},
		{Unsubscribe{PacketID: 1, Filters: []string{"a"}}, V311, `UNSUBSCRIBE id 1, filter "a"`},
		{Unsuback{PacketID: 1, Codes: []ReasonCode{0, 0x11}}, V5, "UNSUBACK id 1, Success, No subscription existed"},
		{Pingreq{}, V311, "PINGREQ"},
		{Pingresp{}, V311, "PINGRESP"},
		{Disconnect{}, V311, "DISCONNECT"},
		{Disconnect{Code: SessionTakenOver, Properties: props().AppendString(PropReasonString, "x")}, V5, `DISCONNECT Session taken over, reason-string "x"`},
		{Auth{Code: ContinueAuthentication, Properties: props().AppendBytes(PropAuthenticationData, []byte("secret"))}, V5, "AUTH Continue authentication, authentication-data hidden"},
	} {
		got := Describe(tc.p, tc.v)
		if got != tc.want {
			t.Errorf("%s\nwant %s", got, tc.want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("secret shown: %s", got)
		}
	}
}
