package mqttsn

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// python is the system's, which packages of the distribution belong to.
const python = "/usr/bin/python3"

// TestScapyReadsTheSame compares what we append with how scapy reads it.
func TestScapyReadsTheSame(t *testing.T) {
	out, err := exec.Command(python, "-c", "import scapy.contrib.mqttsn").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1":
		t.Fatalf("%s has no scapy: %v: %s", python, err, out)
	default:
		t.Skipf("%s has no scapy (Debian: python3-scapy)", python)
	}
	var messages []Message
	var in bytes.Buffer
	for _, s := range append(samples, recorded...) {
		if s.want.Size() < 1000 {
			messages = append(messages, s.want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		messages = append(messages, randomMessage(random, true))
	}
	for _, m := range messages {
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		fmt.Fprintln(&in, hex.EncodeToString(raw))
	}
	lines := strings.Split(in.String(), "\n")
	cmd := exec.Command(python, "testdata/second_reading.py")
	cmd.Stdin = &in
	cmd.Stderr = os.Stderr
	out, err = cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	read := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(read) != len(messages) {
		t.Fatalf("%d of %d messages are read", len(read), len(messages))
	}
	for i, m := range messages {
		var layers []map[string]string
		if err := json.Unmarshal(read[i], &layers); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for j, fields := range layers {
			for name, value := range fields {
				if j > 1 {
					name = fmt.Sprintf("%d.%s", j, name)
				}
				got[name] = value
			}
		}
		if d := cmp.Diff(scapy(m, 0), got); d != "" {
			t.Fatalf("%s: ours, theirs\n%s", lines[i], d)
		}
	}
}

// scapy is m with scapy's names of fields.
func scapy(m Message, layer int) map[string]string {
	f := map[string]string{}
	put := func(name string, v any) {
		if layer > 0 {
			name = fmt.Sprintf("%d.%s", layer, name)
		}
		switch v := v.(type) {
		case string:
			f[name] = hex.EncodeToString([]byte(v))
		case []byte:
			f[name] = hex.EncodeToString(v)
		default:
			f[name] = fmt.Sprint(v)
		}
		if f[name] == "" {
			delete(f, name) // scapy leaves most empty fields out
		}
	}
	bits := func(flags byte) {
		put("dup", flags>>7)
		put("qos", flags>>5&3)
		put("retain", flags>>4&1)
		put("will", flags>>3&1)
		put("cleansess", flags>>2&1)
		put("tid_type", flags&3)
	}
	put("type", m.Type().Octet())
	put("len", m.Size())
	if layer > 0 {
		layer++ // its body is the next one
	}
	raw, _ := m.Append(nil)
	body := raw[2:]
	if raw[0] == 1 {
		body = raw[4:]
	}
	switch m := m.(type) {
	case Advertise:
		put("gw_id", m.GatewayID)
		put("duration", m.Duration)
	case SearchGW:
		put("radius", m.Radius)
	case GWInfo:
		put("gw_id", m.GatewayID)
		put("gw_addr", m.Address)
	case Connect:
		bits(body[0])
		put("prot_id", m.ProtocolID)
		put("duration", m.KeepAlive)
		put("client_id", m.ClientID)
	case Connack:
		put("return_code", uint8(m.Code))
	case WillTopicResp:
		put("return_code", uint8(m.Code))
	case WillMsgResp:
		put("return_code", uint8(m.Code))
	case WillTopic:
		willFields(m.Topic, body, bits, put)
	case WillTopicUpd:
		willFields(m.Topic, body, bits, put)
	case WillMsg:
		put("will_msg", m.Payload)
	case WillMsgUpd:
		put("will_msg", m.Payload)
	case Register:
		put("tid", m.TopicID)
		put("mid", m.MsgID)
		put("topic_name", m.Topic)
	case Regack:
		ackFields(ack(m), put)
	case Puback:
		ackFields(ack(m), put)
	case Publish:
		bits(body[0])
		put("tid", m.TopicID|uint16(len(m.Name)))
		put("mid", m.MsgID)
		put("data", string(m.Name)+string(m.Payload))
	case Pubrec:
		put("mid", m.MsgID)
	case Pubrel:
		put("mid", m.MsgID)
	case Pubcomp:
		put("mid", m.MsgID)
	case Unsuback:
		put("mid", m.MsgID)
	case Subscribe:
		bits(body[0])
		topicFields(m.MsgID, m.Kind, m.TopicID, m.Filter, put)
	case Unsubscribe:
		bits(body[0])
		topicFields(m.MsgID, m.Kind, m.TopicID, m.Filter, put)
	case Suback:
		bits(body[0])
		ackFields(ack{m.TopicID, m.MsgID, m.Code}, put)
	case Pingreq:
		put("client_id", m.ClientID)
	case Disconnect:
		if m.HasDuration {
			put("duration", m.Duration)
		}
	case Encapsulated:
		f["len"] = strconv.Itoa(3 + len(m.NodeID))
		put("resvd", 0)
		put("radius", m.Radius)
		put("w_node_id", m.NodeID)
		inner, _, err := Parse(m.Inner, Options{EitherSide: true})
		if err != nil {
			panic(err)
		}
		for name, value := range scapy(inner, 2) {
			f[name] = value
		}
	}
	return f
}

func willFields(topic string, body []byte, bits func(byte), put func(string, any)) {
	if len(body) > 0 {
		bits(body[0])
		put("will_topic", topic)
	}
}

func ackFields(a ack, put func(string, any)) {
	put("tid", a.TopicID)
	put("mid", a.MsgID)
	put("return_code", uint8(a.Code))
}

func topicFields(id uint16, k TopicKind, topicID uint16, filter string, put func(string, any)) {
	put("mid", id)
	switch k {
	case PredefinedTopic:
		put("tid", topicID)
	case ShortTopic:
		put("short_topic", filter)
	default:
		put("topic_name", filter)
	}
}

// randomMessage is any message of 1.2 that breaks no rule.
func randomMessage(r *rand.Rand, envelopes bool) Message {
	text := func(least int) string {
		b := make([]byte, least+r.IntN(300)*r.IntN(2)+r.IntN(20))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz/0123456789 $"[r.IntN(39)]
		}
		return string(b)
	}
	n := func() uint16 { return uint16(1 + r.IntN(65534)) }
	yes := func() bool { return r.IntN(2) == 1 }
	code := func() ReturnCode { return ReturnCode(r.IntN(4)) }
	kind, qos := TopicKind(r.IntN(3)), int8(r.IntN(3))
	topicID, filter := uint16(0), text(1)
	switch kind {
	case PredefinedTopic:
		topicID, filter = n(), ""
	case ShortTopic:
		filter = filter[:1] + "x"
	}
	switch r.IntN(28) {
	case 0:
		return Advertise{uint8(n()), n()}
	case 1:
		return SearchGW{uint8(n())}
	case 2:
		return GWInfo{uint8(n()), []byte(text(1))}
	case 3:
		return Connect{yes(), yes(), ProtocolID, n(), text(1)}
	case 4:
		return Connack{code()}
	case 5:
		return WillTopicReq{}
	case 6:
		return WillTopic{qos, yes(), text(1)}
	case 7:
		return WillMsgReq{}
	case 8:
		return WillMsg{[]byte(text(1))}
	case 9:
		return Register{n(), n(), text(1)}
	case 10:
		return Regack{n(), n(), code()}
	case 11:
		return Puback{n(), n(), code()}
	case 12:
		return Pubcomp{n()}
	case 13:
		return Pubrec{n()}
	case 14:
		return Pubrel{n()}
	case 15:
		return Subscribe{yes(), qos, kind, n(), topicID, filter}
	case 16:
		return Suback{qos, n(), n(), code()}
	case 17:
		return Unsubscribe{kind, n(), topicID, filter}
	case 18:
		return Unsuback{n()}
	case 19:
		return Pingreq{text(0)}
	case 20:
		return Pingresp{}
	case 21:
		return Disconnect{}
	case 22:
		return Disconnect{true, n()}
	case 23:
		return WillTopicUpd{qos, yes(), text(1)}
	case 24:
		return WillMsgUpd{[]byte(text(1))}
	case 25:
		return WillTopicResp{code()}
	case 26:
		return WillMsgResp{code()}
	}
	if envelopes && yes() {
		inner, err := randomMessage(r, false).Append(nil)
		if err != nil {
			panic(err)
		}
		return Encapsulated{uint8(r.IntN(4)), []byte(text(1))[:1], inner}
	}
	p := Publish{Dup: yes(), QoS: int8(r.IntN(4) - 1), Retain: yes(), Kind: kind, TopicID: n(), Payload: []byte(text(1))}
	if p.QoS > 0 {
		p.MsgID = n()
	}
	if kind == ShortTopic {
		p.TopicID = 0x6161
	} else if p.QoS == QoSMinusOne {
		p.Kind = PredefinedTopic
	}
	return p
}

// Random messages survive append and parse.
func TestRandomMessagesBothWays(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		m := randomMessage(random, true)
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := Parse(raw, Options{EitherSide: true})
		if d := cmp.Diff(m, got); err != nil || n != len(raw) || d != "" {
			t.Fatalf("%x: %v\n%s", raw, err, d)
		}
	}
}
