package dissect_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

func snSamples(t testing.TB, fromClient, fromServer []string) []dissecttest.Sample {
	var all []dissecttest.Sample
	for direction, list := range map[dissect.Direction][]string{dissect.FromClient: fromClient, dissect.FromServer: fromServer} {
		for _, s := range list {
			all = append(all, dissecttest.Sample{Name: s, Bytes: unhex(t, s), Direction: direction})
		}
	}
	return all
}

func mqttsnSamples(t testing.TB) []dissecttest.Sample {
	return snSamples(t, []string{
		"030100", "090207c000020a075c", "0b040401003c6465762d31", "1d04080107086162636465666768696a6b6c6d6e6f7071727374757677",
		"09073077696c6c2f74", "0207", "0609676f6e65", "0209", "090a00000001612f62", "070b1234010200", "0b0c000005000032312e35",
		"090ca0000500106f6e", "090c510011222200ff", "0c0c025454000073686f7274", "080c625a5a000021", "090c61001100006869",
		"070c1000050000", "070d0005001000", "040f2222", "04102222", "040e2222", "0812200009612f62", "071201000b0011",
		"071222000c5454", "081400000d612f62", "071401000e0011", "071402000f5454", "0216", "0a1673656e736f723031", "0218", "04180e10",
		"0b1a2077696c6c2f6e6577", "021a", "061c62796532", "05fe01aabb08040401000a7331", "03fe000216", "01000416",
	}, []string{
		"0500070384", "030207", "030500", "030503", "0206", "0208", "120a1234010273656e736f72732f74656d70", "070d7777000002",
		"0813200002000900", "0415000d", "0217", "031b00", "031d03", "05fe00aabb030500",
	})
}

func mqttsn2Samples(t testing.TB) []dissecttest.Sample {
	return snSamples(t, []string{
		"0d0101000102003c0000646576", "18012a07000202003c010000000e10000177000178646576",
		"1e0105000302003c00000a4d5154542d4241534943000600017500017064", "0810000002612f62", "07030000016869",
		"0c032300030003612f626869", "04040003", "05040003f0", "07120100116869", "0808230004612f62", "080a030005612f62", "040c0006",
		"091301000700000e10", "030e00", "040e0404", "0217", "09fc02aabb040c0006", "0bfe0003646576040c0006", "080f00021801617f",
		"1cff16490102030405060708 0a0b0c0d 1112 00000007 0217 aabbccdd",
	}, []string{
		"060200000100", "080204000100001e", "07110400020001", "0809040004000101", "040b0005", "050d000603", "0514000007", "0215",
		"0516070384", "031807",
	})
}

func TestMQTTSN(t *testing.T) { dissecttest.Run(t, dissect.MQTTSN{}, mqttsnSamples(t)) }

func TestMQTTSNDraft(t *testing.T) {
	dissecttest.Run(t, dissect.MQTTSN{Draft: true}, mqttsn2Samples(t))
}

// Some forwarders count the message in the length of its envelope, and some
// senders put more than a message into a datagram.
func TestMQTTSNDatagram(t *testing.T) {
	for _, tc := range []struct {
		hex              string
		n                int
		summary, problem string
	}{
		{"0dfe01aabb08040401000a7331", 13, `node aabb: CONNECT client "s1", keep alive 10 s`, "the length is that of the envelope with the message"},
		{"0216 0217", 2, "", "something follows the message in its datagram"},
		{"05fe01aabb08040401000a7331 0217", 13, `node aabb: CONNECT client "s1", keep alive 10 s`, "something follows the message in its datagram"},
	} {
		p, n, err := dissecttest.Dissect(t, dissect.MQTTSN{}, unhex(t, tc.hex), &dissect.Stream{Direction: dissect.FromClient, Whole: true})
		if err != nil || n != tc.n || p.Summary != tc.summary || len(p.Problems) != 1 || p.Problems[0].Text != tc.problem {
			t.Errorf("%s: %d, %v\n%s", tc.hex, n, err, dissecttest.Text(p))
		}
	}
}

