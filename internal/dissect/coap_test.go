package dissect_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/coap"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// coapHex are datagrams of RFC 7252, appendix A, of LwM2M servers and devices, and
// of libcoap.
var coapHex = []struct {
	name, hex string
	from      dissect.Direction
}{
	{"GET", "40017d34 bb74656d7065726174757265", dissect.FromClient},
	{"2.05", "60457d34 ff 32322e332043", dissect.FromServer},
	{"2.05 with a token", "61457d35 20 ff 32322e332043", dissect.FromServer},
	{"ping", "40001234", dissect.FromClient},
	{"RST", "70001234", dissect.FromServer},
	{"ACK", "60001234", dissect.FromServer},
	{"TLV that is notified", "5245145e d159 6119 622d16 ff e816440840478ccccccccccd", dissect.FromClient},
	{"CBOR", "5245145f 3709 611c 613c ff fb4031333333333333", dissect.FromClient},
	{"POST", "42022d43 5003 b433333033 0130 0435363035", dissect.FromServer},
	{"PUT of CBOR", "42032d45 98ad b433333038 0130 0435393030 113c ff fb4038b5c4d4ea412c", dissect.FromServer},
	{"queries", "4203100a 100a b133 0130 0139 46706d696e3d31 06706d61783d33", dissect.FromServer},
	{"write of TLV", "4203100f 100f b133 0130 023134 122d16 ff c60e2b30323a3030", dissect.FromServer},
	{"instance in TLV", "6245100f 100f c22d16 ff 080029e415e141500000e415e241500000e415e300000000e415e442280000e4164441500000e3164543656c", dissect.FromClient},
	{"multiple resource in TLV", "6245100f 100f c22d16 ff 860641000141010588070842000ed842011388", dissect.FromClient},
	{"Block1", "4203101b 101b b135 0130 0130 112a d1020a ff 00010203", dissect.FromServer},
	{"2.31", "625f101b 101b d10e0a", dissect.FromClient},
	{"part of TLV", "6245101d 101d c22d16 b108 ff c500416e6a6179c8010b64656d6f2d63", dissect.FromClient},
	{"SenML in CBOR", "6245100f 100f c170 ff 82a321642f332f3000622f300365416e6a6179a200622f390200", dissect.FromClient},
	{"SenML in JSON", "6245100f 100f c16e ff 5b7b22626e223a222f332f302f222c226e223a223922 2c2276223a3130307d5d", dissect.FromClient},
	{"registration", "44028ba3 a38b48a8 b27264 1128 396c776d326d3d312e31 0665703d657031 03623d55 056c743d3630 ff 3c2f312f313e2c3c2f332f303e3b7665723d22312c30222c", dissect.FromClient},
	{"location", "64418ba3 a38b48a8 827264 03616263", dissect.FromServer},
	{"Request-Tag of libcoap", "4503105d 0500000003 bc6578616d706c655f64617461 10 d1021b d0fc ff 61", dissect.FromClient},
	{"JSON", "60457d34 c132 ff 7b2261223a317d", dissect.FromServer},
	{"OSCORE", "44025d1f 00003974 39 6c6f63616c686f7374 62 0914 ff 612f1092f1776f1c1668b3825e", dissect.FromClient},
	{"diagnostic payload", "60847d34 ff 6e6f7065", dissect.FromServer},
}

func coapSamples(t testing.TB) []dissecttest.Sample {
	var all []dissecttest.Sample
	for _, s := range coapHex {
		all = append(all, dissecttest.Sample{Name: s.name, Bytes: unhex(t, s.hex), Direction: s.from, EndsAnywhere: true, Unbounded: true})
	}
	return all
}

