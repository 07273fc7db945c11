package exproto_test

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/exproto"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bearer adds a token to every call.
func bearer(token string) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
		return invoke(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), method, req, reply, cc, o...)
	}
}

func TestWhatTheHandlerLearnsOfAConnection(t *testing.T) {
	s := start(t, options{})
	d := s.device()
	e := s.h.wait(t, "created", 1)
	local := d.nc.LocalAddr().(*net.TCPAddr)
	remote := d.nc.RemoteAddr().(*net.TCPAddr)
	i := e.info
	if i.Socktype != pb.SocketType_TCP || i.Peercert != nil ||
		i.Peername.Host != "127.0.0.1" || i.Peername.Port != uint32(local.Port) ||
		i.Sockname.Host != "127.0.0.1" || i.Sockname.Port != uint32(remote.Port) {
		t.Errorf("%v", i)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(e.conn) {
		t.Errorf("conn %q", e.conn)
	}
	_ = d.nc.Close()
	s.h.wait(t, "closed", 1)
	// Before it is authenticated it has a name for the log.
	until(t, "the end is logged", func() bool { return s.log.count("client=exproto-anonymous-127.0.0.1-") > 0 })
}

func TestWhatTheHandlerLearnsOfAMessage(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{Node: "node-1"}, handler: &handler{do: func(h *handler, e told) error {
		if e.what == "bytes" {
			return errors.Join(h.login(e.conn, e.bytes), h.subscribe(e.conn, "t", 0))
		}
		return nil
	}}})
	d := s.device()
	d.send("dev")
	until(t, "it is subscribed", func() bool { return s.b.Stats().Subscriptions.Load() == 1 })
	before := time.Now().UnixMilli()
	s.publish("t", "x", 2) // above the QoS of the subscription
	m := s.h.wait(t, "messages", 1).messages[0]
	if m.Node != "node-1" || m.Qos != 2 || m.From != "mqtt client" || m.Topic != "t" || string(m.Payload) != "x" ||
		!regexp.MustCompile("^[0-9a-f]{32}$").MatchString(m.Id) || int64(m.Timestamp) < before {
		t.Errorf("%v", m)
	}
	if err := s.h.publish(s.h.wait(t, "created", 1).conn, "t", "mine"); err != nil {
		t.Fatal(err)
	}
	if m := s.h.wait(t, "messages", 2).messages[0]; m.From != "dev" || m.Qos != 1 {
		t.Errorf("%v", m)
	}
	if r, err := s.h.adapter.RawPublish(t.Context(), &pb.RawPublishRequest{Topic: "t"}); err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
	if m := s.h.wait(t, "messages", 3).messages[0]; m.From != "exproto" {
		t.Errorf("%v", m)
	}
}

func TestRetainedMessagesComeOncePerSubscription(t *testing.T) {
	s := start(t, options{})
	if _, err := s.b.Publish(t.Context(), retained("t", "kept"), "p"); err != nil {
		t.Fatal(err)
	}
	s.device()
	conn := s.h.wait(t, "created", 1).conn
	if err := errors.Join(s.h.login(conn, "dev"), s.h.subscribe(conn, "t", 1)); err != nil {
		t.Fatal(err)
	}
	if m := s.h.wait(t, "messages", 1).messages[0]; string(m.Payload) != "kept" {
		t.Errorf("%v", m)
	}
	if err := s.h.subscribe(conn, "t", 0); err != nil {
		t.Fatal(err)
	}
	s.publish("t", "new", 0)
	if m := s.h.wait(t, "messages", 2).messages[0]; string(m.Payload) != "new" {
		t.Errorf("%v", m)
	}
}

