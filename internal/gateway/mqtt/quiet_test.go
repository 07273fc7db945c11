package mqtt

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

type anybody struct{}

func (anybody) Authenticate(context.Context, auth.Credentials) (auth.Identity, auth.Verdict, error) {
	return auth.Identity{}, auth.Allow, nil
}

// restless is a gateway that looks for quiet connections all the time.
type restless struct {
	t *testing.T
	g *Gateway
	l transport.Listener
}

func newRestless(t *testing.T) *restless {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Config{Authenticator: anybody{}}, b)
	if err != nil {
		t.Fatal(err)
	}
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

// connect sends a CONNECT of 3.1.1 and returns the connection.
func (r *restless) connect(id string, keepAlive byte) net.Conn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, keepAlive, 0, byte(len(id))}, id...)
	r.exchange(nc, append([]byte{byte(mqtt.TypeConnect) << 4, byte(len(body))}, body...), 4)
	return nc
}

// exchange sends a packet and reads n bytes.
func (r *restless) exchange(nc net.Conn, packet []byte, n int) []byte {
	r.t.Helper()
	if _, err := nc.Write(packet); err != nil {
		r.t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(nc, b); err != nil {
		r.t.Fatal(err)
	}
	return b
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

var ping, pong = []byte{0xc0, 0}, "\xd0\x00"

func TestQuietConnectionsRestAndWakeUp(t *testing.T) {
	r := newRestless(t)
	a, b := r.connect("a", 0), r.connect("b", 60)
	r.exchange(a, []byte{0x82, 6, 0, 1, 0, 1, 't', 0}, 5)
	for range 20 {
		r.waitResting(2)
		if got := r.exchange(b, ping, 2); string(got) != pong {
			t.Fatalf("answer to PINGREQ: %x", got)
		}
		if _, err := b.Write([]byte{0x30, 4, 0, 1, 't', '!'}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 6)
		if _, err := io.ReadFull(a, got); err != nil || string(got) != "\x30\x04\x00\x01t!" {
			t.Fatalf("delivery to a resting connection: %x, %v", got, err)
		}
	}
	r.waitResting(2)
	_ = a.Close()
	r.waitResting(1)
}

// A packet that comes in parts has no pause between them that matters.
func TestRestInTheMiddleOfAPacket(t *testing.T) {
	r := newRestless(t)
	nc := r.connect("a", 0)
	for range 20 {
		if _, err := nc.Write(ping[:1]); err != nil {
			t.Fatal(err)
		}
		r.waitResting(1)
		if got := r.exchange(nc, ping[1:], 2); string(got) != pong {
			t.Fatalf("answer to PINGREQ: %x", got)
		}
	}
}

func TestRestingConnectionsEndAsOthersDo(t *testing.T) {
	r := newRestless(t)
	silent, taken := r.connect("silent", 1), r.connect("taken", 0)
	r.waitResting(2)
	other := r.connect("taken", 0)
	for name, nc := range map[string]net.Conn{"keep alive": silent, "take-over": taken} {
		if n, err := nc.Read(make([]byte, 1)); err == nil || n > 0 {
			t.Errorf("%s: %d bytes, %v, want the end", name, n, err)
		}
	}
	r.waitResting(1)
	if got := r.exchange(other, ping, 2); string(got) != pong {
		t.Errorf("answer to PINGREQ: %x", got)
	}
}

// Traffic at the pace of the sweep meets every moment of it.
func TestSweepDisturbsNobody(t *testing.T) {
	r := newRestless(t)
	var wg sync.WaitGroup
	for i := range 8 {
		nc := r.connect(string(rune('a'+i)), byte(i%2)*60)
		wg.Go(func() {
			for n := range 200 {
				time.Sleep(time.Duration(n*(i+1)%9) * time.Millisecond)
				if _, err := nc.Write(ping); err != nil {
					t.Error(err)
					return
				}
				got := make([]byte, 2)
				if _, err := io.ReadFull(nc, got); err != nil || string(got) != pong {
					t.Errorf("answer to PINGREQ: %x, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
