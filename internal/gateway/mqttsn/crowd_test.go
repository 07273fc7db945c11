package mqttsn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	sn "github.com/iotctl/iotctl/internal/client/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/transport"
)

// TestCrowd has many clients at once, each on a goroutine, over sockets that lose
// and repeat: what the simulation does one thing after the other.
func TestCrowd(t *testing.T) {
	defer goleak.VerifyNone(t)
	const clients, messages = 24, 40
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Config{Authenticator: auth.Anonymous{}, Timers: crowdTimers}, b)
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "mqttsn://127.0.0.1:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	var server, crowd sync.WaitGroup
	serving, stop := context.WithCancel(ctx)
	server.Go(func() { _ = b.Run(serving) })
	server.Go(func() {
		if err := g.Serve(serving, l); err != nil {
			t.Error(err)
		}
	})
	up := newTally()
	for i := range clients {
		up.expect(fmt.Sprintf("c%d-", i), messages)
	}
	watcher := newWatcher(t, b, up)
	server.Go(func() { watcher.acknowledge(serving) })

	publisher, _, err := b.Attach(ctx, auth.Identity{}, broker.SessionOptions{ClientID: "publisher"}, &crowdWatcher{})
	if err != nil {
		t.Fatal(err)
	}
	var subscribed sync.WaitGroup
	subscribed.Add(clients)
	all := make([]*crowdClient, clients)
	for i := range all {
		c := newCrowdClient(t, i, l.Addr().String(), messages)
		all[i] = c
		crowd.Go(func() { c.run(ctx, &subscribed) })
	}
	subscribed.Wait()
	for n := range messages {
		for i := range clients {
			v := message.View{Topic: fmt.Appendf(nil, "dev/%d/%d", i, n%3), Payload: fmt.Appendf(nil, "c%d-%d", i, n), QoS: byte(1 + n%2), PacketID: 1}
			_, err := publisher.Publish(v)
			if v.QoS == 2 && err == nil {
				_, err = publisher.Release(1)
			}
			if err != nil || publisher.Commit(ctx) != nil {
				t.Errorf("publish: %v", err)
			}
		}
	}
	crowd.Wait()
	for up.missing() > 0 && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	up.check(t, "the MQTT side")
	for i, c := range all {
		c.got.check(t, fmt.Sprintf("client %d", i))
	}
	publisher.Detach(broker.Farewell{})
	stop()
	server.Wait()
	if n := g.counts.panics.Load(); n > 0 {
		t.Errorf("%d panics", n)
	}
}

// crowdTimers are quick.
var crowdTimers = Timers{Retry: 300 * time.Millisecond, Retries: 40}

// tally counts messages by payload. Those with odd numbers have QoS 2.
type tally struct {
	mu  sync.Mutex
	got map[string]int // -1: expected
}

func newTally() *tally { return &tally{got: map[string]int{}} }

func (y *tally) expect(prefix string, n int) {
	for i := range n {
		y.got[fmt.Sprint(prefix, i)] = 0
	}
}

func (y *tally) note(payload string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.got[payload]++
}

func (y *tally) missing() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, times := range y.got {
		if times == 0 {
			n++
		}
	}
	return n
}

func (y *tally) check(t *testing.T, who string) {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	for payload, times := range y.got {
		var client, n int
		_, _ = fmt.Sscanf(strings.Replace(payload, "-", " ", 1), "c%d %d", &client, &n)
		if times == 0 || times > 1 && n%2 == 1 {
			t.Errorf("%s has %s (QoS %d) %d times", who, payload, 1+n%2, times)
		}
	}
}

// crowdWatcher is subscribed to what the clients publish.
type crowdWatcher struct {
	tally *tally
	link  *broker.Link
	acks  chan message.Delivery
}

