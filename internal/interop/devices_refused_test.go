//go:build unix

package interop

import (
	"strings"
	"testing"
)

// refusal is a login that fails: the answer, and whether that is the end.
type refusal struct {
	name, listener string
	say, hear      []byte
	stays          bool
}

const authFailedFrame = "21 00 16 41 75 74 68 65 6E 74 69 63 61 74 69 6F 6E 20 46 61 69 6C 75 72 65"

func bad(reason string) []byte {
	return []byte("START | COMMAND=BAD | REASON=" + reason + " | END\n")
}

var wrongPasswords = []refusal{
	{
		name: "emqtcp", listener: "emqtcp", hear: unhex(authFailedFrame),
		say: unhex("11 00 13 3C 00 04 61 62 63 64 00 04 61 62 63 64 00 04 61 62 63 65"),
	},
	{
		name: "emqtcp, unknown user", listener: "emqtcp-tls", hear: unhex(authFailedFrame),
		say: unhex("11 00 13 78 00 06 6D 65 74 65 72 37 00 00 00 06 73 65 63 72 65 74"),
	},
	{
		name: "text", listener: "text", stays: true, hear: bad("not authorized"),
		say: []byte("START | COMMAND=ID | ID=lamp | PASSWORD=guessed | END\n"),
	},
	{
		name: "jt808", listener: "jt808",
		say:  unhex("7E 01 02 00 0E 01 35 11 22 11 22 00 06 61 75 74 68 65 6E 74 69 63 61 74 69 6F 4E 1F 7E"),
		hear: unhex("7E 80 01 00 05 01 35 11 22 11 22 00 00 00 06 01 02 01 B4 7E"), // the result is 1: failed
	},
	{
		name: "hj212", listener: "hj212",
		say: []byte("##0101QN=20160801085857223;ST=32;CN=1062;PW=100001;MN=010000A8900016F000169DC0;Flag=5;" +
			"CP=&&RtdInterval=30&&4C80\r\n"),
	},
	{name: "exproto", listener: "exproto", say: []byte("login lamp guessed\n"), hear: []byte("5\n")},
}

// strangers present no password where one is needed, or cannot.
var strangers = []refusal{
	{name: "emqtcp", listener: "emqtcp", say: emqtcpScript.login[0].say, hear: unhex(authFailedFrame)},
	{name: "text", listener: "text-tls", say: textScript.login[1].say, hear: bad("not authorized"), stays: true},
	{name: "gt06", listener: "gt06", say: gt06Script.login[0].say},
	{name: "gt06 over TLS", listener: "gt06-tls", say: gt06Script.login[0].say},
	{name: "teltonika8", listener: "teltonika8", say: teltonikaScript.login[0].say, hear: unhex("00")},
	{
		name: "gb32960", listener: "gb32960", say: gb32960Script.login[0].say,
		hear: unhex("23 23 01 02" + vin + "01 00 06 0C 0C 1D 0C 13 14 3F"),
	},
	{name: "thingspanel", listener: "thingspanel", say: thingspanelScript.login[0].say},
	{name: "dlt645", listener: "dlt645"},
	{name: "modbus", listener: "modbus"},
	{name: "lines", listener: "lines"},
	{name: "json-lines", listener: "json-lines"},
	{name: "exproto", listener: "exproto", say: exprotoScript.login[0].say, hear: []byte("5\n")},
	{name: "exproto over TLS", listener: "exproto-tls", say: exprotoScript.login[0].say, hear: []byte("5\n")},
}

// illegal is what the private TCP protocol does not know.
var illegal = []refusal{
	{
		name: "version 2", say: unhex("12 00 07 3C 00 04 61 62 63 64"),
		hear: unhex("22 00 1C 55 6E 73 75 70 70 6F 72 74 65 64 20 70 72 6F 74 6F 63 6F 6C 20 76 65 72 73 69 6F 6E"),
	},
	{name: "a stray byte after ClientId", say: unhex("11 00 08 3C 00 04 61 62 63 64 00")},
	{name: "ClientId past the payload", say: unhex("11 00 07 3C 00 05 61 62 63 64")},
	{name: "data before CONNECT", say: unhex("30 00 02 68 69")},
	{name: "ping before CONNECT", say: unhex("40")},
	{name: "hex typed as text", say: []byte("11 00 07 3C")},
	{
		name: "a wildcard as ClientId", say: unhex("11 00 04 3C 00 01 2B"),
		hear: append(unhex("21 00 11"), "invalid client id"...),
	},
	{name: "no ClientId", say: unhex("11 00 03 3C 00 00"), hear: append(unhex("21 00 11"), "invalid client id"...)},
	{name: "$SYS as ClientId", say: unhex("11 00 07 3C 00 04 24 53 59 53"), hear: append(unhex("21 00 11"), "invalid client id"...)},
}

func (g *grounds) refuses(t *testing.T, r refusal) {
	t.Helper()
	w := g.dial(t, r.listener, listenersOf(deviceScripts)[r.listener])
	w.say(r.say)
	if r.stays {
		w.hear(r.hear)
		return
	}
	w.closed(r.hear)
}

// TestDevicesWithWrongPasswords are refused, where others come in without any
// as well as where nobody does.
func TestDevicesWithWrongPasswords(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "watcher", "#")
	for _, r := range wrongPasswords {
		t.Run(r.name, func(t *testing.T) { g.refuses(t, r) })
	}
	for _, r := range illegal {
		r.listener = "emqtcp"
		t.Run(r.name, func(t *testing.T) { g.refuses(t, r) })
	}
	p.nothing()
}

// TestDevicesThatNobodyKnows are refused where anonymous clients are, and those
// with the right password are not.
func TestDevicesThatNobodyKnows(t *testing.T) {
	g := groundsWith(t, strings.Replace(openAuth, "true", "false", 1))
	for _, r := range append(strangers, wrongPasswords...) {
		t.Run(r.name, func(t *testing.T) { g.refuses(t, r) })
	}
	for _, s := range []deviceScript{jt808Script, hj212Script, withPassword()} {
		t.Run("known "+s.name, func(t *testing.T) {
			w := perform(t, g, s)
			w.say(s.uplink.say)
			w.hear(s.uplink.hear)
		})
	}
	t.Run("known text", func(t *testing.T) {
		w := g.dial(t, "text", textScript.url)
		for range 2 { // and the third time is not too late
			w.say([]byte("START | COMMAND=ID | ID=lamp | PASSWORD=guessed | END\n"))
			w.hear(bad("not authorized"))
		}
		w.say([]byte("START | COMMAND=PUB | VARIABLE=temp | VALUE=1 | END\n"))
		w.hear(bad("say who you are first, with ID"))
		w.say([]byte("START | COMMAND=ID | ID=lamp | PASSWORD=secret | END\n"))
		w.hear([]byte("START | COMMAND=OK | END\n"))
		w.say(textScript.uplink.say)
		w.hear(textScript.uplink.hear)
	})
}

// withPassword is the device of the specification's second example.
func withPassword() deviceScript {
	s := emqtcpScript
	s.login = append([]exchange{{
		say:  unhex("11 00 13 3C 00 04 61 62 63 64 00 04 61 62 63 64 00 04 61 62 63 64"),
		hear: emqtcpScript.login[0].hear,
	}}, emqtcpScript.login[1:]...)
	return s
}
