package clienttest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Mosquitto starts Debian's broker on a Unix socket, so that there is no port
// to choose. Stop is SIGTERM, on which it saves its sessions.
func Mosquitto(t *testing.T, c Config) *Broker {
	t.Helper()
	path := tool(t, "mosquitto", "/usr/sbin/mosquitto")
	// Not t.TempDir: the path of a Unix socket has about 100 bytes.
	dir, err := os.MkdirTemp("", "mq")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	var conf strings.Builder
	fmt.Fprintf(&conf, "listener 0 %s\nlog_dest stderr\nlog_type all\nmax_queued_messages 0\n", socket)
	fmt.Fprintf(&conf, "persistence true\npersistence_location %s/\n", dir)
	if os.Getuid() == 0 {
		conf.WriteString("user root\n") // or it could not write to dir
	}
	fmt.Fprintf(&conf, "allow_anonymous %t\n", c.User == "")
	if c.User != "" {
		file := filepath.Join(dir, "passwords")
		passwd := tool(t, "mosquitto_passwd", "/usr/bin/mosquitto_passwd")
		if out, err := exec.Command(passwd, "-b", "-c", file, c.User, c.Password).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
		}
		fmt.Fprintf(&conf, "password_file %s\n", file)
	}
	if c.Deny != "" {
		file := filepath.Join(dir, "acl")
		write(t, file, fmt.Sprintf("topic readwrite #\ntopic deny %s\n", c.Deny))
		fmt.Fprintf(&conf, "acl_file %s\n", file)
	}
	file := filepath.Join(dir, "conf")
	write(t, file, conf.String())

	var cmd *exec.Cmd
	var logged chan struct{}
	stop := func() {
		if cmd == nil {
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-logged
		_ = cmd.Wait()
		cmd = nil
	}
	start := func() {
		_ = os.Remove(socket)
		cmd = exec.Command(path, "-c", file)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		logged = make(chan struct{})
		running := make(chan bool, 1)
		go func(ended chan struct{}) {
			defer close(ended)
			var all strings.Builder
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				all.WriteString(lines.Text() + "\n")
				if strings.HasSuffix(lines.Text(), " running") {
					running <- true
				}
			}
			select {
			case running <- false:
				fmt.Fprint(os.Stderr, all.String())
			default:
			}
		}(logged)
		if !<-running {
			t.Fatal("mosquitto did not start; its log is above")
		}
	}
	start()
	t.Cleanup(stop)
	return &Broker{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		Stop: stop, Start: start,
		MuteTakeover:  true, // up to 2.0.11 at least
		NotAuthorized: true,
	}
}

// tool finds a third-party program and skips the test without it, or fails it
// where IOTCTL_REQUIRE_TOOLS=1.
func tool(t *testing.T, name, usual string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if _, err := os.Stat(usual); err == nil {
		return usual
	}
	if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
