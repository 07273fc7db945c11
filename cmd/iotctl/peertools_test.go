package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// clients is one set of mosquitto_pub, mosquitto_sub and mosquitto_rr.
type clients struct {
	name string
	dir  string
	env  []string
}

// bothClients returns mosquitto's own clients and ours under their names, in
// the forms of release 2.0, which is what distributions have.
func bothClients(t *testing.T) (theirs, ours clients) {
	t.Helper()
	var dirs []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "mosquitto_pub")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "iotctl")); err == nil && ours.dir == "" {
			ours.dir = dir // where TestMain has put the test binary
			continue
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		missingTool(t, "mosquitto_pub")
	}
	return clients{name: "mosquitto", dir: dirs[0]}, clients{name: "iotctl", dir: ours.dir, env: []string{"IOTCTL_MOSQUITTO=2.0"}}
}

func missingTool(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s is required and not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

// outcome is all that a script sees of a command.
type outcome struct {
	Stdout, Stderr string
	Code           int
}

// command prepares one of the programs: "pub", "sub" or "rr".
func (c clients) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.dir, "mosquitto_"+program), args...)
	cmd.Env = append(os.Environ(), append([]string{"XDG_CONFIG_HOME=/nonexistent"}, c.env...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// commandTimeout bounds programs, brokers among them, and waits for what they print.
const commandTimeout = 3 * time.Minute

// run executes a program to its end.
func (c clients) run(t *testing.T, stdin, program string, args ...string) outcome {
	t.Helper()
	return c.start(t, stdin, program, args...).wait(t)
}

// process is a program that is still running.
type process struct {
	cmd      *exec.Cmd
	out, err *watchedBuffer
	ended    chan error
}

func (c clients) start(t *testing.T, stdin, program string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	t.Cleanup(cancel)
	cmd := c.command(ctx, program, args...)
	p := &process{cmd: cmd, out: newWatchedBuffer(), err: newWatchedBuffer(), ended: make(chan error, 1)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), p.out, p.err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

func (p *process) wait(t *testing.T) outcome {
	t.Helper()
	err := <-p.ended
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", p.cmd.Args, err)
	}
	return outcome{p.out.String(), p.err.String(), p.cmd.ProcessState.ExitCode()}
}

// watchedBuffer tells when something has been written.
type watchedBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func newWatchedBuffer() *watchedBuffer { return &watchedBuffer{more: make(chan struct{}, 1)} }

func (w *watchedBuffer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.b.Write(b)
}

func (w *watchedBuffer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// until waits for text in what is written.
func (w *watchedBuffer) until(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(commandTimeout)
	for !strings.Contains(w.String(), text) {
		select {
		case <-w.more:
		case <-deadline:
			t.Fatalf("%q did not appear in %q", text, w.String())
		}
	}
}

// mosquitto is where the broker is installed, which need not be in the PATH.
func mosquitto(t *testing.T) (path string) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			missingTool(t, "mosquitto")
		}
	}
	return path
}

// startBroker runs mosquitto on a port of its own, without limits that would
// make it drop messages.
func startBroker(t *testing.T, config ...string) (port string) {
	t.Helper()
	path := mosquitto(t)
	for range 5 {
		port = freePort(t)
		if startBrokerOn(t, path, port, config...) != nil {
			return port
		}
	}
	t.Fatal("mosquitto does not start")
	return ""
}

// startBrokerOn returns nil when the port has been taken meanwhile.
func startBrokerOn(t *testing.T, path, port string, config ...string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	lines := append([]string{"listener " + port + " 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 0"}, config...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", file)
	log := newWatchedBuffer()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-ended
	})
	for {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()
			return cmd
		}
		select {
		case <-ended:
			t.Logf("mosquitto on port %s: %s", port, log)
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// script is a server that a test plays: it keeps what it receives and answers
// as answer says.
type script struct {
	port string
	mu   sync.Mutex
	got  []string // packets in hex
}

// newScript serves one connection after the other until the test ends. An
// answer of nil sends nothing; closing ends the connection.
func newScript(t *testing.T, v mqtt.Version, answer func(p mqtt.Packet) (reply mqtt.Packet, closing bool)) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c, v, answer)
		}
	})
	return s
}

func (s *script) serve(c net.Conn, v mqtt.Version, answer func(mqtt.Packet) (mqtt.Packet, bool)) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(commandTimeout))
	buf := make([]byte, 0, 1<<16)
	connected := false
	for {
		p, n, err := mqtt.Parse(buf, mqtt.Options{Version: v, Lenient: true})
		if errors.Is(err, mqtt.ErrShort) {
			m, err := c.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return
			}
			buf = buf[:len(buf)+m]
			continue
		}
		if err != nil {
			return
		}
		if _, ok := p.(mqtt.Pingreq); ok && !connected {
			return
		}
		connected = true
		s.mu.Lock()
		s.got = append(s.got, fmt.Sprintf("%x", buf[:n]))
		s.mu.Unlock()
		reply, closing := answer(p) // p aliases buf
		buf = append(buf[:0], buf[n:]...)
		if reply != nil {
			b, _ := reply.Append(nil, v)
			_, _ = c.Write(b)
		}
		if closing {
			return
		}
	}
}

// take returns what was received since the last call. Connections are served
// one after the other, so once the one made here is through, all are.
func (s *script) take(t *testing.T) []string {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte{0xc0, 0}) // PINGREQ before CONNECT: no client sends it
	_, _ = io.Copy(io.Discard, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	for i, p := range got {
		switch p { // DISCONNECT may leave out what says nothing
		case "e0020000":
			got[i] = "e000"
		case "e0020400":
			got[i] = "e00104"
		}
	}
	return got
}

// politely answers every request with success.
func politely(p mqtt.Packet) (mqtt.Packet, bool) {
	switch p := p.(type) {
	case mqtt.Connect:
		return mqtt.Connack{}, false
	case mqtt.Publish:
		switch p.QoS {
		case 1:
			return mqtt.Puback{PacketID: p.PacketID}, false
		case 2:
			return mqtt.Pubrec{PacketID: p.PacketID}, false
		}
	case mqtt.Pubrel:
		return mqtt.Pubcomp{PacketID: p.PacketID}, false
	case mqtt.Subscribe:
		return mqtt.Suback{PacketID: p.PacketID, Codes: make([]mqtt.ReasonCode, len(p.Filters))}, false
	case mqtt.Unsubscribe:
		return mqtt.Unsuback{PacketID: p.PacketID, Codes: make([]mqtt.ReasonCode, len(p.Filters))}, false
	case mqtt.Disconnect:
		return nil, true
	}
	return nil, false
}

// bundle answers a request and sends messages with it.
type bundle struct {
	p    mqtt.Packet
	then []mqtt.Publish
}

func (b bundle) Type() mqtt.Type       { return b.p.Type() }
func (b bundle) Size(mqtt.Version) int { return 0 }

func (b bundle) Append(dst []byte, v mqtt.Version) ([]byte, error) {
	var err error
	if reply, _ := politely(b.p); reply != nil {
		dst, err = reply.Append(dst, v)
	}
	for _, m := range b.then {
		var e error
		dst, e = m.Append(dst, v)
		err = errors.Join(err, e)
	}
	return dst, err
}
