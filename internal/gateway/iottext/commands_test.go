package iottext_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/store/mem"

	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

func TestPhases(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	c := s.dial()
	c.does("START | COMMAND=HELLO! | END", ok)
	for _, line := range []string{
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END",
		"START | COMMAND=SUB | VARIABLE=temp | END",
		"START | COMMAND=UNSUB | VARIABLE=temp | END",
		"START | COMMAND=UNSUBALL | END",
		"START | COMMAND=DEL | VARIABLE=temp | END",
		"START | COMMAND=MSG | DEVICE=lamp | VALUE=on | END",
	} {
		c.does(line, bad("say who you are first, with ID"))
	}
	c.does("START | COMMAND=ID | ID=lamp | END", ok)
	c.does("START | COMMAND=HELLO! | END", ok)
	c.does("START | COMMAND=ID | ID=lamp | END", bad(`you are "lamp" already`))
	c.does("START | COMMAND=ID | ID=other | END", bad(`you are "lamp" already`))
	c.typed("START | COMMAND=CLOSE | END")
	c.ended("START | COMMAND=CLOSE | END")
	if n, _ := s.b.Retained(); n != 0 {
		t.Errorf("%d variables have a value", n)
	}
	gatewaytest.Eventually(t, "the device is detached", func() bool { return s.b.Stats().Connected.Load() == 0 })
	early := s.dial()
	early.typed("START | COMMAND=CLOSE | END")
	early.ended("START | COMMAND=CLOSE | END")
}

func TestVariables(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	sensor, display := s.device("sensor"), s.device("display")
	display.does("START | COMMAND=SUB | VARIABLE=temp | END", ok) // there is no value yet
	sensor.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END", ok)
	display.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | END")
	sensor.does("START|COMMAND=PUB|VARIABLE=temp|VALUE=22|END", ok)
	display.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=22 | END")

	late := s.device("late")
	late.does("start | command=sub | variable=temp | end", ok)
	late.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=22 | END")
	late.does("START | COMMAND=SUB | VARIABLE=temp | END", ok) // again, the value comes again
	late.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=22 | END")

	late.does("START | COMMAND=UNSUB | VARIABLE=temp | END", ok)
	late.does("START | COMMAND=UNSUB | VARIABLE=temp | END", bad(`there is no subscription to "temp"`))
	sensor.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=23 | END", ok)
	display.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=23 | END")
	late.does("START | COMMAND=HELLO! | END", ok) // and not 23

	display.does("START | COMMAND=SUB | VARIABLE=humidity | END", ok)
	display.does("START | COMMAND= UNSUBALL | END", ok)
	sensor.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=24 | END", ok)
	sensor.does("START | COMMAND=PUB | VARIABLE=humidity | VALUE=50% | END", ok)
	display.does("START | COMMAND=UNSUBALL | END", ok)

	// A device that is subscribed to what it publishes hears it, as in MQTT.
	sensor.does("START | COMMAND=SUB | VARIABLE=humidity | END", ok)
	sensor.reads("START | COMMAND=SUB | VARIABLE=humidity | VALUE=50% | END")
	sensor.typed("START | COMMAND=PUB | VARIABLE=humidity | VALUE=51% | END")
	sensor.reads("START | COMMAND=SUB | VARIABLE=humidity | VALUE=51% | END", ok)
}

func TestDeletedVariableHasNoValueAndNobodyIsTold(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	watcher := s.attach("mqtt", "text/var/#")
	sensor, display := s.device("sensor"), s.device("display")
	display.does("START | COMMAND=SUB | VARIABLE=temp | END", ok)
	sensor.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END", ok)
	display.reads("START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | END")
	sensor.does("START | COMMAND=PUB | VARIABLE=temp | VALUE= | END", bad("an empty value is none: DEL takes the value of a variable away"))
	sensor.does("START | COMMAND=DEL | VARIABLE=temp | END", ok)
	sensor.does("START | COMMAND=DEL | VARIABLE=temp | END", ok)
	display.does("START | COMMAND=SUB | VARIABLE=temp | END", ok)
	display.does("START | COMMAND=HELLO! | END", ok)
	watcher.receives("text/var/temp", "21.5")
	watcher.receives("text/var/temp", "")
	if n, _ := s.b.Retained(); n != 0 {
		t.Errorf("%d variables have a value", n)
	}
}

func TestVariablesAreRetainedMessages(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	before := time.Now()
	sensor := s.device("sensor")
	sensor.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END", ok)
	phone := s.attach("phone", "text/var/+")
	m := phone.receives("text/var/temp", "21.5")
	if !m.Retain || m.QoS != 0 || m.Published.Before(before) || m.Published.After(time.Now()) {
		t.Errorf("%+v", m)
	}
	phone.publish("text/var/set", "19", true)
	sensor.does("START | COMMAND=SUB | VARIABLE=set | END", ok)
	sensor.reads("START | COMMAND=SUB | VARIABLE=set | VALUE=19 | END")
	phone.publish("text/var/set", "20", false) // a change, although it is not kept
	sensor.reads("START | COMMAND=SUB | VARIABLE=set | VALUE=20 | END")
}

func TestVariablesSurviveARestart(t *testing.T) {
	kept := mem.New()
	first := start(t, broker.Config{Store: kept}, gw.Config{Times: true})
	c := first.device("sensor")
	c.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END", ok)
	c.does("START | COMMAND=SUB | VARIABLE=temp | END", ok)
	value := c.line()
	if !strings.HasPrefix(value, "START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | TIME=20") {
		t.Errorf("read %q", value)
	}
	first.stop()
	second := start(t, broker.Config{Store: kept}, gw.Config{Times: true})
	d := second.device("display")
	d.does("START | COMMAND=SUB | VARIABLE=temp | END", ok)
	d.reads(value)
}

