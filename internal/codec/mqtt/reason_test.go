package mqtt

import (
	"slices"
	"strings"
	"testing"
)

// Table 2-6 of the standard.
const standardReasons = `
00 Success: CONNACK PUBACK PUBREC PUBREL PUBCOMP UNSUBACK AUTH SUBACK DISCONNECT
01 Granted QoS 1: SUBACK
02 Granted QoS 2: SUBACK
04 Disconnect with Will Message: DISCONNECT
10 No matching subscribers: PUBACK PUBREC
11 No subscription existed: UNSUBACK
18 Continue authentication: AUTH
19 Re-authenticate: AUTH
80 Unspecified error: CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT
81 Malformed Packet: CONNACK DISCONNECT
82 Protocol Error: CONNACK DISCONNECT
83 Implementation specific error: CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT
84 Unsupported Protocol Version: CONNACK
85 Client Identifier not valid: CONNACK
86 Bad User Name or Password: CONNACK
87 Not authorized: CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT
88 Server unavailable: CONNACK
89 Server busy: CONNACK DISCONNECT
8A Banned: CONNACK
8B Server shutting down: DISCONNECT
8C Bad authentication method: CONNACK DISCONNECT
8D Keep Alive timeout: DISCONNECT
8E Session taken over: DISCONNECT
8F Topic Filter invalid: SUBACK UNSUBACK DISCONNECT
90 Topic Name invalid: CONNACK PUBACK PUBREC DISCONNECT
91 Packet Identifier in use: PUBACK PUBREC SUBACK UNSUBACK
92 Packet Identifier not found: PUBREL PUBCOMP
93 Receive Maximum exceeded: DISCONNECT
94 Topic Alias invalid: DISCONNECT
95 Packet too large: CONNACK DISCONNECT
96 Message rate too high: DISCONNECT
97 Quota exceeded: CONNACK PUBACK PUBREC SUBACK DISCONNECT
98 Administrative action: DISCONNECT
99 Payload format invalid: CONNACK PUBACK PUBREC DISCONNECT
9A Retain not supported: CONNACK DISCONNECT
9B QoS not supported: CONNACK DISCONNECT
9C Use another server: CONNACK DISCONNECT
9D Server moved: CONNACK DISCONNECT
9E Shared Subscriptions not supported: SUBACK DISCONNECT
9F Connection rate exceeded: CONNACK DISCONNECT
A0 Maximum connect time: DISCONNECT
A1 Subscription Identifiers not supported: SUBACK DISCONNECT
A2 Wildcard Subscriptions not supported: SUBACK DISCONNECT
`

func TestEveryReasonCodeIsWhatTheStandardSays(t *testing.T) {
	known := map[ReasonCode]bool{}
	for line := range strings.Lines(strings.TrimSpace(standardReasons)) {
		code := ReasonCode(unhex(t, line[:2])[0])
		name, packets, _ := strings.Cut(strings.TrimSpace(line[3:]), ": ")
		known[code] = true
		if got := code.String(); got != name {
			t.Errorf("%#x is %q, want %q", uint8(code), got, name)
		}
		for typ := TypeConnect; typ <= TypeAuth; typ++ {
			want := slices.Contains(strings.Fields(packets), typ.String())
			if got := code.AllowedIn(typ); got != want {
				t.Errorf("%v in %v: %v", code, typ, got)
			}
		}
	}
	for c := range 256 {
		code := ReasonCode(c)
		if code.IsError() != (c >= 0x80) {
			t.Errorf("%#x is an error: %v", c, code.IsError())
		}
		for typ := TypeConnect; typ <= TypeAuth && !known[code]; typ++ {
			if code.AllowedIn(typ) {
				t.Errorf("%#x in %v", c, typ)
			}
		}
	}
	if got := ReasonCode(0x7f).String(); got != "reason code 0x7F" {
		t.Errorf("unknown code is called %q", got)
	}
}

func TestNamesDependOnPacketAndVersion(t *testing.T) {
	for _, tc := range []struct {
		code ReasonCode
		t    Type
		v    Version
		want string
	}{
		{0, TypeConnack, V5, "Success"},
		{0, TypeConnack, V311, "Connection accepted"},
		{5, TypeConnack, V311, "Not authorized"},
		{0x87, TypeConnack, V5, "Not authorized"},
		{0, TypeDisconnect, V5, "Normal disconnection"},
		{0, TypeSuback, V5, "Granted QoS 0"},
		{0, TypeSuback, V311, "Granted QoS 0"},
		{0x80, TypeSuback, V311, "Failure"},
	} {
		if got := tc.code.Name(tc.t, tc.v); got != tc.want {
			t.Errorf("%#x in %v %v is %q, want %q", uint8(tc.code), tc.t, tc.v, got, tc.want)
		}
	}
}
