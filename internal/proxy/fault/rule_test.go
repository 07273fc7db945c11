package fault

import (
	"strings"
	"testing"
)

func TestEachExampleOfTheLanguageParses(t *testing.T) {
	for _, text := range []string{
		"drop @ s2c PUBACK client=sensor-7 / nth=3",
		"close @ s2c PUBACK / nth=1 before",
		"cut after 10 bytes @ c2s PUBLISH qos=1 / nth=5",
		"dup @ c2s PUBLISH qos=2",
		"drop @ s2c PUBREC / nth=1",
		"drop @ c2s PUBREL / nth=1",
		"drop @ s2c PUBCOMP / nth=1",
		"stall @ both / at=10s for=90s",
		"refuse 0x89 @ c2s CONNECT / times=2",
		"corrupt field=remaining-length,+1 @ s2c PUBLISH / p=0.01 seed=7",
		"drop @ s2c PINGRESP / after=30s",
		"delay 200ms±50 @ s2c",
		"delay 200ms±50ms reorder @ s2c PUBLISH topic=a/# / every=10",
		"dup 3 @ c2s PUBLISH id=7",
		"corrupt @ c2s",
		"corrupt byte=5,0xff @ c2s",
		"corrupt bit=3 @ c2s version=5",
		"truncate 5 @ s2c SUBACK",
		"reorder @ s2c PUBLISH",
		"reorder 4 @ s2c PUBLISH",
		"acks: hold @ s2c PUBACK",
		"release acks @ c2s PINGREQ / times=1",
		"replace 40020007 @ s2c PUBACK id=7",
		"replace PUBACK code=0x97 id=same @ s2c PUBACK code=0",
		"inject s2c PUBLISH topic=a/b qos=1 payload=\"a @ b / c\" @ s2c CONNACK / after once",
		"throttle 2KB/s @ s2c",
		"blackhole @ both / after=5s for=1m",
		"reset @ c2s DISCONNECT / before",
		"slice 3 @ c2s",
		"lie @ c2s PUBLISH",
		"refuse quota-exceeded @ c2s PUBLISH qos>0 / per=connection",
		`drop / after="s2c SUBACK" p=0.5`,
		"drop / after=acks",
		"drop",
	} {
		r, err := ParseRule(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		again, err := ParseRule(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%s: written as %s, which reads as %v, %v", text, r, again, err)
		}
	}
}

func TestRulesAreAskedAboutWhatTheyCanMatch(t *testing.T) {
	for _, tt := range []struct {
		where string
		sides sides
		all   bool // of the types
	}{
		{"c2s PUBLISH", 1, false},
		{"s2c client=a PUBACK", 2, false},
		{"PUBLISH", 3, false},
		{"both", 3, true},
		{"c2s publish", 1, true},
		{"c2s or PUBLISH", 3, true},
		{"not c2s", 3, true},
		{"!c2s PUBLISH", 3, true},
		{"(c2s PUBLISH)", 3, true},
		{"topic = c2s", 3, true},
		{"topic= PUBLISH", 3, true},
		{`payload="c2s PUBLISH"`, 3, true},
		{`payload='a\' c2s`, 1, true},
	} {
		r, err := ParseRule("drop @ " + tt.where)
		if err != nil {
			t.Errorf("%s: %v", tt.where, err)
		} else if r.sides != tt.sides || (r.types == allTypes) != tt.all {
			t.Errorf("%s: %b %b", tt.where, r.sides, r.types)
		}
	}
}

func TestMistakesOfARuleNameColumnAndRemedy(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "column 1: no action; such as: drop"},
		{"name:", "column 6: no action"},
		{"dorp @ s2c", `column 1: no action is called "dorp"; did you mean "drop"?`},
		{"drop 3 @ s2c", `column 6: drop takes nothing, and "3" is there`},
		{"drop @ s2c / nth=0", `column 18: "0" is no number from 1 on`},
		{"drop @ s2c / nht=3", `column 14: "nht=" is no part of when; did you mean "nth="?`},
		{"drop @ s2c / p=2", `column 16: "2" is no probability`},
		{"drop @ s2c / seed=3", "column 14: seed= without p="},
		{"drop @ s2c / nth=1 nth=2", "column 20: nth is there twice"},
		{"drop @ s2c @ c2s", `column 12: a second "@"`},
		{"drop @ s2c PUBAK", `column 12: no packet of MQTT is called "PUBAK"; did you mean "PUBACK"?`},
		{"drop @ type=pingrsp", `column 13: no packet of MQTT is called "pingrsp"; did you mean "PINGRESP"?`},
		{"drop @ topc=a", `column 8: nothing in MQTT is called "topc"; did you mean "topic"?`},
		{"drop @ s2c qos=", "column 16: qos= needs a value"},
		{"drop @ s2c / at=x", `column 17: "x" is no duration`},
		{"delay @ s2c", "column 7: delay how long?"},
		{"delay 200ms±300 @ s2c", `column 13: "300ms" is no duration from 0 to 200ms`},
		{"refuse 0x00 @ c2s", "column 8: 0x00 refuses nothing"},
		{"refuse never @ c2s", `column 8: "never" is no reason code`},
		{"lie @ c2s CONNECT", "column 1: without a broker"},
		{"truncate @ c2s", "column 10: truncate how many bytes?"},
		{"inject PUBLISH topc=a @ c2s", "column 21: topc: no field of this packet; fields of PUBLISH: topic, payload"},
		{"inject zz @ c2s", `column 8: "zz" is neither a type of packet nor hexadecimal`},
		{"corrupt field=topc,1 @ c2s", `column 15: no field is called "topc"; did you mean "topic"?`},
		{"corrupt word @ c2s", `column 9: corrupt changes a byte, a bit or a field`},
		{"throttle 0 @ c2s", `column 10: "0" is no rate`},
		{"drop @ s2c / before", "column 14: drop has no before"},
		{"drop @ s2c / for=3s", "column 14: drop does not last"},
		{`drop @ topic="a`, "column 14: the quotation has no end"},
		{"drop @ s2c / at=1s after=2s", "column 14: at= and after= at the same time"},
	} {
		_, err := ParseRule(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{
		"drop @ s2c PUBACK client=sensor-7 / nth=3", "a: delay 200ms±50 reorder @ s2c", "inject PUBLISH topic=a user-property=a:b / at=5s",
		"corrupt field=topic,x:00 @ c2s", `drop / after="s2c SUBACK" p=0.5 seed=3`, "cut after 10 bytes", "refuse 5",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", s, r, err)
		}
		if again.String() != r.String() {
			t.Fatalf("%q becomes %q, which becomes %q", s, r, again)
		}
	})
}
