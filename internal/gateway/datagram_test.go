package gateway

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// lettersAt serves letters at scheme, and returns their broker, the address and
// the log.
func lettersAt(t *testing.T, scheme transport.Scheme, tls *transport.ServerTLS) (*broker.Broker, string, *journal) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "letters://127.0.0.1:0", transport.ListenConfig{Schemes: []transport.Scheme{scheme}, TLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	log := new(journal)
	s := NewServer(ServerConfig{
		Broker: b, Open: func() Client { return new(letters) }, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	wg.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return b, l.Addr().String(), log
}

var plainLetters = transport.Scheme{Name: "letters", Protocol: "letters", Network: "udp", Port: 1}

// publishTo publishes payloads in one batch.
func publishTo(t *testing.T, b *broker.Broker, payloads ...string) {
	t.Helper()
	link, _, err := b.Attach(t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: "publisher"}, deafReceiver{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Detach(broker.Farewell{})
	for _, p := range payloads {
		if _, err := link.Publish(message.View{Topic: []byte("t"), Payload: []byte(p)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := link.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Whatever a batch brings, each frame is a datagram of its own.
func TestEachFrameIsADatagram(t *testing.T) {
	b, addr, _ := lettersAt(t, plainLetters, nil)
	nc, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	for _, step := range []struct {
		say  string
		hear []string
	}{
		{"a", []string{"a"}},
		{"ppp", []string{"P", "P", "P"}},
		{"p(", []string{"P"}}, // and the half pair is gone
		{")", []string{"P"}},
		{"s", []string{"S"}},
		{"mmp", []string{"m", "m", "P"}},
	} {
		if _, err := nc.Write([]byte(step.say)); err != nil {
			t.Fatal(err)
		}
		for i, want := range step.hear {
			buf := make([]byte, 100)
			n, err := nc.Read(buf)
			if err != nil || string(buf[:n]) != want {
				t.Fatalf("datagram %d after %q: %q, %v, want %q", i, step.say, buf[:n], err, want)
			}
		}
	}
	const flood = 50
	publishTo(t, b, slices.Repeat([]string{strings.Repeat("x", 100)}, flood)...)
	for i := range flood {
		buf := make([]byte, 1000)
		if n, err := nc.Read(buf); err != nil || n != 100 {
			t.Fatalf("datagram %d of the flood: %d bytes, %v", i, n, err)
		}
	}
}

// A message that no datagram holds is dropped, and the device stays connected.
func TestMessagesTooLongForADatagramAreDropped(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	cert, key := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "localhost"))
	secure := plainLetters
	secure.TLS = true
	for name, c := range map[string]struct {
		scheme transport.Scheme
		tls    *transport.ServerTLS
		long   int
	}{
		"udp":  {plainLetters, nil, 65_508},
		"dtls": {secure, &transport.ServerTLS{CertFile: cert, KeyFile: key}, 1<<14 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, addr, log := lettersAt(t, c.scheme, c.tls)
			nc, err := transport.Dial(t.Context(), "letters://"+addr, transport.DialConfig{
				Schemes: []transport.Scheme{c.scheme}, TLS: &transport.ClientTLS{RootCAs: ca.Pool(), ServerName: "localhost"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
			hears := func(want string) {
				t.Helper()
				buf := make([]byte, 1<<16)
				if n, err := nc.Read(buf); err != nil || string(buf[:n]) != want {
					t.Fatalf("%q, %v, want %q", buf[:min(n, 10)], err, want)
				}
			}
			_, _ = nc.Write([]byte("a"))
			hears("a")
			_, _ = nc.Write([]byte("s"))
			hears("S")
			long := strings.Repeat("x", c.long)
			publishTo(t, b, long)
			publishTo(t, b, "first", long, "second")
			hears("first")
			hears("second")
			_, _ = nc.Write([]byte("p"))
			hears("P")
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d lines of the log say so:\n%s", n, log.String())
			}
		})
	}
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// deafReceiver takes nothing.
type deafReceiver struct{}

func (deafReceiver) Deliver(*message.Delivery) bool { return false }
func (deafReceiver) Flush()                         {}
func (deafReceiver) Close(broker.Reason)            {}
