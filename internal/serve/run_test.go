package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
)

// process is a serve.Process under test.
type process struct {
	t       *testing.T
	signals chan os.Signal
	ended   chan error
	server  *serve.Server
	log     *logBuffer
	file    string
}

// startProcess runs a configuration file until the test ends it.
func startProcess(t *testing.T, file string, notify *serve.Notifier) *process {
	t.Helper()
	p := &process{t: t, signals: make(chan os.Signal), ended: make(chan error, 1), log: &logBuffer{}, file: file}
	level := new(slog.LevelVar)
	load := func() (serve.Config, error) {
		c, err := serve.LoadFile(file, builtinWithMethods())
		c.Logger = serve.NewLogger(p.log, serve.Text, level)
		return c, err
	}
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan *serve.Server, 1)
	proc := serve.Process{
		Signals: p.signals, Load: load, Level: level, Notify: notify,
		Ready: func(s *serve.Server) error {
			select {
			case ready <- s:
			default: // after a reload
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.ended <- proc.Run(ctx, c) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	select {
	case p.server = <-ready:
	case err := <-p.ended:
		t.Fatal(err)
	}
	return p
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	select {
	case p.signals <- s:
	case <-time.After(patience):
		p.t.Fatalf("%v is not received", s)
	}
}

// wait returns what Run has returned.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		p.t.Fatal("Run does not return")
		return nil
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const oneListener = "listeners: [{url: 'mqtt://127.0.0.1:0'}]\n"

func TestSignalDrains(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startProcess(t, write(t, filepath.Join(t.TempDir(), "c.yaml"), oneListener), nil)
		c := mustConnect(t, p.server.URLs()[0], "", nil)
		p.signal(sig)
		if code := c.farewell(); code != mqtt.ServerShuttingDown {
			t.Errorf("%v: farewell %v", sig, code)
		}
		c.Close()
		if err := p.wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startProcess(t, write(t, filepath.Join(t.TempDir(), "c.yaml"), oneListener), nil)
	c := mustConnect(t, p.server.URLs()[0], "", nil) // stays, whatever it hears
	p.signal(syscall.SIGTERM)
	if code := c.farewell(); code != mqtt.ServerShuttingDown {
		t.Fatalf("farewell %v", code)
	}
	select {
	case err := <-p.ended:
		t.Fatalf("ended while a client is there: %v", err)
	default:
	}
	p.signal(syscall.SIGHUP) // is no second signal
	p.signal(syscall.SIGINT)
	var cut *serve.SignalError
	if err := p.wait(); !errors.As(err, &cut) || cut.Signal != syscall.SIGINT {
		t.Errorf("%v", err)
	}
	c.Close()
}

func TestHangupReloads(t *testing.T) {
	p := startProcess(t, write(t, filepath.Join(t.TempDir(), "c.yaml"), oneListener), nil)
	c := mustConnect(t, p.server.URLs()[0], "", nil)
	before := p.server.URLs()

	write(t, p.file, oneListener+"lgo: {}\nmqtt: {max_inflight: -1}\n")
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGHUP) // received when the first has been dealt with
	for _, want := range []string{
		p.file + ":2: lgo: unknown key; did you mean log?",
		p.file + ":3: mqtt.max_inflight: -1 is not between 1 and 65535",
	} {
		if !strings.Contains(p.log.String(), strconv.Quote(want)) {
			t.Errorf("the log lacks %q:\n%s", want, p.log)
		}
	}
	if got := p.server.URLs(); len(got) != 1 || got[0] != before[0] {
		t.Errorf("URLs %q, before %q", got, before)
	}
	c.ping()

	write(t, p.file, "listeners: [{url: 'mqtt://127.0.0.1:0'}, {url: 'ws://127.0.0.1:0'}]\nlog: {level: debug}\nbroker: {max_subscriptions: 3}\n")
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGHUP)
	if got := p.server.URLs(); len(got) != 2 || got[0] != before[0] {
		t.Errorf("URLs %q, before %q", got, before)
	}
	c.ping()
	mustConnect(t, before[0], "", nil).Close()
	for _, want := range []string{"level=DEBUG", `msg="a changed section takes effect at the next start" section=broker`} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, p.log)
		}
	}
}

