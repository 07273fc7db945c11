package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit keeps a test that waits for a peer from waiting for ever.
const limit = 10 * time.Second

func deadline() time.Time { return time.Now().Add(limit) }

// server is a listener under test whose first connections go to serve.
func server(t testing.TB, url string, cfg ListenConfig) Listener {
	t.Helper()
	l, err := Listen(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// accepted waits for the listener's next connection.
func accepted(t testing.TB, l Listener) Conn {
	t.Helper()
	type result struct {
		c   Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		ch <- result{c, err}
	}()
	select {
	case r := <-ch:
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.Cleanup(func() { _ = r.c.Close() })
		_ = r.c.SetDeadline(deadline())
		return r.c
	case <-time.After(limit):
		_ = l.Close()
		<-ch
		t.Fatal("no connection arrived")
		return nil
	}
}

// bothEnds dials l and returns what each side makes of the handshake.
func bothEnds(t testing.TB, l Listener, cfg DialConfig) (client, srv Conn, clientErr, serverErr error) {
	t.Helper()
	type result struct {
		c   Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := Dial(context.Background(), l.URL(), cfg)
		ch <- result{c, err}
	}()
	srv = accepted(t, l)
	serverErr = srv.Handshake(t.Context())
	r := <-ch
	if r.c != nil {
		t.Cleanup(func() { _ = r.c.Close() })
		_ = r.c.SetDeadline(deadline())
	}
	return r.c, srv, r.err, serverErr
}

// pair dials l and returns both ends, handshakes complete.
func pair(t testing.TB, l Listener, cfg DialConfig) (client, srv Conn) {
	t.Helper()
	client, srv, clientErr, serverErr := bothEnds(t, l, cfg)
	if clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", clientErr, serverErr)
	}
	return client, srv
}

// rawDial opens the socket below a listener, whatever it speaks.
func rawDial(t testing.TB, l Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(deadline())
	return c
}

// everyScheme is a listener for each entry of the table, and how to dial it.
func everyScheme(t *testing.T, run func(t *testing.T, l Listener, cfg DialConfig)) {
	ca := transporttest.NewCA(t, "test authority")
	for _, s := range MQTTSchemes() {
		t.Run(s.Name, func(t *testing.T) {
			url := s.Name + "://127.0.0.1:0"
			if s.Network == "unix" {
				url = "unix://" + filepath.Join(t.TempDir(), "s")
			}
			cfg := ListenConfig{Name: "under test"}
			var dial DialConfig
			if s.TLS {
				cfg.TLS = &ServerTLS{Certificates: certs(ca.Server(t, nil, "127.0.0.1"))}
				dial.TLS = &ClientTLS{RootCAs: ca.Pool()}
			}
			run(t, server(t, url, cfg), dial)
		})
	}
}

// closedByPeer reads until the peer ends the stream and returns what came.
func closedByPeer(t testing.TB, c net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(c)
	if isTimeout(err) {
		t.Fatal("the connection stays open")
	}
	return b
}

// eventually polls a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := deadline(); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
	}
}

func asError(t testing.TB, err error) *Error {
	t.Helper()
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		t.Fatalf("%v (%T) is no *Error", err, err)
	}
	return e
}

// closeGracefully closes c as CloseWrite recommends.
func closeGracefully(c Conn, timeout time.Duration, reason string) error {
	_ = c.SetDeadline(time.Now().Add(timeout))
	if err := c.CloseWrite(); err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
	return c.CloseReason(reason)
}
