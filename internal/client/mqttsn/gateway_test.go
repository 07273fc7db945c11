package mqttsn

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/transport"
)

const patience = 20 * time.Second

// gateway is one that the test plays, on a socket of its own.
type gateway struct {
	t    *testing.T
	sock *net.UDPConn
	peer net.Addr
	seen map[string]bool // what has come, without DUP
	// forgiving skips what comes again: the repetitions of a slow test.
	forgiving bool
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	return &gateway{t: t, sock: sock, seen: map[string]bool{}}
}

func (g *gateway) url() string { return "mqttsn://" + g.sock.LocalAddr().String() }

// receive is the next datagram.
func (g *gateway) receive() string {
	g.t.Helper()
	buf := make([]byte, 1<<16)
	_ = g.sock.SetReadDeadline(time.Now().Add(patience))
	n, from, err := g.sock.ReadFrom(buf)
	if err != nil {
		g.t.Fatal(err)
	}
	g.peer = from
	return hex.EncodeToString(buf[:n])
}

// want expects these datagrams, one after the other.
func (g *gateway) want(words ...string) *gateway {
	g.t.Helper()
	for _, w := range words {
		w = strings.ReplaceAll(w, ".", "")
		got := g.receive()
		for g.forgiving && g.seen[got] && got != w {
			got = g.receive()
		}
		g.seen[got] = true
		if got != w {
			g.t.Fatalf("received %s, want %s", got, w)
		}
	}
	return g
}

// skip reads until a datagram has come: whatever else does is of no interest.
func (g *gateway) skip(to string) *gateway {
	g.t.Helper()
	for g.receive() != strings.ReplaceAll(to, ".", "") {
	}
	return g
}

func (g *gateway) send(words ...string) *gateway {
	g.t.Helper()
	for _, w := range words {
		if _, err := g.sock.WriteTo(unhex(g.t, w), g.peer); err != nil {
			g.t.Fatal(err)
		}
	}
	return g
}

// first makes 1 the first message identifier.
type first struct{}

func (first) Uint64() uint64 { return 0 }

func (g *gateway) options() Options {
	return Options{Rand: rand.New(first{}), Options: client.Options{
		ClientID: "d", CleanStart: true,
		Reconnect: client.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: time.Millisecond},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, g.url(), transport.DialConfig{Schemes: transport.MQTTSNSchemes()})
		},
	}}
}

// states collects what OnState says.
type states struct {
	mu  sync.Mutex
	all []client.StateKind
}

func (s *states) add(st client.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, st.Kind)
}

func (s *states) get() []client.StateKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

func start(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	return c
}

// connected is a client whose CONNECT g has answered.
func connected(t *testing.T, g *gateway, o Options) *Client {
	t.Helper()
	c := start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	g.want("07040401000064").send("030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return c
}

func async(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

func publish(t *testing.T, c *Client, m client.Message) <-chan client.Outcome {
	t.Helper()
	got := make(chan client.Outcome, 1)
	if err := c.Publish(t.Context(), m, func(o client.Outcome) { got <- o }); err != nil {
		t.Fatal(err)
	}
	return got
}

func disconnect(t *testing.T, g *gateway, c *Client) {
	t.Helper()
	result := async(func() error { return c.Disconnect(t.Context(), 0, nil) })
	g.want("0218").send("0218")
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}
