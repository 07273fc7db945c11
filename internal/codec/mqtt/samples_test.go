package mqtt

import (
	"encoding/hex"
	"strings"
	"testing"
)

// unhex reads hexadecimal bytes; # starts a comment that ends with the line.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		for _, f := range strings.Fields(line) {
			digits.WriteString(f)
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatalf("hex: %v", err)
	}
	return b
}

// sample is a valid packet, its bytes field by field, and what they mean.
type sample struct {
	name    string
	version Version
	server  bool // sent by a server
	hex     string
	packet  Packet
}

func (s sample) options() Options { return Options{Version: s.version, FromServer: s.server} }

func props() Properties { return nil }

var samples = []sample{
	{
		"connect 3.1", V31, false, `
		10 13                # CONNECT, 19 bytes
		0006 4d5149736470    # protocol name MQIsdp
		03                   # level 3
		02                   # clean session
		003c                 # keep alive 60 s
		0005 6970616431      # client identifier ipad1
		`,
		Connect{ProtocolName: "MQIsdp", Version: V31, CleanStart: true, KeepAlive: 60, ClientID: "ipad1"},
	},
	{
		"connect 3.1 bridge, user name announced but absent", V31, false, `
		10 0f                # CONNECT, 15 bytes
		0006 4d5149736470    # protocol name MQIsdp
		83                   # level 3 with the bridge bit
		00                   # no flags
		0000                 # keep alive off
		0001 62              # client identifier b
		`,
		Connect{ProtocolName: "MQIsdp", Version: V31, Bridge: true, ClientID: "b"},
	},
	{
		"connect 3.1.1 with everything", V311, false, `
		10 1d                # CONNECT, 29 bytes
		0004 4d515454        # protocol name MQTT
		04                   # level 4
		ee                   # user name, password, will retain, will QoS 1, will, clean session
		000a                 # keep alive 10 s
		0001 63              # client identifier c
		0003 612f62          # will topic a/b
		0002 ff00            # will payload
		0001 75              # user name u
		0002 7000            # password
		`,
		Connect{
			ProtocolName: "MQTT", Version: V311, CleanStart: true, KeepAlive: 10, ClientID: "c",
			Will:        &Will{Topic: "a/b", Payload: []byte{0xff, 0}, QoS: 1, Retain: true},
			HasUsername: true, Username: "u", HasPassword: true, Password: []byte{'p', 0},
		},
	},
	{
		"connect 3.1.1 bridge", V311, false, `
		10 0d                # CONNECT, 13 bytes
		0004 4d515454        # protocol name MQTT
		84                   # level 4 with the bridge bit
		02                   # clean session
		0000                 # keep alive off
		0001 62              # client identifier b
		`,
		Connect{ProtocolName: "MQTT", Version: V311, Bridge: true, CleanStart: true, ClientID: "b"},
	},
	{
		"connect 5.0 empty", V5, false, `
		10 0d                # CONNECT, 13 bytes
		0004 4d515454        # protocol name MQTT
		05                   # level 5
		00                   # no flags
		0000                 # keep alive off
		00                   # no properties
		0000                 # client identifier, to be assigned
		`,
		Connect{ProtocolName: "MQTT", Version: V5},
	},
	{
		"connect 5.0 with everything", V5, false, `
		10 47                # CONNECT, 71 bytes
		0004 4d515454        # protocol name MQTT
		05                   # level 5
		d6                   # user name, password, will QoS 2, will, clean start
		000a                 # keep alive 10 s
		1c                   # 28 bytes of properties
		11 0000003c          #   session expiry interval 60 s
		21 0014              #   receive maximum 20
		27 00010000          #   maximum packet size 65536
		22 0008              #   topic alias maximum 8
		19 01                #   request response information
		17 00                #   request problem information
		15 0001 6d           #   authentication method m
		16 0001 00           #   authentication data
		0001 63              # client identifier c
		0f                   # 15 bytes of will properties
		18 00000005          #   will delay interval 5 s
		01 01                #   payload is text
		26 0001 6b 0002 7676 #   user property k vv
		0001 77              # will topic w
		0002 6869            # will payload hi
		0001 75              # user name u
		0001 70              # password
		`,
		Connect{
			ProtocolName: "MQTT", Version: V5, CleanStart: true, KeepAlive: 10, ClientID: "c",
			Properties: props().AppendUint32(PropSessionExpiryInterval, 60).AppendUint16(PropReceiveMaximum, 20).
				AppendUint32(PropMaximumPacketSize, 65536).AppendUint16(PropTopicAliasMaximum, 8).
				AppendByte(PropRequestResponseInformation, 1).AppendByte(PropRequestProblemInformation, 0).
				AppendString(PropAuthenticationMethod, "m").AppendBytes(PropAuthenticationData, []byte{0}),
			Will: &Will{
				Topic: "w", Payload: []byte("hi"), QoS: 2,
				Properties: props().AppendUint32(PropWillDelayInterval, 5).AppendByte(PropPayloadFormat, 1).AppendUserProperty("k", "vv"),
			},
			HasUsername: true, Username: "u", HasPassword: true, Password: []byte("p"),
		},
	},
	{
		"connack 3.1.1", V311, true, `
		20 02                # CONNACK, 2 bytes
		01                   # session present
		00                   # accepted
		`,
		Connack{SessionPresent: true},
	},
	{
		"connack 3.1 refusal", V31, true, `
		20 02                # CONNACK, 2 bytes
		00                   # unused
		05                   # not authorized
		`,
		Connack{Code: V3NotAuthorized},
	},
	{
		"connack 5.0", V5, true, `
		20 23                # CONNACK, 35 bytes
		00                   # no session
		00                   # success
		20                   # 32 bytes of properties
		12 0003 782d31       #   assigned client identifier x-1
		13 001e              #   server keep alive 30 s
		24 01                #   maximum QoS 1
		25 00                #   retain not available
		28 01 29 01 2a 00    #   wildcards, identifiers, no shared subscriptions
		1a 0001 72           #   response information r
		1c 0001 73           #   server reference s
		1f 0002 6f6b         #   reason string ok
		`,
		Connack{Properties: props().AppendString(PropAssignedClientIdentifier, "x-1").AppendUint16(PropServerKeepAlive, 30).
			AppendByte(PropMaximumQoS, 1).AppendByte(PropRetainAvailable, 0).AppendByte(PropWildcardSubscriptionAvailable, 1).
			AppendByte(PropSubscriptionIDAvailable, 1).AppendByte(PropSharedSubscriptionAvailable, 0).
			AppendString(PropResponseInformation, "r").AppendString(PropServerReference, "s").AppendString(PropReasonString, "ok")},
	},
	{
		"publish 3.1.1 QoS 0 retained", V311, false, `
		31 07                # PUBLISH, retain, 7 bytes
		0003 612f62          # topic a/b
		6869                 # payload hi
		`,
		Publish{Retain: true, Topic: []byte("a/b"), Payload: []byte("hi")},
	},
	{
		"publish 3.1.1 QoS 2 repeated, empty", V311, false, `
		3c 07                # PUBLISH, dup, QoS 2, 7 bytes
		0003 612f62          # topic a/b
		0102                 # packet identifier 258
		`,
		Publish{Dup: true, QoS: 2, Topic: []byte("a/b"), PacketID: 258},
	},
	{
		"publish 5.0 QoS 1 with properties", V5, false, `
		32 2d                # PUBLISH, QoS 1, 45 bytes
		0001 74              # topic t
		0007                 # packet identifier 7
		26                   # 38 bytes of properties
		01 01                #   payload is text
		02 0000003c          #   message expiry interval 60 s
		03 0001 6a           #   content type j
		08 0003 722f31       #   response topic r/1
		09 0002 00ff         #   correlation data
		23 0003              #   topic alias 3
		26 0001 61 0001 31   #   user property a 1
		26 0000 0001 32      #   user property with an empty name
		78                   # payload x
		`,
		Publish{
			QoS: 1, Topic: []byte("t"), PacketID: 7, Payload: []byte("x"),
			Properties: props().AppendByte(PropPayloadFormat, 1).AppendUint32(PropMessageExpiryInterval, 60).
				AppendString(PropContentType, "j").AppendString(PropResponseTopic, "r/1").AppendBytes(PropCorrelationData, []byte{0, 0xff}).
				AppendUint16(PropTopicAlias, 3).AppendUserProperty("a", "1").AppendUserProperty("", "2"),
		},
	},
	{
		"publish 5.0 by alias alone", V5, false, `
		30 07                # PUBLISH, 7 bytes
		0000                 # no topic
		03                   # 3 bytes of properties
		23 0001              #   topic alias 1
		78                   # payload x
		`,
		Publish{Properties: props().AppendUint16(PropTopicAlias, 1), Payload: []byte("x")},
	},
	{
		"publish 5.0 from a server with two subscription identifiers", V5, true, `
		30 0d                # PUBLISH, 13 bytes
		0001 74              # topic t
		07                   # 7 bytes of properties
		0b 01                #   subscription identifier 1
		0b ffffff7f          #   subscription identifier 268435455
		6869                 # payload hi
		`,
		Publish{Topic: []byte("t"), Payload: []byte("hi"), Properties: props().AppendVarint(PropSubscriptionIdentifier, 1).
			AppendVarint(PropSubscriptionIdentifier, MaxRemaining)},
	},
	{
		"puback 3.1.1", V311, false, `
		40 02                # PUBACK, 2 bytes
		1234                 # packet identifier
		`,
		Puback{PacketID: 0x1234},
	},
	{
		"puback 5.0 code only", V5, true, `
		40 03                # PUBACK, 3 bytes
		1234                 # packet identifier
		10                   # no matching subscribers
		`,
		Puback{PacketID: 0x1234, Code: NoMatchingSubscribers},
	},
	{
		"pubrec 5.0 with properties", V5, true, `
		50 0a                # PUBREC, 10 bytes
		0001                 # packet identifier
		97                   # quota exceeded
		06                   # 6 bytes of properties
		1f 0003 6e6f21       #   reason string no!
		`,
		Pubrec{PacketID: 1, Code: QuotaExceeded, Properties: props().AppendString(PropReasonString, "no!")},
	},
	{
		"pubrel 3.1.1", V311, false, `
		62 02                # PUBREL with its prescribed flags, 2 bytes
		0001                 # packet identifier
		`,
		Pubrel{PacketID: 1},
	},
	{
		"pubrel 5.0 unknown identifier", V5, false, `
		62 03                # PUBREL with its prescribed flags, 3 bytes
		0001                 # packet identifier
		92                   # packet identifier not found
		`,
		Pubrel{PacketID: 1, Code: PacketIdentifierNotFound},
	},
	{
		"pubcomp 5.0", V5, true, `
		70 02                # PUBCOMP, 2 bytes: success
		ffff                 # packet identifier
		`,
		Pubcomp{PacketID: 65535},
	},
	{
		"subscribe 3.1.1", V311, false, `
		82 0e                # SUBSCRIBE with its prescribed flags, 14 bytes
		000a                 # packet identifier 10
		0003 612f62          # filter a/b
		01                   # QoS 1
		0003 632f23          # filter c/#
		02                   # QoS 2
		`,
		Subscribe{PacketID: 10, Filters: []Subscription{{Filter: "a/b", QoS: 1}, {Filter: "c/#", QoS: 2}}},
	},
	{
		"subscribe 5.0", V5, false, `
		82 17                # SUBSCRIBE with its prescribed flags, 23 bytes
		000a                 # packet identifier 10
		03                   # 3 bytes of properties
		0b 8001              #   subscription identifier 128
		0003 612f62          # filter a/b
		2d                   # QoS 1, no local, retain as published, retain handling 2
		0008 2473686172652f67 # filter $share/g without a topic: judged elsewhere
		12                   # QoS 2, retain handling 1
		`,
		Subscribe{
			PacketID: 10, Properties: props().AppendVarint(PropSubscriptionIdentifier, 128),
			Filters: []Subscription{
				{Filter: "a/b", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
				{Filter: "$share/g", QoS: 2, RetainHandling: 1},
			},
		},
	},
	{
		"suback 3.1.1", V311, true, `
		90 06                # SUBACK, 6 bytes
		000a                 # packet identifier 10
		00 01 02 80          # QoS 0, 1, 2, failure
		`,
		Suback{PacketID: 10, Codes: []ReasonCode{0, 1, 2, 0x80}},
	},
	{
		"suback 5.0", V5, true, `
		90 0c                # SUBACK, 12 bytes
		000a                 # packet identifier 10
		07                   # 7 bytes of properties
		26 0001 61 0001 62   #   user property a b
		01 8f                # QoS 1, topic filter invalid
		`,
		Suback{PacketID: 10, Properties: props().AppendUserProperty("a", "b"), Codes: []ReasonCode{GrantedQoS1, TopicFilterInvalid}},
	},
	{
		"unsubscribe 3.1.1", V311, false, `
		a2 0a                # UNSUBSCRIBE with its prescribed flags, 10 bytes
		000b                 # packet identifier 11
		0003 612f62          # filter a/b
		0001 23              # filter #
		`,
		Unsubscribe{PacketID: 11, Filters: []string{"a/b", "#"}},
	},
	{
		"unsubscribe 5.0", V5, false, `
		a2 0d                # UNSUBSCRIBE with its prescribed flags, 13 bytes
		000b                 # packet identifier 11
		07                   # 7 bytes of properties
		26 0001 61 0001 62   #   user property a b
		0001 23              # filter #
		`,
		Unsubscribe{PacketID: 11, Properties: props().AppendUserProperty("a", "b"), Filters: []string{"#"}},
	},
	{
		"unsuback 3.1.1", V311, true, `
		b0 02                # UNSUBACK, 2 bytes
		000b                 # packet identifier 11
		`,
		Unsuback{PacketID: 11},
	},
	{
		"unsuback 5.0", V5, true, `
		b0 05                # UNSUBACK, 5 bytes
		000b                 # packet identifier 11
		00                   # no properties
		00 11                # success, no subscription existed
		`,
		Unsuback{PacketID: 11, Codes: []ReasonCode{Success, NoSubscriptionExisted}},
	},
	{"pingreq", V311, false, `c0 00 # PINGREQ`, Pingreq{}},
	{"pingresp", V5, true, `d0 00 # PINGRESP`, Pingresp{}},
	{"disconnect 3.1.1", V311, false, `e0 00 # DISCONNECT`, Disconnect{}},
	{"disconnect 5.0 normal", V5, false, `e0 00 # DISCONNECT, normal`, Disconnect{}},
	{
		"disconnect 5.0 with will", V5, false, `
		e0 01                # DISCONNECT, 1 byte
		04                   # with will message
		`,
		Disconnect{Code: DisconnectWithWill},
	},
	{
		"disconnect 5.0 from a server", V5, true, `
		e0 06                # DISCONNECT, 6 bytes
		9d                   # server moved
		04                   # 4 bytes of properties
		1c 0001 62           #   server reference b
		`,
		Disconnect{Code: ServerMoved, Properties: props().AppendString(PropServerReference, "b")},
	},
	{
		"auth", V5, false, `
		f0 0a                # AUTH, 10 bytes
		18                   # continue authentication
		08                   # 8 bytes of properties
		15 0001 6d           #   authentication method m
		16 0001 ff           #   authentication data
		`,
		Auth{Code: ContinueAuthentication, Properties: props().AppendString(PropAuthenticationMethod, "m").AppendBytes(PropAuthenticationData, []byte{0xff})},
	},
	{"auth success", V5, true, `f0 00 # AUTH, success`, Auth{}},
}
