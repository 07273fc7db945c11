// Package gatewaytest is the suite that every gateway passes: the same clients'
// wishes, whatever the protocol.
package gatewaytest

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

// Message is what a client of the gateway sees.
type Message struct {
	Topic   string
	Payload string
}

// Client is a device that speaks the gateway's protocol. A method that fails
// ends the test.
type Client interface {
	Publish(topic, payload string)
	Subscribe(filter string)
	// Receive returns the next message, or fails after a few seconds.
	Receive() Message
	// Ended waits until the gateway has ended the connection.
	Ended()
	// Leave ends the session as the protocol wants it.
	Leave()
	// Drop cuts the connection.
	Drop()
	// Stall makes the client stop reading.
	Stall()
}

// Will is the last will of a client.
type Will struct{ Topic, Payload string }

// Subject is a gateway under test.
type Subject struct {
	// URL to listen on, with port 0.
	URL string
	New func(b *broker.Broker) (gateway.Gateway, error)
	// Connect connects a client to url. will is nil for none.
	Connect func(t *testing.T, url, clientID string, will *Will) Client
}

// Run holds a gateway to what all have in common.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *stage){
		"publish reaches a subscriber":                 publishSubscribe,
		"publishers and the broker's own see the same": fromBroker,
		"will of a lost client is published":           willPublished,
		"no will after a goodbye":                      noWill,
		"a second connection takes over":               takeOver,
		"a slow client harms nobody":                   slowClient,
		"shutdown ends every client":                   shutdown,
		"clients outlive the listener alone":           closeListener,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, s)) })
	}
}

// stage is a broker with the gateway in front.
type stage struct {
	s      Subject
	b      *broker.Broker
	l      transport.Listener
	url    string
	cancel context.CancelFunc
	done   chan error
	before int // goroutines
}

func open(t *testing.T, s Subject) *stage {
	t.Helper()
	st := &stage{s: s, done: make(chan error, 2), before: runtime.NumGoroutine()}
	ctx, cancel := context.WithCancel(context.Background())
	st.cancel = cancel
	var err error
	if st.b, err = broker.New(ctx, broker.Config{SysInterval: -1}); err != nil {
		t.Fatal(err)
	}
	g, err := s.New(st.b)
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, s.URL, transport.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	st.l, st.url = l, l.URL()
	go func() { st.done <- st.b.Run(ctx) }()
	go func() { st.done <- g.Serve(ctx, l) }()
	t.Cleanup(func() { st.close(t) })
	return st
}

// close ends the gateway and checks that nothing is left of it.
func (st *stage) close(t *testing.T) {
	t.Helper()
	if st.cancel == nil {
		return
	}
	st.cancel()
	st.cancel = nil
	for range 2 {
		select {
		case err := <-st.done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the gateway has not ended 20 s after its context")
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= st.before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), st.before, buf[:runtime.Stack(buf, true)])
}

func (st *stage) connect(t *testing.T, id string, w *Will) Client {
	t.Helper()
	return st.s.Connect(t, st.url, id, w)
}

func expect(t *testing.T, c Client, topic, payload string) {
	t.Helper()
	if got := c.Receive(); got != (Message{topic, payload}) {
		t.Fatalf("received %q on %q, want %q on %q", got.Payload, got.Topic, payload, topic)
	}
}

func publishSubscribe(t *testing.T, st *stage) {
	sub, pub := st.connect(t, "sub", nil), st.connect(t, "pub", nil)
	sub.Subscribe("a/+")
	pub.Publish("a/b", "one")
	pub.Publish("b/a", "not this")
	pub.Publish("a/c", "two")
	expect(t, sub, "a/b", "one")
	expect(t, sub, "a/c", "two")
}

// watcher is a receiver that is attached to the broker itself.
type watcher struct{ got chan Message }

func (w watcher) Deliver(d *message.Delivery) bool {
	w.got <- Message{d.Message.Topic, string(d.Message.Payload)}
	return true
}
func (w watcher) Flush()              {}
func (w watcher) Close(broker.Reason) {}

// watch subscribes to filter at the broker, past the gateway.
func (st *stage) watch(t *testing.T, filter string) (<-chan Message, *broker.Link) {
	t.Helper()
	w := watcher{make(chan Message, 100)}
	l, _, err := st.b.Attach(t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: "watcher"}, w)
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	if g := l.Subscribe([]broker.Subscription{{Filter: filter}}); g[0].Err != nil {
		t.Fatal(g[0].Err)
	}
	return w.got, l
}

func fromBroker(t *testing.T, st *stage) {
	seen, link := st.watch(t, "up/#")
	c := st.connect(t, "dev", nil)
	c.Subscribe("dn/dev")
	c.Publish("up/dev", "from the device")
	select {
	case m := <-seen:
		if m != (Message{"up/dev", "from the device"}) {
			t.Errorf("the broker has seen %v", m)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the broker has seen nothing")
	}
	if n, err := link.Publish(message.View{Topic: []byte("dn/dev"), Payload: []byte("to the device")}); n != 1 || err != nil {
		t.Fatalf("published to %d, %v", n, err)
	}
	if err := link.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "dn/dev", "to the device")
}

func willPublished(t *testing.T, st *stage) {
	sub := st.connect(t, "sub", nil)
	sub.Subscribe("will/#")
	st.connect(t, "mortal", &Will{"will/mortal", "gone"}).Drop()
	expect(t, sub, "will/mortal", "gone")
}

func noWill(t *testing.T, st *stage) {
	sub := st.connect(t, "sub", nil)
	sub.Subscribe("#")
	st.connect(t, "polite", &Will{"will/polite", "gone"}).Leave()
	pub := st.connect(t, "pub", nil)
	pub.Publish("after", "marker")
	expect(t, sub, "after", "marker")
}

func takeOver(t *testing.T, st *stage) {
	first := st.connect(t, "same", nil)
	second := st.connect(t, "same", nil)
	first.Ended()
	second.Subscribe("t")
	second.Publish("t", "still here")
	expect(t, second, "t", "still here")
}

func slowClient(t *testing.T, st *stage) {
	slow := st.connect(t, "slow", nil)
	slow.Subscribe("load")
	slow.Stall()
	good, pub := st.connect(t, "good", nil), st.connect(t, "pub", nil)
	good.Subscribe("load")
	payload := fmt.Sprintf("%01024d", 7)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 10_000 { // 10 MB, far above what one connection may hold
		pub.Publish("load", payload)
		expect(t, good, "load", payload)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 6<<20 {
		t.Errorf("the heap has grown by %d bytes for one slow client", grown)
	}
	if st.b.Stats().Dropped() == 0 {
		t.Error("nothing was dropped for the slow client")
	}
}

func shutdown(t *testing.T, st *stage) {
	a, b := st.connect(t, "a", nil), st.connect(t, "b", nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Ended()
		b.Ended()
	}()
	st.close(t)
	<-ended
	if n := st.b.Stats().Connected.Load(); n != 0 {
		t.Errorf("%d clients are still attached", n)
	}
}

// closeListener is what a reload does with a listener that is gone.
func closeListener(t *testing.T, st *stage) {
	c := st.connect(t, "c", nil)
	if err := st.l.Close(); err != nil {
		t.Fatal(err)
	}
	c.Subscribe("t")
	c.Publish("t", "still here")
	expect(t, c, "t", "still here")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Ended()
	}()
	st.close(t)
	<-ended
}
