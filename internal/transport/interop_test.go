package transport

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// mosquitto starts the broker with a listener for every scheme and returns
// their URLs.
func mosquitto(t *testing.T, ca *transporttest.CA) map[string]string {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path = "/usr/sbin/mosquitto"; !exists(path) { // Debian keeps it off users' PATH
			if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
				t.Fatal("mosquitto is not installed")
			}
			t.Skip("mosquitto is not installed")
		}
	}
	dir := t.TempDir()
	cert, key := transporttest.WritePair(t, dir, ca.Server(t, nil, "127.0.0.1"))
	urls := map[string]string{"unix": "unix://" + filepath.Join(dir, "s")}
	conf := "allow_anonymous true\nuser root\nlistener 0 " + filepath.Join(dir, "s") + "\n"
	for _, scheme := range []string{"mqtt", "mqtts", "ws", "wss"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		urls[scheme] = fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
		conf += fmt.Sprintf("listener %d 127.0.0.1\n", port)
		if scheme[0] == 'w' {
			conf += "protocol websockets\n"
		}
		if scheme == "mqtts" || scheme == "wss" {
			conf += fmt.Sprintf("certfile %s\nkeyfile %s\n", cert, key)
		}
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", file)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return urls
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestDialMosquitto(t *testing.T) {
	ca := transporttest.NewCA(t, "test authority")
	for scheme, url := range mosquitto(t, ca) {
		t.Run(scheme, func(t *testing.T) {
			var c Conn
			var err error
			for end := deadline(); ; time.Sleep(20 * time.Millisecond) { // until it listens
				if c, err = Dial(t.Context(), url, DialConfig{TLS: &ClientTLS{RootCAs: ca.Pool()}}); err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatal(err)
				}
			}
			defer c.Close()
			_ = c.SetDeadline(deadline())
			_, _ = io.WriteString(c, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
			b := make([]byte, 4)
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "\x20\x02\x00\x00" {
				t.Errorf("CONNACK % x, %v", b, err)
			}
			_, _ = io.WriteString(c, "\xc0\x00")
			if b, n, err := c.ReadWith(func() []byte { return b }); err != nil || string(b[:n]) != "\xd0\x00" {
				t.Errorf("PINGRESP % x, %v", b[:n], err)
			}
			if err := closeGracefully(c, time.Second, "done"); err != nil {
				t.Error(err)
			}
		})
	}
}
