// Package clienttest is the suite that every client passes, over each library
// and each protocol version, against any broker.
package clienttest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Config is what a test asks of a broker. Everything else is allowed.
type Config struct {
	User, Password string // "" = anonymous clients are accepted
	Deny           string // a topic filter that nobody may publish to
}

// Broker is a running broker.
type Broker struct {
	Dial func(context.Context) (net.Conn, error)
	// Stop and Start restart the broker with its durable sessions kept. nil
	// where that is not possible; the tests that need it are skipped.
	Stop, Start func()
	// MuteTakeover: an old connection may end without DISCONNECT when another
	// takes its client identifier, in 5.0 as well.
	MuteTakeover bool
	// NotAuthorized is the answer to a wrong password, not the code that says so.
	NotAuthorized bool
}

// patience is for what must happen soon; only failing tests wait as long.
const patience = 30 * time.Second

type suite struct {
	version   mqtt.Version
	newClient func(client.Options) (*client.Client, error)
	start     func(*testing.T, Config) *Broker
}

// Run runs the suite. start starts a broker that ends with the test.
func Run(t *testing.T, v mqtt.Version, newClient func(client.Options) (*client.Client, error), start func(*testing.T, Config) *Broker) {
	s := &suite{v, newClient, start}
	for _, tt := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"wrong password is refused with the server's code", s.refused},
		{"every QoS has its outcome and arrives in order", s.everyQoS},
		{"publish that the server denies", s.denied},
		{"retained message is kept and cleared", s.retained},
		{"will is published when the client closes, not when it disconnects", s.will},
		{"unsubscribe ends delivery", s.unsubscribe},
		{"takeover ends the first client, which does not come back", s.takeover},
		{"large message", s.large},
		{"halt leaves the rest to the session", s.halt},
		{"restart in a QoS 1 stream, session kept", func(t *testing.T) { s.restart(t, 1, false) }},
		{"restart in a QoS 2 stream, session kept", func(t *testing.T) { s.restart(t, 2, false) }},
		{"restart in a QoS 1 stream, clean session", func(t *testing.T) { s.restart(t, 1, true) }},
		{"subscriptions are renewed after a restart without session", s.renewed},
	} {
		t.Run(tt.name, tt.run)
	}
}

// inbox collects messages.
type inbox struct {
	mu  sync.Mutex
	got []client.Message
	new chan struct{}
}

func newInbox() *inbox { return &inbox{new: make(chan struct{}, 1)} }

func (b *inbox) put(m client.Message) {
	m.Payload, m.Properties = slices.Clone(m.Payload), slices.Clone(m.Properties)
	b.mu.Lock()
	b.got = append(b.got, m)
	b.mu.Unlock()
	select {
	case b.new <- struct{}{}:
	default:
	}
}

// wait waits until ok holds for what has come.
func (b *inbox) wait(t *testing.T, what string, ok func([]client.Message) bool) []client.Message {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		got := slices.Clone(b.got)
		b.mu.Unlock()
		if ok(got) {
			return got
		}
		select {
		case <-b.new:
		case <-deadline:
			t.Fatalf("%s: still waiting after %v with %d messages", what, patience, len(got))
		}
	}
}

func (b *inbox) count(t *testing.T, n int) []client.Message {
	t.Helper()
	return b.wait(t, fmt.Sprintf("%d messages", n), func(m []client.Message) bool { return len(m) >= n })
}

func (s *suite) options(b *Broker, id string) client.Options {
	return client.Options{Dial: b.Dial, Version: s.version, ClientID: id, CleanStart: true, KeepAlive: 60}
}

// durable makes the session outlive its connection.
func (s *suite) durable(o client.Options) client.Options {
	o.CleanStart = false
	if s.version == mqtt.V5 {
		o.Properties = o.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 3600)
	}
	o.Reconnect = client.ReconnectPolicy{Attempts: -1, MinDelay: 10 * time.Millisecond, MaxDelay: 50 * time.Millisecond}
	return o
}

func (s *suite) connect(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := s.newClient(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatalf("connect %q: %v", o.ClientID, err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	return c
}

func (s *suite) subscribe(t *testing.T, c *client.Client, filter string, qos uint8) {
	t.Helper()
	codes, err := c.Subscribe(t.Context(), []client.Subscription{{Filter: filter, QoS: qos}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]mqtt.ReasonCode{mqtt.ReasonCode(qos)}, codes); diff != "" {
		t.Fatalf("granted (-want +got):\n%s", diff)
	}
}

func (s *suite) publish(t *testing.T, c *client.Client, m client.Message) client.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o, err := c.PublishWait(ctx, m)
	if err != nil {
		t.Fatalf("publish %q: %v", m.Topic, err)
	}
	return o
}

func disconnect(t *testing.T, c *client.Client) {
	t.Helper()
	if err := c.Disconnect(t.Context(), mqtt.NormalDisconnection, nil); err != nil {
		t.Errorf("disconnect: %v", err)
	}
	if err := c.Err(); err != nil {
		t.Errorf("error after disconnect: %v", err)
	}
}
