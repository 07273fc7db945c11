//go:build unix

package interop

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startProxied is a broker behind a proxy, of which the ports are.
func startProxied(t *testing.T, to, settings string) *broker {
	t.Helper()
	b := startBroker(t)
	dir := filepath.Dir(b.ca)
	p := &broker{ports: make(map[string]int), ca: b.ca}
	url := "unix://" + b.socket
	if to != "unix" {
		url = fmt.Sprintf("%s://127.0.0.1:%d", map[string]string{"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}[to], b.ports[to])
	}
	config := fmt.Sprintf(`
listen:
  - url: mqtt://127.0.0.1:0
  - url: mqtts://127.0.0.1:0
    tls: {cert: server.pem, key: server.key}
  - url: ws://127.0.0.1:0/mqtt
  - url: wss://127.0.0.1:0/mqtt
    tls: {cert: server.pem, key: server.key}
  - url: unix://%s/proxy.sock
to: [{url: '%s', tls: {ca: ca.pem}}]
log: {level: debug}
%s`, dir, url, settings)
	writeFile(t, dir, "proxy.yaml", config)
	cmd := exec.Command(program, "proxy", "-c", filepath.Join(dir, "proxy.yaml"), "--ports", "-")
	p.open(t, cmd)
	return p
}

// proxies are the ways that a proxy moves packets: a relay, goroutines with other
// transports towards the broker, stages, and bytes alone.
var proxies = []struct{ name, to, settings string }{
	{"aware", "tcp", ""},
	{"to TLS", "tls", ""},
	{"stages", "unix", "limits: {publish: {messages: {rate: 1000000}}}\n"},
	{"transparent", "tcp", "transparent: true\n"},
}

func TestMosquittoClientsThroughTheProxy(t *testing.T) {
	tool(t, "mosquitto_pub")
	tool(t, "mosquitto_sub")
	tool(t, "stdbuf")
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			b := startProxied(t, p.to, p.settings)
			for _, j := range matrix(b, "tcp", "tls") {
				t.Run(j.name(), func(t *testing.T) {
					t.Parallel()
					m := mosquitto{job: j, subs: make(map[string]*mosquittoSub), pending: make(map[string]step)}
					o := outcome{ID: j.ID}
					if err := m.run(t); err != nil {
						o.Error = err.Error()
					}
					o.Received = m.received()
					check(t, j, o)
				})
			}
		})
	}
}

func TestPahoPythonThroughTheProxy(t *testing.T) {
	tool(t, debianPython)
	if err := exec.Command(debianPython, "-c", "import paho.mqtt.client").Run(); err != nil {
		missing(t, "the Paho client for Python is not installed (python3-paho-mqtt)")
	}
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			jobs := matrix(startProxied(t, p.to, p.settings), "tcp", "tls", "ws", "wss")
			checkAll(t, jobs, runDriver(t, jobs, debianPython, "testdata/paho_client.py"))
		})
	}
}

func TestMQTTJSThroughTheProxy(t *testing.T) {
	module := installMQTTJS(t)
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			jobs := matrix(startProxied(t, p.to, p.settings), "tcp", "ws", "wss", "unix")
			checkAll(t, jobs, runDriver(t, jobs, tool(t, "node"), "testdata/js/node.js", module))
		})
	}
}

// TestPayloadsThroughTheProxy sends lines of many lengths to a session that waits for
// them, and compares all bytes.
func TestPayloadsThroughTheProxy(t *testing.T) {
	pub, sub := tool(t, "mosquitto_pub"), tool(t, "mosquitto_sub")
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			port := fmt.Sprint(startProxied(t, p.to, p.settings).ports["tcp"])
			var lines strings.Builder
			const count = 300
			for i := range count {
				fmt.Fprintf(&lines, "%d %s\n", i, strings.Repeat("x", i*i%6000))
			}
			for _, qos := range []string{"1", "2"} {
				topic := "all/" + qos
				session := []string{"-p", port, "-t", topic, "-q", qos, "-c", "-i", "sub" + qos, "-W", "60"}
				if text, err := exec.Command(sub, append(session, "-E")...).CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_sub: %v\n%s", err, text)
				}
				c := exec.Command(pub, "-p", port, "-t", topic, "-q", qos, "-l")
				c.Stdin = strings.NewReader(lines.String())
				if text, err := c.CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_pub: %v\n%s", err, text)
				}
				got, err := exec.Command(sub, append(session, "-C", fmt.Sprint(count))...).Output()
				if err != nil || string(got) != lines.String() {
					t.Errorf("QoS %s: %d bytes were sent, and %d came: %v", qos, lines.Len(), len(got), err)
				}
			}
		})
	}
}
