package mqttsn

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// sample is a message that every function is held to.
type sample struct {
	name, hex string
	want      Message
	from      side
	named     bool   // Options.NamedPublish
	canonical string // what Append writes, if not hex
}

func (s *sample) options() Options {
	o := Options{FromServer: s.from == server, NamedPublish: s.named}
	if s.want.Type()&v20 != 0 {
		o.Version = Version20
	}
	return o
}

func letters(s string, n int) []byte { return bytes.Repeat([]byte(s), n) }

var samples = []sample{
	{name: "V01", hex: "0500070384", want: Advertise{7, 900}, from: server},
	{name: "V02", hex: "050001ffff", want: Advertise{1, 65535}, from: server},
	{name: "V03", hex: "030100", want: SearchGW{}},
	{name: "V04", hex: "030101", want: SearchGW{1}},
	{name: "V05", hex: "030207", want: GWInfo{GatewayID: 7}, from: server},
	{name: "V06", hex: "090207c000020a075c", want: GWInfo{7, []byte{192, 0, 2, 10, 7, 0x5c}}},
	{name: "V07", hex: "0b040401003c6465762d31", want: Connect{CleanSession: true, ProtocolID: 1, KeepAlive: 60, ClientID: "dev-1"}},
	{name: "V08", hex: "0e040c01012c73656e736f723031", want: Connect{true, true, 1, 300, "sensor01"}},
	{name: "V09", hex: "07040001000078", want: Connect{ProtocolID: 1, ClientID: "x"}},
	{
		name: "V10", hex: "1d04080107086162636465666768696a6b6c6d6e6f7071727374757677",
		want: Connect{Will: true, ProtocolID: 1, KeepAlive: 1800, ClientID: "abcdefghijklmnopqrstuvw"},
	},
	{name: "V11", hex: "06040401003c", want: Connect{CleanSession: true, ProtocolID: 1, KeepAlive: 60}},
	{name: "V12", hex: "030500", want: Connack{Accepted}, from: server},
	{name: "V13", hex: "030501", want: Connack{Congestion}, from: server},
	{name: "V14", hex: "030502", want: Connack{InvalidTopicID}, from: server},
	{name: "V15", hex: "030503", want: Connack{NotSupported}, from: server},
	{name: "V16", hex: "0206", want: WillTopicReq{}, from: server},
	{name: "V17", hex: "09073077696c6c2f74", want: WillTopic{1, true, "will/t"}},
	{name: "V18", hex: "0207", want: WillTopic{}},
	{name: "V19", hex: "0208", want: WillMsgReq{}, from: server},
	{name: "V20", hex: "0609676f6e65", want: WillMsg{[]byte("gone")}},
	{name: "V21", hex: "0209", want: WillMsg{[]byte{}}},
	{name: "V22", hex: "090a00000001612f62", want: Register{0, 1, "a/b"}},
	{name: "V23", hex: "120a1234010273656e736f72732f74656d70", want: Register{0x1234, 0x0102, "sensors/temp"}, from: server},
	{name: "V24", hex: "070b1234010200", want: Regack{0x1234, 0x0102, Accepted}},
	{name: "V25", hex: "070b0000000703", want: Regack{0, 7, NotSupported}},
	{name: "V26", hex: "0b0c000005000032312e35", want: Publish{TopicID: 5, Payload: []byte("21.5")}},
	{name: "V27", hex: "090c20000500106f6e", want: Publish{QoS: 1, TopicID: 5, MsgID: 16, Payload: []byte("on")}},
	{name: "V28", hex: "090ca0000500106f6e", want: Publish{Dup: true, QoS: 1, TopicID: 5, MsgID: 16, Payload: []byte("on")}},
	{
		name: "V29", hex: "090c510011222200ff",
		want: Publish{QoS: 2, Retain: true, Kind: PredefinedTopic, TopicID: 17, MsgID: 0x2222, Payload: []byte{0, 0xff}},
	},
	{name: "V30", hex: "0c0c025454000073686f7274", want: Publish{Kind: ShortTopic, TopicID: 0x5454, Payload: []byte("short")}},
	{name: "V31", hex: "080c625a5a000021", want: Publish{QoS: -1, Kind: ShortTopic, TopicID: 0x5a5a, Payload: []byte("!")}},
	{name: "V32", hex: "090c61001100006869", want: Publish{QoS: -1, Kind: PredefinedTopic, TopicID: 17, Payload: []byte("hi")}},
	{name: "V33", hex: "0c0c6000030000612f626869", want: Publish{QoS: -1, Name: []byte("a/b"), Payload: []byte("hi")}, named: true},
	{name: "V34", hex: "070c1000050000", want: Publish{Retain: true, TopicID: 5, Payload: []byte{}}},
	{name: "V35", hex: "070d0005001000", want: Puback{5, 16, Accepted}},
	{name: "V36", hex: "070d7777000002", want: Puback{0x7777, 0, InvalidTopicID}, from: server},
	{name: "V37", hex: "040f2222", want: Pubrec{0x2222}},
	{name: "V38", hex: "04102222", want: Pubrel{0x2222}},
	{name: "V39", hex: "040e2222", want: Pubcomp{0x2222}},
	{name: "V40", hex: "0812200009612f62", want: Subscribe{QoS: 1, MsgID: 9, Filter: "a/b"}},
	{name: "V41", hex: "091240000a736e2f23", want: Subscribe{QoS: 2, MsgID: 10, Filter: "sn/#"}},
	{name: "V42", hex: "071201000b0011", want: Subscribe{Kind: PredefinedTopic, MsgID: 11, TopicID: 17}},
	{name: "V43", hex: "071222000c5454", want: Subscribe{QoS: 1, Kind: ShortTopic, MsgID: 12, Filter: "TT"}},
	{name: "V44", hex: "0812a00009612f62", want: Subscribe{Dup: true, QoS: 1, MsgID: 9, Filter: "a/b"}},
	{name: "V45", hex: "0813200002000900", want: Suback{1, 2, 9, Accepted}, from: server},
	{name: "V46", hex: "0813400000000a00", want: Suback{2, 0, 10, Accepted}, from: server},
	{name: "V47", hex: "0813000000000b02", want: Suback{0, 0, 11, InvalidTopicID}, from: server},
	{name: "V48", hex: "081400000d612f62", want: Unsubscribe{MsgID: 13, Filter: "a/b"}},
	{name: "V49", hex: "071401000e0011", want: Unsubscribe{Kind: PredefinedTopic, MsgID: 14, TopicID: 17}},
	{name: "V50", hex: "071402000f5454", want: Unsubscribe{Kind: ShortTopic, MsgID: 15, Filter: "TT"}},
	{name: "V51", hex: "0415000d", want: Unsuback{13}, from: server},
	{name: "V52", hex: "0216", want: Pingreq{}},
	{name: "V53", hex: "0a1673656e736f723031", want: Pingreq{"sensor01"}},
	{name: "V54", hex: "0217", want: Pingresp{}, from: server},
	{name: "V55", hex: "0218", want: Disconnect{}},
	{name: "V56", hex: "04180e10", want: Disconnect{true, 3600}},
	{name: "V57", hex: "0b1a2077696c6c2f6e6577", want: WillTopicUpd{1, false, "will/new"}},
	{name: "V58", hex: "021a", want: WillTopicUpd{}},
	{name: "V59", hex: "031b00", want: WillTopicResp{}, from: server},
	{name: "V60", hex: "061c62796532", want: WillMsgUpd{[]byte("bye2")}},
	{name: "V61", hex: "031d03", want: WillMsgResp{NotSupported}, from: server},
	{
		name: "V62", hex: "05fe01aabb08040401000a7331",
		want: Encapsulated{1, []byte{0xaa, 0xbb}, []byte("\x08\x04\x04\x01\x00\x0as1")},
	},
	{name: "V63", hex: "03fe000216", want: Encapsulated{0, []byte{}, []byte{2, 0x16}}},
	{name: "V64", hex: "01000416", want: Pingreq{}, canonical: "0216"},
	{name: "V65", hex: "0101350c2000010007" + strings.Repeat("41", 300), want: Publish{QoS: 1, TopicID: 1, MsgID: 7, Payload: letters("A", 300)}},
	{name: "V66", hex: "ff0c2000010007" + strings.Repeat("42", 248), want: Publish{QoS: 1, TopicID: 1, MsgID: 7, Payload: letters("B", 248)}},
	{name: "V67", hex: "0101020c2000010007" + strings.Repeat("43", 249), want: Publish{QoS: 1, TopicID: 1, MsgID: 7, Payload: letters("C", 249)}},
	// a forwarder's longest node identifier, and no longer a message
	{name: "longest node identifier", hex: "fffe00" + strings.Repeat("ee", 252) + "0217", want: Encapsulated{0, letters("\xee", 252), []byte{2, 0x17}}, from: server},
	{name: "largest", hex: "01ffff0c0000010000" + strings.Repeat("5a", 65526), want: Publish{TopicID: 1, Payload: letters("Z", 65526)}},
}