// coapOver are the same messages, and signals, over another transport.
func coapOver(t testing.TB, over dissect.COAPTransport) []dissecttest.Sample {
	var all []dissecttest.Sample
	add := func(name string, m *coap.Message) {
		b, err := m.AppendTCP(nil)
		if over == dissect.OverWebSocket {
			b, err = m.AppendWebSocket(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		ws := over == dissect.OverWebSocket
		all = append(all, dissecttest.Sample{Name: name, Bytes: b, EndsAnywhere: ws, Unbounded: ws})
	}
	csm := coap.Message{Code: coap.CSM, Options: coap.Options(nil).AddUint(coap.MaxMessageSize, 1152).Add(coap.BlockWiseTransfer, nil)}
	add("CSM", &csm)
	add("Ping", &coap.Message{Code: coap.Ping, Token: []byte{1, 2}})
	add("Release", &coap.Message{Code: coap.Release, Options: coap.Options(nil).AddString(coap.AlternativeAddress, "coap+tcp://[::1]")})
	add("Abort", &coap.Message{Code: coap.Abort, Payload: []byte("bad")})
	for _, s := range coapHex {
		m, err := coap.Parse(unhex(t, s.hex), &coap.Mode{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Code != coap.Empty {
			add(s.name, &m)
		}
	}
	add("long", &coap.Message{Code: coap.Content, Token: []byte{1}, Payload: make([]byte, 300)})
	return all
}

func TestCOAP(t *testing.T) { dissecttest.Run(t, dissect.COAP{}, coapSamples(t)) }

func TestCOAPOverTCP(t *testing.T) {
	dissecttest.Run(t, dissect.COAP{Over: dissect.OverTCP}, coapOver(t, dissect.OverTCP))
}

func TestCOAPOverWebSocket(t *testing.T) {
	dissecttest.Run(t, dissect.COAP{Over: dissect.OverWebSocket}, coapOver(t, dissect.OverWebSocket))
}

// problems are the texts and clauses of what is wrong with p, and err.
func problems(p dissect.Packet, err error) string {
	var all []string
	for _, q := range p.Problems {
		all = append(all, q.Text+" ["+q.Rule+"]")
	}
	if bad := (*dissect.Malformed)(nil); err != nil {
		all = append(all, err.Error())
		_ = bad
	}
	return strings.Join(all, "; ")
}

// What tshark 4.0.17 says nothing about: each is a problem, with its clause.
func TestCOAPRulesThatTsharkIsSilentOn(t *testing.T) {
	for _, tc := range []struct{ name, hex, want string }{
		{"token length 9", "49011234 010203040506070809", "byte 0: token length 9: 9 to 15 are reserved"},
		{"token length 13", "4d011234 00 01020304050607080910111213", "byte 0: token length 13: 9 to 15 are reserved"},
		{"token length 15", "4f011234 010203040506070809101112131415", "byte 0: token length 15: 9 to 15 are reserved"},
		{"bare payload marker", "40011234 b161 ff", "a payload marker with no payload [RFC 7252 §3]"},
		{"payload in an empty message", "40001234 ff 61", "2 bytes follow the header of an empty message [RFC 7252 §4.1]"},
		{"RST with a token", "71001234 01", "1 bytes follow the header of an empty message [RFC 7252 §4.1]"},
		{"block size exponent 7", "40011234 b161 c107", "Block2: block size exponent 7 is reserved [RFC 7959 §2.2]"},
		{"repeated Content-Format", "60451234 c0 0132 ff 61", "Content-Format is repeated [RFC 7252 §5.4.5]"},
		{"code class 1", "40211234", "code 1.01 is of a reserved class [RFC 7252 §4.2]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _, err := dissecttest.Dissect(t, dissect.COAP{}, unhex(t, tc.hex), &dissect.Stream{Direction: dissect.FromClient, Whole: true})
			got := problems(p, err)
			if !strings.Contains(got, tc.want) {
				t.Errorf("%s, want %s\n%s", got, tc.want, dissecttest.Text(p))
			}
			for _, q := range p.Problems {
				if q.Advice == "" || q.Warning {
					t.Errorf("%+v", q)
				}
			}
		})
	}
}

// Row 19 of what tshark misreads: CoAP from before the RFC is named.
func TestCOAPOfADraft(t *testing.T) {
	for _, tc := range []struct{ hex, version, path string }{
		{"4201d9e1 9b2e77656c6c2d6b6e6f776e 04636f7265", "draft 11 or older", "/.well-known/core"},
		{"4301d9e1 9b2e77656c6c2d6b6e6f776e 04636f7265 2207b1", "draft 11 or older", "/.well-known/core"},
		{"4201d9e1 bb2e77656c6c2d6b6e6f776e 04636f7265", "draft 12", "/.well-known/core"},
		{"4201d9e1 9f007365637572652d616e642d6c6f6e67 0473706f74", "draft 11 or older", "/secure-and-long/spot"},
	} {
		b := unhex(t, tc.hex)
		p, n, err := dissecttest.Dissect(t, dissect.COAP{}, b, &dissect.Stream{Whole: true})
		if err != nil || n != len(b) || p.Version != tc.version || !strings.HasSuffix(p.Summary, "looks like CoAP draft 12 or older: "+tc.path) {
			t.Errorf("%s: %v\n%s", tc.hex, err, dissecttest.Text(p))
		}
		if len(p.Problems) != 1 || p.Problems[0].Warning {
			t.Errorf("%s: %+v", tc.hex, p.Problems)
		}
		if c, why := (dissect.COAP{}).Sniff(b, dissect.Hint{Datagram: true}); c != dissect.Likely || !strings.Contains(why, "draft 12 or older") {
			t.Errorf("%s: %v, %s", tc.hex, c, why)
		}
	}
}

// Row 19a: Request-Tag is legal.
func TestCOAPRequestTag(t *testing.T) {
	p, _, err := dissecttest.Dissect(t, dissect.COAP{}, unhex(t, "4503105d 0500000003 bc6578616d706c655f64617461 10 d1021b d0fc ff 61"), nil)
	i := slices.IndexFunc(p.Fields, func(f dissect.Field) bool { return f.Name == "Request-Tag" })
	if err != nil || len(p.Problems) > 0 || i < 0 {
		t.Errorf("%v\n%s", err, dissecttest.Text(p))
	}
}

// coapTalk reads messages in turn, each from a side of one conversation.
func coapTalk(t testing.TB, d dissect.COAP, lines ...string) []dissect.Packet {
	t.Helper()
	st := &dissect.Stream{Whole: d.Over != dissect.OverTCP}
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

// find returns the field of a name, at any depth.
func find(fields []dissect.Field, name string) *dissect.Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
		if f := find(fields[i].Kids, name); f != nil {
			return f
		}
	}
	return nil
}

// Row 20: a notification is typed by the path of the request.
func TestNotificationIsTypedByItsRequest(t *testing.T) {
	all := coapTalk(t, dissect.COAP{},
		"s 4201100b 0102 60 5133 0130 0139", // GET /3/0/9, Observe 0
		"c 6245100b 0102 60 622d16 ff c10964",
		"c 52458ba5 0102 6102 622d16 ff c10963",
		"c 52458ba6 0999 6102 622d16 ff c10963", // of a request that was not seen
		"s 4201100c 0304 60 54 33333033 0130 0435373030",
		"c 6245100c 0304 60 622d16 ff e816440840478ccccccccccd",
	)
	for i, want := range []string{"", "integer", "integer", "value", "", "float"} {
		if want == "" {
			continue
		}
		if f := find(all[i].Fields, want); f == nil {
			t.Errorf("packet %d has no %s:\n%s", i+1, want, dissecttest.Text(all[i]))
		}
	}
	if f := find(all[2].Fields, "integer"); f != nil && (f.Value != int64(99) || f.Note != "%") {
		t.Errorf("%+v", f)
	}
	if !strings.HasSuffix(all[2].Summary, "/3/0/9 = 99") || !strings.HasSuffix(all[5].Summary, "/3303/0/5700 = 47.1") {
		t.Errorf("%q, %q", all[2].Summary, all[5].Summary)
	}
	for i, want := range []int{0, 1, 1, 0, 0, 5} {
		if all[i].Answers != want || want > 0 && all[i].After != time.Duration(i+1-want)*time.Second {
			t.Errorf("packet %d answers %d after %v, want %d", i+1, all[i].Answers, all[i].After, want)
		}
	}
}

// Who acknowledges what, and what is sent again.
func TestCOAPMessageIDs(t *testing.T) {
	all := coapTalk(t, dissect.COAP{},
		"c 41010001 aa b161",        // 1: CON GET
		"c 41010001 aa b161",        // 2: again
		"s 60000001",                // 3: ACK
		"s 41450007 aa ff 31",       // 4: separate response
		"c 60000007",                // 5: ACK of it
		"c 51010002 bb b161",        // 6: NON
		"s 60000002",                // 7: ACK of what is not confirmable
		"c 41020001 cc b162",        // 8: the id of 1 again
		"s 61450001 dd ff 31",       // 9: a token of nobody
		"s 70000002",                // 10: RST of the NON
		"c 41010003 ee b161 d1ea02", // 11: No-Response
	)
	for i, want := range []int{0, 0, 1, 1, 4, 0, 0, 0, 8, 6, 0} {
		if all[i].Answers != want {
			t.Errorf("packet %d answers %d, want %d", i+1, all[i].Answers, want)
		}
	}
	for i, want := range map[int]string{
		6: "an acknowledgement of a message that is not confirmable [RFC 7252 §4.3]",
		7: "message id 1 is still in use for another message [RFC 7252 §4.4]",
		8: "the token of the response is not that of the request with its message id [RFC 7252 §5.3.2]",
	} {
		if got := problems(all[i], nil); got != want {
			t.Errorf("packet %d: %s", i+1, got)
		}
	}
	if !strings.Contains(all[1].Summary, "again") || len(all[1].Problems) > 0 {
		t.Errorf("%q, %v", all[1].Summary, all[1].Problems)
	}
}

func TestCOAPFinish(t *testing.T) {
	d, st := dissect.COAP{}, &dissect.Stream{Direction: dissect.FromClient, Whole: true}
	for i, s := range []string{"41010001 aa b161", "41010002 bb b162", "41010003 cc b163 d1ea02"} {
		st.Number = i + 1
		if _, _, err := dissecttest.Dissect(t, d, unhex(t, s), st); err != nil {
			t.Fatal(err)
		}
	}
	st.Direction = dissect.FromServer
	_, _, _ = dissecttest.Dissect(t, d, unhex(t, "61450001 aa"), st)
	open := d.Finish(st)
	if len(open) != 1 || open[0].Number != 2 || open[0].Text != "GET /b has no answer" {
		t.Errorf("%+v", open)
	}
}

// Signals, and tokens that a CSM allows to be long.
func TestCOAPOverTCPFollowsSignals(t *testing.T) {
	d := dissect.COAP{Over: dissect.OverTCP}
	all := coapTalk(t, d, "c 20e1 6120", "s 20e1 6120", "c 02e2 0102", "s 02e3 0102", "c 2d01 01 00010203040506070809 10111213 b161")
	if all[3].Answers != 3 || all[2].Type != "Ping" || len(all[4].Problems) > 0 || find(all[4].Fields, "token").Len != 14 {
		t.Errorf("%s\n%s", dissecttest.Text(all[3]), dissecttest.Text(all[4]))
	}
	if got := problems(coapTalk(t, d, "c 2101 01 b161")[0], nil); got != "the first message is no CSM [RFC 8323 §5.3]" {
		t.Error(got)
	}
}

// Keys and passwords stay out of sight in every format.
func TestLwM2MSecrets(t *testing.T) {
	for _, request := range []string{
		"s 4203100f 100f b130 0130 0135 122d16 ff c3 05 736563",
		"s 4203100f 100f b130 0130 122d16 ff c3 05 736563",
		"s 4203100f 100f b130 0130 122d16 ff c8 05 09 736563",
		"s 4203100f 100f b139 0130 023135 10 ff 736563",
		"s 4203100f 100f b139 0130 023135 112a ff 736563",
		"s 4203100f 100f b130 0130 122d18 ff a1 05 43 736563",
		"s 4203100f 100f b130 0130 122d16 d1020a ff c3 05 736563",
		"s 4203100f 100f b130 0130 1170 ff 81 a2 00 66 2f302f302f35 08 43 736563",
		"s 4203100f 100f b130 0130 1170 ff 82 a2 00 66 2f302f302f35 08 43 736563",
		"s 4203100f 100f b130 0130 116e ff 5b7b226e223a222f302f302f35222c227664223a226332566a227d5d",
	} {
		p := coapTalk(t, dissect.COAP{}, request)[0]
		var leaks func(fields []dissect.Field, hidden bool) bool
		leaks = func(fields []dissect.Field, hidden bool) bool {
			for i := range fields {
				f := &fields[i]
				h := hidden || f.Secret
				s, _ := f.Value.(string)
				if b, ok := f.Value.([]byte); ok {
					s = string(b)
				}
				if !h && (strings.Contains(s, "sec") || strings.Contains(s, "c2Vj")) || leaks(f.Kids, h) {
					return true
				}
			}
			return false
		}
		if leaks(p.Fields, false) || strings.Contains(p.Summary, "sec") {
			t.Errorf("%s\n%s", request, dissecttest.Text(p))
		}
	}
}

func TestCOAPSniff(t *testing.T) {
	for _, tc := range []struct {
		hex  string
		d    dissect.COAP
		h    dissect.Hint
		want dissect.Confidence
	}{
		{"5245145ed1596119622d16ffe816440840478ccccccccccd", dissect.COAP{}, dissect.Hint{}, dissect.Likely},
		{"40020001", dissect.COAP{}, dissect.Hint{}, dissect.Possible},   // and a PUBACK of MQTT
		{"4003000110", dissect.COAP{}, dissect.Hint{}, dissect.Possible}, // too
		{"40001234", dissect.COAP{}, dissect.Hint{Datagram: true}, dissect.Possible},
		{"40020001", dissect.COAP{}, dissect.Hint{Datagram: true, Port: 5683}, dissect.Likely},
		{"40001234ff61", dissect.COAP{}, dissect.Hint{Datagram: true}, dissect.No},
		{"80011234", dissect.COAP{}, dissect.Hint{Datagram: true}, dissect.No},
		{"49011234010203040506070809", dissect.COAP{}, dissect.Hint{Datagram: true}, dissect.No},
		{"40211234", dissect.COAP{}, dissect.Hint{Datagram: true}, dissect.No},
		{"00e1", dissect.COAP{Over: dissect.OverTCP}, dissect.Hint{}, dissect.Certain},
		{"00e1", dissect.COAP{Over: dissect.OverTCP}, dissect.Hint{Datagram: true}, dissect.No},
		{"2101aab161", dissect.COAP{Over: dissect.OverTCP}, dissect.Hint{Port: 5683}, dissect.Likely},
		{"2101aab161", dissect.COAP{Over: dissect.OverTCP}, dissect.Hint{}, dissect.Possible},
		{"0101aabb74656d7065726174757265", dissect.COAP{Over: dissect.OverWebSocket}, dissect.Hint{Datagram: true}, dissect.Likely},
	} {
		if c, why := tc.d.Sniff(unhex(t, tc.hex), tc.h); c != tc.want {
			t.Errorf("%s %s: %v, %q, want %v", tc.d.Name(), tc.hex, c, why, tc.want)
		}
	}
}

// What has more parts than anybody reads does not become as many fields.
func TestCOAPPartsAreBounded(t *testing.T) {
	options := append(unhex(t, "40010001 b161"), make([]byte, 60000)...)
	tlv := append(unhex(t, "60450001 c22d16 ff"), bytes.Repeat([]byte{0xc0, 1}, 30000)...)
	senml := append(unhex(t, "60450001 c170 ff 9f"), bytes.Repeat([]byte{0xa0}, 60000)...)
	pairs := append(append(unhex(t, "60450001 c170 ff 9fbf"), bytes.Repeat([]byte{0, 1}, 30000)...), 0xff, 0xff)
	secrets := append(append([]byte{}, unhex(t, "40030001 b130 0130 1170 ff")...), unhex(t, "9f")...)
	secrets = append(append(secrets, bytes.Repeat([]byte{0xa0}, 5000)...), unhex(t, "a2 00 66 2f302f302f35 08 43 736563 ff")...)
	for name, b := range map[string][]byte{"options": options, "TLV": tlv, "SenML": append(senml, 0xff), "pairs": pairs, "secrets": secrets} {
		p, n, err := dissecttest.Dissect(t, dissect.COAP{}, b, &dissect.Stream{Whole: true})
		count, leak := 0, false
		var walk func([]dissect.Field)
		walk = func(fields []dissect.Field) {
			count += len(fields)
			for i := range fields {
				v, _ := fields[i].Value.([]byte)
				leak = leak || bytes.Contains(v, []byte("sec")) && !fields[i].Secret
				walk(fields[i].Kids)
			}
		}
		walk(p.Fields)
		if err != nil || n != len(b) || count > 12000 || len(p.Problems) > 3000 || leak {
			t.Errorf("%s: %d of %d bytes, %d fields, %d problems, %v, leak %v", name, n, len(b), count, len(p.Problems), err, leak)
		}
	}
}

// Instances within instances, which nobody may send, are not opened without end.
func TestTLVWithinTLVIsBounded(t *testing.T) {
	value := []byte{0xc1, 0, 1}
	for range 5000 {
		value = append([]byte{0x10, 0, byte(len(value) >> 8), byte(len(value))}, value...)
	}
	b := append(unhex(t, "60450001 c22d16 ff"), value...)
	p, n, err := dissecttest.Dissect(t, dissect.COAP{}, b, &dissect.Stream{Whole: true})
	var depth func([]dissect.Field) int
	depth = func(fields []dissect.Field) (most int) {
		for i := range fields {
			most = max(most, 1+depth(fields[i].Kids))
		}
		return most
	}
	if d := depth(p.Fields); err != nil || n != len(b) || d > 10 {
		t.Errorf("%d of %d bytes, %v, fields %d deep", n, len(b), err, d)
	}
}
