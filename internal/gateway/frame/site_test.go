package frame_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/iotctl/iotctl/internal/gateway/frame"
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
	g    *frame.Gateway
	l    transport.Listener
	log  *gatewaytest.Journal
	stop func()
}

// start serves a codec until the test ends.
func start(t testing.TB, codec string, c frame.Config, bc broker.Config) *site {
	t.Helper()
	return listen(t, "frame://127.0.0.1:0/"+codec, transport.ListenConfig{}, c, bc)
}

func listen(t testing.TB, url string, lc transport.ListenConfig, c frame.Config, bc broker.Config) *site {
	t.Helper()
	lc.Schemes, lc.MaxConnRate = frame.Schemes(), -1
	l, err := transport.Listen(t.Context(), url, lc)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, c, bc)
}

func serveOn(t testing.TB, l transport.Listener, c frame.Config, bc broker.Config) *site {
	t.Helper()
	s := &site{t: t, addr: l.Addr().String(), l: l, log: &gatewaytest.Journal{}}
	if c.Authenticator == nil {
		c.Authenticator = gatewaytest.Everybody{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s.b, s.g, s.stop = gatewaytest.Serve(t, l, bc, func(b *broker.Broker) (*frame.Gateway, error) { return frame.New(c, b) })
	return s
}

// device is the other end of a connection.
type device struct {
	t  testing.TB
	nc net.Conn
}

func (s *site) dial() device {
	s.t.Helper()
	nc, err := net.Dial(s.l.Scheme().Network, s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	return device{s.t, nc}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (d device) send(hexes string) { d.t.Helper(); d.write(unhex(d.t, hexes)) }

func (d device) say(text string) { d.t.Helper(); d.write([]byte(text)) }

func (d device) write(b []byte) {
	d.t.Helper()
	_ = d.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := d.nc.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

func hexString(b []byte) string { return hex.EncodeToString(b) }

// cutSlash takes codec/device apart.
func cutSlash(s string) (codec, device string, ok bool) { return strings.Cut(s, "/") }

// read fills b.
func (d device) read(b []byte) {
	d.t.Helper()
	_ = d.nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(d.nc, b); err != nil {
		d.t.Fatal(err)
	}
}

// drain reads until the connection is closed.
func (d device) drain() { _, _ = io.Copy(io.Discard, d.nc) }

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
		d.t.Errorf("got %x before the end, want %x", got, want)
	}
	_ = d.nc.Close()
}

// seen is a message at the broker.
type seen struct {
	topic, payload string
	qos            uint8
}

// observer is a client of the broker that sees everything that is published.
type observer struct {
	t    testing.TB
	link *broker.Link
	got  chan seen
}

func (o *observer) Deliver(d *message.Delivery) bool {
	o.got <- seen{d.Message.Topic, string(d.Message.Payload), d.QoS}
	return true
}
func (*observer) Flush()              {}
func (*observer) Close(broker.Reason) {}

func (s *site) observe(filter string) *observer {
	s.t.Helper()
	o := &observer{t: s.t, got: make(chan seen, 10_000)}
	link, _, err := s.b.Attach(s.t.Context(), auth.Identity{ClientID: "observer"}, broker.SessionOptions{ClientID: "observer", CleanStart: true}, o)
	if err != nil {
		s.t.Fatal(err)
	}
	link.Start()
	if g := link.Subscribe([]broker.Subscription{{Filter: filter}}); g[0].Err != nil {
		s.t.Fatal(g[0].Err)
	}
	if err := link.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	o.link = link
	s.t.Cleanup(func() { link.Detach(broker.Farewell{}) })
	return o
}

// durable leaves a session behind whose messages have to be stored.
func (s *site) durable(filter string) {
	s.t.Helper()
	link, _, err := s.b.Attach(s.t.Context(), auth.Identity{ClientID: "durable"}, broker.SessionOptions{ClientID: "durable", Expiry: time.Hour}, &observer{})
	if err != nil {
		s.t.Fatal(err)
	}
	link.Start()
	if g := link.Subscribe([]broker.Subscription{{Filter: filter, QoS: 1}}); g[0].Err != nil {
		s.t.Fatal(g[0].Err)
	}
	if err := link.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	link.Detach(broker.Farewell{})
}

// publish sends a downlink and returns how many it has reached.
func (o *observer) publish(topic, payload string) int {
	o.t.Helper()
	n, err := o.link.Publish(message.View{Topic: []byte(topic), Payload: []byte(payload)})
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.link.Commit(context.Background()); err != nil {
		o.t.Fatal(err)
	}
	return n
}

func (o *observer) next() seen {
	o.t.Helper()
	select {
	case got := <-o.got:
		return got
	case <-time.After(patience):
		o.t.Fatal("nothing was published")
		panic("unreachable")
	}
}

// wants is the next message; want is JSON whose members it must have, or its
// whole payload if that is no JSON.
func (o *observer) wants(topic, want string) {
	o.t.Helper()
	got := o.next()
	if got.topic != topic {
		o.t.Fatalf("published on %q: %.200s, want %q", got.topic, got.payload, topic)
	}
	if err := holds(got.payload, want); err != nil {
		o.t.Fatalf("%s: %v in %.500s", topic, err, got.payload)
	}
}

// nothing fails if something has been published before now.
func (o *observer) nothing() {
	o.t.Helper()
	o.publish("marker", "now")
	o.wants("marker", "now")
}

// holds checks that got has what want has.
func holds(got, want string) error {
	var g, w any
	if json.Unmarshal([]byte(want), &w) != nil {
		if got != want {
			return fmt.Errorf("want %q", want)
		}
		return nil
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return err
	}
	return includes(g, w, "")
}

func includes(got, want any, path string) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v", path, got)
		}
		for k, v := range w {
			if err := includes(g[k], v, path+"."+k); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%s is %v", path, got)
		}
		for i, v := range w {
			if err := includes(g[i], v, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if got != want {
		return fmt.Errorf("%s is %v, want %v", path, got, want)
	}
	return nil
}
