package dissect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// A script is a connection, a packet on each line: who sends it (c or s), when, in
// seconds, its bytes, and behind -> what is expected: the numbers of the rules that
// it breaks (~ before warnings), and "answers N".
type script struct{ name, text string }

const (
	hello3   = "c 0 10 0d 0004 4d515454 04 02 003c 0001 63\ns 0 20 02 0000 -> answers 1\n"
	hello5   = "c 0 10 0e 0004 4d515454 05 02 003c 00 0001 63\ns 0 20 03 0000 00 -> answers 1\n"
	resumed3 = "c 0 10 0d 0004 4d515454 04 00 003c 0001 63\ns 0 20 02 0100 -> answers 1\n"
	resumed5 = "c 0 10 0e 0004 4d515454 05 00 003c 00 0001 63\ns 0 20 03 0100 00 -> answers 1\n"
)

var mqttScripts = []script{
	{"no CONNECT first", "c 0 30 03 0001 61 -> MQTT3-3.1.0-1\nc 0 30 03 0001 61\n"},
	{"no CONNACK first", "c 0 10 0d 0004 4d515454 04 02 003c 0001 63\ns 0 30 03 0001 61 -> MQTT3-3.2.0-1\ns 0 30 03 0001 61\n"},
	{"a client need not wait for CONNACK", "c 0 10 0d 0004 4d515454 04 02 003c 0001 63\nc 0 30 03 0001 61\ns 0 20 02 0000 -> answers 1\n"},
	{"AUTH before CONNACK", `
		c 0 10 13 0004 4d515454 05 02 003c 05 15 0002 4142 0001 63
		s 0 f0 07 18 05 15 0002 4142
		c 0 f0 07 18 05 15 0002 4142
		s 0 20 03 0000 00 -> answers 1`},
	{"AUTH without a method", hello5 + "c 1 f0 07 19 05 15 0002 4142 -> MQTT-4.12.0-7\ns 1 f0 07 18 05 15 0002 4142 -> MQTT-4.12.0-6"},
	{"two CONNECTs", hello3 + "c 1 10 0d 0004 4d515454 04 02 003c 0001 63 -> MQTT3-3.1.0-2"},
	{"two CONNACKs", hello5 + "s 1 20 03 0000 00 -> MQTT-3.2.0-2"},
	{"packets of a server that has refused", "c 0 10 0d 0004 4d515454 04 02 003c 0001 63\ns 0 20 02 0005 -> answers 1\nc 0 c0 00\ns 0 d0 00 -> MQTT3-3.2.2-5 answers 3"},
	{"packets behind DISCONNECT", hello5 + "c 1 e0 00\nc 1 c0 00 -> MQTT-3.14.4-1"},
	{"session present without a past", "c 0 10 0e 0004 4d515454 05 02 003c 00 0001 63\ns 0 20 03 0100 00 -> MQTT-3.2.2-2 answers 1"},
	{"no name and none assigned", "c 0 10 0d 0004 4d515454 05 02 003c 00 0000\ns 0 20 03 0000 00 -> MQTT-3.2.2-16 answers 1"},
	{"answers", hello5 + `
		c 1 82 07 0001 00 0001 61 02
		s 1 90 04 0001 00 02 -> answers 3
		c 2 32 06 0001 61 0002 00
		s 2 40 02 0002 -> answers 5
		c 3 34 06 0001 61 0003 00
		s 3 50 02 0003 -> answers 7
		c 3 62 02 0003 -> answers 8
		s 3 70 02 0003 -> answers 9
		c 4 a2 06 0004 00 0001 61
		s 4 b0 04 0004 00 00 -> answers 11
		c 5 c0 00
		s 5 d0 00 -> answers 13
		s 6 32 06 0001 61 0002 00
		c 6 40 02 0002 -> answers 15`},
	{"acknowledgements of nothing", hello3 + `
		s 1 40 02 0001 -> MQTT3-2.3.1-6
		s 1 50 02 0001 -> MQTT3-2.3.1-6
		c 1 62 02 0001 -> MQTT3-4.3.3-1
		c 1 70 02 0007 -> MQTT3-4.3.3-2
		s 1 90 03 0001 00 -> MQTT3-2.3.1-7
		s 1 b0 02 0009 -> MQTT3-2.3.1-7
		s 1 d0 00 -> MQTT3-3.12.4-1`},
	{"acknowledgements of something else", hello5 + `
		c 1 82 07 0001 00 0001 61 00
		s 1 40 02 0001 -> MQTT-2.2.1-5
		s 1 b0 04 0001 00 00 -> MQTT-2.2.1-6
		c 1 32 06 0001 61 0002 00
		s 1 50 02 0002 -> MQTT-4.3.2-4 answers 6
		c 1 34 06 0001 61 0003 00
		s 1 40 02 0003 -> MQTT-4.3.3-8 answers 8`},
	{"the order of QoS 2", hello5 + `
		c 1 34 06 0001 61 0001 00
		c 1 62 02 0001 -> MQTT-4.3.3-3 answers 3
		c 1 34 06 0001 61 0002 00
		s 1 70 02 0002 -> MQTT-4.3.3-11 answers 5
		c 1 34 06 0001 61 0003 00
		s 1 50 02 0003 -> answers 7
		c 1 3c 06 0001 61 0003 00 -> MQTT-4.3.3-6`},
	{"PUBREC that refuses ends it", hello5 + `
		c 1 34 06 0001 61 0001 00
		s 1 50 03 0001 97 -> answers 3
		c 1 34 06 0001 61 0001 00`},
	{"identifier not found is an answer to nothing", hello5 + "s 1 62 03 0001 92\nc 1 70 03 0001 92 -> answers 3"},
	{"identifiers in use", hello3 + `
		c 1 32 05 0001 61 0001
		c 1 32 05 0001 61 0001 -> MQTT3-2.3.1-2
		c 1 82 06 0001 0001 61 00 -> MQTT3-2.3.1-2
		s 1 32 05 0001 61 0001
		s 1 34 05 0001 61 0001 -> MQTT3-2.3.1-4`},
	{"identifiers in use in 5.0", hello5 + "s 1 32 06 0001 61 0001 00\ns 1 32 06 0001 61 0001 00 -> MQTT-2.2.1-4"},
	{"sent again on the same connection", hello3 + "c 1 32 05 0001 61 0001\nc 9 3a 05 0001 61 0001\ns 9 40 02 0001 -> answers 3"},
	{"sent again on the same connection in 5.0", hello5 + "c 1 32 06 0001 61 0001 00\nc 9 3a 06 0001 61 0001 00 -> MQTT-4.4.0-1"},
	{"dup, never sent before", hello5 + "c 1 3c 06 0001 61 000b 00 -> ~MQTT-3.3.1-1"},
	{"dup of an earlier connection", resumed5 + "c 1 3c 06 0001 61 000b 00\ns 1 62 02 0007\nc 1 70 02 0007 -> answers 4"},
	{"dup of an earlier connection in 3.1.1", resumed3 + "c 1 3c 05 0001 61 000b\nc 1 62 02 0007\ns 1 70 02 0007 -> answers 4"},
	{"receive maximum of the server", `
		c 0 10 0e 0004 4d515454 05 02 003c 00 0001 63
		s 0 20 06 0000 03 21 0002 -> answers 1
		c 1 32 06 0001 61 0001 00
		c 1 34 06 0001 61 0002 00
		c 1 30 04 0001 61 00
		c 1 32 06 0001 61 0003 00 -> MQTT-3.3.4-7
		s 1 40 02 0001 -> answers 3
		s 1 50 02 0002 -> answers 4
		c 1 62 02 0002 -> answers 8
		s 1 70 02 0002 -> answers 9
		c 1 32 06 0001 61 0004 00`},
	{"receive maximum of the client", `
		c 0 10 11 0004 4d515454 05 02 003c 03 21 0001 0001 63
		s 0 20 03 0000 00 -> answers 1
		s 1 32 06 0001 61 0001 00
		s 1 32 06 0001 61 0002 00 -> MQTT-3.3.4-9`},
	{"keep alive", hello3 + "c 60 c0 00\ns 60 d0 00 -> answers 3\nc 149 c0 00\nc 240 c0 00 -> MQTT3-3.1.2-23\n"},
	{"keep alive of the server", `
		c 0 10 0e 0004 4d515454 05 02 003c 00 0001 63
		s 0 20 06 0000 03 13 000a -> answers 1
		c 16 c0 00 -> MQTT-3.1.2-20`},
	{"no keep alive", "c 0 10 0d 0004 4d515454 04 02 0000 0001 63\ns 0 20 02 0000 -> answers 1\nc 9999 c0 00"},
	{"aliases", `
		c 0 10 11 0004 4d515454 05 02 003c 03 22 0002 0001 63
		s 0 20 06 0000 03 22 0001 -> answers 1
		c 1 30 08 0001 61 03 23 0001 78
		c 1 30 07 0000 03 23 0001 78 -> topic a
		c 1 30 08 0001 62 03 23 0001 78
		c 1 30 07 0000 03 23 0001 78 -> topic b
		c 1 30 07 0000 03 23 0002 78 -> MQTT-3.2.2-17 MQTT-3.3.2.3.4
		s 1 30 07 0000 03 23 0001 78 -> MQTT-3.3.2.3.4
		s 1 30 08 0001 61 03 23 0003 78 -> MQTT-3.1.2-26`},
	{"aliases that nobody takes", hello5 + "c 1 30 08 0001 61 03 23 0001 78 -> MQTT-3.2.2-18\ns 1 30 08 0001 61 03 23 0001 78 -> MQTT-3.1.2-27"},
	{"SUBACK with another number of codes", hello3 + `
		c 1 82 0a 0001 0001 61 00 0001 62 00
		s 1 90 03 0001 00 -> MQTT3-3.8.4-5 answers 3
		c 1 82 06 0002 0001 61 00
		s 1 90 04 0002 0000 -> MQTT3-3.8.4-5 answers 5`},
	{"UNSUBACK with another number of codes", hello5 + "c 1 a2 09 0001 00 0001 61 0001 62\ns 1 b0 04 0001 00 00 -> MQTT-3.11.3-1 answers 3"},
	{"more granted than asked for", hello5 + "c 1 82 0b 0001 00 0001 61 02 0001 62 00\ns 1 90 05 0001 00 01 01 -> MQTT-3.8.4-7 answers 3"},
	{"packets larger than the other side takes", `
		c 0 10 13 0004 4d515454 05 02 003c 05 27 0000000a 0001 63
		s 0 20 08 0000 05 27 00000008 -> answers 1
		s 1 30 08 0001 61 00 78787878
		s 1 30 09 0001 61 00 7878787878 -> MQTT-3.1.2-24
		c 1 30 06 0001 61 00 7878
		c 1 30 07 0001 61 00 787878 -> MQTT-3.2.2-15`},
	{"what a server does not do", `
		c 0 10 0e 0004 4d515454 05 02 003c 00 0001 63
		s 0 20 07 0000 04 24 00 25 00 -> answers 1
		c 1 32 06 0001 61 0001 00 -> MQTT-3.2.2-11
		c 1 31 04 0001 61 00 -> MQTT-3.2.2-14
		s 1 33 06 0001 61 0001 00`},
	{"what a server does not do for subscribers", `
		c 0 10 0e 0004 4d515454 05 02 003c 00 0001 63
		s 0 20 09 0000 06 28 00 29 00 2a 00 -> answers 1
		c 1 82 07 0001 00 0001 23 00 -> MQTT-3.2.2.3.11
		c 1 82 09 0002 02 0b01 0001 61 00 -> MQTT-3.2.2.3.12
		c 1 82 10 0003 00 000a 2473686172652f672f61 00 -> MQTT-3.2.2.3.13`},
	{"words for a client that wants none", `
		c 0 10 10 0004 4d515454 05 02 003c 02 17 00 0001 63
		s 0 20 08 0000 05 1f 0002 6869 -> answers 1
		c 1 32 06 0001 61 0001 00
		s 1 40 09 0001 10 05 1f 0002 6869 -> MQTT-3.1.2-29 answers 3
		s 1 e0 07 8b 05 1f 0002 6869`},
	{"what only clients send", hello3 + "s 1 c0 00 -> MQTT3-2.2.1\ns 1 e0 00 -> MQTT3-2.2.1\nc 1 d0 00 -> MQTT3-2.2.1 answers 3"},
	{"a broken packet begins what may be answered", hello3 + "c 1 32 02 0005 -> MQTT3-4.8.0-1\ns 1 40 02 0007"},
}