func TestMessages(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	lamp, button := s.device("lamp"), s.device("button")
	button.does("START | COMMAND=MSG | DEVICE=lamp | VALUE=on | END", ok)
	lamp.reads("START | COMMAND=MSG | DEVICE=button | VALUE=on | END")
	lamp.does("START | COMMAND=MSG | DEVICE=button | VALUE= | END", ok)
	button.reads("START | COMMAND=MSG | DEVICE=lamp | VALUE= | END")
	button.does("START | COMMAND=MSG | DEVICE=ghost | VALUE=boo | END", bad("nobody receives what is sent to this device"))
	lamp.typed("START | COMMAND=CLOSE | END")
	lamp.ended("START | COMMAND=CLOSE | END")
	gatewaytest.Eventually(t, "the lamp is gone", func() bool { return s.b.Stats().Connected.Load() == 1 })
	button.does("START | COMMAND=MSG | DEVICE=lamp | VALUE=on | END", bad("nobody receives what is sent to this device"))
}

func TestMessagesFromAndToOtherProtocols(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	phone := s.attach("phone/1", "text/dev/phone/in")
	meter := s.attach("emqtcp\x00meter")
	lamp := s.device("lamp")
	phone.publish("text/dev/lamp/in", "on", false)
	lamp.reads("START | COMMAND=MSG | DEVICE=phone_1 | VALUE=on | END")
	meter.publish("text/dev/lamp/in", "a|b\r\nEND°", false)
	lamp.reads(`START | COMMAND=MSG | DEVICE=meter | VALUE=a\x7cb\x0d\x0a\x45ND\xc2\xb0 | END`)
	lamp.does(`START | COMMAND=MSG | DEVICE=phone | VALUE=a\x7cb\x0d\x0a\x45ND° | END`, ok)
	if m := phone.receives("text/dev/phone/in", "a|b\r\nEND°"); m.Retain {
		t.Error("a message to a device is retained")
	}
	lamp.does(`START | COMMAND=SUB | VARIABLE=a\x7cb | END`, ok)
	phone.publish("text/var/a|b", `\x41`, true)
	lamp.reads(`START | COMMAND=SUB | VARIABLE=a\x7cb | VALUE=\x5cx41 | END`)
}

func TestNamesThatWouldEscapeAreRefused(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	c := s.device("lamp")
	for name, why := range map[string]string{
		"":                       "is empty",
		"a/b":                    `"a/b" holds '/'`,
		"+":                      `"+" holds '+'`,
		"#":                      `"#" holds '#'`,
		"..":                     `".." is a directory`,
		"$SYS":                   `"$SYS" begins with a dollar sign`,
		`a\x00`:                  `"a\x5cx00" holds '\x5cx00'`, // quoted, then escaped
		strings.Repeat("x", 129): "is longer than 128 bytes",
	} {
		for _, command := range []string{
			"PUB | VALUE=1 | VARIABLE", "SUB | VARIABLE", "UNSUB | VARIABLE", "DEL | VARIABLE", "MSG | VALUE=1 | DEVICE",
		} {
			c.does("START | COMMAND="+command+"="+name+" | END", bad("the name "+why))
		}
	}
	for _, id := range []string{"", "a/b", "#", "..", "$x"} {
		d := s.dial()
		d.typed("START | COMMAND=ID | ID=" + id + " | END")
		if answer := d.line(); !strings.HasPrefix(answer, "START | COMMAND=BAD | REASON=the name ") {
			t.Errorf("the id %q was answered %q", id, answer)
		}
	}
	if n := s.b.Stats().Connected.Load(); n != 1 {
		t.Errorf("%d devices are attached, want 1", n)
	}
}

func TestMistakesAreExplainedAndHarmNothing(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	c := s.device("lamp")
	c.does("hello", bad("a line begins with START and a bar"))
	c.does("START | COMMAND=PUBLISH | END", bad(`COMMAND "PUBLISH" is not known`))
	c.does("START | COMMAND=PUB | VARIABLE=temp | END", bad("PUB needs VALUE"))
	c.does("START | COMMAND=OK | END", bad("OK is not for the client to say"))
	c.typed("", "  ", "\r")
	c.does("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END\r", ok)
	for range 20 { // no number of them ends a device
		c.does("nonsense", bad("a line begins with START and a bar"))
	}
}

func TestTypedSlowly(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	c := s.dial()
	for _, line := range []string{
		"START | COMMAND=HELLO! | END\n",
		"START | COMMAND=ID | ID=lamp | END\r\n",
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n",
	} {
		for i := range len(line) {
			if _, err := io.WriteString(c.nc, line[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		c.reads(ok)
	}
}

func TestAnswersKeepTheirOrder(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	s.attach("phone").publish("text/dev/lamp/in", "on", true)
	s.attach("other").publish("text/var/temp", "21.5", true)
	c := s.dial()
	c.typed("nonsense", "START | COMMAND=ID | ID=lamp | END", "START | COMMAND=SUB | VARIABLE=temp | END", "nonsense")
	strange := bad("a line begins with START and a bar")
	c.reads(strange, ok, ok, strange)
	c.reads("START | COMMAND=MSG | DEVICE=phone | VALUE=on | END", "START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | END")
}
