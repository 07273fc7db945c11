package mqttsn

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/store"
)

// slowDoor lets everybody in, those whose names begin with slow when it is open.
type slowDoor struct {
	mu     sync.Mutex
	opened chan struct{}
}

func (d *slowDoor) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = make(chan struct{})
}

func (d *slowDoor) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opened != nil {
		close(d.opened)
		d.opened = nil
	}
}

// Authenticate implements auth.Authenticator.
func (d *slowDoor) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	d.mu.Lock()
	opened := d.opened
	d.mu.Unlock()
	if opened != nil && strings.HasPrefix(c.ClientID, "slow") {
		<-opened
	}
	return auth.Identity{ClientID: c.ClientID, Method: "test"}, auth.Allow, nil
}

// mailbox counts datagrams by address.
type mailbox struct {
	mu sync.Mutex
	n  map[netip.AddrPort]int
}

// send implements carrier.
func (m *mailbox) send(to netip.AddrPort, _, _ []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n[to]++
}

// flush implements carrier.
func (*mailbox) flush() {}

// await returns when n datagrams have gone to the address.
func (m *mailbox) await(t *testing.T, to netip.AddrPort, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		m.mu.Lock()
		got := m.n[to]
		m.mu.Unlock()
		if got >= n {
			return
		}
	}
	t.Fatalf("%d datagrams to %s have not come", n, to)
}

// rush is a gateway whose authenticator can be slow, with a client that is connected.
type rush struct {
	t     *testing.T
	g     *Gateway
	port  *port
	work  *work
	door  *slowDoor
	mail  *mailbox
	first netip.AddrPort
}

func newRush(t *testing.T) *rush {
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	r := &rush{t: t, door: &slowDoor{}, mail: &mailbox{n: map[netip.AddrPort]int{}}, first: peerAddress("a")}
	if r.g, err = newGateway(Config{Authenticator: r.door}, b, time.Now, false); err != nil {
		t.Fatal(err)
	}
	r.port = r.g.portNamed("test")
	r.port.carrier = r.mail
	r.work = r.g.newWork()
	t.Cleanup(func() {
		r.door.open()
		r.g.crew.wait()
		checkTables(t, r.g)
	})
	r.say(r.first, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "first"})
	r.mail.await(t, r.first, 1)
	return r
}

func (r *rush) say(from netip.AddrPort, m mqttsn.Message) {
	b, err := m.Append(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.work.begin()
	r.g.receive(r.work, path{port: r.port, addr: from}, b)
	r.work.end()
}

func (r *rush) connect(i int) {
	r.say(numberedAddress(i), mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: fmt.Sprint("slow", i)})
}

// publishes has the client publish at QoS 1, and waits for PUBACK.
func (r *rush) publishes() {
	r.t.Helper()
	r.say(r.first, mqttsn.Publish{QoS: 1, Kind: mqttsn.ShortTopic, TopicID: 0x6161, MsgID: 1})
	r.mail.await(r.t, r.first, 2)
}

func TestSlowAuthenticatorsKeepNobodyFromPublishing(t *testing.T) {
	const many = maxCrew + 200
	t.Run("for strangers", func(t *testing.T) {
		r := newRush(t)
		r.door.shut()
		for i := range many {
			r.connect(i)
		}
		r.publishes()
	})
	t.Run("for clients that others say to be", func(t *testing.T) {
		r := newRush(t)
		for i := range many {
			r.connect(i)
		}
		r.g.crew.wait()
		r.door.shut()
		for i := range many {
			r.say(numberedAddress(many+i), mqttsn.Pingreq{ClientID: fmt.Sprint("slow", i)})
		}
		r.publishes()
	})
	t.Run("for clients that connect again", func(t *testing.T) {
		r := newRush(t)
		for i := range many {
			r.connect(i)
		}
		r.g.crew.wait()
		r.door.shut()
		for i := range many {
			r.say(numberedAddress(i), mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: fmt.Sprint("slow", i)})
		}
		r.publishes()
	})
}

// TestVisitorsLeaveRoom has many say that they are a client, who goes on.
func TestVisitorsLeaveRoom(t *testing.T) {
	r := newRush(t)
	r.connect(0)
	r.g.crew.wait()
	r.door.shut()
	for i := range 10 * inboxEvents {
		r.say(numberedAddress(1+i), mqttsn.Pingreq{ClientID: "slow0"})
	}
	for i := range inboxEvents - 1 { // a visitor waits, too
		r.say(numberedAddress(0), mqttsn.Publish{QoS: 1, Kind: mqttsn.ShortTopic, TopicID: 0x6161, MsgID: uint16(i + 1)})
	}
	r.door.open()
	r.mail.await(t, numberedAddress(0), inboxEvents) // with CONNACK
}

// faulty is a store that panics once when it is armed.
type faulty struct {
	store.Store
	armed bool
}

// Apply implements store.Store.
func (f *faulty) Apply(ctx context.Context, batch []store.Op) error {
	if f.armed {
		f.armed = false
		panic("a fault")
	}
	return f.Store.Apply(ctx, batch)
}

func TestPanicsOfTheStoreCostOneClient(t *testing.T) {
	w := newWorld(t, nil)
	f := &faulty{Store: w.store.Store}
	w.store.Store, w.config.Logger = f, nil
	w.boot()
	a, b := peerAddress("a"), peerAddress("b")
	for peer, id := range map[netip.AddrPort]string{a: "x", b: "y"} {
		w.forge(peer, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: id})
	}
	w.forge(a, mqttsn.Subscribe{QoS: 1, MsgID: 1, Filter: "ab"})
	w.mqtt.mustPublish(w, "ab", 1, "x")
	m := latest[mqttsn.Publish](w, a)
	f.armed = true
	w.forge(a, mqttsn.Puback{TopicID: m.TopicID, MsgID: m.MsgID}) // told to the broker, and committed then
	if n := w.gw.counts.panics.Load(); n != 1 || w.clients() != 1 {
		t.Errorf("%d panics, %d clients", n, w.clients())
	}
	w.forge(b, mqttsn.Pingreq{})
	latest[mqttsn.Pingresp](w, b)
	w.forge(a, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "x"})
	if m := latest[mqttsn.Publish](w, a); string(m.Payload) != "x" {
		t.Errorf("%+v", m)
	}
}
