package iottext_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"

	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// site is a broker with the gateway, on a free port.
type site struct {
	t    testing.TB
	addr string
	b    *broker.Broker
	stop func()
}

// start serves until the test ends.
func start(t testing.TB, bc broker.Config, gc gw.Config) site {
	t.Helper()
	if gc.Authenticator == nil {
		gc.Authenticator = gatewaytest.Everybody{}
	}
	l, err := transport.Listen(t.Context(), "text://127.0.0.1:0", transport.ListenConfig{Name: "typed", Schemes: transport.TextSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	b, _, stop := gatewaytest.Serve(t, l, bc, func(b *broker.Broker) (*gw.Gateway, error) { return gw.New(gc, b) })
	return site{t, l.Addr().String(), b, stop}
}

// terminal is a client that types.
type terminal struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (s site) dial() *terminal {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	return &terminal{s.t, nc, bufio.NewReader(nc)}
}

// device is a client that has been let in.
func (s site) device(id string) *terminal {
	s.t.Helper()
	c := s.dial()
	c.typed("START | COMMAND=ID | ID=" + id + " | END")
	c.reads(ok)
	return c
}

const ok = "START | COMMAND=OK | END"

func bad(reason string) string { return "START | COMMAND=BAD | REASON=" + reason + " | END" }

func closed(reason string) string { return "START | COMMAND=CLOSE | REASON=" + reason + " | END" }

// typed sends lines.
func (c *terminal) typed(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, strings.Join(lines, "\n")+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// line is the next line that comes.
func (c *terminal) line() string {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read %q: %v", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// reads compares what comes next with the lines that have to.
func (c *terminal) reads(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.line(); got != want {
			c.t.Fatalf("read %q, want %q", got, want)
		}
	}
}

// does types a line and compares the answer.
func (c *terminal) does(line, answer string) {
	c.t.Helper()
	c.typed(line)
	if got := c.line(); got != answer {
		c.t.Fatalf("%q was answered %q, want %q", line, got, answer)
	}
}

// ended compares the last lines, and waits for the end of the connection.
func (c *terminal) ended(lines ...string) {
	c.t.Helper()
	c.reads(lines...)
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	if s, err := c.r.ReadString('\n'); !errors.Is(err, io.EOF) {
		c.t.Fatalf("read %q, %v, want the end", s, err)
	}
	_ = c.nc.Close()
}

// inside is a client of the broker, like one of another protocol.
type inside struct {
	t    testing.TB
	got  chan message.Message
	link *broker.Link
}

func (i inside) Deliver(d *message.Delivery) bool {
	m := *d.Message
	m.Payload = append([]byte(nil), m.Payload...)
	i.got <- m
	return true
}
func (inside) Flush()              {}
func (inside) Close(broker.Reason) {}

func (s site) attach(id string, filters ...string) inside {
	s.t.Helper()
	i := inside{t: s.t, got: make(chan message.Message, 100)}
	l, _, err := s.b.Attach(s.t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: id}, i)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Detach(broker.Farewell{}) })
	l.Start()
	i.link = l
	for _, f := range filters {
		if g := l.Subscribe([]broker.Subscription{{Filter: f, RetainAsPublished: true}}); g[0].Err != nil {
			s.t.Fatal(g[0].Err)
		}
	}
	l.Ready()
	if err := l.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return i
}

func (i inside) publish(topic, payload string, retain bool) {
	i.t.Helper()
	_, err := i.link.Publish(message.View{Topic: []byte(topic), Payload: []byte(payload), Retain: retain})
	if err := errors.Join(err, i.link.Commit(i.t.Context())); err != nil {
		i.t.Fatal(err)
	}
}

func (i inside) receives(topic, payload string) message.Message {
	i.t.Helper()
	select {
	case m := <-i.got:
		if m.Topic != topic || string(m.Payload) != payload {
			i.t.Fatalf("received %q on %q, want %q on %q", m.Payload, m.Topic, payload, topic)
		}
		return m
	case <-time.After(patience):
		i.t.Fatalf("%q has not come on %q", payload, topic)
		return message.Message{}
	}
}