func newWatcher(t *testing.T, b *broker.Broker, y *tally) *crowdWatcher {
	t.Helper()
	w := &crowdWatcher{tally: y, acks: make(chan message.Delivery, 1<<16)}
	var err error
	if w.link, _, err = b.Attach(t.Context(), auth.Identity{}, broker.SessionOptions{ClientID: "watcher"}, w); err != nil {
		t.Fatal(err)
	}
	w.link.Start()
	if g := w.link.Subscribe([]broker.Subscription{{Filter: "up/#", QoS: 2}}); g[0].Err != nil {
		t.Fatal(g[0].Err)
	}
	if err := w.link.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// Deliver implements broker.Receiver.
func (w *crowdWatcher) Deliver(d *message.Delivery) bool {
	if !d.Release {
		w.tally.note(string(d.Message.Payload))
	}
	w.acks <- message.Delivery{PacketID: d.PacketID, QoS: d.QoS, Release: d.Release}
	return true
}

// Flush implements broker.Receiver.
func (*crowdWatcher) Flush() {}

// Close implements broker.Receiver.
func (*crowdWatcher) Close(broker.Reason) {}

// acknowledge answers what is delivered.
func (w *crowdWatcher) acknowledge(ctx context.Context) {
	defer w.link.Detach(broker.Farewell{})
	for {
		select {
		case d := <-w.acks:
			kind := session.Puback
			switch {
			case d.Release:
				kind = session.Pubcomp
			case d.QoS == 2:
				kind = session.Pubrec
			}
			_ = w.link.Acked(kind, d.PacketID)
			_ = w.link.Commit(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// crowdClient is one of many.
type crowdClient struct {
	t          *testing.T
	n          int
	core       *sn.Core
	fx         sn.Effects
	conn       net.Conn
	r          *rand.Rand
	got        *tally
	toPublish  int
	published  int
	answered   int
	subscribed bool
}

func newCrowdClient(t *testing.T, n int, address string, messages int) *crowdClient {
	t.Helper()
	c := &crowdClient{t: t, n: n, r: rand.New(rand.NewPCG(uint64(n), 1)), got: newTally(), toPublish: messages}
	c.got.expect(fmt.Sprintf("c%d-", n), messages)
	var err error
	c.core, err = sn.New(sn.Config{
		ClientID: fmt.Sprintf("c%d", n), KeepAlive: 600, Jitter: 0.1, Rand: rand.New(rand.NewPCG(uint64(n), 2)),
		Retry: crowdTimers.Retry, Retries: crowdTimers.Retries,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.conn, err = net.Dial("udp", address); err != nil {
		t.Fatal(err)
	}
	return c
}

// done reports whether nothing is left to be done or to come.
func (c *crowdClient) done() bool {
	return c.answered == c.toPublish && c.core.Idle() && c.core.State() == sn.StateActive && c.got.missing() == 0
}

// run lives until everything is done.
func (c *crowdClient) run(ctx context.Context, subscribed *sync.WaitGroup) {
	in, closed := make(chan []byte), make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := c.conn.Read(buf)
			if err != nil {
				return
			}
			select {
			case in <- append([]byte(nil), buf[:n]...):
			case <-closed:
				return
			}
		}
	})
	act := time.NewTicker(10 * time.Millisecond)
	defer func() {
		act.Stop()
		close(closed)
		_ = c.conn.Close()
		reader.Wait()
	}()
	for told := false; !c.done(); {
		if c.subscribed && !told {
			told = true
			subscribed.Done()
		}
		select {
		case b := <-in:
			_ = c.core.Handle(time.Now(), b, &c.fx)
		case now := <-act.C:
			c.core.Tick(now, &c.fx)
			c.act(now)
		case <-ctx.Done():
			c.t.Errorf("client %d is stuck: %v, %d of %d answered, %d missing", c.n, c.core.State(), c.answered, c.toPublish, c.got.missing())
			if !told {
				subscribed.Done()
			}
			return
		}
		c.work()
	}
}

// act does something at random.
func (c *crowdClient) act(now time.Time) {
	switch c.core.State() {
	case sn.StateDisconnected:
		c.core.Connect(now, false, &c.fx)
	case sn.StateAsleep:
		if c.r.IntN(4) == 0 {
			c.core.Connect(now, false, &c.fx)
		} else {
			_ = c.core.Wake(now, &c.fx)
		}
	case sn.StateActive:
		switch n := c.r.IntN(20); {
		case !c.subscribed:
			if c.core.Idle() {
				_ = c.core.Subscribe(now, sn.Named(fmt.Sprintf("dev/%d/+", c.n)), 2, 0, &c.fx)
			}
		case n == 0:
			_ = c.core.Sleep(now, time.Minute, &c.fx)
		case n == 1:
			c.core.Disconnect(now, &c.fx)
		case c.published < c.toPublish && c.core.Idle():
			i := c.published
			c.published++
			p := sn.Publication{Topic: sn.Named(fmt.Sprintf("up/%d/%d", c.n, i%3)), QoS: int8(1 + i%2), Payload: fmt.Appendf(nil, "c%d-%d", c.n, i)}
			if err := c.core.Publish(now, p, &c.fx); err != nil {
				c.t.Error(err)
			}
		}
	default:
	}
}

// work carries out what follows.
func (c *crowdClient) work() {
	for _, e := range c.fx.Events {
		switch e.Kind {
		case sn.Message:
			c.got.note(string(e.Payload))
		case sn.Published:
			if e.Outcome == sn.Acknowledged {
				c.answered++
			} else {
				c.t.Errorf("client %d: outcome %v, %v", c.n, e.Outcome, e.Code)
			}
		case sn.Subscribed:
			c.subscribed = true
		default:
		}
	}
	for b := range c.fx.Datagrams() {
		copies := 1
		switch c.r.IntN(20) {
		case 0:
			copies = 0
		case 1:
			copies = 2
		}
		for range copies {
			_, _ = c.conn.Write(b)
		}
	}
	c.fx.Reset()
}
