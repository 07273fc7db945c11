package dissect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// A CONNACK answers the CONNECT, and each PONG the PING that has waited longest.
func TestEMQTCPAnswers(t *testing.T) {
	st := &dissect.Stream{}
	all := snTalk(
		t, dissect.EMQTCP{}, st,
		"c 1100073c000461626364", "s 200000", "c 40", "c 40", "s 50", "c 30000161", "s 50", "s 50", "c 40",
	)
	answersOf(t, all, 0, 1, 0, 0, 3, 0, 4, 0, 0)
	if open := (dissect.EMQTCP{}).Finish(st); len(open) != 1 || open[0].Number != 9 || open[0].Text != "PING has no answer" {
		t.Errorf("%+v", open)
	}
}

// What was answered in order is not told where something is missing.
func TestAnswersInOrderNeedAllOfAStream(t *testing.T) {
	st := &dissect.Stream{Joined: true}
	answersOf(t, snTalk(t, dissect.EMQTCP{}, st, "c 40", "s 50"), 0, 0)
	if open := (dissect.EMQTCP{}).Finish(st); len(open) > 0 {
		t.Errorf("%+v", open)
	}
}

// Each line of a client is answered in its order, but for CLOSE and the HELLO!
// that is an answer itself.
func TestIOTTextAnswers(t *testing.T) {
	d, st := dissect.IOTText{}, &dissect.Stream{}
	var all []dissect.Packet
	for i, line := range []string{
		"c START | COMMAND=HELLO! | END",
		"c START | COMMAND=SUB | VARIABLE=t | END",
		"s START | COMMAND=OK | END",
		"s START | COMMAND=SUB | VARIABLE=t | VALUE=1 | END",
		"s START | COMMAND=BAD | REASON=no | END",
		"s START | COMMAND=HELLO? | END",
		"c START | COMMAND=HELLO! | END",
		"c START | COMMAND=PUB | VARIABLE=t | VALUE=2 | END",
		"c START | COMMAND=CLOSE | END",
	} {
		side, text, _ := strings.Cut(line, " ")
		st.Direction = map[string]dissect.Direction{"c": dissect.FromClient, "s": dissect.FromServer}[side]
		st.Number, st.Time = i+1, time.Unix(1700000000+int64(i), 0)
		p, _, err := dissecttest.Dissect(t, d, []byte(text+"\n"), st)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	answersOf(t, all, 0, 0, 1, 0, 2, 0, 6, 0, 0)
	if open := d.Finish(st); len(open) != 1 || open[0].Number != 8 {
		t.Errorf("%+v", open)
	}
}

// What an editor may change says how it is written, and lengths say what they
// count.
func TestFormsOfFields(t *testing.T) {
	gt06, err := frame.Open("gt06")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		d     dissect.Dissector
		input []byte
		field string
		form  dissect.Form
		mask  uint64
		of    dissect.Span
	}{
		{dissect.EMQTCP{}, unhex(t, "1100073c000461626364"), "length", dissect.Unsigned, 0, dissect.Span{Off: 3, Len: 7}},
		{dissect.EMQTCP{}, unhex(t, "1100073c000461626364"), "client identifier length", dissect.Unsigned, 0, dissect.Span{Off: 6, Len: 4}},
		{dissect.EMQTCP{}, unhex(t, "1100073c000461626364"), "client identifier", dissect.Raw, 0, dissect.Span{}},
		{dissect.EMQTCP{}, unhex(t, "1100073c000461626364"), "version", dissect.Unsigned, 0x0f, dissect.Span{}},
		{dissect.IOTText{}, []byte("START | COMMAND=PUB | VARIABLE=t | VALUE=a\\x7cb | END\n"), "value", dissect.Raw, 0, dissect.Span{}},
		{dissect.MQTTSN{}, unhex(t, "090c20000500106f6e"), "length", dissect.Unsigned, 0, dissect.Span{Len: 9}},
		{dissect.MQTTSN{}, unhex(t, "090c20000500106f6e"), "QoS", dissect.Unsigned, 0x60, dissect.Span{}},
		{dissect.MQTTSN{}, unhex(t, "090c20000500106f6e"), "payload", dissect.Raw, 0, dissect.Span{}},
		{dissect.MQTTSN{Draft: true}, unhex(t, "0b0f000718034142430102"), "authentication method length", dissect.Unsigned, 0, dissect.Span{Off: 6, Len: 3}},
		{dissect.NewFrame(gt06), unhex(t, "78780D01012345678901234500018CDD0D0A"), "serial", dissect.Unsigned, 0, dissect.Span{}},
		{dissect.COAP{}, unhex(t, "41017d3520bb74656d7065726174757265"), "token length", dissect.Unsigned, 0x0f, dissect.Span{Off: 4, Len: 1}},
		{dissect.COAP{}, unhex(t, "41017d3520bb74656d7065726174757265"), "Uri-Path length", dissect.Unsigned, 0x0f, dissect.Span{Off: 6, Len: 11}},
		{dissect.COAP{}, unhex(t, "41017d3520bb74656d7065726174757265"), "Uri-Path", dissect.Raw, 0, dissect.Span{}},
		{dissect.COAP{Over: dissect.OverTCP}, unhex(t, "2101aab161"), "length", dissect.Unsigned, 0xf0, dissect.Span{Off: 3, Len: 2}},
	} {
		p, _, err := dissecttest.Dissect(t, tc.d, tc.input, nil)
		f := find(p.Fields, tc.field)
		if err != nil || f == nil || f.Form != tc.form || f.Mask != tc.mask || f.Of != tc.of {
			t.Errorf("%s, %s: %+v, %v\n%s", tc.d.Name(), tc.field, f, err, dissecttest.Text(p))
		}
	}
}
