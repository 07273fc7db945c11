//go:build unix

package interop

import (
	"bytes"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// TestNamesThatWouldReachFurther are refused in each protocol's own way, and so
// is what comes out of order. Nothing of it is published.
func TestNamesThatWouldReachFurther(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "watcher", "#")
	id := exchange{say: textScript.login[1].say, hear: textScript.login[1].hear}
	for _, tc := range []struct {
		name  string
		s     deviceScript
		says  []exchange
		stays bool
	}{
		{name: "a token with a slash", s: thingspanelScript, says: []exchange{{say: unhex("54 50 00 00 00 00 00 03 61 2F 62")}}},
		{name: "a token of a wildcard", s: thingspanelScript, says: []exchange{{say: unhex("54 50 00 00 00 00 00 01 2B")}}},
		{name: "no token", s: thingspanelScript, says: []exchange{{say: unhex("54 50 00 00 00 00 00 00")}}},
		{name: "a location before the login", s: gt06Script, says: []exchange{{say: gt06Script.uplink.say}}, stays: true},
		{name: "a login with a wrong checksum", s: gt06Script, stays: true, says: []exchange{
			{say: unhex("78 78 0D 01 01 23 45 67 89 01 23 45 00 01 8C DE 0D 0A")},
		}},
		{name: "text variables", s: textScript, stays: true, says: []exchange{
			id,
			{say: []byte("START | COMMAND=PUB | VARIABLE=a/b | VALUE=1 | END\n"), hear: []byte("START | COMMAND=BAD")},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := g.dial(t, tc.s.name, tc.s.url)
			for i, x := range tc.says {
				w.say(x.say)
				if !tc.stays && i == len(tc.says)-1 {
					w.closed(x.hear)
					return
				}
				w.hear(x.hear)
			}
			if len(tc.says) == 1 { // it can still log in
				for _, x := range tc.s.login {
					w.say(x.say)
					w.hear(x.hear)
				}
				p.loggedIn(tc.s)
			}
		})
	}
	for _, say := range [][]byte{
		teltonikaScript.uplink.say, // before the IMEI: without an answer the tracker keeps it
		append(unhex("00 0F"), "######+++++++++"...),
	} {
		w := g.dial(t, "teltonika8", teltonikaScript.url)
		w.say(say)
		if err := w.nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		w.closed(nil)
	}
	p.nothing()
}

// TestTextNames are one level of a topic, and never a path.
func TestTextNames(t *testing.T) {
	g := newGrounds(t, listenersOf([]deviceScript{textScript}), "auth: {allow_anonymous: true}\n", nil)
	p := g.mqtt(t, "watcher", "#", "$SYS/broker/version")
	if m := p.next(); m.Topic != "$SYS/broker/version" { // retained; its replay may come after the SUBACK
		t.Fatalf("received %s first", m.Topic)
	}
	p.drain()
	w := perform(t, g, textScript)
	for _, name := range []string{"a/b", "../../etc/passwd", "..", ".", `a\b`, "+", "#", "$SYS", "", "a+", strings.Repeat("x", 129), "a\x00b", "a\x1bb"} {
		for _, line := range []string{
			"COMMAND=PUB | VALUE=1 | VARIABLE=", "COMMAND=SUB | VARIABLE=", "COMMAND=DEL | VARIABLE=", "COMMAND=MSG | VALUE=1 | DEVICE=",
		} {
			w.say([]byte("START | " + line + name + " | END\n"))
			if answer, err := w.r.ReadString('\n'); err != nil || !strings.HasPrefix(answer, "START | COMMAND=BAD | ") {
				t.Fatalf("%s%q was answered %q, %v", line, name, answer, err)
			}
			if w.r.Buffered() > 0 {
				t.Fatalf("more than an answer to %s%q", line, name)
			}
		}
		w = perform(t, g, textScript) // before too much is too much
	}
	p.nothing()
}

// TestMessagesCannotBreakOut of the line or frame that carries them.
func TestMessagesCannotBreakOut(t *testing.T) {
	g := openGrounds(t)
	lamp := perform(t, g, textScript)
	p := g.mqtt(t, "attacker", linesScript.uplink.topic)
	p.publish("text/dev/lamp/in", "1 | END\nSTART | COMMAND=CLOSE | END\n\x00\xff")
	lamp.hear([]byte(`START | COMMAND=MSG | DEVICE=attacker | VALUE=1 \x7c \x45ND\x0aSTART \x7c COMMAND=CLOSE \x7c \x45ND\x0a\x00\xff | END` + "\n"))

	w := perform(t, g, linesScript)
	w.say(linesScript.uplink.say)
	p.receive(linesScript.uplink.topic, linesScript.uplink.payload) // so it is connected
	watcher := g.mqtt(t, "watcher", "$SYS/broker/gateways/frame/downlink_failed")
	p.publish("lines/post/down", "one\ntwo")
	watcher.count(map[string]int{"$SYS/broker/gateways/frame/downlink_failed": 1})
	p.publish("lines/post/down", "three")
	w.hear([]byte("three\n"))

	tracker := perform(t, g, gt06Script)
	for _, command := range []string{"", "{", `{"cmd": "nothing"}`, `{"cmd": "command"}`, "[]", "null", "\xff"} {
		p.publish("gt06/123456789012345/down", command)
	}
	p.publish(gt06Script.downTopic, gt06Script.command)
	tracker.hear(gt06Script.frame)
}

