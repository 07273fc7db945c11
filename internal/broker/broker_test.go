package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs fn with a running broker in fake time, and checks at the end
// that nothing of it remains.
func bubble(t *testing.T, cfg Config, fn func(t *testing.T, b *Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.SysInterval == 0 {
			cfg.SysInterval = -1
		}
		fn(t, start(t, cfg))
	})
}

// start brings up a broker whose Run ends with the test.
func start(t testing.TB, cfg Config) *Broker {
	t.Helper()
	b := idle(t, cfg)
	run(t, b)
	return b
}

// run fires timers until the test ends.
func run(t testing.TB, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// idle brings up a broker without Run.
func idle(t testing.TB, cfg Config) *Broker {
	t.Helper()
	b, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// never is a room that does not run out.
const never = -2

// client is a fake gateway connection. It takes what comes and answers when
// the test says so.
type client struct {
	t       testing.TB
	b       *Broker
	l       *Link
	present bool
	expiry  time.Duration
	kept    map[string][]byte

	mu      sync.Mutex
	got     []string           // deliveries in short form, since the last call of received
	unacked []message.Delivery // to be answered by ack
	full    bool
	room    int // refuses when it reaches 0, and again takes all after that; negative: never
	closed  []Reason
	flushes int
	discard bool
}

// Deliver implements Receiver.
func (c *client) Deliver(d *message.Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room--; c.full || c.room == -1 {
		return false
	}
	if c.discard {
		return true
	}
	c.got = append(c.got, short(d))
	if d.QoS > 0 {
		c.unacked = append(c.unacked, *d)
	}
	return true
}

// short renders "topic=payload", and what differs from a plain QoS 0 delivery.
func short(d *message.Delivery) string {
	var s strings.Builder
	if d.Release {
		s.WriteString("rel")
	} else {
		fmt.Fprintf(&s, "%s=%s", d.Message.Topic, d.Message.Payload)
	}
	if d.QoS > 0 && !d.Release {
		fmt.Fprintf(&s, " q%d", d.QoS)
	}
	if d.Retain {
		s.WriteString(" retain")
	}
	if d.Dup {
		s.WriteString(" dup")
	}
	if len(d.SubscriptionIDs) > 0 {
		ids := slices.Sorted(slices.Values(d.SubscriptionIDs))
		fmt.Fprintf(&s, " ids%v", ids)
	}
	return s.String()
}

// Flush implements Receiver.
func (c *client) Flush() {
	c.mu.Lock()
	c.flushes++
	c.mu.Unlock()
}

// Close implements Receiver.
func (c *client) Close(r Reason) {
	c.mu.Lock()
	c.closed = append(c.closed, r)
	c.mu.Unlock()
}

// received returns what has come since the last call.
func (c *client) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

// want checks what has come since the last look, in this order.
func (c *client) want(want ...string) {
	c.t.Helper()
	if got := c.received(); !slices.Equal(got, want) {
		c.t.Errorf("%s received %q, want %q", c.l.ClientID(), got, want)
	}
}

// wantAny checks what has come since the last look, in any order.
func (c *client) wantAny(want ...string) {
	c.t.Helper()
	got := c.received()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("%s received %q, want %q", c.l.ClientID(), got, want)
	}
}

// wantClosed checks why the broker has ended the connection; none for not.
func (c *client) wantClosed(want ...Reason) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.closed, want) {
		c.t.Errorf("closed for %v, want %v", c.closed, want)
	}
}

// ack answers what has been delivered and returns how much that was.
func (c *client) ack() int {
	c.t.Helper()
	c.mu.Lock()
	open := c.unacked
	c.unacked = nil
	c.mu.Unlock()
	for _, d := range open {
		kind := session.Puback
		switch {
		case d.Release:
			kind = session.Pubcomp
		case d.QoS == 2:
			kind = session.Pubrec
		}
		if err := c.l.Acked(kind, d.PacketID); err != nil && !errors.Is(err, ErrTakenOver) {
			c.t.Errorf("acknowledgement of %d: %v", d.PacketID, err)
		}
	}
	c.commit()
	return len(open)
}

// ackAll answers until nothing more comes.
func (c *client) ackAll() {
	c.t.Helper()
	for c.ack() > 0 {
	}
}

func (c *client) commit() {
	c.t.Helper()
	if err := c.l.Commit(context.Background()); err != nil {
		c.t.Errorf("commit: %v", err)
	}
}

// setFull makes the client refuse deliveries, or take them again.
func (c *client) setFull(full bool) {
	c.mu.Lock()
	c.full = full
	c.mu.Unlock()
	if !full {
		c.l.Writable()
	}
}

// options are of a client that knows MQTT 5.0 and asks for nothing special.
func options(id string) SessionOptions {
	return SessionOptions{ClientID: id, Window: session.Window{ReceiveMaximum: 100}}
}