func TestMQTTSNSniffsDatagrams(t *testing.T) {
	for _, tc := range []struct {
		hex  string
		port uint16
		want dissect.Confidence
	}{
		{"0b040401003c6465762d31", 0, dissect.Certain},
		{"0b040402003c6465762d31", 0, dissect.No},
		{"0216", 0, dissect.Possible},
		{"0216", 1884, dissect.Likely},
		{"0316", 1884, dissect.No},
		{"021600", 1884, dissect.No},
		{"02160217", 0, dissect.Possible},
		{"02160b0c000005000032312e35", 0, dissect.Likely},
		{"0b0c000005000032312e35", 0, dissect.Likely},
		{"05fe01aabb08040401000a7331", 0, dissect.Likely},
		{"05fe01aabb0216ff", 0, dissect.No},
		{"4002000100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000", 5683, dissect.No},
	} {
		c, why := dissect.MQTTSN{}.Sniff(unhex(t, tc.hex), dissect.Hint{Datagram: true, Port: tc.port})
		if c != tc.want {
			t.Errorf("%s: %v, %q", tc.hex, c, why)
		}
	}
}

// What tshark 4.0.17 misreads of MQTT-SN, by the number of the row.
func TestMQTTSNReadsWhatTsharkMisreads(t *testing.T) {
	for _, tc := range []struct {
		row, hex, field string
		want            any
		draft           bool
		from            dissect.Direction
	}{
		{"14", "0b0c0261620000 01020304", "short topic", "ab", false, dissect.FromClient},
		{"15", "0712210009000b", "topic identifier", uint64(11), false, dissect.FromClient},
		{"15", "07140100090017", "topic identifier", uint64(23), false, dissect.FromClient},
		{"16", "0afe00010203040506070216", "node identifier", []byte{1, 2, 3, 4, 5, 6, 7}, false, dissect.FromClient},
		{"17", "070207c0a80001", "address", []byte{0xc0, 0xa8, 0, 1}, false, dissect.FromServer},
		{"17", "0509ff00 01", "will payload", []byte{0xff, 0, 1}, false, dissect.FromClient},
		{"17", "0a0c000005000000ff01", "payload", []byte{0, 0xff, 1}, false, dissect.FromClient},
		{"18", "0d0101000102003c0000646576", "protocol version", uint64(2), true, dissect.FromClient},
		{"18", "0b0f000718034142430102", "authentication method", "ABC", true, dissect.FromClient},
	} {
		b := unhex(t, tc.hex)
		p, n, err := dissecttest.Dissect(t, dissect.MQTTSN{Draft: tc.draft}, b, &dissect.Stream{Direction: tc.from, Whole: true})
		f := find(p.Fields, tc.field)
		if err != nil || n != len(b) || f == nil || cmp.Diff(tc.want, f.Value) != "" {
			t.Errorf("row %s, %s: %v\n%s", tc.row, tc.hex, err, dissecttest.Text(p))
		}
		for _, q := range p.Problems {
			if !q.Warning {
				t.Errorf("row %s, %s: %+v", tc.row, tc.hex, q)
			}
		}
	}
}

