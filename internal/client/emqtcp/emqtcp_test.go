package emqtcp_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/emqtcp"
	gateway "github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// friends lets in who has the password.
type friends struct{}

func (friends) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if c.Username != "u" || string(c.Password) != "secret" {
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: "u"}, auth.Allow, nil
}

type watcher chan string

func (w watcher) Deliver(d *message.Delivery) bool {
	w <- d.Message.Topic + " " + string(d.Message.Payload)
	return true
}
func (watcher) Flush()              {}
func (watcher) Close(broker.Reason) {}

// serve is the gateway; it returns its URL, and a client of the broker.
func serve(t *testing.T) (url string, seen watcher, link *broker.Link) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Authenticator: friends{}}, b)
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "emqtcp://127.0.0.1:0", transport.ListenConfig{Schemes: transport.EMQTCPSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- b.Run(ctx) }()
	go func() { done <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	seen = make(watcher, 2000)
	if link, _, err = b.Attach(t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: "watcher"}, seen); err != nil {
		t.Fatal(err)
	}
	link.Start()
	link.Subscribe([]broker.Subscription{{Filter: "tcp/+/up"}})
	t.Cleanup(func() { link.Detach(broker.Farewell{}) })
	return l.URL(), seen, link
}

func device(t *testing.T, url string, c emqtcp.Config, onMessage func(client.Message)) *client.Device {
	t.Helper()
	d, err := emqtcp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := client.NewDevice(client.DeviceOptions{Dialect: d, Alive: c.Alive, Options: client.Options{
		OnMessage: onMessage,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.DialConfig{Schemes: transport.EMQTCPSchemes()})
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dev.Close()
		<-dev.Done()
	})
	return dev
}

var user = "u"

func TestUplinksAndDownlinks(t *testing.T) {
	url, seen, link := serve(t)
	got := make(chan string, 10)
	d := device(t, url, emqtcp.Config{ClientID: "dev1", Username: &user, Password: []byte("secret"), Alive: time.Minute}, func(m client.Message) {
		got <- string(m.Payload)
	})
	if _, err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 65535)
	for _, payload := range []string{"one", "", big} {
		o, err := d.PublishWait(t.Context(), client.Message{Payload: []byte(payload)})
		if err != nil || o.Kind != client.Written {
			t.Fatal(o, err)
		}
		if m := await(t, seen); m != "tcp/dev1/up "+payload {
			t.Errorf("the broker has seen %.40q", m)
		}
		if _, err := link.Publish(message.View{Topic: []byte("tcp/dev1/dn"), Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
		if err := link.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m := await(t, got); m != payload {
			t.Errorf("the device has received %.40q", m)
		}
	}
	_, err := d.PublishWait(t.Context(), client.Message{Payload: make([]byte, 65536)})
	if !errors.As(err, new(*client.RefusedError)) {
		t.Error(err)
	}
	if _, err := d.Subscribe(t.Context(), []client.Subscription{{Filter: "a"}}, nil); !errors.As(err, new(client.Refusals)) {
		t.Error(err)
	}
	for range 1000 {
		if err := d.Publish(t.Context(), client.Message{Payload: []byte("many")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Disconnect(t.Context(), 0, nil); err != nil {
		t.Error(err)
	}
	for range 1000 {
		await(t, seen)
	}
}

func await[C ~chan string](t *testing.T, c C) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(patience):
		t.Fatal("nothing comes")
		return ""
	}
}

func TestRefusedLogin(t *testing.T) {
	url, _, _ := serve(t)
	d := device(t, url, emqtcp.Config{ClientID: "dev1"}, nil)
	_, err := d.Connect(t.Context())
	if err == nil || err.Error() != `login refused: authentication failed (1): "Authentication Failure"` {
		t.Error(err)
	}
}

func TestWhatConnectCannotExpress(t *testing.T) {
	for _, c := range []emqtcp.Config{
		{},
		{ClientID: "a\x00b"},
		{ClientID: "x", Alive: 256 * time.Second},
		{ClientID: strings.Repeat("x", 65536)},
		{ClientID: "x", Password: bytes.Repeat([]byte("x"), 65536)},
	} {
		if _, err := emqtcp.New(c); err == nil {
			t.Errorf("%.20q is accepted", c.ClientID)
		}
	}
}

func TestDescribe(t *testing.T) {
	d, err := emqtcp.New(emqtcp.Config{ClientID: "x", Username: &user, Password: []byte("secret"), Alive: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	login, _, _ := d.Login(nil)
	for frame, want := range map[string]string{
		string(login):        `CONNECT client "x", keep alive 60 s, user "u", with a password`,
		"\x21\x00\x02no":     `CONNACK authentication failed (1): "no"`,
		"\x30\x00\x02hi":     "DATATRANS 2 bytes",
		string(d.Alive(nil)): "PING",
		string(d.Leave(nil)): "DISCONNECT",
		"\x00":               "1 bytes that are no frame: parse reserved frame type 0: the first byte is 0x00",
	} {
		dir := client.Sent
		if frame[0] == 0x21 {
			dir = client.Received
		}
		if got := d.Describe([]byte(frame), dir); got != want {
			t.Errorf("%x is %q, want %q", frame, got, want)
		}
	}
}
