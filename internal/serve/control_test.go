//go:build unix

package serve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

type echo struct {
	Text string `json:"text"`
	N    int    `json:"n,omitempty"`
}

// controlled starts a server with commands, and returns the path of its
// socket.
func controlled(t *testing.T, commands ...serve.Command) (*serve.Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	s := servetest.Start(t, func(c *serve.Config) {
		c.Control = path
		c.Builtin.Commands = append([]serve.Command{
			serve.NewCommand("echo", func(_ context.Context, _ *serve.Server, q echo) (echo, error) { return q, nil }),
		}, commands...)
	})
	return s, path
}

func TestCommandsAreAnswered(t *testing.T) {
	s, path := controlled(t, serve.NewCommand("ports", func(_ context.Context, s *serve.Server, _ struct{}) ([]string, error) { return s.URLs(), nil }),
		serve.NewCommand("fail", func(context.Context, *serve.Server, struct{}) (struct{}, error) { return struct{}{}, errDisk }))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	var got echo
	if err := serve.Call(t.Context(), path, "echo", echo{Text: "a\nb", N: 7}, &got); err != nil || got != (echo{Text: "a\nb", N: 7}) {
		t.Errorf("%+v, %v", got, err)
	}
	var urls []string
	if err := serve.Call(t.Context(), path, "ports", nil, &urls); err != nil || len(urls) != 1 || urls[0] != s.URLs()[0] {
		t.Errorf("%q, %v", urls, err)
	}
	for command, tt := range map[string]struct {
		arguments any
		want      string
	}{
		"fail": {nil, errDisk.Error()},
		"nope": {nil, `the broker knows no command "nope": is it of another version?`},
		"echo": {map[string]int{"nr": 1}, `arguments of echo: json: unknown field "nr"`},
	} {
		var failed *serve.CommandError
		if err := serve.Call(t.Context(), path, command, tt.arguments, nil); !errors.As(err, &failed) || err.Error() != tt.want {
			t.Errorf("%s: %v, want %q", command, err, tt.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file after the end: %v", err)
	}
	if err := serve.Call(t.Context(), path, "echo", echo{}, nil); !errors.Is(err, serve.ErrNoServer) {
		t.Errorf("%v, want %v", err, serve.ErrNoServer)
	}
}

// More at a time than are worked on are answered one after the other.
func TestManyCommandsAtATime(t *testing.T) {
	_, path := controlled(t)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			var got echo
			if err := serve.Call(t.Context(), path, "echo", echo{N: i}, &got); err != nil || got.N != i {
				t.Errorf("%d: %+v, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func TestBadRequestsAreAnswered(t *testing.T) {
	_, path := controlled(t)
	for name, tt := range map[string]struct{ send, want string }{
		"no JSON":    {"hello\n", `{"error":"the request is no JSON object with a command: `},
		"no command": {"{}\n", `{"error":"the broker knows no command \"\"`},
		"too long":   {`{"command":"` + strings.Repeat("x", serve.MaxRequestBytes) + "\"}\n", `{"error":"read the request: the line is too long"}`},
		"cut off":    {`{"command":"echo"`, `{"error":"read the request: EOF"}`},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(patience))
			_, _ = nc.Write([]byte(tt.send)) // may not be taken as a whole
			_ = nc.(*net.UnixConn).CloseWrite()
			line, err := bufio.NewReader(nc).ReadString('\n')
			if !strings.HasPrefix(line, tt.want) {
				t.Errorf("%q, %v; want %q", line, err, tt.want)
			}
		})
	}
}

// A command ends when nobody waits for its answer any more, and with the
// server.
func TestCommandsEndWithTheirClientAndTheServer(t *testing.T) {
	begun, ended := make(chan bool, 1), make(chan error, 1)
	s, path := controlled(t, serve.NewCommand("wait", func(ctx context.Context, _ *serve.Server, _ struct{}) (struct{}, error) {
		begun <- true
		<-ctx.Done()
		ended <- ctx.Err()
		return struct{}{}, ctx.Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan error, 1)
	go func() { called <- serve.Call(ctx, path, "wait", nil, nil) }()
	<-begun
	cancel()
	if err := <-called; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	go func() { called <- serve.Call(t.Context(), path, "wait", nil, nil) }()
	<-begun
	s.Stop()
	<-ended
	if err := <-called; err == nil {
		t.Error("a command that the end has cut short is a success")
	}
}

func TestAnswersAreBounded(t *testing.T) {
	_, path := controlled(t, serve.NewCommand("long", func(context.Context, *serve.Server, struct{}) (string, error) {
		return strings.Repeat("x", serve.MaxAnswerBytes), nil
	}))
	want := fmt.Sprintf("the answer has %d bytes, more than %d", serve.MaxAnswerBytes+2, serve.MaxAnswerBytes)
	if err := serve.Call(t.Context(), path, "long", nil, nil); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestAStaleControlSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := serve.Call(t.Context(), path, "echo", nil, nil); !errors.Is(err, serve.ErrNoServer) {
		t.Errorf("%v, want %v", err, serve.ErrNoServer)
	}
	servetest.Start(t, func(c *serve.Config) {
		c.Control = path
		c.Builtin.Commands = []serve.Command{serve.NewCommand("echo", func(_ context.Context, _ *serve.Server, q echo) (echo, error) { return q, nil })}
	})
	if err := serve.Call(t.Context(), path, "echo", echo{}, new(echo)); err != nil {
		t.Error(err)
	}
}

// What is in the way and is no socket stays; the server does without.
func TestAFileInTheWayOfTheControlSocketStays(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "control.sock"), "precious")
	var log syncBuffer
	s := servetest.Start(t, func(c *serve.Config) {
		c.Control = path
		c.Logger = serve.NewLogger(&log, serve.Text, slog.LevelInfo)
	})
	mustConnect(t, s.URLs()[0], "", nil).ping()
	log.until(t, "is in the way and is no socket")
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// A path that is too long for the address of a socket works, and leaves
// nothing else behind.
func TestAControlSocketMayHaveALongPath(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	s := servetest.Start(t, func(c *serve.Config) {
		c.Control = path
		c.Builtin.Commands = []serve.Command{serve.NewCommand("echo", func(_ context.Context, _ *serve.Server, q echo) (echo, error) { return q, nil })}
	})
	if err := serve.Call(t.Context(), path, "echo", echo{}, new(echo)); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, d := range []string{dir, tmp} {
		if left, err := os.ReadDir(d); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", d, left, err)
		}
	}
}
