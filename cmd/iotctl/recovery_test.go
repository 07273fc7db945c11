//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// own starts the program under its own name.
func own(t *testing.T, stdin io.Reader, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "iotctl", args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME=/nonexistent")
	p := &process{cmd: cmd, out: newWatchedBuffer(), err: newWatchedBuffer(), ended: make(chan error, 1)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, p.out, p.err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return p
}

// forgetful is a server that acknowledges some messages of each connection,
// drops it without a word, and counts what it has been sent in all.
type forgetful struct {
	port string
	mu   sync.Mutex
	seen map[string]int
}

// newForgetful ends each of the first drops connections after acks messages.
func newForgetful(t *testing.T, v mqtt.Version, drops, acks int) *forgetful {
	t.Helper()
	f := &forgetful{seen: map[string]int{}}
	left := drops
	n := 0
	s := newScript(t, v, func(p mqtt.Packet) (mqtt.Packet, bool) {
		m, ok := p.(mqtt.Publish)
		if !ok {
			if _, ok := p.(mqtt.Connect); ok {
				n = 0
			}
			return politely(p)
		}
		if n++; left > 0 && n > acks {
			left--
			return nil, true
		}
		f.mu.Lock()
		f.seen[string(m.Payload)]++
		f.mu.Unlock()
		return politely(p)
	})
	f.port = s.port
	return f
}

func TestLinesSurviveBrokenConnections(t *testing.T) {
	const n = 500
	var input strings.Builder
	for i := range n {
		fmt.Fprintf(&input, "line %d\n", i)
	}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, qos := range []string{"1", "2"} {
			t.Run(v.String()+" QoS "+qos, func(t *testing.T) {
				t.Parallel()
				server := newForgetful(t, v, 2, 50)
				p := own(t, strings.NewReader(input.String()), "pub", "-p", server.port, "-h", "127.0.0.1", "-V", v.String(), "-q", qos, "-t", "a", "-l", "--stats")
				out := p.wait(t)
				if out.Code != 0 || out.Stdout != "" {
					t.Errorf("%+v", out)
				}
				if want := fmt.Sprintf("iotctl: %d of %d messages acknowledged\n", n, n); !strings.HasSuffix(out.Stderr, want) {
					t.Errorf("stderr %q does not end with %q", out.Stderr, want)
				}
				server.mu.Lock()
				defer server.mu.Unlock()
				for i := range n {
					if server.seen[fmt.Sprintf("line %d", i)] == 0 {
						t.Errorf("line %d is lost", i)
					}
				}
			})
		}
	}
}

func TestLinesReadWithoutConnectionAreSentLater(t *testing.T) {
	t.Parallel()
	for _, qos := range []string{"0", "1"} {
		n := 0
		server := newScript(t, mqtt.V311, func(p mqtt.Packet) (mqtt.Packet, bool) {
			if _, ok := p.(mqtt.Publish); ok {
				n++
				reply, _ := politely(p)
				return reply, n == 1
			}
			return politely(p)
		})
		in, feed := pipe(t)
		p := own(t, in, "pub", "-p", server.port, "-h", "127.0.0.1", "-q", qos, "-t", "a", "-l")
		_, _ = io.WriteString(feed, "one\n")
		p.err.until(t, "trying again")
		_, _ = io.WriteString(feed, "two\nthree\n")
		_ = feed.Close()
		if out := p.wait(t); out.Code != 0 {
			t.Errorf("%+v", out)
		}
		sent := strings.Join(server.take(t), " ")
		for _, line := range []string{"one", "two", "three"} {
			if got := strings.Count(sent, fmt.Sprintf("%x", line)); got != 1 {
				t.Errorf("QoS %s: %q was sent %d times in %s", qos, line, got, sent)
			}
		}
	}
}

// pipe is an input that stays open until the test closes feed.
func pipe(t *testing.T) (in, feed *os.File) {
	t.Helper()
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = feed.Close() })
	return in, feed
}

func TestUnacknowledgedMessagesHaveTheirExitCode(t *testing.T) {
	t.Parallel()
	server := newForgetful(t, mqtt.V311, 1, 0)
	out := own(t, nil, "pub", "-p", server.port, "-h", "127.0.0.1", "-q", "1", "-t", "a", "-m", "x").wait(t)
	if out.Code != int(exitUnacknowledged) || !strings.Contains(out.Stderr, "iotctl: error: 1 of 1 messages not acknowledged: ") {
		t.Errorf("%+v", out)
	}
	out = own(t, strings.NewReader("a\nb\n"), "pub", "-p", newForgetful(t, mqtt.V311, 9, 1).port, "-h", "127.0.0.1", "-q", "1", "-t", "a", "-l", "--reconnect", "never").wait(t)
	if out.Code != int(exitUnacknowledged) || !strings.Contains(out.Stderr, "1 of 2 messages not acknowledged") || !strings.Contains(out.Stderr, "iotctl: 1 of 2 messages acknowledged") {
		t.Errorf("%+v", out)
	}
}

