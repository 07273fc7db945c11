package gateway

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// interrupted is a client for which something else happens at a certain moment.
type interrupted struct {
	Conn
	data     func(*interrupted) error
	deadline func(*interrupted) // the first time
	said     int
}

func (c *interrupted) Data(context.Context, []byte) ([]byte, int, error) { return nil, 0, c.data(c) }
func (c *interrupted) Deliver(*message.Delivery) bool                    { return false }
func (c *interrupted) LastWords(*End) []byte                             { return []byte("bye") }
func (c *interrupted) Said([]byte)                                       { c.said++ }

// attach returns a link for c.
func (c *interrupted) attach() (*broker.Link, error) {
	l, _, err := c.Broker().Attach(context.Background(), auth.Identity{}, broker.SessionOptions{ClientID: "c"}, c)
	return l, err
}

// watching is one with deadlines of its own.
type watching struct{ interrupted }

func (c *watching) Deadline(time.Time) time.Time {
	if f := c.deadline; f != nil {
		c.deadline = nil
		f(&c.interrupted)
	}
	return time.Time{}
}
func (c *watching) Expired(context.Context) error { return nil }

// endsInTime serves one client that never closes its side, and reports whether
// its connection ends although the server goes on.
func endsInTime(t *testing.T, client Client) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		inner := transporttest.NewPipeListener()
		l, err := transport.NewListener(inner, "mqtt://127.0.0.1:0", transport.ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		b, err := broker.New(ctx, broker.Config{SysInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		s := NewServer(ServerConfig{Broker: b, Open: func() Client { return client }})
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.Run(ctx) })
		wg.Go(func() { _ = s.Serve(ctx, l) })
		nc, err := inner.Dial()
		if err != nil {
			t.Fatal(err)
		}
		go func(nc net.Conn) { _, _ = nc.Write([]byte("x")) }(nc)
		time.Sleep(time.Minute)
		s.mu.Lock()
		open := len(s.conns)
		s.mu.Unlock()
		if open > 0 {
			t.Error("the connection is still there")
		}
		_ = nc.Close()
		cancel()
		wg.Wait()
	})
}

func TestTakenOverBeforeTheKeepAliveIsKnown(t *testing.T) {
	endsInTime(t, &interrupted{data: func(c *interrupted) error {
		l, err := c.attach()
		if err != nil {
			return err
		}
		if err := c.Accept(l, nil); err != nil {
			return err
		}
		c.Close(broker.ReasonTakenOver) // by another goroutine
		c.KeepAlive(0)
		return nil
	}})
}

// TestAnswerComesBeforeWhateverEndsTheConnection: who sees the link finds the
// answer in front of what it says.
func TestAnswerComesBeforeWhateverEndsTheConnection(t *testing.T) {
	endsInTime(t, &interrupted{data: func(c *interrupted) error {
		l, err := c.attach()
		if err != nil {
			return err
		}
		accepted := make(chan error)
		c.w.mu.Lock() // the answer has to wait
		go func() { accepted <- c.Accept(l, []byte("answer")) }()
		for tries := 0; tries < 1000; runtime.Gosched() {
			if c.Link() != nil {
				t.Error("Close could overtake the answer")
				break
			}
			if c.using.TryLock() { // not there yet
				c.using.Unlock()
			} else {
				tries++
			}
		}
		c.w.mu.Unlock()
		if err := <-accepted; err != nil {
			return err
		}
		c.Close(broker.ReasonTakenOver)
		return nil
	}})
}

// TestLastWordsAreSaidOnce, although two have some.
func TestLastWordsAreSaidOnce(t *testing.T) {
	client := &interrupted{data: func(c *interrupted) error {
		l, err := c.attach()
		if err != nil {
			return err
		}
		if err := c.Accept(l, nil); err != nil {
			return err
		}
		c.Close(broker.ReasonTakenOver) // by another goroutine
		return &End{Why: "protocol"}
	}}
	endsInTime(t, client)
	if client.said != 1 {
		t.Errorf("%d last words are counted", client.said)
	}
}

// Another goroutine gives the connection its link while a third one ends it.
func TestEndWhileAcceptIsUnderWay(t *testing.T) {
	endsInTime(t, &watching{interrupted{
		data: func(*interrupted) error { return nil },
		deadline: func(c *interrupted) {
			l, err := c.attach()
			if err != nil {
				t.Error(err)
			}
			c.End("idle", nil)
			if c.Accept(l, nil) == nil {
				t.Error("accepted")
			}
		},
	}})
}
