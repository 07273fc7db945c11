package gateway

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

// curt is a client whose every word is the last.
type curt struct{ Conn }

// Data implements Client.
func (c *curt) Data(context.Context, []byte) (rest []byte, want int, err error) {
	return nil, 0, &End{Why: "protocol", Err: io.ErrUnexpectedEOF}
}

// Deliver implements broker.Receiver.
func (c *curt) Deliver(*message.Delivery) bool { return true }

// LastWords implements Client.
func (c *curt) LastWords(*End) []byte { return []byte("enough") }

// A program that pipes its request into the connection ends its side at once.
func TestLastWordsReachAClientThatHasEndedItsSide(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{Broker: b, Open: func() Client { return new(curt) }})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	for range 300 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(nc, "x"); err != nil {
			t.Fatal(err)
		}
		if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(nc); string(got) != "enough" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		_ = nc.Close()
	}
}
