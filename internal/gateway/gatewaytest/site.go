package gatewaytest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// What follows is for the tests that a gateway has beside the suite.

// Serve makes a broker and the gateway that open returns, and serves l until stop
// is called or the test ends.
func Serve[G gateway.Gateway](t testing.TB, l transport.Listener, cfg broker.Config, open func(*broker.Broker) (G, error)) (b *broker.Broker, g G, stop func()) {
	t.Helper()
	if cfg.SysInterval == 0 {
		cfg.SysInterval = -1
	}
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = open(b); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- b.Run(ctx) }()
	go func() { done <- g.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(stop)
	return b, g, stop
}

// Everybody lets every client in; a user name becomes the identity.
type Everybody struct{}

// Authenticate implements auth.Authenticator.
func (Everybody) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	return auth.Identity{Name: c.Username, Username: c.Username, Method: "test"}, auth.Allow, nil
}

// Answers is an authenticator made of a function.
type Answers func(auth.Credentials) (auth.Identity, auth.Verdict, error)

// Authenticate implements auth.Authenticator.
func (f Answers) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	return f(c)
}

// Denies is an authorizer that denies one action to everybody but the client
// called observer.
type Denies auth.Action

// Authorize implements auth.Authorizer.
func (d Denies) Authorize(_ context.Context, id *auth.Identity, act auth.Action, _ string) auth.Verdict {
	if act == auth.Action(d) && id.ClientID != "observer" {
		return auth.Deny
	}
	return auth.Allow
}

// Journal keeps what is logged.
type Journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String is all that was logged.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Wants waits for a line that holds text.
func (j *Journal) Wants(t testing.TB, text string) {
	t.Helper()
	Eventually(t, "log line with "+text, func() bool { return strings.Contains(j.String(), text) })
}

// Eventually polls a condition that others bring about.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
	}
}
