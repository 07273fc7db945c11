package exproto_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// until waits for something to become true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// doorman lets everybody in but those with the password "wrong"; a user name
// becomes the identity.
type doorman struct{}

func (doorman) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	switch string(c.Password) {
	case "wrong":
		return auth.Identity{}, auth.Deny, nil
	case "later":
		return auth.Identity{}, auth.Deny, &auth.Pending{Code: "48-21"}
	case "broken":
		return auth.Identity{}, auth.Ignore, errors.New("the database is on fire")
	}
	return auth.Identity{Name: c.Username, Username: c.Username, Method: "test"}, auth.Allow, nil
}

// denies is an authorizer that knows one topic.
type denies string

func (d denies) Authorize(_ context.Context, _ *auth.Identity, _ auth.Action, topic string) auth.Verdict {
	if topic == string(d) {
		return auth.Deny
	}
	return auth.Allow
}

// logs keeps what is logged.
type logs struct{ gatewaytest.Journal }

func (l *logs) count(part string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// site is a broker with the gateway, and a handler.
type site struct {
	t    testing.TB
	b    *broker.Broker
	g    *exproto.Gateway
	l    transport.Listener
	url  string
	h    *handler // nil: there is none
	log  *logs
	stop func() // ends the gateway and waits
}

// options of a site.
type options struct {
	broker  broker.Config
	gateway exproto.Config
	listen  transport.ListenConfig
	url     string   // "": exproto://127.0.0.1:0
	handler *handler // nil: one that answers everything
	nobody  bool     // there is no handler, and the address is the configuration's
}

func start(t testing.TB, o options) *site {
	t.Helper()
	s := &site{t: t, log: &logs{}}
	gc := &o.gateway
	if gc.Authenticator == nil {
		gc.Authenticator = doorman{}
	}
	if gc.Adapter.Address == "" {
		gc.Adapter.Address = "http://127.0.0.1:0"
	}
	gc.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if !o.nobody {
		if s.h = o.handler; s.h == nil {
			s.h = &handler{}
		}
		addr := s.h.serve(t, "127.0.0.1:0")
		if gc.Handler.Address == "" {
			gc.Handler.Address = "http://" + addr
		}
	}
	if o.url == "" {
		o.url = "exproto://127.0.0.1:0"
	}
	o.listen.Schemes = exproto.Schemes()
	var err error
	if s.l, err = transport.Listen(t.Context(), o.url, o.listen); err != nil {
		t.Fatal(err)
	}
	s.url = s.l.URL()
	s.b, s.g, s.stop = gatewaytest.Serve(t, s.l, o.broker, func(b *broker.Broker) (*exproto.Gateway, error) { return exproto.New(*gc, b) })
	until(t, "the adapter is open", func() bool { return s.g.AdapterURL() != "" })
	if s.h != nil {
		s.h.connect(t, s.g.AdapterURL())
	}
	return s
}

func hostOf(t testing.TB, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// device connects to the listener.
func (s *site) device() *device {
	s.t.Helper()
	nc, err := net.Dial("tcp", hostOf(s.t, s.url))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	return &device{s.t, nc}
}

type device struct {
	t  testing.TB
	nc net.Conn
}

func (d *device) send(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.nc, text); err != nil {
		d.t.Fatal(err)
	}
}

// expect reads exactly that.
func (d *device) expect(text string) {
	d.t.Helper()
	_ = d.nc.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, len(text))
	if n, err := io.ReadFull(d.nc, b); err != nil || string(b) != text {
		d.t.Fatalf("received %q, %v, want %q", b[:n], err, text)
	}
}

// closed reads until the gateway has closed the connection.
func (d *device) closed() string {
	d.t.Helper()
	_ = d.nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(d.nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Fatal("the connection is still open")
	}
	_ = d.nc.Close()
	return string(b)
}

// watcher is a client of the broker itself.
type watcher struct {
	got  chan *message.Message
	link *broker.Link
}

func (w *watcher) Deliver(d *message.Delivery) bool {
	m := *d.Message
	m.Payload = bytes.Clone(m.Payload)
	w.got <- &m
	return true
}
func (*watcher) Flush()              {}
func (*watcher) Close(broker.Reason) {}

func (s *site) watch(filter string) *watcher {
	s.t.Helper()
	w := &watcher{got: make(chan *message.Message, 5000)}
	var err error
	if w.link, _, err = s.b.Attach(s.t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: "watcher " + filter}, w); err != nil {
		s.t.Fatal(err)
	}
	w.link.Start()
	if g := w.link.Subscribe([]broker.Subscription{{Filter: filter}}); g[0].Err != nil {
		s.t.Fatal(g[0].Err)
	}
	return w
}

func (w *watcher) next(t *testing.T) *message.Message {
	t.Helper()
	select {
	case m := <-w.got:
		return m
	case <-time.After(patience):
		t.Fatal("nothing was published")
	}
	return nil
}

// expect wants that message to be the next.
func (w *watcher) expect(t *testing.T, topic, payload string) {
	t.Helper()
	if m := w.next(t); m.Topic != topic || string(m.Payload) != payload {
		t.Fatalf("published %q on %q, want %q on %q", m.Payload, m.Topic, payload, topic)
	}
}

// publish is what an MQTT client does.
func (s *site) publish(topic, payload string, qos uint8) {
	s.t.Helper()
	if _, err := s.b.Publish(s.t.Context(), message.View{Topic: []byte(topic), Payload: []byte(payload), QoS: qos}, "mqtt client"); err != nil {
		s.t.Fatal(err)
	}
}

// dialAdapter is what handlers do.
func dialAdapter(t testing.TB, adapterURL string, o ...grpc.DialOption) pb.ConnectionAdapterClient {
	t.Helper()
	if len(o) == 0 {
		o = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	cc, err := grpc.NewClient(hostOf(t, adapterURL), o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return pb.NewConnectionAdapterClient(cc)
}

func retained(topic, payload string) message.View {
	return message.View{Topic: []byte(topic), Payload: []byte(payload), Retain: true}
}

type panicking struct{}

func (panicking) Authenticate(context.Context, auth.Credentials) (auth.Identity, auth.Verdict, error) {
	panic("of the test")
}