// TestDownlinksThatDoNotFit are dropped and counted; the largest arrives whole.
func TestDownlinksThatDoNotFit(t *testing.T) {
	g := openGrounds(t)
	w := perform(t, g, emqtcpScript)
	p := g.mqtt(t, "sender", "$SYS/broker/gateways/emqtcp/downlink_too_large")
	largest := strings.Repeat("x", 65535)
	p.publish("tcp/abcd/dn", largest+"x")
	p.publish("tcp/abcd/dn", largest)
	w.hear(append(unhex("30 FF FF"), largest...))
	p.publish("tcp/abcd/dn", "")
	w.hear(unhex("30 00 00"))
	p.count(map[string]int{"$SYS/broker/gateways/emqtcp/downlink_too_large": 1})
}

// TestOldCommandsAreNotCarriedOutAgain: retained messages do not reach devices
// whose protocols know no such thing.
func TestOldCommandsAreNotCarriedOutAgain(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "sender")
	for _, s := range []deviceScript{emqtcpScript, gt06Script, jt808Script, dlt645Script, teltonikaScript} {
		old := &paho.Publish{Topic: s.downTopic, QoS: 1, Retain: true, Payload: []byte(`{"cmd": "raw", "hex": "ee"}`)}
		if _, err := p.c.Publish(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		p.subscribe(s.uplink.topic)
		talk(t, p, perform(t, g, s), s)
	}
}

// TestPasswordsStayOutOfTheLog at its most talkative.
func TestPasswordsStayOutOfTheLog(t *testing.T) {
	g := groundsWith(t, strings.Replace(openAuth, "true", "false", 1)+"log: {level: debug}\n")
	secret := "unspeakable"
	login := append([]byte{0x11, 0, 0x1a, 60, 0, 4}, "abcd\x00\x04abcd\x00\x0b"+secret...)
	for _, r := range []refusal{
		{listener: "emqtcp", say: login, hear: unhex(authFailedFrame)},
		{listener: "text", say: []byte("START | COMMAND=ID | ID=lamp | PASSWORD=" + secret + " | END\n"), hear: bad("not authorized"), stays: true},
		{listener: "text", say: []byte("START | COMMAND=ID | PASSWORD=" + secret + " | END\n"), hear: []byte("START | COMMAND=BAD"), stays: true},
		{listener: "text", say: []byte("START | COMMAND=IDX | PASSWORD=" + secret + " | END\n"), hear: []byte("START | COMMAND=BAD"), stays: true},
		{listener: "exproto", say: []byte("login lamp " + secret + "\n"), hear: []byte("5\n")},
	} {
		g.refuses(t, r)
	}
	connect := &paho.Connect{ClientID: "x", UsernameFlag: true, Username: "abcd", PasswordFlag: true, Password: []byte(secret)}
	if _, code, err := g.tryMQTT(t, connect); err == nil {
		t.Errorf("MQTT: %#02x", code)
	}
	if err := g.halt(syscall.SIGTERM); err != nil { // now the log is complete
		t.Error(err)
	}
	if i := strings.Index(g.log.String(), secret); i >= 0 {
		from := strings.LastIndexByte(g.log.String()[:i], '\n')
		line, _, _ := bytes.Cut([]byte(g.log.String()[from+1:]), []byte("\n"))
		t.Errorf("in the log: %s", line)
	}
}

// TestOneNameSpaceForAll, where that is what the configuration says: an MQTT
// client and a device of one name take over from each other.
func TestOneNameSpaceForAll(t *testing.T) {
	scripts := []deviceScript{emqtcpScript, textScript}
	g := newGrounds(t, listenersOf(scripts), "auth: {allow_anonymous: true}\nemqtcp: {share_client_registry: true}\niottext: {share_client_registry: true}\n", nil)
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			w := perform(t, g, s)
			p := g.mqtt(t, s.id)
			w.closed(s.takenOver)
			perform(t, g, s)
			if err := <-p.gone; err.Error() != "DISCONNECT 0x8e" {
				t.Errorf("the MQTT client was told %v", err)
			}
		})
	}
}