// recorded is what other programs have sent.
var recorded = []sample{
	{name: "asymcute CONNECT", hex: "0b040401016872696f7431", want: Connect{CleanSession: true, ProtocolID: 1, KeepAlive: 360, ClientID: "riot1"}},
	{name: "asymcute REGISTER", hex: "0d0a000063f772696f742f7431", want: Register{0, 0x63f7, "riot/t1"}},
	{name: "asymcute PUBLISH", hex: "110c20000163f868656c6c6f5f72696f74", want: Publish{QoS: 1, TopicID: 1, MsgID: 0x63f8, Payload: []byte("hello_riot")}},
	{name: "emcute CONNECT", hex: "0d040c01016867657274727564", want: Connect{true, true, 1, 360, "gertrud"}},
	{name: "emcute WILLTOPIC", hex: "0c070072696f742f77696c6c", want: WillTopic{0, false, "riot/will"}},
	{name: "emcute WILLMSG", hex: "0509627965", want: WillMsg{[]byte("bye")}},
	{name: "emcute WILLTOPICUPD", hex: "0d1a0072696f742f77696c6c32", want: WillTopicUpd{0, false, "riot/will2"}},
	{name: "wolfMQTT CONNECT", hex: "17040c01003c576f6c664d515454436c69656e742d534e", want: Connect{true, true, 1, 60, "WolfMQTTClient-SN"}},
	{name: "wolfMQTT WILLTOPIC", hex: "1c0740776f6c664d5154542f6578616d706c652f6c7774746f706963", want: WillTopic{2, false, "wolfMQTT/example/lwttopic"}},
	{
		name: "wolfMQTT PUBLISH", hex: "110c4273310006746573742073686f7274",
		want: Publish{QoS: 2, Kind: ShortTopic, TopicID: 0x7331, MsgID: 6, Payload: []byte("test short")},
	},
	{
		name: "Paho PUBLISH with a name", hex: "210c600011000061206c6f6e6720746f706963206e616d656d797061796c6f6164", named: true,
		want: Publish{QoS: -1, Name: []byte("a long topic name"), Payload: []byte("mypayload")},
	},
	{name: "mqtt-sn-tools SUBSCRIBE", hex: "0912200001736e2f2b", want: Subscribe{QoS: 1, MsgID: 1, Filter: "sn/+"}},
	{name: "wolfMQTT SUBSCRIBE", hex: "07120200057331", want: Subscribe{Kind: ShortTopic, MsgID: 5, Filter: "s1"}},
	// a client of commschamp's gateway sleeps
	{name: "sleep: CONNECT", hex: "090404 01003c 703132", want: Connect{CleanSession: true, ProtocolID: 1, KeepAlive: 60, ClientID: "p12"}},
	{name: "sleep: CONNACK", hex: "030500", want: Connack{}, from: server},
	{name: "sleep: SUBSCRIBE", hex: "0a1220 0002 7031322f74", want: Subscribe{QoS: 1, MsgID: 2, Filter: "p12/t"}},
	{name: "sleep: SUBACK", hex: "081320 0012 0002 00", want: Suback{1, 18, 2, Accepted}, from: server},
	{name: "sleep: DISCONNECT", hex: "0418001e", want: Disconnect{true, 30}},
	{name: "sleep: its answer", hex: "0218", want: Disconnect{}, from: server},
	{name: "sleep: PINGREQ", hex: "0516703132", want: Pingreq{"p12"}},
	{name: "sleep: PUBLISH", hex: "090c20 0012 0001 7330", want: Publish{QoS: 1, TopicID: 18, MsgID: 1, Payload: []byte("s0")}, from: server},
	{name: "sleep: PUBACK", hex: "070d 0012 0001 00", want: Puback{18, 1, Accepted}},
	{name: "sleep: next PUBLISH", hex: "090c20 0012 0002 7331", want: Publish{QoS: 1, TopicID: 18, MsgID: 2, Payload: []byte("s1")}, from: server},
	{name: "sleep: PUBLISH with QoS 0", hex: "0b0c00 0012 0000 732d7130", want: Publish{TopicID: 18, Payload: []byte("s-q0")}, from: server},
	{name: "sleep: PINGRESP", hex: "0217", want: Pingresp{}, from: server},
	{name: "Paho CONNACK for a node", hex: "05fe00aabb030500", want: Encapsulated{0, []byte{0xaa, 0xbb}, []byte{3, 5, 0}}, from: server},
}

