package emqtcp_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// site is a broker with the gateway, on a free port.
type site struct {
	t    testing.TB
	addr string
	b    *broker.Broker
	g    *emqtcp.Gateway
	l    transport.Listener
	log  *gatewaytest.Journal
	stop func()
}

// start serves until the test ends.
func start(t testing.TB, c emqtcp.Config, bc broker.Config) *site {
	t.Helper()
	l, err := transport.Listen(t.Context(), "emqtcp://127.0.0.1:0", transport.ListenConfig{Schemes: transport.EMQTCPSchemes(), MaxConnRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, c, bc, l)
}

func serveOn(t testing.TB, c emqtcp.Config, bc broker.Config, l transport.Listener) *site {
	t.Helper()
	s := &site{t: t, addr: l.Addr().String(), l: l, log: &gatewaytest.Journal{}}
	if c.Authenticator == nil {
		c.Authenticator = gatewaytest.Everybody{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s.b, s.g, s.stop = gatewaytest.Serve(t, l, bc, func(b *broker.Broker) (*emqtcp.Gateway, error) { return emqtcp.New(c, b) })
	return s
}

// device is the other end of a connection.
type device struct {
	t  testing.TB
	nc net.Conn
}

func (s *site) dial() device {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	return device{s.t, nc}
}

// accepted is the answer to a good login.
const accepted = "20 0014 436f6e6e656374205375636365737366756c6c79"

// login connects as clientID without credentials.
func (s *site) login(clientID string) device {
	s.t.Helper()
	d := s.dial()
	d.write(connectAs(clientID, 0))
	d.wants(accepted)
	return d
}

func connectAs(clientID string, keepAlive byte) []byte {
	n := 3 + len(clientID)
	b := []byte{0x11, byte(n >> 8), byte(n), keepAlive, byte(len(clientID) >> 8), byte(len(clientID))}
	return append(b, clientID...)
}

func data(payload string) []byte {
	return append([]byte{0x30, byte(len(payload) >> 8), byte(len(payload))}, payload...)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (d device) send(hexes string) { d.t.Helper(); d.write(unhex(d.t, hexes)) }

func (d device) write(b []byte) {
	d.t.Helper()
	_ = d.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := d.nc.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

// wants reads as many bytes as these and compares them.
func (d device) wants(hexes string) { d.t.Helper(); d.wantsBytes(unhex(d.t, hexes)) }

func (d device) wantsBytes(want []byte) {
	d.t.Helper()
	got := make([]byte, len(want))
	_ = d.nc.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.ReadFull(d.nc, got); err != nil || !bytes.Equal(got, want) {
		d.t.Fatalf("got %.100x, %v, want %.100x", got[:n], err, want)
	}
}

// closed reads to the end, which must come, and fails if there is more than
// hexes before it. The end may be a reset: unread input makes it one.
func (d device) closed(hexes string) {
	d.t.Helper()
	_ = d.nc.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(d.nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Fatalf("still open after %x", got)
	}
	if want := unhex(d.t, hexes); !bytes.Equal(got, want) {
		d.t.Errorf("got %q before the end, want %q", got, want)
	}
	_ = d.nc.Close()
}

// observer is a client of the broker that sees everything that is published.
type observer struct {
	t    testing.TB
	link *broker.Link
	got  chan string
}

func (o *observer) Deliver(d *message.Delivery) bool {
	m := d.Message
	text := m.Topic + " " + string(m.Payload)
	if d.QoS > 0 || d.Retain {
		text += " (QoS or retained)"
	}
	o.got <- text
	return true
}
func (*observer) Flush()              {}
func (*observer) Close(broker.Reason) {}

func (s *site) observe(filter string) *observer {
	s.t.Helper()
	o := &observer{t: s.t, got: make(chan string, 10_000)}
	link, _, err := s.b.Attach(s.t.Context(), auth.Identity{ClientID: "observer"}, broker.SessionOptions{ClientID: "observer", CleanStart: true}, o)
	if err != nil {
		s.t.Fatal(err)
	}
	link.Start()
	if g := link.Subscribe([]broker.Subscription{{Filter: filter, QoS: 2}}); g[0].Err != nil {
		s.t.Fatal(g[0].Err)
	}
	if err := link.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	o.link = link
	s.t.Cleanup(func() { link.Detach(broker.Farewell{}) })
	return o
}

// publish sends a downlink.
func (o *observer) publish(topic, payload string) {
	o.t.Helper()
	o.publishAs(message.View{Topic: []byte(topic), Payload: []byte(payload)})
}

func (o *observer) publishAs(v message.View) {
	o.t.Helper()
	if _, err := o.link.Publish(v); err != nil {
		o.t.Fatal(err)
	}
	if err := o.link.Commit(context.Background()); err != nil {
		o.t.Fatal(err)
	}
}

// wants is the next message.
func (o *observer) wants(want string) {
	o.t.Helper()
	select {
	case got := <-o.got:
		if got != want {
			o.t.Fatalf("got %.100q, want %.100q", got, want)
		}
	case <-time.After(patience):
		o.t.Fatalf("no %.100q", want)
	}
}

// nothing fails if something has been published before now.
func (o *observer) nothing() {
	o.t.Helper()
	o.publish("marker", "now")
	o.wants("marker now")
}
