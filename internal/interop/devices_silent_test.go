//go:build unix

package interop

import (
	"slices"
	"testing"
)

// TestSilentDevicesAreLeft, each after its own time and with its own words.
func TestSilentDevicesAreLeft(t *testing.T) {
	h := newHandler(t)
	g := newGrounds(t, listenersOf(deviceScripts), "auth: {allow_anonymous: true}\n"+
		"emqtcp: {idle_timeout: 2s}\niottext: {hello_interval: 3s, hello_unanswered: 2, connect_timeout: 2s}\nframe: {connect_timeout: 2s}\n"+
		h.config("idle_timeout: 2s"), nil)
	h.find(t, g)
	hello := "START | COMMAND=HELLO? | END\n"
	for _, tc := range []struct {
		name     string
		s        deviceScript
		say      [][]byte // what it says before it is silent
		hear     string   // the answers
		atTheEnd string
		reason   string // for the handler
	}{
		{name: "no CONNECT", s: emqtcpScript},
		{name: "half a CONNECT", s: emqtcpScript, say: [][]byte{emqtcpScript.login[0].say[:5]}},
		{
			name: "keep alive of a second", s: emqtcpScript,
			say: [][]byte{unhex("11 00 07 01 00 04 61 62 63 64")}, hear: string(emqtcpScript.login[0].hear),
		},
		{name: "no ID", s: textScript, atTheEnd: "START | COMMAND=CLOSE | REASON=no ID was accepted in time | END\n"},
		{
			name: "HELLO? unanswered", s: textScript, say: [][]byte{textScript.login[1].say}, hear: "START | COMMAND=OK | END\n" + hello + hello,
			atTheEnd: "START | COMMAND=CLOSE | REASON=HELLO? was not answered | END\n",
		},
		{name: "no login", s: gt06Script},
		{name: "half a login over TLS", s: gt06Script.on("gt06-tls", "frames://127.0.0.1:0/gt06"), say: [][]byte{gt06Script.login[0].say[:9]}},
		{name: "no bytes for the handler", s: exprotoScript, reason: "idle_timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := g.dial(t, tc.s.name, tc.s.url)
			for _, b := range tc.say {
				w.say(b)
			}
			w.hear([]byte(tc.hear))
			w.closed([]byte(tc.atTheEnd))
			if tc.reason != "" {
				h.closed(t, tc.reason)
			}
		})
	}
}

// TestDevicesKeepAlive is their own affair: whoever says something stays.
func TestDevicesKeepAlive(t *testing.T) {
	g := newGrounds(t, listenersOf([]deviceScript{emqtcpScript, textScript}), "auth: {allow_anonymous: true}\n"+
		"iottext: {hello_interval: 1s}\n", nil)
	lamp := perform(t, g, textScript)
	for range 4 {
		lamp.hear([]byte("START | COMMAND=HELLO? | END\n"))
		lamp.say([]byte("START | COMMAND=HELLO! | END\n")) // is not answered
	}
	lamp.say(textScript.uplink.say)
	lamp.hear(textScript.uplink.hear)
}

// TestDatagrams hold several frames, or what is none; neither takes anything
// from the next.
func TestDatagrams(t *testing.T) {
	g := openGrounds(t)
	s := gt06Script.on("gt06-udp", "frame+udp://127.0.0.1:0/gt06")
	p := g.mqtt(t, "watcher", s.uplink.topic)
	w := g.dial(t, s.name, s.url)
	w.say(slices.Concat(s.login[0].say, s.uplink.say, s.login[1].say))
	w.hear(s.login[0].hear)
	w.hear(s.login[1].hear)
	p.receive(s.uplink.topic, s.uplink.payload)
	w.say(s.uplink.say[:20]) // the rest never comes
	w.say([]byte("noise"))
	w.say(s.uplink.say)
	p.receive(s.uplink.topic, s.uplink.payload)
	p.publish(s.downTopic, s.command)
	w.hear(s.frame)
	p.nothing()

	other := g.dial(t, s.name, s.url) // another address: the tracker has moved
	other.say(s.login[0].say)
	other.hear(s.login[0].hear)
	p.publish(s.downTopic, `{"cmd": "raw", "hex": "01"}`)
	other.hear(unhex("01"))
}

// TestDevicesWithoutDownlinks: where the rules let them receive nothing they may
// still send.
func TestDevicesWithoutDownlinks(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "watcher")
	for _, s := range devicesAtOnce() {
		p.subscribe(s.uplink.topic)
	}
	g.reload("acl", "pattern write #\npattern read mark/#\npattern read tcp/+/up\npattern read text/var/#\npattern read gt06/+/location\n")
	for _, s := range []deviceScript{emqtcpScript, textScript, gt06Script} {
		t.Run(s.name, func(t *testing.T) {
			w := perform(t, g, s)
			p.publish(s.downTopic, s.command)
			w.say(s.uplink.say)
			w.hear(s.uplink.hear)
			p.receive(s.uplink.topic, s.uplink.payload)
			last := s.login[len(s.login)-1]
			w.say(last.say) // whatever is answered next, it is not the command
			w.hear(last.hear)
		})
	}
}

// TestRulesThatAreWrongChangeNothing for those who are connected.
func TestRulesThatAreWrongChangeNothing(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "watcher", emqtcpScript.uplink.topic)
	w := perform(t, g, emqtcpScript)
	g.signal("acl", allowRead+"and more\n", "the configuration stays as it was")
	w.say(emqtcpScript.uplink.say)
	p.receive(emqtcpScript.uplink.topic, emqtcpScript.uplink.payload)
}
