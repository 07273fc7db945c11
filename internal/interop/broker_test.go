//go:build unix

package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// broker is a running broker with one listener per transport.
type broker struct {
	ports  map[string]int // tcp, tls, ws, wss
	socket string
	ca     string
}

// address fills in where j connects to.
func (b *broker) address(j *job) {
	if j.Transport == "unix" {
		j.Socket = b.socket
		return
	}
	j.Host, j.Port = "127.0.0.1", b.ports[j.Transport]
	switch j.Transport {
	case "ws":
		j.Path = "/mqtt"
	case "wss":
		j.Path, j.CA = "/mqtt", b.ca
	case "tls":
		j.CA = b.ca
	}
}

// use is what a test needs beyond the listeners.
type use int

// forPahoSuites refuses subscriptions to test/nosubscribe, without the reason,
// and answers a keep alive of more than a minute with one minute.
const forPahoSuites use = iota

// startBroker starts a broker of the test's own. IOTCTL_INTEROP_BROKER=mosquitto
// takes that one instead of ours, to tell whose fault a failure is.
func startBroker(t *testing.T, uses ...use) *broker {
	t.Helper()
	if os.Getenv("IOTCTL_INTEROP_BROKER") == "mosquitto" {
		return startMosquitto(t, uses...)
	}
	return startIotctl(t, uses...)
}

func startIotctl(t *testing.T, uses ...use) *broker {
	t.Helper()
	dir := socketDir(t)
	b := &broker{ports: make(map[string]int), ca: filepath.Join(dir, "ca.pem")}
	newCertificates(t, dir)
	config := `
listeners:
  - url: mqtt://127.0.0.1:0
  - url: mqtts://127.0.0.1:0
    tls: {cert: server.pem, key: server.key}
  - url: ws://127.0.0.1:0/mqtt
  - url: wss://127.0.0.1:0/mqtt
    tls: {cert: server.pem, key: server.key}
  - url: unix://` + filepath.Join(dir, "mqtt.sock") + "\n"
	if slices.Contains(uses, forPahoSuites) {
		config += "mqtt: {max_keep_alive: 60s, hide_reasons: true}\nauth: {allow_anonymous: true, acl_file: acl}\n"
	}
	writeFile(t, dir, "acl", acl)
	writeFile(t, dir, "iotctl.yaml", config)
	cmd := exec.Command(program, "serve", "-c", filepath.Join(dir, "iotctl.yaml"), "--data", filepath.Join(dir, "data"), "--ports", "-")
	b.open(t, cmd)
	return b
}

// open runs a program that writes its open ports to standard output, and waits for
// them: clients can connect then.
func (b *broker) open(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run(t, cmd)
	var ports []struct{ Transport, Address string }
	if err := json.NewDecoder(out).Decode(&ports); err != nil {
		t.Fatalf("open ports: %v", err)
	}
	for _, p := range ports {
		if p.Transport == "unix" {
			b.socket = p.Address
			continue
		}
		b.ports[p.Transport] = int(netip.MustParseAddrPort(p.Address).Port())
	}
}

// run starts a broker that ends with the test, and must do so orderly: the
// race detector, for one, shows in the exit code.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log := new(output)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the broker ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the broker said:\n%s", log)
		}
	})
}

// acl is in mosquitto's format.
const acl = `topic deny test/nosubscribe
topic readwrite #
topic read $SYS/#
`

// socketDir is a directory whose path is short enough for a Unix socket, which
// that of t.TempDir need not be.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func writeFile(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startMosquitto(t *testing.T, uses ...use) *broker {
	t.Helper()
	dir := socketDir(t)
	newCertificates(t, dir)
	b := &broker{ports: make(map[string]int), socket: filepath.Join(dir, "mqtt.sock"), ca: filepath.Join(dir, "ca.pem")}
	var c strings.Builder
	fmt.Fprintf(&c, "allow_anonymous true\nuser root\nlistener 0 %s\n", b.socket)
	for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
		b.ports[transport] = freePort(t)
		fmt.Fprintf(&c, "listener %d 127.0.0.1\n", b.ports[transport])
		if strings.HasPrefix(transport, "ws") {
			fmt.Fprintln(&c, "protocol websockets")
		}
		if transport == "tls" || transport == "wss" {
			fmt.Fprintf(&c, "certfile %s/server.pem\nkeyfile %[1]s/server.key\n", dir)
		}
	}
	if slices.Contains(uses, forPahoSuites) {
		fmt.Fprintf(&c, "max_keepalive 60\nacl_file %s/acl\n", dir)
	}
	writeFile(t, dir, "acl", acl)
	writeFile(t, dir, "mosquitto.conf", c.String())
	run(t, exec.Command(tool(t, "mosquitto", "/usr/sbin/mosquitto"), "-c", filepath.Join(dir, "mosquitto.conf")))
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.ports["wss"]))
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return b
		}
		if time.Now().After(deadline) {
			t.Fatal("mosquitto does not listen")
		}
	}
}

// freePort can lose its port to somebody else; mosquitto has no port 0.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