// durable are options of a client whose session lives for an hour.
func durable(id string) SessionOptions {
	o := options(id)
	o.Expiry, o.Keeps = time.Hour, true
	return o
}

func identity(name string) auth.Identity { return auth.Identity{Name: name} }

// attachAs connects a client as the identity of that name.
func attachAs(t testing.TB, b *Broker, owner string, o SessionOptions) (*client, error) {
	t.Helper()
	c := &client{t: t, b: b, room: never}
	l, resumed, err := b.Attach(context.Background(), auth.Identity{Name: owner, ClientID: o.ClientID}, o, c)
	if err != nil {
		return nil, err
	}
	c.begin(l, resumed)
	return c, nil
}

func (c *client) begin(l *Link, r Resumed) {
	c.l, c.present, c.expiry, c.kept = l, r.Present, r.Expiry, r.Kept
	l.Start()
}

func attach(t testing.TB, b *Broker, o SessionOptions) *client {
	t.Helper()
	c, err := attachAs(t, b, "", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// subscribe expects every subscription to be granted.
func (c *client) subscribe(subs ...Subscription) {
	c.t.Helper()
	for i, g := range c.l.Subscribe(subs) {
		if g.Err != nil || g.QoS != subs[i].QoS {
			c.t.Errorf("subscribe %q: %+v", subs[i].Filter, g)
		}
	}
	c.commit()
	c.l.Ready()
	c.commit()
}

func (c *client) unsubscribe(filters ...string) {
	c.t.Helper()
	for i, g := range c.l.Unsubscribe(filters) {
		if g.Err != nil {
			c.t.Errorf("unsubscribe %q: %v", filters[i], g.Err)
		}
	}
	c.commit()
}

// view is a message as a gateway reads it: "topic=payload".
func view(text string, qos uint8) message.View {
	topic, payload, _ := strings.Cut(text, "=")
	return message.View{Topic: []byte(topic), Payload: []byte(payload), QoS: qos}
}

// publish sends a message completely and expects that many receivers.
func (c *client) publish(text string, qos uint8, matched int) {
	c.t.Helper()
	c.publishView(view(text, qos), matched)
}

func (c *client) publishRetained(text string, qos uint8, matched int) {
	c.t.Helper()
	v := view(text, qos)
	v.Retain = true
	c.publishView(v, matched)
}

func (c *client) publishView(v message.View, matched int) {
	c.t.Helper()
	if v.QoS > 0 {
		v.PacketID = 1
	}
	if n, err := c.l.Publish(v); n != matched || err != nil {
		c.t.Errorf("publish %s: %d receivers, %v, want %d", v.Topic, n, err, matched)
	}
	if v.QoS == 2 {
		if known, err := c.l.Release(v.PacketID); !known || err != nil {
			c.t.Errorf("release: %v, %v", known, err)
		}
	}
	c.commit()
}

// lose ends the connection as the network does; leave says goodbye.
func (c *client) lose()  { c.l.Detach(Farewell{Abnormal: true}) }
func (c *client) leave() { c.l.Detach(Farewell{}) }

// count checks how many sessions and subscriptions there are.
func count(t testing.TB, b *Broker, sessions, subscriptions int) {
	t.Helper()
	if n := b.Sessions(); n != sessions {
		t.Errorf("%d sessions, want %d", n, sessions)
	}
	if n := int(b.stats.Subscriptions.Load()); n != subscriptions {
		t.Errorf("%d subscriptions, want %d", n, subscriptions)
	}
}

// wantTimers checks how many timers are set.
func wantTimers(t testing.TB, b *Broker, want int) {
	t.Helper()
	b.timers.mu.Lock()
	defer b.timers.mu.Unlock()
	if n := len(b.timers.heap); n != want {
		t.Errorf("%d timers, want %d", n, want)
	}
}

// empty checks that nothing is left of all sessions.
func empty(t testing.TB, b *Broker) {
	t.Helper()
	count(t, b, 0, 0)
	inShards := 0
	for i := range b.shards {
		inShards += len(b.shards[i].sessions)
	}
	if inShards+b.subs.Len()+len(b.groups)+len(b.owners.n) != 0 {
		t.Errorf("left: %d sessions, %d routes, %d groups, %d owners", inShards, b.subs.Len(), len(b.groups), len(b.owners.n))
	}
	if n := b.stats.Connected.Load(); n != 0 {
		t.Errorf("%d connected", n)
	}
	if n := b.stats.SharedSubscriptions.Load(); n != 0 {
		t.Errorf("%d shared subscriptions", n)
	}
}

// poll waits until ok, for a while.
func poll(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true")
		}
		runtime.Gosched()
	}
}
