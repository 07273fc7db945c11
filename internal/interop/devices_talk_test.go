//go:build unix

package interop

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// openAuth lets in devices without a password, and holds those with one to it.
const openAuth = "auth: {allow_anonymous: true, password_file: passwords, acl_file: acl}\n"

// Access control files: everything, and reading alone. Patterns are for
// everybody.
const (
	allowAll  = "pattern readwrite #\npattern read $SYS/#\n"
	allowRead = "pattern read #\npattern read $SYS/#\npattern write mark/#\n"
)

// passwords of the devices in the tables that have one.
func passwords(t *testing.T) string {
	return passwordLine(t, "abcd", "abcd") + passwordLine(t, "lamp", "secret") +
		passwordLine(t, "013511221122", "authentication") + passwordLine(t, "010000A8900016F000169DC0", "100000")
}

// openGrounds has a listener for each script.
func openGrounds(t *testing.T) *grounds {
	t.Helper()
	return groundsWith(t, openAuth)
}

func groundsWith(t *testing.T, auth string) *grounds {
	t.Helper()
	h := newHandler(t)
	files := map[string]string{"passwords": passwords(t), "acl": allowAll}
	g := newGrounds(t, listenersOf(deviceScripts), auth+h.config(), files)
	h.find(t, g)
	g.handler = h
	return g
}

// perform connects the device of a script and goes through its login.
func perform(t *testing.T, g *grounds, s deviceScript) *wire {
	t.Helper()
	w := g.dial(t, s.name, s.url)
	for _, x := range s.login {
		w.say(x.say)
		w.hear(x.hear)
	}
	return w
}

// loggedIn is what MQTT clients receive of the login.
func (p *peer) loggedIn(s deviceScript) {
	p.t.Helper()
	for _, x := range s.login {
		if x.topic != "" {
			p.receive(x.topic, x.payload)
		}
	}
}

// TestDevices has a device of each protocol talk with an MQTT client that calls
// itself the same. Two devices of one name take over from each other; the MQTT
// client is none of their business.
func TestDevices(t *testing.T) {
	g := openGrounds(t)
	for _, s := range deviceScripts {
		t.Run(s.name, func(t *testing.T) {
			filters := []string{s.uplink.topic}
			for _, x := range s.login {
				if x.topic != "" && x.topic != s.uplink.topic {
					filters = append(filters, x.topic)
				}
			}
			p := g.mqtt(t, s.id, filters...)
			first := perform(t, g, s)
			p.loggedIn(s)
			talk(t, p, first, s)
			if s.datagrams() {
				return
			}
			second := perform(t, g, s)
			first.closed(s.takenOver)
			p.loggedIn(s)
			talk(t, p, second, s)
			p.nothing()
		})
	}
}

// talk sends the uplink and the downlink.
func talk(t *testing.T, p *peer, w *wire, s deviceScript) {
	t.Helper()
	w.say(s.uplink.say)
	w.hear(s.uplink.hear)
	p.receive(s.uplink.topic, s.uplink.payload)
	p.publish(s.downTopic, s.command)
	w.hear(s.frame)
}

// TestDevicesByteByByte says everything in as many segments as there are bytes.
func TestDevicesByteByByte(t *testing.T) {
	g := openGrounds(t)
	for _, s := range deviceScripts {
		if s.datagrams() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			p := g.mqtt(t, "watcher-"+s.name, s.uplink.topic)
			w := g.dial(t, s.name, s.url)
			for _, x := range s.login {
				dribble(w, x.say)
				w.hear(x.hear)
				if x.topic == s.uplink.topic {
					p.receive(x.topic, x.payload)
				}
			}
			dribble(w, s.uplink.say)
			w.hear(s.uplink.hear)
			p.receive(s.uplink.topic, s.uplink.payload)
		})
	}
}

func dribble(w *wire, b []byte) {
	w.t.Helper()
	for i := range b {
		w.say(b[i : i+1])
	}
}

// TestDevicesSayMuchAtOnce puts a login and many uplinks into as few segments
// as the system makes of them.
func TestDevicesSayMuchAtOnce(t *testing.T) {
	const times = 1000
	g := openGrounds(t)
	for _, s := range deviceScripts {
		if s.datagrams() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			p := g.mqtt(t, "watcher-"+s.name)
			w := perform(t, g, s)
			p.subscribe(s.uplink.topic)
			var say, hear []byte
			for range times {
				say, hear = append(say, s.uplink.say...), append(hear, s.uplink.hear...)
			}
			w.say(say)
			w.hear(hear)
			for range times {
				p.receive(s.uplink.topic, s.uplink.payload)
			}
		})
	}
}

// devicesAtOnce is one script for each device, so that none takes over from
// another.
func devicesAtOnce() []deviceScript {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(deviceScripts), func(s deviceScript) bool {
		again := seen[s.id]
		seen[s.id] = true
		return again || s.datagrams()
	})
}

// TestDevicesUnderNewRules changes what may be published while they are
// connected, and changes it back. Nobody loses a connection.
func TestDevicesUnderNewRules(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "watcher")
	scripts := devicesAtOnce()
	devices := make([]*wire, len(scripts))
	for i, s := range scripts {
		devices[i] = perform(t, g, s)
		p.subscribe(s.uplink.topic)
	}
	p.drain()
	all := func(hear func(deviceScript) []byte) {
		t.Helper()
		for i, s := range scripts {
			devices[i].say(s.uplink.say)
			devices[i].hear(hear(s))
		}
	}
	all(func(s deviceScript) []byte { return s.uplink.hear })
	p.receiveAll(scripts)

	g.reload("acl", allowRead)
	all(func(s deviceScript) []byte {
		if s.denied != nil {
			return s.denied
		}
		return s.uplink.hear
	})
	counted := g.mqtt(t, "counter", "$SYS/broker/gateways/+/denied")
	frames := 0
	for _, s := range scripts {
		if strings.HasPrefix(s.url, "frame") {
			frames++
		}
	}
	counted.count(map[string]int{"$SYS/broker/gateways/emqtcp/denied": 1, "$SYS/broker/gateways/frame/denied": frames})
	p.nothing()

	g.reload("acl", allowAll)
	all(func(s deviceScript) []byte { return s.uplink.hear })
	p.receiveAll(scripts)
	p.nothing()
}

// TestDevicesAreLetGo ends the server while devices of all protocols are
// connected.
func TestDevicesAreLetGo(t *testing.T) {
	g := openGrounds(t)
	p := g.mqtt(t, "watcher")
	scripts := devicesAtOnce()
	var connected []*wire
	for _, s := range scripts {
		connected = append(connected, perform(t, g, s))
	}
	ended := make(chan error, 1)
	go func() { ended <- g.halt(syscall.SIGTERM) }()
	for i, s := range scripts {
		connected[i].closed(s.shutdown)
	}
	if err := <-p.gone; err.Error() != "DISCONNECT 0x8b" {
		t.Errorf("the MQTT client was told %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
