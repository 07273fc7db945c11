//go:build unix

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The examples of the README are executed: console blocks section by section,
// one block being one terminal; what a block shows below its last command must
// be what that prints. Commands that run until they are interrupted stay for
// the rest of their section. YAML blocks go through --test-config of serve,
// or, if they name brokers, of proxy.

const readmePatience = 30 * time.Second

// prelude lets commands use a port of the test's instead of the default one.
const prelude = `set -eu
at() { case " $* " in *" -p "*|*" -h "*|*" -L "*|*" --url "*|*"://"*) ;; *) echo "-p $PORT" ;; esac; }
iotctl() {
	verb=$1; shift
	case $verb in
	serve) case " $* " in *" --listen "*|*" -c "*) ;; *) set -- --listen "mqtt://127.0.0.1:$PORT" "$@" ;; esac ;;
	pub|sub|rr|request|reply|top) set -- $(at "$@") $DEBUG "$@" ;;
	get|retained|record|replay) case " $* " in *" --dry-run "*) ;; *) set -- "$@" $(at "$@") ;; esac ;;
	bench) case " $* " in *" --serve "*|" report "*|" compare "*) ;; *) set -- "$@" -p "$PORT" ;; esac ;;
	esac
	command iotctl "$verb" "$@"
}
mosquitto_pub() { command mosquitto_pub $(at "$@") "$@"; }
mosquitto_sub() { command mosquitto_sub $(at "$@") "$@"; }
`

type readmeBlock struct {
	language string
	section  string
	line     int
	lines    []string
}

func readmeBlocks(t *testing.T) []readmeBlock {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []readmeBlock
	var open *readmeBlock
	section := ""
	for i, line := range strings.Split(string(b), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &readmeBlock{language: fence, section: section, line: i + 1}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		case strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		}
	}
	return blocks
}

// script splits a console block into its commands and what the last shows.
func (b readmeBlock) script() (commands, shown []string) {
	for _, line := range b.lines {
		if c, ok := strings.CutPrefix(line, "$ "); ok {
			commands = append(commands, c)
			shown = nil
			continue
		}
		shown = append(shown, line)
	}
	return commands, shown
}

var (
	serves = regexp.MustCompile(`^iotctl serve\b`)
	waits  = regexp.MustCompile(`^((iotctl |mosquitto_)sub|iotctl bench agent|iotctl reply)\b`)
	leaves = regexp.MustCompile(` (-C|-W|-E|--test-config)\b`)
)

// stays reports whether the block's last command runs until interrupted.
func stays(commands []string) bool {
	last := commands[len(commands)-1]
	return (serves.MatchString(last) || waits.MatchString(last)) && !leaves.MatchString(last)
}

func TestReadmeCommands(t *testing.T) {
	bin := buildForReadme(t)
	sections := make(map[string][]readmeBlock)
	var order []string
	for _, b := range readmeBlocks(t) {
		if b.language != "console" {
			continue
		}
		if !slices.Contains(order, b.section) {
			order = append(order, b.section)
		}
		sections[b.section] = append(sections[b.section], b)
	}
	if len(order) == 0 {
		t.Fatal("the README shows no commands")
	}
	for _, section := range order {
		t.Run(section, func(t *testing.T) {
			runSection(t, bin, sections[section])
		})
	}
}

// fixedPort is an address that examples name.
var fixedPort = regexp.MustCompile(`127\.0\.0\.1([: ])(\d+)\b`)

// movePorts puts free ports in the place of those that the blocks name, so that
// nothing else on the machine is in the way. 1883 becomes port.
func movePorts(t *testing.T, blocks []readmeBlock, port string) {
	t.Helper()
	moved := map[string]string{"1883": port}
	for _, b := range blocks {
		for i, line := range b.lines {
			b.lines[i] = fixedPort.ReplaceAllStringFunc(line, func(address string) string {
				m := fixedPort.FindStringSubmatch(address)
				if moved[m[2]] == "" {
					moved[m[2]] = readmePort(t)
				}
				return "127.0.0.1" + m[1] + moved[m[2]]
			})
		}
	}
}