// What tshark drops from view: further messages of a datagram, and bytes behind
// the message.
func TestMQTTSNShowsAllOfADatagram(t *testing.T) {
	for _, tc := range []struct {
		hex  string
		want []string
	}{
		{"0216 0217 0b0c000005000032312e35", []string{"PINGREQ", "PINGRESP", "PUBLISH"}},
		{"0216 ff00", []string{"PINGREQ", "ADVERTISE"}},
		{"0b0c000005000032312e35 00", []string{"PUBLISH", "message"}},
	} {
		b := unhex(t, tc.hex)
		st := &dissect.Stream{Whole: true}
		var types []string
		shown, found := 0, 0
		for len(b) > 0 {
			p, n, err := dissecttest.Dissect(t, dissect.MQTTSN{}, b, st)
			types = append(types, p.Type)
			for i := range p.Fields {
				shown = max(shown, p.Fields[i].End())
			}
			for _, q := range p.Problems {
				if q.Text == "something follows the message in its datagram" && q.Off == n && q.Off+q.Len == len(b) {
					found++
				}
			}
			if err != nil || n == 0 {
				break
			}
			b = b[n:]
		}
		if diff := cmp.Diff(tc.want, types); diff != "" || found != len(tc.want)-1 || shown == 0 {
			t.Errorf("%s: %d problems\n%s", tc.hex, found, diff)
		}
	}
}

// snTalk reads messages in turn, each from a side of one conversation.
func snTalk(t *testing.T, d dissect.Dissector, st *dissect.Stream, lines ...string) []dissect.Packet {
	t.Helper()
	var all []dissect.Packet
	for i, line := range lines {
		side, text, _ := strings.Cut(line, " ")
		st.Direction = map[string]dissect.Direction{"c": dissect.FromClient, "s": dissect.FromServer}[side]
		st.Number, st.Time = i+1, time.Unix(1700000000+int64(i), 0)
		p, _, err := dissecttest.Dissect(t, d, unhex(t, text), st)
		if err != nil {
			t.Fatal(line, err)
		}
		all = append(all, p)
	}
	return all
}

func answersOf(t *testing.T, all []dissect.Packet, want ...int) {
	t.Helper()
	for i, w := range want {
		if p := all[i]; p.Answers != w || w > 0 && p.After != time.Duration(i+1-w)*time.Second {
			t.Errorf("%d, %s: answers %d after %v, want %d", i+1, p.Type, p.Answers, p.After, w)
		}
	}
}

