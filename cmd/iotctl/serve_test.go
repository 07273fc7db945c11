//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// The documented configuration is one that serve accepts.
func TestServeConfigIsValid(t *testing.T) {
	dir := t.TempDir()
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost"))
	file := filepath.Join(dir, "iotctl.yaml")
	if err := errors.Join(
		os.Rename(cert, filepath.Join(dir, "server.pem")),
		os.Rename(key, filepath.Join(dir, "server.key")),
		os.Rename(ca.WriteFile(t), filepath.Join(dir, "clients.pem")),
		passwordfile.Put(filepath.Join(dir, "passwords"), "ann", []byte("secret")),
		os.WriteFile(filepath.Join(dir, "acl"), []byte("topic read news\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "devices.psk"), []byte("pump-7:0123456789abcdef0123456789abcdef\n"), 0o600),
		os.WriteFile(file, []byte(serveConfig), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	c, err := serve.LoadFile(file, builtin())
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		t.Error(err)
	}
}

// servePatience bounds waits for a server in a process of its own.
const servePatience = 30 * time.Second

// TestServeScripts runs testdata/script/serve*.txtar and store*.txtar. Beside testscript's own
// commands they have
//
//	ports FILE          wait for the file that serve --ports writes, take it
//	                    away, and set URL1, URL2, … and ADDR1, ADDR2, …
//	await FILE          wait for a file
//	passwd FILE U P     set a password in a password file
//	signal NAME         signal the only process in the background
//	exits CODE CMD…     run a command that ends with this code
//	code WORD…          set CODE to that of a device in a list that was printed
//	dial, say, hear     see wires
//
// and the directory $CERTS with ca.pem and, each with its key, server.pem and
// client.pem of that authority and other.pem, a server's of no authority.
func TestServeScripts(t *testing.T) {
	var files []string
	for _, command := range []string{"serve", "store"} {
		found, err := filepath.Glob("testdata/script/" + command + "*.txtar")
		if err != nil || len(found) == 0 {
			t.Fatal("no scripts:", err)
		}
		files = append(files, found...)
	}
	commands := (&wires{all: map[string]net.Conn{}}).commands()
	maps.Copy(commands, map[string]func(*testscript.TestScript, bool, []string){
		"ports":   scriptPorts,
		"await":   scriptAwait,
		"passwd":  scriptPasswd,
		"signal":  scriptSignal,
		"exits":   scriptExits,
		"code":    scriptCode,
		"handler": scriptHandler,
	})
	runScripts(t, files, commands)
}

func writeCertificates(t *testing.T, e *testscript.Env, ca *transporttest.CA) error {
	dir := filepath.Join(e.WorkDir, "certs")
	e.Setenv("CERTS", dir)
	e.Setenv("HOME", e.WorkDir) // nobody's defaults file or state
	e.Setenv("XDG_RUNTIME_DIR", e.WorkDir)
	for name, pair := range map[string]func() (string, string){
		"server": func() (string, string) {
			return transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost", "127.0.0.1"))
		},
		"other": func() (string, string) {
			return transporttest.WritePair(t, t.TempDir(), transporttest.SelfSigned(t, "localhost"))
		},
		"client": func() (string, string) {
			return transporttest.WritePair(t, t.TempDir(), ca.Client(t, nil, "device"))
		},
	} {
		cert, key := pair()
		if err := errors.Join(
			os.MkdirAll(dir, 0o755),
			os.Rename(cert, filepath.Join(dir, name+".pem")),
			os.Rename(key, filepath.Join(dir, name+".key")),
		); err != nil {
			return err
		}
	}
	return os.Rename(ca.WriteFile(t), filepath.Join(dir, "ca.pem"))
}

func scriptPorts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ports FILE")
	}
	file := ts.MkAbs(args[0])
	await(ts, file)
	b, err := os.ReadFile(file)
	ts.Check(err)
	var ports []serve.Port
	ts.Check(errors.Join(json.Unmarshal(b, &ports), os.Remove(file)))
	for i, p := range ports {
		ts.Setenv(fmt.Sprintf("URL%d", i+1), p.URL)
		ts.Setenv(fmt.Sprintf("ADDR%d", i+1), p.Address)
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	await(ts, ts.MkAbs(args[0]))
}

func await(ts *testscript.TestScript, file string) {
	for deadline := time.Now().Add(servePatience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody has made %s", file)
		}
	}
}

func scriptPasswd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: passwd FILE USER PASSWORD")
	}
	ts.Check(passwordfile.Put(ts.MkAbs(args[0]), args[1], []byte(args[2])))
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	background := ts.BackgroundCmds()
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	if neg || len(args) != 1 || len(background) != 1 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal HUP|INT|TERM|KILL, with one process in the background")
	}
	ts.Check(background[0].Process.Signal(signals[args[0]]))
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s: exit code %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}