// play runs a script, and compares what is said of each packet.
func (s script) play(t *testing.T, st *dissect.Stream) {
	t.Helper()
	number := 0
	quick := &dissect.Stream{Version: st.Version, Joined: st.Joined}
	for line := range strings.Lines(s.text) {
		line, want, _ := strings.Cut(strings.TrimSpace(line), " -> ")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		number++
		var at int
		_, _ = fmt.Sscan(f[1], &at)
		for _, x := range []*dissect.Stream{st, quick} {
			x.Direction, x.Number, x.Time = fromClient, number, time.Unix(1e9+int64(at), 0)
			if f[0] == "s" {
				x.Direction = fromServer
			}
		}
		p, _, err := dissecttest.Both(t, dissect.MQTT{}, unhex(t, strings.Join(f[2:], "")), st, quick)
		var got []string
		for _, q := range verdict(p, err) {
			rule := q.Rule
			if q.Warning {
				rule = "~" + rule
			} else if q.Advice == "" {
				t.Errorf("%d: no advice: %+v", number, q)
			}
			got = append(got, rule)
		}
		slices.Sort(got)
		if p.Answers > 0 {
			got = append(got, fmt.Sprint("answers ", p.Answers))
		}
		if topic, ok := strings.CutPrefix(want, "topic "); ok {
			if !strings.Contains(p.Summary, " "+topic+" alias 1 ") {
				t.Errorf("%d: %s", number, p.Summary)
			}
			want = ""
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d, %s: %q, want %q\n%v", number, line, got, want, verdict(p, err))
		}
	}
}

