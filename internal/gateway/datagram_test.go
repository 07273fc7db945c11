package gateway

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

// Whatever a batch brings, each frame is a datagram of its own.
func TestEachFrameIsADatagram(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "letters://127.0.0.1:0", transport.ListenConfig{
		Schemes: []transport.Scheme{{Name: "letters", Protocol: "letters", Network: "udp", Port: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{Broker: b, Open: func() Client { return new(letters) }})
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	wg.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	nc, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
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
	link, _, err := b.Attach(ctx, auth.Identity{}, broker.SessionOptions{ClientID: "publisher"}, deafReceiver{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Detach(broker.Farewell{})
	const flood = 50
	for range flood {
		if _, err := link.Publish(message.View{Topic: []byte("t"), Payload: []byte(strings.Repeat("x", 100))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := link.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range flood {
		buf := make([]byte, 1000)
		if n, err := nc.Read(buf); err != nil || n != 100 {
			t.Fatalf("datagram %d of the flood: %d bytes, %v", i, n, err)
		}
	}
}

// deafReceiver takes nothing.
type deafReceiver struct{}

func (deafReceiver) Deliver(*message.Delivery) bool { return false }
func (deafReceiver) Flush()                         {}
func (deafReceiver) Close(broker.Reason)            {}