func TestNoAnswerToConnectIsATimeout(t *testing.T) {
	t.Parallel()
	server := newScript(t, mqtt.V311, func(mqtt.Packet) (mqtt.Packet, bool) { return nil, false })
	for _, args := range [][]string{
		{"pub", "-t", "a", "-m", "x", "--connect-timeout", "100ms"},
		{"sub", "-t", "a", "-W", "100ms"},
		{"pub", "-t", "a", "-m", "x", "-W", "100ms"},
	} {
		out := own(t, nil, append(args, "-p", server.port, "-h", "127.0.0.1")...).wait(t)
		if out.Code != int(exitTimeout) || !strings.HasPrefix(out.Stderr, "iotctl: error: ") {
			t.Errorf("%v: %+v", args, out)
		}
	}
}

func TestClosedBeforeAnAnswerIsNoConnection(t *testing.T) {
	t.Parallel()
	server := newScript(t, mqtt.V311, func(mqtt.Packet) (mqtt.Packet, bool) { return nil, true })
	for _, args := range [][]string{{"pub", "-t", "a", "-m", "x"}, {"sub", "-t", "a"}, {"rr", "-t", "a", "-e", "b", "-m", "x"}} {
		out := own(t, nil, append(args, "-p", server.port, "-h", "127.0.0.1")...).wait(t)
		if out.Code != int(exitConnect) || !strings.Contains(out.Stderr, "connection closed before CONNACK") || !strings.Contains(out.Stderr, "iotctl: hint: the broker may be full, or its access rules") {
			t.Errorf("%v: %+v", args, out)
		}
	}
}

func TestSubEndsWhenAnotherClientTakesOver(t *testing.T) {
	t.Parallel()
	connects := 0
	server := newScript(t, mqtt.V5, func(p mqtt.Packet) (mqtt.Packet, bool) {
		switch p.(type) {
		case mqtt.Connect:
			connects++
			return mqtt.Connack{}, false
		case mqtt.Subscribe:
			return mqtt.Disconnect{Code: mqtt.SessionTakenOver}, true
		}
		return nil, false
	})
	out := own(t, nil, "sub", "-V", "5", "-i", "me", "-t", "a", "-p", server.port, "-h", "127.0.0.1").wait(t)
	if out.Code != int(exitLost) || !strings.Contains(out.Stderr, `another client has connected with the client identifier "me"`) || !strings.Contains(out.Stderr, "iotctl: hint: give each client its own identifier with -i") {
		t.Errorf("%+v", out)
	}
	if n := strings.Count(out.Stderr, "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, out.Stderr)
	}
	if connects != 1 {
		t.Errorf("connected %d times", connects)
	}
}

func TestSubReportsEachChangeOfItsConnection(t *testing.T) {
	t.Parallel()
	n := 0
	server := newScript(t, mqtt.V311, func(p mqtt.Packet) (mqtt.Packet, bool) {
		if _, ok := p.(mqtt.Subscribe); ok {
			n++
			reply, _ := politely(p)
			return reply, n == 1
		}
		return politely(p)
	})
	p := own(t, nil, "sub", "-t", "a", "-p", server.port, "-h", "127.0.0.1")
	p.err.until(t, "subscribed again")
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	out := p.wait(t)
	if out.Code != 130 {
		t.Errorf("exit code %d", out.Code)
	}
	for _, want := range []string{"iotctl: warning: 127.0.0.1:" + server.port + ": connection lost", "iotctl: trying again in ", "iotctl: subscribed again"} {
		if !strings.Contains(out.Stderr, want) {
			t.Errorf("%q is not in %q", want, out.Stderr)
		}
	}
}

// A device of a protocol without subscriptions says that it is back, too.
func TestSubSaysThatADeviceIsConnectedAgain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for first := true; ; first = false {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(nc, make([]byte, 3+3+len("dev1")))
			_, _ = nc.Write([]byte{0x20, 0, 0})
			if first {
				_ = nc.Close()
				continue
			}
			defer nc.Close()
		}
	}()
	p := own(t, nil, "sub", "emqtcp://"+l.Addr().String(), "-i", "dev1", "-k", "0")
	p.err.until(t, "iotctl: connected again to "+l.Addr().String())
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	if out := p.wait(t); out.Code != 130 {
		t.Errorf("%+v", out)
	}
}

func TestAServerOfAnotherProtocolIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n")
			defer nc.Close()
		}
	}()
	for scheme, hint := range map[string]string{
		"text":   "does the text protocol without TLS belong there?",
		"emqtcp": "does the EMQ private TCP protocol without TLS belong there?",
	} {
		out := own(t, nil, "sub", scheme+"://"+l.Addr().String(), "-i", "dev1").wait(t)
		if out.Code != int(exitConnect) || !strings.Contains(out.Stderr, l.Addr().String()+": what the server sends is not of this protocol: ") || !strings.Contains(out.Stderr, hint) {
			t.Errorf("%s: %+v", scheme, out)
		}
	}
}

func TestSubGivesUpAfterMaxDowntime(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := l.Accept()
		_ = l.Close()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 1024)
		for _, reply := range []string{"\x20\x02\x00\x00", "\x90\x03\x00\x01\x00"} {
			_, _ = c.Read(buf)
			_, _ = io.WriteString(c, reply)
		}
	})
	out := own(t, nil, "sub", "-t", "a", "-p", port, "-h", "127.0.0.1", "--max-downtime", "300ms").wait(t)
	if out.Code != int(exitLost) || !strings.Contains(out.Stderr, "no connection for 300ms") {
		t.Errorf("%+v", out)
	}
}

func TestLinesLeftUnreadAreMentioned(t *testing.T) {
	t.Parallel()
	server := newForgetful(t, mqtt.V311, 1, 1)
	in, feed := pipe(t)
	p := own(t, in, "pub", "-p", server.port, "-h", "127.0.0.1", "-q", "1", "-t", "a", "-l", "-d", "--reconnect", "never")
	_, _ = io.WriteString(feed, "one\n")
	p.err.until(t, "PUBACK")
	_, _ = io.WriteString(feed, "two\n")
	if out := p.wait(t); out.Code != int(exitUnacknowledged) || !strings.Contains(out.Stderr, "iotctl: 1 of 2 messages acknowledged, input left unread\n") {
		t.Errorf("%+v", out)
	}
}

func TestSignalsEndWithTheirExitCode(t *testing.T) {
	t.Parallel()
	server := newScript(t, mqtt.V311, politely)
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		in, feed := pipe(t)
		p := own(t, in, "pub", "-q", "1", "-t", "a", "-l", "-d", "-p", server.port, "-h", "127.0.0.1")
		_, _ = io.WriteString(feed, "one\n")
		p.err.until(t, "PUBACK")
		_ = p.cmd.Process.Signal(sig)
		if out := p.wait(t); out.Code != code {
			t.Errorf("%v: %+v, want exit code %d", sig, out, code)
		}
	}
}

func TestClosedStandardOutputEndsQuietly(t *testing.T) {
	t.Parallel()
	port := startBroker(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("iotctl", "sub", "-p", port, "-h", "127.0.0.1", "-t", "a")
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	_ = w.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	send := func() {
		if out := own(t, nil, "pub", "-p", port, "-h", "127.0.0.1", "-t", "a", "-m", "x", "-q", "1", "-r").wait(t); out.Code != 0 {
			t.Fatalf("%+v", out)
		}
	}
	send()
	if _, err := r.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	send()
	if err := <-ended; err != nil || errs.Len() > 0 {
		t.Errorf("%v, stderr %q", err, errs.String())
	}
}

func TestWatchKeepsALinePerTopic(t *testing.T) {
	t.Parallel()
	n := 0
	messages := []mqtt.Publish{
		{Topic: []byte("a"), Payload: []byte("1")}, {Topic: []byte("b"), Payload: []byte("2\x1b[2J\n")}, {Topic: []byte("a"), Payload: []byte("3")},
	}
	server := newScript(t, mqtt.V311, func(p mqtt.Packet) (mqtt.Packet, bool) {
		if _, ok := p.(mqtt.Subscribe); ok {
			n++
			return bundle{p: p, then: messages}, false
		}
		return politely(p)
	})
	out := own(t, nil, "sub", "-t", "#", "-w", "-C", "3", "-p", server.port, "-h", "127.0.0.1").wait(t)
	want := "\x1b[2J\x1b[1;1HBroker: 127.0.0.1\n\x1b[2;1Ha 1\x1b[K\n\x1b[3;1Hb 2.[2J.\x1b[K\n\x1b[2;1Ha 3\x1b[K\n"
	if out.Code != 0 || out.Stdout != want {
		t.Errorf("%q\nwant %q (%+v)", out.Stdout, want, out)
	}
}