func runSection(t *testing.T, bin string, blocks []readmeBlock) {
	dir, port := readmeFiles(t), readmePort(t)
	movePorts(t, blocks, port)
	ownServer := slices.ContainsFunc(blocks, func(b readmeBlock) bool {
		commands, _ := b.script()
		return slices.ContainsFunc(commands, serves.MatchString) && stays(commands)
	})
	if !ownServer {
		start(t, bin, dir, port, []string{"iotctl serve"}).ready(t)
	}
	var running []*terminalBlock
	for _, b := range blocks {
		commands, shown := b.script()
		tb := start(t, bin, dir, port, commands)
		tb.readmeBlock, tb.shown = b, shown
		if stays(commands) {
			tb.ready(t)
			running = append(running, tb)
			continue
		}
		<-tb.done
		if tb.err != nil {
			t.Errorf("README line %d: %v\n%s%s", b.line, tb.err, tb.stdout.String(), tb.stderr.String())
		}
		tb.compare(t)
	}
	for _, tb := range running {
		tb.compare(t)
	}
}

// terminalBlock is a console block that is being executed.
type terminalBlock struct {
	readmeBlock
	shown          []string
	port           string
	commands       []string
	stdout, stderr lockedBuffer
	done           chan struct{}
	err            error // once done
}

func start(t *testing.T, bin, dir, port string, commands []string) *terminalBlock {
	t.Helper()
	tb := &terminalBlock{port: port, commands: commands, done: make(chan struct{})}
	debug := ""
	if stays(commands) && waits.MatchString(commands[len(commands)-1]) {
		debug = "-d"
	}
	cmd := exec.Command("bash", "-c", prelude+strings.Join(commands, "\n"))
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "IOTCTL_") }),
		"PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"), "PORT="+port, "DEBUG="+debug, "HOME="+dir, "XDG_CONFIG_HOME="+dir,
		"XDG_STATE_HOME="+dir, "XDG_RUNTIME_DIR="+dir)
	cmd.Stdout, cmd.Stderr = &tb.stdout, &tb.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(tb.done)
		tb.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			_ = syscall.Kill(-cmd.Process.Pid, sig)
			select {
			case <-tb.done:
				return
			case <-time.After(readmePatience):
				t.Errorf("%q does not end on %v", commands, sig)
			}
		}
	})
	return tb
}

// ready waits until a server listens, or a subscriber or an agent has subscribed.
func (tb *terminalBlock) ready(t *testing.T) {
	t.Helper()
	tb.until(t, "not ready", func() bool {
		if serves.MatchString(tb.commands[len(tb.commands)-1]) {
			c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", tb.port))
			if err == nil {
				c.Close()
			}
			return err == nil
		}
		said := tb.stdout.String() + tb.stderr.String()
		return strings.Contains(said, "SUBACK") || strings.Contains(said, "msg=ready")
	})
}

func (tb *terminalBlock) until(t *testing.T, complaint string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(readmePatience); !condition(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-tb.done:
			if condition() {
				return
			}
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		t.Fatalf("README line %d: %q: %s\n%s%s", tb.line, tb.commands, complaint, tb.stdout.String(), tb.stderr.String())
	}
}

func (tb *terminalBlock) compare(t *testing.T) {
	t.Helper()
	if len(tb.shown) == 0 {
		return
	}
	want := strings.Join(tb.shown, "\n") + "\n"
	if stays(tb.commands) {
		tb.until(t, "does not print what the README shows", func() bool {
			return strings.Count(tb.stdout.String(), "\n") >= len(tb.shown)
		})
	}
	if diff := cmp.Diff(want, tb.stdout.String()); diff != "" {
		t.Errorf("README line %d: %q (-README +printed):\n%s", tb.line, tb.commands, diff)
	}
}

func TestReadmeConfigurations(t *testing.T) {
	bin := buildForReadme(t)
	found := false
	for _, b := range readmeBlocks(t) {
		if b.language != "yaml" {
			continue
		}
		found = true
		t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			dir := readmeFiles(t)
			file := filepath.Join(dir, "iotctl.yaml")
			if err := os.WriteFile(file, []byte(strings.Join(b.lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			verb := "serve"
			if slices.ContainsFunc(b.lines, func(l string) bool { return strings.HasPrefix(l, "to:") }) {
				verb = "proxy"
			}
			cmd := exec.Command(bin, verb, "-c", file, "--test-config")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if !found {
		t.Error("the README shows no configuration")
	}
}

func buildForReadme(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "iotctl")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// readmeFiles is a directory with the files that examples name.
func readmeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"server.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		// The password is "example".
		"passwords":    []byte("reader:$7$101$BYvtfu/OWf0WMVYR$mVw/deThiNG2YpLq20QfxwK1s9jNfBS84MuSqGTZA7WznsDLxRzIwpRNhLGWQsdIyaQbDZA/KGIm8oHrLjbrZQ==\n"),
		"acl":          []byte("user reader\ntopic read #\n"),
		"reading.json": []byte(`{"properties":{"temp":{"type":"number","maximum":85}}}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readmePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