func name2(s string) TopicV2 { return TopicV2{Kind: TopicNameV2, Name: []byte(s)} }

// draft is 2.0.
var draft = []sample{
	{name: "N01", hex: "0d0101000102003c0000646576", want: ConnectV2{CleanStart: true, PacketID: 1, Version: 2, KeepAlive: 60, ClientID: "dev"}},
	{
		name: "N02", hex: "18012a07000202003c010000000e10000177000178646576",
		want: ConnectV2{
			Roaming: true, PacketID: 2, Version: 2, KeepAlive: 60, MaxPacketSize: 256, HasExpiry: true, Expiry: 3600,
			Will: &WillV2{QoS: 1, Topic: name2("w"), Payload: []byte("x")}, ClientID: "dev",
		},
	},
	{
		name: "N03", hex: "1e0105000302003c00000a4d5154542d4241534943000600017500017064",
		want: ConnectV2{
			CleanStart: true, PacketID: 3, Version: 2, KeepAlive: 60,
			Auth: &AuthDataV2{"MQTT-BASIC", []byte("\x00\x01u\x00\x01p")}, ClientID: "d",
		},
	},
	{name: "N04", hex: "060200000100", want: ConnackV2{PacketID: 1}, from: server},
	{name: "N05", hex: "080204000100001e", want: ConnackV2{PacketID: 1, HasKeepAlive: true, KeepAlive: 30}, from: server},
	{name: "N06", hex: "0810000002612f62", want: RegisterV2{PacketID: 2, Topic: "a/b"}},
	{name: "N07", hex: "07110400020001", want: RegackV2{PacketID: 2, HasAlias: true, Alias: 1}, from: server},
	{name: "N08", hex: "07030000016869", want: PublishV2{Topic: TopicV2{Alias: 1}, Payload: []byte("hi")}},
	{name: "N09", hex: "0c032300030003612f626869", want: PublishV2{QoS: 1, PacketID: 3, Topic: name2("a/b"), Payload: []byte("hi")}},
	{name: "N10", hex: "04040003", want: PubackV2{PacketID: 3}},
	{name: "N11", hex: "05040003f0", want: PubackV2{3, 0xf0}},
	{name: "N12", hex: "07120100116869", want: PubwosV2{Topic: TopicV2{Kind: PredefinedAliasV2, Alias: 17}, Payload: []byte("hi")}},
	{name: "N13", hex: "0808230004612f62", want: SubscribeV2{QoS: 1, PacketID: 4, Topic: name2("a/b")}},
	{name: "N14", hex: "0809040004000101", want: SubackV2{PacketID: 4, HasAlias: true, Alias: 1, Code: 1}, from: server},
	{name: "N15", hex: "080a030005612f62", want: UnsubscribeV2{5, name2("a/b")}},
	{name: "N16", hex: "040b0005", want: UnsubackV2{PacketID: 5}, from: server},
	{name: "N17", hex: "040c0006", want: PingreqV2{6}},
	{name: "N18", hex: "050d000603", want: PingrespV2{6, true, 3}, from: server},
	{name: "N19", hex: "091301000700000e10", want: SleepreqV2{true, 7, 3600}},
	{name: "N20", hex: "0514000007", want: SleeprespV2{PacketID: 7}, from: server},
	{name: "N21", hex: "0215", want: WakeupV2{}, from: server},
	{name: "N22", hex: "030e00", want: DisconnectV2{}},
	{name: "N23", hex: "040e0404", want: DisconnectV2{HasCode: true, Code: 4}},
	{name: "N24", hex: "0516070384", want: AdvertiseV2{7, 900}, from: server},
	{name: "N25", hex: "0217", want: SearchGWV2{[]byte{}}},
	{name: "N26", hex: "031807", want: GWInfoV2{GatewayID: 7}, from: server},
	{name: "N27", hex: "09fc02aabb040c0006", want: ForwardedV2{[]byte{0xaa, 0xbb}, []byte{4, 0x0c, 0, 6}}},
	{name: "N28", hex: "0bfe0003646576040c0006", want: RoamingV2{"dev", []byte{4, 0x0c, 0, 6}}},
	{
		name: "CONNECT with everything", hex: "1e017f11000202000100 0a05ffffffff0009000201ff0161000178646576",
		want: ConnectV2{
			Suggest: true, Roaming: true, CleanStart: true, PacketID: 2, Version: 2, KeepAlive: 1, MaxPacketSize: 10, HasAwake: true, Awake: 5,
			HasExpiry: true, Expiry: 1<<32 - 1, Will: &WillV2{Retain: true, Topic: TopicV2{Kind: PredefinedAliasV2, Alias: 9}, Payload: []byte{1, 0xff}},
			Auth: &AuthDataV2{"a", []byte("x")}, ClientID: "dev",
		},
	},
	{
		name: "CONNACK with everything", hex: "12020f000200 00000e10 003c 0161 0001ff 64",
		want: ConnackV2{
			SessionPresent: true, PacketID: 2, HasExpiry: true, Expiry: 3600, HasKeepAlive: true, KeepAlive: 60,
			Auth: &AuthDataV2{"a", []byte{0xff}}, ClientID: "d",
		},
		from: server,
	},
	{name: "AUTH", hex: "080f00021801617f", want: AuthV2{2, 0x18, "a", []byte{0x7f}}},
	{name: "REGISTER from the server", hex: "0a1001000200 05612f62", want: RegisterV2{2, true, 5, "a/b"}, from: server},
	{name: "REGACK for a predefined topic", hex: "0811050002 0011 1a", want: RegackV2{PredefinedAliasV2, 2, true, 17, 0x1a}, from: server},
	{name: "PUBREC", hex: "04050003", want: PubrecV2{PacketID: 3}},
	{name: "PUBREL", hex: "0506000392", want: PubrelV2{3, 0x92}},
	{name: "PUBCOMP", hex: "04070003", want: PubcompV2{PacketID: 3}},
	{name: "PUBLISH repeated", hex: "0803d0000a0001ff", want: PublishV2{true, 2, true, 10, TopicV2{Alias: 1}, []byte{0xff}}},
	{name: "SUBSCRIBE with options", hex: "0708d90004 0011", want: SubscribeV2{true, 2, true, 2, 4, TopicV2{Kind: PredefinedAliasV2, Alias: 17}}},
	{name: "PINGRESP alone", hex: "040d0006", want: PingrespV2{PacketID: 6}, from: server},
	{name: "SLEEPRESP with everything", hex: "0a14010007 0000003c 97", want: SleeprespV2{7, true, 60, 0x97}, from: server},
	{name: "DISCONNECT with everything", hex: "0d0e0700090000003c 8e 6f6c64", want: DisconnectV2{true, 9, true, 60, true, 0x8e, "old"}},
	{
		name: "protected", hex: "1cff 1649 0102030405060708 0a0b0c0d 1112 00000007 0217 aabbccdd",
		want: ProtectedV2{
			1, 0x49,
			[8]byte{1, 2, 3, 4, 5, 6, 7, 8},
			[4]byte{10, 11, 12, 13},
			[]byte{0x11, 0x12},
			[]byte{0, 0, 0, 7},
			[]byte{2, 0x17, 0xaa, 0xbb, 0xcc, 0xdd},
		},
	},
}

func allSamples() []sample {
	return append(append(append([]sample{}, samples...), recorded...), draft...)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