// Who answers whom, and which topic an identifier stands for.
func TestMQTTSNConversation(t *testing.T) {
	st := &dissect.Stream{Whole: true}
	all := snTalk(
		t, dissect.MQTTSN{}, st,
		"c 09040c01003c626162",   // 1: CONNECT with a will
		"s 0206",                 // 2: WILLTOPICREQ
		"c 09073077696c6c2f74",   // 3: WILLTOPIC
		"s 0208",                 // 4: WILLMSGREQ
		"c 0609676f6e65",         // 5: WILLMSG
		"s 030500",               // 6: CONNACK
		"c 090a00000001612f62",   // 7: REGISTER a/b
		"s 070b0005000100",       // 8: REGACK 5
		"c 090c20000500106f6e",   // 9: PUBLISH, QoS 1
		"s 070d0005001000",       // 10: PUBACK
		"c 090c40000500116f6e",   // 11: PUBLISH, QoS 2
		"s 040f0011",             // 12: PUBREC
		"c 04100011",             // 13: PUBREL
		"s 040e0011",             // 14: PUBCOMP
		"c 081220000963 2f64",    // 15: SUBSCRIBE c/d
		"s 0813200007000900",     // 16: SUBACK 7
		"s 0a0c0000070000313233", // 17: PUBLISH of it
		"c 0216",                 // 18: PINGREQ
		"s 0217",                 // 19: PINGRESP
		"s 080a00080002652f",     // 20: REGISTER e/ by the gateway
		"c 070b0008000200",       // 21: REGACK
		"c 071400 000d2b2f",      // 22: UNSUBSCRIBE, unanswered
		"c 0218",                 // 23: DISCONNECT
		"s 0218",                 // 24: DISCONNECT
	)
	answersOf(t, all, 0, 1, 2, 3, 4, 5, 0, 7, 0, 9, 0, 11, 12, 13, 0, 15, 0, 0, 18, 0, 20, 0, 0, 23)
	for i, want := range map[int]string{
		8: `topic "a/b" (5), accepted`, 9: `topic "a/b" (5), QoS 1, 2 bytes`, 16: `topic "c/d" (7), QoS 1, accepted`, 17: `topic "c/d" (7), QoS 0, 3 bytes`,
		21: `topic "e/" (8), accepted`,
	} {
		if got := all[i-1].Summary; got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	open := dissect.MQTTSN{}.Finish(st)
	if len(open) != 1 || open[0].Number != 22 || open[0].Text != "UNSUBSCRIBE has no answer" {
		t.Errorf("%+v", open)
	}
}

// Behind a forwarder each node has topics and identifiers of its own.
func TestMQTTSNNodesOfAForwarder(t *testing.T) {
	all := snTalk(
		t, dissect.MQTTSN{}, &dissect.Stream{Whole: true},
		"c 04fe0001 090a00000001612f62",
		"c 04fe0002 090a00000001632f64",
		"s 04fe0001 070b0005000100",
		"s 04fe0002 070b0005000100",
		"c 04fe0002 090c20000500106f6e",
	)
	answersOf(t, all, 0, 0, 1, 2, 0)
	if want := `node 02: PUBLISH topic "c/d" (5), QoS 1, 2 bytes`; all[4].Summary != want {
		t.Errorf("%s, want %s", all[4].Summary, want)
	}
}

func TestMQTTSNDraftConversation(t *testing.T) {
	all := snTalk(
		t, dissect.MQTTSN{Draft: true}, &dissect.Stream{Whole: true},
		"c 0d0101000102003c0000646576", "s 060200000100",
		"c 0810000002612f62", "s 07110400020001",
		"c 080a030005612f62", "s 040b0005",
		"c 08032000030001 6f", "s 0404 0003",
	)
	answersOf(t, all, 0, 1, 0, 3, 0, 5, 0, 7)
	if !strings.Contains(all[6].Summary, `"a/b" (session alias 1)`) {
		t.Error(all[6].Summary)
	}
}

// The recording of bisquitt reads as tshark reads it.
func TestMQTTSNAgreesWithTshark(t *testing.T) {
	path := filepath.Join(dissecttest.Captures(t), "rec-sn-bisquitt.pcapng")
	all := datagrams(t, path, func(f *capture.Flow) dissect.Dissector {
		if f.Server.Port() != 1886 {
			return nil
		}
		return dissect.MQTTSN{}
	})
	other := slices.DeleteFunc(tshark(t, path), func(p tsharkPacket) bool { return p.PDUs[0].Proto != "mqttsn" })
	if len(all) != len(other) || len(all) < 40 {
		t.Fatalf("%d messages, tshark has %d", len(all), len(other))
	}
	for i, d := range all {
		want := map[string]string{}
		for _, f := range other[i].PDUs[0].Fields {
			key, _ := f[0].(string)
			want[key], _ = f[1].(string)
		}
		if slices.ContainsFunc(d.p.Problems, func(q dissect.Problem) bool { return !q.Warning }) || d.frame != other[i].Frame || len(other[i].PDUs) != 1 {
			t.Errorf("frame %d of %d: %v", d.frame, other[i].Frame, d.p.Problems)
		}
		for key, name := range map[string]string{
			"mqttsn.msg.len": "length", "mqttsn.msg.id": "message identifier", "mqttsn.topic.id": "topic identifier", "mqttsn.keep.alive": "keep alive",
			"mqttsn.client.id": "client identifier", "mqttsn.will.topic": "will topic", "mqttsn.will.msg": "will payload", "mqttsn.topic": "topic",
			"mqttsn.pub.msg": "payload",
		} {
			text, ok := want[key]
			f := find(d.p.Fields, name)
			switch {
			case !ok && f == nil:
			case f == nil && find(d.p.Fields, "short topic") != nil: // row 14
			case !ok || f == nil || fmt.Sprint(f.Value) != text:
				t.Errorf("frame %d: %s is %q\n%s", d.frame, key, text, dissecttest.Text(d.p))
			}
		}
	}
}
