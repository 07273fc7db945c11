package gatewaytest

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// setting is what is special about a stage.
type setting struct {
	tls            bool
	readBytes      int // that many at most in one read of the gateway; 0: as they come
	connectTimeout time.Duration
}

// stage is a broker with the gateway in front.
type stage struct {
	s        Subject
	b        *broker.Broker
	l        transport.Listener
	dial     transport.DialConfig
	operator *broker.Link // publishes past the gateway
	watchers []*broker.Link
	devices  []*device
	cancel   context.CancelFunc
	done     chan error
	before   int // goroutines
}

// Clients that the stage knows by name.
const (
	stranger = "stranger" // is not let in
	muted    = "muted"    // may not publish
)

// doorman denies the stranger.
type doorman struct{}

func (doorman) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if c.ClientID == stranger {
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Method: "test", ClientID: c.ClientID, Username: c.Username}, auth.Allow, nil
}

// mute denies publishing to one topic.
type mute struct{ topic string }

func (m mute) Authorize(_ context.Context, _ *auth.Identity, act auth.Action, topic string) auth.Verdict {
	if act == auth.Publish && topic == m.topic {
		return auth.Deny
	}
	return auth.Allow
}

func open(t *testing.T, s Subject, set setting) *stage {
	t.Helper()
	st := &stage{s: s, done: make(chan error, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	st.cancel = cancel
	var err error
	cfg := broker.Config{SysInterval: -1, Authorizer: mute{s.Uplink(muted, "x").Topic}}
	if st.b, err = broker.New(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	g, err := s.New(t, Environment{Broker: st.b, Authenticator: doorman{}, ConnectTimeout: set.connectTimeout})
	if err != nil {
		t.Fatal(err)
	}
	st.before = runtime.NumGoroutine() // a handler that belongs to the test stays
	st.listen(ctx, t, set)
	go func() { st.done <- st.b.Run(ctx) }()
	go func() { st.done <- g.Serve(ctx, st.l) }()
	t.Cleanup(func() { st.hangUp(); st.close(t) })
	st.operator = st.attach(t, "operator", receiver{})
	return st
}

func (st *stage) listen(ctx context.Context, t *testing.T, set setting) {
	t.Helper()
	url, cfg := st.s.URL, transport.ListenConfig{Schemes: st.s.Schemes, MaxConnRate: -1}
	st.dial = transport.DialConfig{Schemes: st.s.Schemes}
	if set.tls {
		ca := transporttest.NewCA(t, "test authority")
		url = st.s.TLS
		cfg.TLS = &transport.ServerTLS{Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}}
		st.dial.TLS = &transport.ClientTLS{RootCAs: ca.Pool()}
	}
	var err error
	if set.readBytes == 0 {
		st.l, err = transport.Listen(ctx, url, cfg)
	} else {
		var inner net.Listener
		if inner, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			st.l, err = transport.NewListener(cutter{inner, set.readBytes}, url, cfg)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hangUp closes every device's connection.
func (st *stage) hangUp() {
	for _, d := range st.devices {
		_ = d.Close()
	}
}

// close ends the gateway and checks that nothing is left of it.
func (st *stage) close(t *testing.T) {
	t.Helper()
	if st.cancel == nil {
		return
	}
	for _, l := range append(st.watchers, st.operator) {
		l.Detach(broker.Farewell{})
	}
	st.cancel()
	st.cancel = nil
	for range 2 {
		select {
		case err := <-st.done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * Patience):
			t.Fatal("the gateway has not ended long after its context")
		}
	}
	st.hangUp()
	for range 100 {
		if runtime.NumGoroutine() <= st.before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), st.before, buf[:runtime.Stack(buf, true)])
}

// dialed is a connection to the gateway over which nothing has been said.
func (st *stage) dialed(t *testing.T) *device {
	t.Helper()
	nc, err := transport.Dial(t.Context(), st.l.URL(), st.dial)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(nc)
	st.devices = append(st.devices, d)
	return d
}

// dialRaw is for many connections, from any goroutine; the caller closes them.
func (st *stage) dialRaw() (net.Conn, error) {
	return transport.Dial(context.Background(), st.l.URL(), st.dial)
}

// connected is a client and its connection.
type connected struct {
	Client
	nc *device
	id string
}

func (st *stage) connect(t *testing.T, id string) connected {
	t.Helper()
	return st.connectWill(t, id, nil)
}

func (st *stage) connectWill(t *testing.T, id string, w *Will) connected {
	t.Helper()
	nc := st.dialed(t)
	return connected{st.s.Connect(t, nc, id, w), nc, id}
}

// receiver is what is attached to the broker itself; got is nil for those who
// only publish.
type receiver struct{ got chan Message }

func (r receiver) Deliver(d *message.Delivery) bool {
	r.got <- Message{d.Message.Topic, string(d.Message.Payload)}
	return true
}
func (r receiver) Flush()              {}
func (r receiver) Close(broker.Reason) {}

func (st *stage) attach(t *testing.T, id string, r receiver) *broker.Link {
	t.Helper()
	l, _, err := st.b.Attach(t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: "suite\x00" + id}, r)
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	return l
}

// watch subscribes to topics past the gateway.
func (st *stage) watch(t *testing.T, topics ...string) <-chan Message {
	t.Helper()
	r := receiver{make(chan Message, 2000)}
	l := st.attach(t, topics[0], r)
	st.watchers = append(st.watchers, l)
	for _, topic := range topics {
		if g := l.Subscribe([]broker.Subscription{{Filter: topic}}); g[0].Err != nil {
			t.Fatal(g[0].Err)
		}
	}
	return r.got
}

// watchUplink watches the uplinks of devices.
func (st *stage) watchUplink(t *testing.T, ids ...string) <-chan Message {
	t.Helper()
	var topics []string
	for _, id := range ids {
		if topic := st.s.Uplink(id, "x").Topic; !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return st.watch(t, topics...)
}

// publish is the operator's; it returns how many clients it has reached.
func (st *stage) publish(t *testing.T, m Message) int {
	t.Helper()
	n, err := st.operator.Publish(message.View{Topic: []byte(m.Topic), Payload: []byte(m.Payload)})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.operator.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// down publishes a downlink, as soon as somebody is there for it: not every
// protocol tells a device that it is logged in.
func (st *stage) down(t *testing.T, id, payload string) {
	t.Helper()
	m := st.s.Downlink(id, payload)
	Eventually(t, "somebody is subscribed to "+m.Topic, func() bool { return st.publish(t, m) > 0 })
}

// attached is how many devices the broker sees.
func (st *stage) attached() int {
	return int(st.b.Stats().Connected.Load()) - len(st.watchers) - 1 // the operator
}

// expect waits for an uplink.
func (st *stage) expect(t *testing.T, seen <-chan Message, id, payload string) {
	t.Helper()
	want := st.s.Uplink(id, payload)
	select {
	case got := <-seen:
		if got != want {
			t.Fatalf("the broker has seen %s on %q, want %s on %q", short(got.Payload), got.Topic, short(want.Payload), want.Topic)
		}
	case <-time.After(Patience):
		t.Fatalf("the broker has not seen %s on %q", short(want.Payload), want.Topic)
	}
}

// receives waits for a downlink.
func (c connected) receives(t *testing.T, payload string) {
	t.Helper()
	if got := c.Receive(); got != payload {
		t.Fatalf("%s has received %s, want %s", c.id, short(got), short(payload))
	}
}