func TestMountpointBothWays(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    exproto.Config
		client string // that the handler gives
		prefix string
	}{
		"none":                         {},
		"of the handler, ignored":      {exproto.Config{}, "mine/", ""},
		"of the handler":               {exproto.Config{AllowClientMountpoint: true}, "mine/", "mine/"},
		"of the configuration":         {exproto.Config{Mountpoint: "site/"}, "", "site/"},
		"of the configuration, first":  {exproto.Config{Mountpoint: "site/", AllowClientMountpoint: true}, "mine/", "site/"},
		"with the device":              {exproto.Config{Mountpoint: "${username}/${clientid}/"}, "", "u/dev/"},
		"of the handler, with device":  {exproto.Config{AllowClientMountpoint: true}, "%u/%c/", "u/dev/"},
		"of the listener, by its name": {exproto.Config{Mountpoint: "site/", Listeners: []exproto.ListenerConfig{{Name: "meters", Mountpoint: "meters/"}}}, "", "meters/"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{gateway: c.cfg}
			o.listen.Name = "meters"
			s := start(t, o)
			w := s.watch("#")
			s.device()
			conn := s.h.wait(t, "created", 1).conn
			r, err := s.h.adapter.Authenticate(t.Context(), &pb.AuthenticateRequest{
				Conn: conn, Clientinfo: &pb.ClientInfo{ProtoName: "p", Clientid: "dev", Username: "u", Mountpoint: c.client},
			})
			if err != nil || r.Code != 0 {
				t.Fatal(r, err)
			}
			if err := errors.Join(s.h.subscribe(conn, "dn", 1), s.h.subscribe(conn, "$share/g/shared", 1), s.h.publish(conn, "up", "x")); err != nil {
				t.Fatal(err)
			}
			w.expect(t, c.prefix+"up", "x")
			for i, topic := range []string{"dn", "shared"} {
				s.publish(c.prefix+topic, "y", 1)
				if m := s.h.wait(t, "messages", i+1).messages[0]; m.Topic != topic {
					t.Errorf("%v", m)
				}
			}
			r, err = s.h.adapter.Unsubscribe(t.Context(), &pb.UnsubscribeRequest{Conn: conn, Topic: "dn"})
			if err != nil || r.Code != 0 || s.b.Stats().Subscriptions.Load() != 2 {
				t.Errorf("%v, %v, %d subscriptions", r, err, s.b.Stats().Subscriptions.Load())
			}
			if c.client != "" && c.prefix == "" && s.log.count("allow_client_mountpoint") != 1 {
				t.Error("nobody is told that the mountpoint is ignored")
			}
		})
	}
}

func TestAClientIDThatIsNoTopicLevelCannotMoveTheMountpoint(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{Mountpoint: "dev/${clientid}/"}})
	s.device()
	conn := s.h.wait(t, "created", 1).conn
	for _, id := range []string{"../a", "a/b", "+", "#"} {
		if err := s.h.login(conn, id); err == nil || !strings.Contains(err.Error(), "mountpoint") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// nosy keeps what it is asked.
type nosy struct {
	mu    sync.Mutex
	creds []auth.Credentials
	ids   []auth.Identity
}

func (n *nosy) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.creds = append(n.creds, c)
	return auth.Identity{Name: c.Username, Username: c.Username}, auth.Allow, nil
}

func (n *nosy) Authorize(_ context.Context, id *auth.Identity, _ auth.Action, _ string) auth.Verdict {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids = append(n.ids, *id)
	return auth.Allow
}

func TestChecksSeeAnOrdinaryClient(t *testing.T) {
	n := &nosy{}
	o := options{broker: broker.Config{Authorizer: n}, gateway: exproto.Config{Authenticator: n}}
	o.listen.Name = "meters"
	s := start(t, o)
	d := s.device()
	conn := s.h.wait(t, "created", 1).conn
	if err := errors.Join(s.h.login(conn, "dev"), s.h.publish(conn, "t", "x"), s.h.subscribe(conn, "t", 0)); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.creds[0]
	if len(n.creds) != 1 || c.ClientID != "dev" || c.Username != "dev" || !c.HasUsername || !c.HasPassword || string(c.Password) != "password" ||
		c.Listener != "meters" || c.Protocol != "exproto" || c.Remote.String() != d.nc.LocalAddr().String() {
		t.Errorf("asked about %+v", c)
	}
	for _, id := range n.ids {
		if id.ClientID != "dev" || id.Name != "dev" || id.Username != "dev" {
			t.Errorf("asked about %+v", id)
		}
	}
	if len(n.ids) < 2 {
		t.Errorf("asked %d times", len(n.ids))
	}
}