func TestMQTTStreams(t *testing.T) {
	for _, s := range mqttScripts {
		t.Run(s.name, func(t *testing.T) { s.play(t, &dissect.Stream{}) })
	}
}

// What began before it was seen, or has gaps, is not accused of what may be there.
func TestMQTTJoinedStreamsAreNotAccused(t *testing.T) {
	for _, s := range []script{
		{"in the middle", `
			c 0 30 07 0000 03 23 0001 78
			s 0 40 02 0001
			s 0 50 02 0002
			c 0 62 02 0003
			s 0 70 02 0003 -> answers 4
			s 0 90 04 0001 00 02
			s 0 b0 04 0001 00 02 -> MQTT-3.11.3-2
			s 0 d0 00
			c 500 3a 06 0001 61 0005 00
			s 501 40 02 0005 -> answers 9`},
		{"with a CONNECT", hello3 + "s 1 40 02 0001 -> MQTT3-2.3.1-6"},
	} {
		t.Run(s.name, func(t *testing.T) { s.play(t, &dissect.Stream{Version: 5, Joined: true}) })
	}
	t.Run("with a gap", func(t *testing.T) {
		st := &dissect.Stream{}
		script{"", hello5 + "c 1 32 06 0001 61 0001 00\nc 1 30 08 0001 61 03 23 0001 78 -> MQTT-3.2.2-18"}.play(t, st)
		st.Missed()
		for i, hex := range []string{"32 06 0001 61 0001 00", "30 07 0000 03 23 0002 78"} {
			st.Direction, st.Number = fromClient, 5+i
			p, _, err := dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, hex), st)
			if rules(p) != "" && rules(p) != "MQTT-3.2.2-18" || err != nil {
				t.Errorf("%v, %v", p.Problems, err)
			}
		}
		st.Missed()
		st.Direction = fromServer
		p, _, err := dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, "40 02 0001"), st)
		if len(p.Problems) > 0 || err != nil || p.Answers != 0 {
			t.Errorf("%v, %v, answers %d", p.Problems, err, p.Answers)
		}
		if open := (dissect.MQTT{}).Finish(st); len(open) > 0 {
			t.Errorf("%+v", open)
		}
	})
	t.Run("of one direction", func(t *testing.T) {
		script{"", "s 0 20 03 0000 00\ns 0 40 02 0001\ns 0 d0 00\ns 0 90 04 0001 00 00"}.play(t, &dissect.Stream{Version: 5})
	})
	t.Run("of directions that are out of step", func(t *testing.T) {
		script{"", "s 0 20 02 0000\ns 0 40 02 0001\nc 0 10 0d 0004 4d515454 04 02 003c 0001 63\nc 0 32 05 0001 61 0001\nc 0 32 05 0001 61 0001"}.play(t, &dissect.Stream{})
	})
}

