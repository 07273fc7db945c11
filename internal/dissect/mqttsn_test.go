package dissect_test

import (
	"testing"

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
