//go:build unix

package interop

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// grounds is a running iotctl with listeners for devices of several protocols,
// in a directory of its own.
type grounds struct {
	t    *testing.T
	dir  string
	log  *output
	cmd  *exec.Cmd
	open map[string]string // addresses by the names of listeners

	handler *handler // of exproto, where there is one
}

// newGrounds starts iotctl with MQTT and the listeners, whose URLs have the
// names; behind a blank may stand the rest of the listener's entry. The rest of the configuration is YAML. Files are beside it.
func newGrounds(t *testing.T, listeners map[string]string, rest string, files map[string]string) *grounds {
	t.Helper()
	g := &grounds{t: t, dir: socketDir(t), log: new(output)}
	newCertificates(t, g.dir)
	var c strings.Builder
	fmt.Fprintf(&c, "listeners:\n  - {name: mqtt, url: mqtt://127.0.0.1:0}\n")
	for name, url := range listeners {
		url, options, found := strings.Cut(url, " ")
		if !found {
			options = certificateFor(url)
		}
		fmt.Fprintf(&c, "  - {name: %s, url: %q%s}\n", name, url, options)
	}
	for name, content := range files {
		writeFile(t, g.dir, name, content)
	}
	writeFile(t, g.dir, "iotctl.yaml", c.String()+"sys_interval: 1s\n"+rest)
	t.Cleanup(g.end)
	g.start()
	return g
}

// certificateFor is the rest of a listener's entry where the scheme is one with
// TLS.
func certificateFor(url string) string {
	switch scheme, _, _ := strings.Cut(url, ":"); scheme {
	case "emqtcps", "texts", "frames", "exprotos", "exproto+dtls", "mqttsns":
		return ", tls: {cert: server.pem, key: server.key}"
	}
	return ""
}

func (g *grounds) data() string { return filepath.Join(g.dir, "data") }

func (g *grounds) start() {
	g.t.Helper()
	cmd := exec.Command(program, "serve", "-c", filepath.Join(g.dir, "iotctl.yaml"), "--data", g.data(), "--ports", "-")
	cmd.Stderr = g.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	var ports []struct{ Name, Address string }
	if err := json.NewDecoder(out).Decode(&ports); err != nil {
		g.t.Fatalf("open ports: %v, %v\n%s", err, cmd.Wait(), g.log)
	}
	g.cmd, g.open = cmd, make(map[string]string)
	for _, p := range ports {
		g.open[p.Name] = p.Address
	}
}

// halt sends the signal and returns how the process has ended.
func (g *grounds) halt(s syscall.Signal) error {
	cmd := g.cmd
	g.cmd = nil
	if err := cmd.Process.Signal(s); err != nil {
		return err
	}
	return cmd.Wait()
}

func (g *grounds) end() {
	if g.cmd != nil {
		if err := g.halt(syscall.SIGTERM); err != nil {
			g.t.Errorf("the server ended with %v", err)
		}
	}
	if g.t.Failed() {
		lines := strings.Split(g.log.String(), "\n")
		g.t.Logf("the server said at last:\n%s", strings.Join(lines[max(0, len(lines)-80):], "\n"))
	}
}

// reload replaces a file, and returns once the server has taken it.
func (g *grounds) reload(file, content string) {
	g.t.Helper()
	g.signal(file, content, "configuration reloaded")
}

// signal replaces a file and sends SIGHUP. It returns once the log says what has
// come of it.
func (g *grounds) signal(file, content, outcome string) {
	g.t.Helper()
	writeFile(g.t, g.dir, file, content)
	before := strings.Count(g.log.String(), outcome)
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
	eventually(g.t, "the log says: "+outcome, func() bool { return strings.Count(g.log.String(), outcome) > before })
}

// eventually polls, within a patient time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

// pair runs a command of the operator and returns what it prints.
func (g *grounds) pair(args ...string) string {
	g.t.Helper()
	cmd := exec.Command(program, append(append([]string{"pair"}, args...), "--data", g.data())...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+g.dir)
	said := new(output)
	cmd.Stderr = said
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("iotctl pair %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(out)
}

// passwordLine is an entry of a password file as mosquitto_passwd makes it. Few
// iterations keep the tests quick.
func passwordLine(t *testing.T, user, password string) string {
	t.Helper()
	salt := []byte("salt of a tester")
	key, err := pbkdf2.Key(sha512.New, password, salt, 101, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:$7$101$%s$%s\n", user, base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(key))
}