func TestMQTTFinishTellsWhatIsOpen(t *testing.T) {
	st := &dissect.Stream{}
	script{"", hello5 + `
		c 1 82 07 0001 00 0001 61 02
		c 1 a2 06 0002 00 0001 61
		c 1 32 06 0001 61 0003 00
		c 1 34 06 0001 61 0004 00
		c 1 34 06 0001 61 0005 00
		s 1 50 02 0005 -> answers 7
		c 1 34 06 0001 61 0006 00
		s 1 50 02 0006 -> answers 9
		c 1 62 02 0006 -> answers 10
		c 1 c0 00
		s 1 32 06 0001 61 0001 00`}.play(t, st)
	var got []string
	for _, o := range (dissect.MQTT{}).Finish(st) {
		got = append(got, fmt.Sprintf("%d: %s [%s]", o.Number, o.Text, o.Rule))
		if !o.Warning {
			t.Errorf("%+v is an error", o)
		}
	}
	want := []string{
		"3: packet id 1: SUBSCRIBE without a SUBACK [MQTT-3.8.4-1]",
		"4: packet id 2: UNSUBSCRIBE without an UNSUBACK [MQTT-3.10.4-4]",
		"5: packet id 3: PUBLISH without a PUBACK [MQTT-4.3.2-4]",
		"6: packet id 4: PUBLISH without a PUBREC [MQTT-4.3.3-8]",
		"8: packet id 5: PUBREC without a PUBREL [MQTT-4.3.3-4]",
		"11: packet id 6: PUBREL without a PUBCOMP [MQTT-4.3.3-11]",
		"12: PINGREQ without a PINGRESP [MQTT-3.12.4-1]",
		"13: packet id 1: PUBLISH without a PUBACK [MQTT-4.3.2-4]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}