func TestNamesThatAreNoTextDoNotCloseTheDevice(t *testing.T) {
	s := start(t, options{})
	s.device()
	conn := s.h.wait(t, "created", 1).conn
	if err := errors.Join(s.h.login(conn, "dev"), s.h.subscribe(conn, "t", 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.b.Publish(t.Context(), retained("t", "x"), "na\xffme"); err != nil {
		t.Fatal(err)
	}
	if m := s.h.wait(t, "messages", 1).messages[0]; m.From != "na\uFFFDme" {
		t.Errorf("%v", m)
	}
}

// Handlers' users mistake the three ports for each other.
func TestAGRPCClientOnADevicePortIsTold(t *testing.T) {
	s := start(t, options{})
	a := dialAdapter(t, s.url)
	_, err := a.Send(t.Context(), &pb.SendBytesRequest{})
	if err == nil {
		t.Fatal("it was answered")
	}
	until(t, "the log tells", func() bool {
		return s.log.count("a gRPC client has connected to a port for devices") > 0 && s.log.count(s.g.AdapterURL()) > 0
	})
	d := s.device()
	d.send("PRI * HTTP/2.0")
	until(t, "that has been read", func() bool { return s.b.Stats().BytesReceived.Load() >= 14 })
	d.send("\r\n\r\nSM\r\n\r\n")
	if words := d.closed(); !strings.Contains(words, "handlers call the adapter at "+s.g.AdapterURL()) {
		t.Errorf("told %q", words)
	}
	like := s.device()
	like.send("PRI * no")
	until(t, "its bytes", func() bool { return strings.Contains(kinds(s.h.all("")), `"PRI * no"`) })
}

func TestADeviceOnTheAdapterIsLogged(t *testing.T) {
	s := start(t, options{})
	nc, err := net.Dial("tcp", hostOf(t, s.g.AdapterURL()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("hello, I am a meter\n")); err != nil {
		t.Fatal(err)
	}
	until(t, "the log tells", func() bool { return s.log.count("devices connect to the listeners") == 1 })
}

func TestThePortsAreAnnounced(t *testing.T) {
	s := start(t, options{})
	for _, line := range []string{
		"devices connect here\" listener=" + s.url + " url=" + s.url,
		"your handler listens here",
		"your handler calls here\" listener=" + s.url + " url=" + s.g.AdapterURL(),
	} {
		until(t, line, func() bool { return s.log.count(line) == 1 })
	}
}

func TestAHandlerOfTheOtherShapeIsExplained(t *testing.T) {
	s := start(t, options{handler: &handler{streams: true}})
	s.device().closed()
	until(t, "the log tells", func() bool { return s.log.count("perhaps it wants service: ConnectionHandler") > 0 })
}

func TestAHandlerMayHaveAHostName(t *testing.T) {
	h := &handler{do: echo}
	_, port, err := net.SplitHostPort(h.serve(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, options{nobody: true, gateway: exproto.Config{Handler: exproto.HandlerConfig{Address: "http://localhost:" + port + "/"}}})
	h.connect(t, s.g.AdapterURL())
	d := s.device()
	d.send("x")
	d.expect("x")
}

func TestNothingRemainsOfDevicesThatAreGone(t *testing.T) {
	s := start(t, options{handler: &handler{do: echo}})
	for range 50 {
		d := s.device()
		d.send("x")
		_ = d.nc.Close()
	}
	s.h.wait(t, "closed", 50)
	until(t, "all are gone", func() bool {
		return s.b.Stats().Connected.Load() == 0 && s.l.Counters().Open == 0 && s.b.Stats().Subscriptions.Load() == 0
	})
}

func TestShutdownTellsTheHandlerOfEveryDevice(t *testing.T) {
	s := start(t, options{handler: &handler{do: func(h *handler, e told) error {
		if e.bytes == "known" {
			return h.login(e.conn, "dev")
		}
		return nil
	}}})
	known, stranger := s.device(), s.device()
	known.send("known")
	stranger.send("x")
	s.h.wait(t, "bytes", 2)
	until(t, "one is known", func() bool { return s.b.Stats().Connected.Load() == 1 })
	go func() { known.closed(); _ = known.nc.Close() }()
	go func() { stranger.closed(); _ = stranger.nc.Close() }()
	s.stop()
	n := 0
	for _, e := range s.h.all("") {
		if e.what == "closed" {
			if n++; e.reason != "shutdown" {
				t.Errorf("%v", e)
			}
		}
	}
	if n != 2 {
		t.Errorf("told of %d", n)
	}
}

func TestAPanicOfACallIsAnAnswer(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{Authenticator: panicking{}}})
	s.device()
	conn := s.h.wait(t, "created", 1).conn
	if err := s.h.login(conn, "dev"); err == nil || !strings.HasPrefix(err.Error(), "UNKNOWN") {
		t.Errorf("%v", err)
	}
	if err := s.h.send(conn, "x"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if s.log.count("panic while serving a handler") != 1 {
		t.Error("it is not logged")
	}
}