// Reader of what systemd would be told.
func notifySocket(t *testing.T, name string, watchdog time.Duration) (*serve.Notifier, *net.UnixConn) {
	t.Helper()
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	sock.SetReadDeadline(time.Now().Add(patience))
	env := map[string]string{"NOTIFY_SOCKET": name}
	if watchdog > 0 {
		env["WATCHDOG_USEC"] = fmt.Sprint(watchdog.Microseconds())
		env["WATCHDOG_PID"] = fmt.Sprint(os.Getpid())
	}
	return serve.NewNotifier(func(k string) string { return env[k] }), sock
}

func read(t *testing.T, sock *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1024)
	n, err := sock.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSystemdIsTold(t *testing.T) {
	sockets := map[string]string{"path": filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		sockets["abstract"] = fmt.Sprintf("@iotctl-test-%d", os.Getpid())
	}
	for kind, name := range sockets {
		t.Run(kind, func(t *testing.T) {
			n, sock := notifySocket(t, name, 0)
			p := startProcess(t, write(t, filepath.Join(t.TempDir(), "c.yaml"), oneListener), n)
			if got := read(t, sock); got != "READY=1\nSTATUS=1 ports open" {
				t.Errorf("after start: %q", got)
			}
			p.signal(syscall.SIGHUP)
			got := read(t, sock)
			usec, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
			if v, err := strconv.ParseInt(usec, 10, 64); !ok || err != nil || v <= 0 && runtime.GOOS == "linux" {
				t.Errorf("reload: %q", got)
			}
			if got := read(t, sock); !strings.HasPrefix(got, "READY=1\n") {
				t.Errorf("after reload: %q", got)
			}
			p.signal(syscall.SIGTERM)
			if got := read(t, sock); !strings.HasPrefix(got, "STOPPING=1\n") {
				t.Errorf("at the end: %q", got)
			}
			if err := p.wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWatchdogIsFed(t *testing.T) {
	n, sock := notifySocket(t, filepath.Join(t.TempDir(), "notify"), 2*time.Millisecond)
	if n.Interval() != time.Millisecond {
		t.Errorf("interval %v, want half of 2ms", n.Interval())
	}
	startProcess(t, write(t, filepath.Join(t.TempDir(), "c.yaml"), oneListener), n)
	for got := read(t, sock); got != "WATCHDOG=1"; got = read(t, sock) {
		if !strings.HasPrefix(got, "READY=1") {
			t.Fatalf("%q", got)
		}
	}
}

func TestASupervisorThatDoesNotReadHoldsUpNothing(t *testing.T) {
	n, sock := notifySocket(t, filepath.Join(t.TempDir(), "notify"), 2*time.Millisecond)
	p := startProcess(t, write(t, filepath.Join(t.TempDir(), "c.yaml"), oneListener), n)
	for end := time.Now().Add(patience); !strings.Contains(p.log.String(), "i/o timeout"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there is always room for another message")
		}
	}
	p.signal(syscall.SIGTERM)
	if err := p.wait(); err != nil {
		t.Error(err)
	}
	if got := read(t, sock); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("after start: %q", got)
	}
}

func TestNotifierWithoutSystemd(t *testing.T) {
	for _, env := range []map[string]string{{}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "@"}, {"WATCHDOG_USEC": "5"}} {
		n := serve.NewNotifier(func(k string) string { return env[k] })
		if n != nil {
			t.Errorf("%v: %+v", env, n)
		}
		if err := errors.Join(n.Ready(""), n.Reloading(), n.Stopping(), n.Alive()); err != nil || n.Interval() != 0 {
			t.Errorf("%v: %v", env, err)
		}
	}
	env := map[string]string{"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
	if n := serve.NewNotifier(func(k string) string { return env[k] }); n == nil || n.Interval() != 0 {
		t.Error("the watchdog of another process is fed")
	}
}

func TestLogsQuoteWhatClientsSend(t *testing.T) {
	for f, want := range map[serve.Format]string{
		serve.Text: `msg=x client="a\n\x1b[31mlevel=ERROR"`,
		serve.JSON: `"client":"a\n\u001b[31mlevel=ERROR"`,
	} {
		var b bytes.Buffer
		serve.NewLogger(&b, f, slog.LevelInfo).Info("x", "client", "a\n\x1b[31mlevel=ERROR")
		if !strings.Contains(b.String(), want) || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%v: %q", f, b.String())
		}
	}
}
