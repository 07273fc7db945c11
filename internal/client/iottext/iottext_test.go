package iottext_test

import (
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
	"github.com/iotctl/iotctl/internal/client/iottext"
	gateway "github.com/iotctl/iotctl/internal/gateway/iottext"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// doorman knows one device by its password, and one that waits for approval.
type doorman struct{}

func (doorman) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	switch {
	case c.ClientID == "new":
		return auth.Identity{}, auth.Deny, &auth.Pending{Code: "48-21"}
	case string(c.Password) != "secret":
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: c.Username}, auth.Allow, nil
}

func serve(t *testing.T) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Authenticator: doorman{}}, b)
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "text://127.0.0.1:0", transport.ListenConfig{Schemes: transport.TextSchemes()})
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
	return l.URL()
}

func device(t *testing.T, url, id string, onMessage func(client.Message)) *client.Device {
	t.Helper()
	d, err := iottext.New(iottext.Config{ID: id, Password: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	dev, err := client.NewDevice(client.DeviceOptions{Dialect: d, Options: client.Options{
		OnMessage: onMessage,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.DialConfig{Schemes: transport.TextSchemes()})
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

func TestVariablesAndMessages(t *testing.T) {
	url := serve(t)
	got := make(chan string, 10)
	a := device(t, url, "a", nil)
	b := device(t, url, "b", func(m client.Message) { got <- m.Topic + " " + string(m.Payload) })
	for _, d := range []*client.Device{a, b} {
		if _, err := d.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(topic string, payload []byte, want client.OutcomeKind) {
		t.Helper()
		o, err := a.PublishWait(t.Context(), client.Message{Topic: topic, Payload: payload})
		if err != nil || o.Kind != want {
			t.Fatalf("%s: %+v, %v", topic, o, err)
		}
	}
	wants := func(want string) {
		t.Helper()
		select {
		case m := <-got:
			if m != want {
				t.Fatalf("received %q, want %q", m, want)
			}
		case <-time.After(patience):
			t.Fatalf("no %q", want)
		}
	}
	publish("temp", []byte("21.5"), client.Acknowledged)
	codes, err := b.Subscribe(t.Context(), []client.Subscription{{Filter: "temp"}}, nil)
	if err != nil || codes[0].IsError() {
		t.Fatal(codes, err)
	}
	wants("temp 21.5")
	hard := "a|b\nEND \\x41 °"
	publish("temp", []byte(hard), client.Acknowledged)
	wants("temp " + hard)
	publish("dev/b", []byte("hello"), client.Acknowledged)
	wants("dev/a hello")
	publish("dev/nobody", []byte("hello"), client.Refused)
	publish("temp", []byte{}, client.Refused)
	publish("temp", nil, client.Acknowledged) // deleted
	if _, err := b.Unsubscribe(t.Context(), []string{"temp"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := a.PublishWait(t.Context(), client.Message{Topic: "v", Payload: make([]byte, 70_000)}); !errors.As(err, new(*client.RefusedError)) {
		t.Error(err)
	}
	for _, d := range []*client.Device{a, b} {
		if err := d.Disconnect(t.Context(), 0, nil); err != nil {
			t.Error(err)
		}
	}
	if len(got) > 0 {
		t.Errorf("received %q", <-got)
	}
}

func TestRefusedLogins(t *testing.T) {
	url := serve(t)
	for id, want := range map[string]string{
		"new": "login refused: pending approval, code 48-21",
	} {
		if _, err := device(t, url, id, nil).Connect(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"", "a/b", "+", ".."} {
		if _, err := iottext.New(iottext.Config{ID: id}); err == nil {
			t.Errorf("%q is accepted", id)
		}
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	d, err := iottext.New(iottext.Config{ID: "x", Password: []byte("secret|END")})
	if err != nil {
		t.Fatal(err)
	}
	login, answers, err := d.Login(nil)
	if err != nil || answers != 2 {
		t.Fatal(answers, err)
	}
	shown := d.Describe(login, client.Sent)
	if shown != "START | COMMAND=HELLO! | END; START | COMMAND=ID | ID=x | PASSWORD=… | END" {
		t.Error(shown)
	}
	if strings.Contains(shown, "secret") {
		t.Error("the password is shown")
	}
}
