package gateway

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

// letters is a client of a protocol of single letters: the first names it, with
// a keep alive of a second if it is a capital, and is repeated as the answer. p is
// answered by P, after which s subscribes to t and m publishes m there; that
// arrives as it is.
type letters struct {
	Conn
}

// Data implements Client.
func (c *letters) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	for i, b := range data {
		l := c.Link()
		switch {
		case l == nil:
			id := string(b)
			l, _, err := c.Broker().Attach(ctx, auth.Identity{}, broker.SessionOptions{ClientID: id}, c)
			if err != nil {
				return nil, 0, err
			}
			if err := c.Accept(l, []byte(id)); err != nil {
				return nil, 0, err
			}
			if b < 'a' {
				c.KeepAlive(time.Second)
			} else {
				c.KeepAlive(0)
			}
		case b == '(':
			if i+1 == len(data) {
				return data[i:], 2, nil
			}
		case b == ')', b == 'p':
			c.Answer([]byte("P"))
		case b == 's':
			l.Subscribe([]broker.Subscription{{Filter: "t"}})
			c.Answer([]byte("S"))
		case b == 'm':
			if _, err := l.Publish(message.View{Topic: []byte("t"), Payload: []byte("m")}); err != nil {
				return nil, 0, err
			}
		}
	}
	return nil, 0, nil
}

// Deliver implements broker.Receiver.
func (c *letters) Deliver(d *message.Delivery) bool {
	return c.Append(func(dst []byte) []byte {
		if string(d.Message.Payload) == "!" {
			panic("unspeakable")
		}
		return append(dst, d.Message.Payload...)
	})
}

// LastWords implements Client.
func (c *letters) LastWords(*End) []byte { return nil }

// restless is a server that looks for quiet connections all the time.
type restless struct {
	t *testing.T
	g *Server
	l transport.Listener
}

func newRestless(t *testing.T) *restless {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g := NewServer(ServerConfig{Broker: b, Open: func() Client { return new(letters) }})
	g.sweepEvery = 2 * time.Millisecond
	l, err := transport.Listen(ctx, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	wg.Go(func() {
		if err := g.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return &restless{t, g, l}
}

// connect returns a connection of that name.
func (r *restless) connect(id string) net.Conn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if got := r.exchange(nc, id); got != id {
		r.t.Fatalf("answer to %s: %q", id, got)
	}
	return nc
}

// exchange sends what and reads one letter.
func (r *restless) exchange(nc net.Conn, what string) string {
	r.t.Helper()
	if _, err := io.WriteString(nc, what); err != nil {
		r.t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(nc, b); err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// waitResting waits until n connections have given way to smaller goroutines.
func (r *restless) waitResting(n int) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		have := 0
		r.g.mu.Lock()
		for c := range r.g.conns {
			if c.quiet.state.Load() == resting {
				have++
			}
		}
		r.g.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%d of %d connections rest", have, n)
		}
	}
}

func TestQuietConnectionsRestAndWakeUp(t *testing.T) {
	r := newRestless(t)
	a, b := r.connect("a"), r.connect("b")
	r.exchange(a, "s")
	for range 20 {
		r.waitResting(2)
		if got := r.exchange(b, "p"); got != "P" {
			t.Fatalf("answer %q", got)
		}
		if _, err := io.WriteString(b, "m"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1)
		if _, err := io.ReadFull(a, got); err != nil || string(got) != "m" {
			t.Fatalf("delivery to a resting connection: %q, %v", got, err)
		}
	}
	r.waitResting(2)
	_ = a.Close()
	r.waitResting(1)
}

// A frame that comes in parts has no pause between them that matters.
func TestRestInTheMiddleOfAFrame(t *testing.T) {
	r := newRestless(t)
	nc := r.connect("a")
	for range 20 {
		if _, err := io.WriteString(nc, "("); err != nil {
			t.Fatal(err)
		}
		r.waitResting(1)
		if got := r.exchange(nc, ")"); got != "P" {
			t.Fatalf("answer %q", got)
		}
	}
}

func TestRestingConnectionsEndAsOthersDo(t *testing.T) {
	r := newRestless(t)
	silent, taken := r.connect("S"), r.connect("t")
	r.waitResting(2)
	other := r.connect("t")
	for name, nc := range map[string]net.Conn{"keep alive": silent, "take-over": taken} {
		if n, err := nc.Read(make([]byte, 1)); err == nil || n > 0 {
			t.Errorf("%s: %d bytes, %v, want the end", name, n, err)
		}
	}
	r.waitResting(1)
	if got := r.exchange(other, "p"); got != "P" {
		t.Errorf("answer %q", got)
	}
}

// Traffic at the pace of the sweep meets every moment of it.
func TestSweepDisturbsNobody(t *testing.T) {
	r := newRestless(t)
	var wg sync.WaitGroup
	for i := range 8 {
		nc := r.connect(string(rune('a' + i)))
		wg.Go(func() {
			for n := range 200 {
				time.Sleep(time.Duration(n*(i+1)%9) * time.Millisecond)
				if _, err := io.WriteString(nc, "p"); err != nil {
					t.Error(err)
					return
				}
				got := make([]byte, 1)
				if _, err := io.ReadFull(nc, got); err != nil || string(got) != "P" {
					t.Errorf("answer %q, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
