//go:build unix

package interop

import (
	"fmt"
	"net"
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

// startBroker starts a broker of the test's own. IOTCTL_INTEROP_BROKER=mosquitto
// takes that one instead of ours, to tell whose fault a failure is.
func startBroker(t *testing.T, uses ...use) *broker {
	t.Helper()
	return startMosquitto(t, uses...)
}

// use is what a test needs beyond the listeners.
type use int

// forPahoSuites refuses subscriptions to test/nosubscribe and answers a keep
// alive of more than a minute with one minute.
const forPahoSuites use = iota

func startMosquitto(t *testing.T, uses ...use) *broker {
	t.Helper()
	certs := newCertificates(t)
	dir, err := os.MkdirTemp("", "interop") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &broker{ports: make(map[string]int), socket: filepath.Join(dir, "mqtt.sock"), ca: certs.ca}
	var c strings.Builder
	fmt.Fprintf(&c, "allow_anonymous true\nuser root\nlistener 0 %s\n", b.socket)
	for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
		b.ports[transport] = freePort(t)
		fmt.Fprintf(&c, "listener %d 127.0.0.1\n", b.ports[transport])
		if strings.HasPrefix(transport, "ws") {
			fmt.Fprintln(&c, "protocol websockets")
		}
		if transport == "tls" || transport == "wss" {
			fmt.Fprintf(&c, "certfile %s\nkeyfile %s\n", certs.cert, certs.key)
		}
	}
	if slices.Contains(uses, forPahoSuites) {
		fmt.Fprintln(&c, "max_keepalive 60")
	}
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "mosquitto", "/usr/sbin/mosquitto"), "-c", file)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the broker said:\n%s", log.String())
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.ports["wss"]))); err == nil {
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
