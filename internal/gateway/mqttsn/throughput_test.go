package mqttsn

import (
	"context"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

// counter is a subscriber that counts.
type counter struct{ n atomic.Int64 }

// Deliver implements broker.Receiver.
func (s *counter) Deliver(*message.Delivery) bool { s.n.Add(1); return true }

// Flush implements broker.Receiver.
func (*counter) Flush() {}

// Close implements broker.Receiver.
func (*counter) Close(broker.Reason) {}

// subscribed returns a broker with a subscriber to everything.
func subscribed(tb testing.TB) (*broker.Broker, *counter) {
	tb.Helper()
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		tb.Fatal(err)
	}
	s := &counter{}
	l, _, err := b.Attach(context.Background(), auth.Identity{}, broker.SessionOptions{ClientID: "sink"}, s)
	if err != nil {
		tb.Fatal(err)
	}
	l.Start()
	if g := l.Subscribe([]broker.Subscription{{Filter: "#"}}); g[0].Err != nil {
		tb.Fatal(g[0].Err)
	}
	if err := l.Commit(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return b, s
}

// datagram is m on the wire.
func datagram(tb testing.TB, m mqttsn.Message) []byte {
	tb.Helper()
	b, err := m.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func newPublisher(tb testing.TB) (g *Gateway, w *work, at path, s *counter, publish []byte) {
	tb.Helper()
	b, s := subscribed(tb)
	g, err := newGateway(Config{Authenticator: &door{}}, b, time.Now, true)
	if err != nil {
		tb.Fatal(err)
	}
	p := g.portNamed("test")
	p.carrier = discard{}
	at, w = path{port: p, addr: netip.MustParseAddrPort("192.0.2.1:1884")}, g.newWork()
	for _, m := range []mqttsn.Message{
		mqttsn.Connect{CleanSession: true, ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "dev"},
		mqttsn.Register{MsgID: 1, Topic: "up/dev"},
	} {
		w.begin()
		g.receive(w, at, datagram(tb, m))
		w.end()
	}
	c := g.clients.at(at)
	id, _, ok := c.topicID("up/dev")
	if !ok {
		tb.Fatal("no topic identifier")
	}
	return g, w, at, s, datagram(tb, mqttsn.Publish{TopicID: id, Payload: []byte("21.5")})
}

// publishBatch has the gateway work off a batch of the same datagram.
func publishBatch(g *Gateway, w *work, at path, publish []byte) {
	w.begin()
	for range batch {
		g.receive(w, at, publish)
	}
	w.end()
}

func BenchmarkPublishQoS0(b *testing.B) {
	g, w, at, s, publish := newPublisher(b)
	b.ReportAllocs()
	for b.Loop() {
		publishBatch(g, w, at, publish)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/datagram")
	if s.n.Load() < int64(b.N*batch) {
		b.Errorf("%d of %d have arrived", s.n.Load(), b.N*batch)
	}
}

func TestPublishQoS0DoesNotAllocate(t *testing.T) {
	g, w, at, _, publish := newPublisher(t)
	if n := testing.AllocsPerRun(100, func() { publishBatch(g, w, at, publish) }); n > 1 { // of the broker's batch, now and then
		t.Errorf("%v allocations for %d datagrams", n, batch)
	}
}

// BenchmarkDatagrams is a sender and the gateway on the sockets of this machine.
func BenchmarkDatagrams(b *testing.B) {
	br, s := subscribed(b)
	g, err := New(Config{Authenticator: &door{}}, br)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	listen := func() transport.PacketListener {
		l, err := transport.Listen(ctx, "mqttsn://127.0.0.1:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
		if err != nil {
			b.Fatal(err)
		}
		return l.(transport.PacketListener)
	}
	l, from := listen(), listen()
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	to := netip.MustParseAddrPort(l.Addr().String())
	answer := transport.NewDatagrams(1, 1500)
	ask := func(m mqttsn.Message) []byte {
		if err := from.WriteBatch([]transport.Datagram{{Addr: to, Data: datagram(b, m)}}); err != nil {
			b.Fatal(err)
		}
		if _, err := from.ReadBatch(answer); err != nil {
			b.Fatal(err)
		}
		return answer[0].Data
	}
	ask(mqttsn.Connect{CleanSession: true, ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "dev"})
	regack := ask(mqttsn.Register{MsgID: 1, Topic: "up/dev"})
	id := uint16(regack[2])<<8 | uint16(regack[3])
	ds := make([]transport.Datagram, batch)
	for i := range ds {
		ds[i] = transport.Datagram{Addr: to, Data: datagram(b, mqttsn.Publish{TopicID: id, Payload: []byte("21.5")})}
	}
	const window = 2000 // what the socket's buffer holds
	sent, lost := int64(0), int64(0)
	// wait waits until no more than so many are under way. Those that do not come are
	// lost, as datagrams may be.
	wait := func(most int64) {
		for begin := time.Now(); sent-lost-s.n.Load() > most; runtime.Gosched() {
			if time.Since(begin) > time.Second {
				lost = sent - s.n.Load()
			}
		}
	}
	b.ResetTimer()
	for b.Loop() {
		if err := from.WriteBatch(ds); err != nil {
			b.Fatal(err)
		}
		sent += batch
		wait(window)
	}
	wait(0)
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(sent-lost)/b.Elapsed().Seconds(), "datagrams/s")
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	_ = from.Close()
}
