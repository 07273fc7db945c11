package mqttsn

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// enveloped is m, as the forwarder of that node passes it on.
func enveloped(t testing.TB, node []byte, m mqttsn.Message) []byte {
	t.Helper()
	return datagram(t, mqttsn.Encapsulated{NodeID: node, Inner: datagram(t, m)})
}

func connectAs(id string) mqttsn.Connect {
	return mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: id}
}

// answered fails the test unless exactly this goes to the address.
func (w *world) answered(to netip.AddrPort, want []byte) {
	w.t.Helper()
	got, _ := w.air.next(to)
	if !bytes.Equal(got, want) {
		w.t.Fatalf("%x to %s, want %x", got, to, want)
	}
}

// silent fails the test if the gateway has sent anything.
func (w *world) silent() {
	w.t.Helper()
	for _, d := range w.air.queue {
		w.t.Errorf("%x to %s", d.Data, d.Addr)
	}
	w.air.queue = nil
}

func TestNodesAreEchoedByteForByte(t *testing.T) {
	for _, n := range []int{0, 1, 2, 8, 252} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w, a := newWorld(t, nil), peerAddress("a")
			node := bytes.Repeat([]byte{0xfe, 0, 1, 0x80}, 63)[:n]
			for _, s := range [][2]mqttsn.Message{
				{mqttsn.SearchGW{}, mqttsn.GWInfo{GatewayID: 1}},
				{mqttsn.Pingreq{}, mqttsn.Disconnect{}}, // to a stranger
				{connectAs("dev"), mqttsn.Connack{}},
				{mqttsn.Pingreq{}, mqttsn.Pingresp{}},
				{mqttsn.Publish{QoS: 1, MsgID: 7, TopicID: 999}, mqttsn.Puback{TopicID: 999, MsgID: 7, Code: mqttsn.InvalidTopicID}},
				{mqttsn.Disconnect{}, mqttsn.Disconnect{}},
			} {
				w.receive(a, enveloped(t, node, s[0]))
				w.answered(a, enveloped(t, node, s[1]))
			}
			w.silent()
		})
	}
}

func TestManyClientsBehindOneForwarder(t *testing.T) {
	const many = 3 * keptNodes // more than are known by name
	w, a := newWorld(t, nil), peerAddress("a")
	node := func(i int) []byte { return fmt.Appendf(nil, "node-%d", i) }
	for i := range many {
		w.receive(a, enveloped(t, node(i), connectAs(fmt.Sprint("dev-", i))))
		w.answered(a, enveloped(t, node(i), mqttsn.Connack{}))
	}
	if n := w.clients(); n != many {
		t.Fatalf("%d clients", n)
	}
	for i := range many {
		w.receive(a, enveloped(t, node(i), mqttsn.Pingreq{}))
		w.answered(a, enveloped(t, node(i), mqttsn.Pingresp{}))
	}
	w.silent()
}

func TestForwarderAndPlainClientAtOneAddress(t *testing.T) {
	w, a := newWorld(t, nil), peerAddress("a")
	w.receive(a, enveloped(t, nil, connectAs("behind")))
	w.answered(a, enveloped(t, nil, mqttsn.Connack{}))
	w.receive(a, datagram(t, connectAs("plain")))
	w.answered(a, datagram(t, mqttsn.Connack{}))
	if w.clients() != 2 {
		t.Fatalf("%d clients", w.clients())
	}
	w.receive(a, datagram(t, mqttsn.Disconnect{}))
	w.answered(a, datagram(t, mqttsn.Disconnect{}))
	w.receive(a, enveloped(t, nil, mqttsn.Pingreq{}))
	w.answered(a, enveloped(t, nil, mqttsn.Pingresp{}))
	w.silent()
}

func TestMovingToAnotherForwarder(t *testing.T) {
	var (
		a, a2, b = peerAddress("a"), peerAddress("a2"), peerAddress("b")
		one, two = []byte{1}, []byte{2}
	)
	for _, c := range []struct {
		rebind string
		asleep bool
		to     netip.AddrPort
		node   []byte
		moves  bool
	}{
		{rebindNever, true, b, one, false},
		{rebindNever, true, a, two, false},
		{rebindSleep, false, b, one, false},
		{rebindSleep, true, b, one, true},
		{rebindSleep, true, b, two, true},
		{rebindSleep, true, a, two, true}, // the same forwarder knows it by another number
		{rebindSameIP, false, a2, one, true},
		{rebindSameIP, true, a2, two, false}, // that is another radio
		{rebindSameIP, true, b, one, false},
		{rebindAlways, false, b, two, true},
	} {
		t.Run(fmt.Sprintf("%s asleep=%v %s %x", c.rebind, c.asleep, c.to, c.node), func(t *testing.T) {
			w := newWorld(t, map[string]string{"sessions.rebind": c.rebind})
			w.receive(a, enveloped(t, one, connectAs("dev")))
			w.answered(a, enveloped(t, one, mqttsn.Connack{}))
			if c.asleep {
				w.receive(a, enveloped(t, one, mqttsn.Disconnect{HasDuration: true, Duration: 60}))
				w.answered(a, enveloped(t, one, mqttsn.Disconnect{}))
			}
			w.receive(c.to, enveloped(t, c.node, mqttsn.Pingreq{ClientID: "dev"}))
			if !c.moves {
				w.answered(c.to, enveloped(t, c.node, mqttsn.Disconnect{}))
				if n := w.risen("not_rebound"); n != 1 {
					t.Errorf("%d not rebound", n)
				}
				w.silent()
				return
			}
			w.answered(c.to, enveloped(t, c.node, mqttsn.Pingresp{}))
			if n := w.risen("rebound"); n != 1 {
				t.Errorf("%d rebound", n)
			}
			// The place that it has left is a stranger's.
			w.receive(a, enveloped(t, one, mqttsn.Pingreq{}))
			w.answered(a, enveloped(t, one, mqttsn.Disconnect{}))
			w.silent()
		})
	}
	// A CONNECT moves it at any time.
	w := newWorld(t, map[string]string{"sessions.rebind": rebindNever})
	w.receive(a, enveloped(t, one, connectAs("dev")))
	w.answered(a, enveloped(t, one, mqttsn.Connack{}))
	w.receive(a, enveloped(t, two, connectAs("dev")))
	w.answered(a, enveloped(t, one, mqttsn.Disconnect{}))
	w.answered(a, enveloped(t, two, mqttsn.Connack{}))
	if w.clients() != 1 {
		t.Errorf("%d clients", w.clients())
	}
}

func TestForwardersOfTheSettings(t *testing.T) {
	a, b := peerAddress("a"), peerAddress("b") // 192.0.2.1 and 192.0.3.1
	for _, c := range []struct {
		words string
		a, b  bool
	}{
		{"", true, true},
		{"any", true, true},
		{"off", false, false},
		{"192.0.2.0/24", true, false},
		{"192.0.3.1", false, true},
		{"::ffff:192.0.3.1", false, true},
		{"2001:db8::/32 192.0.2.99/24", true, false},
		{"0.0.0.0/0", true, true},
		{"::/0", false, false},
	} {
		t.Run(c.words, func(t *testing.T) {
			w := newWorld(t, nil)
			if c.words != "" {
				w.config.Forwarders = strings.Fields(c.words)
			}
			if err := w.gw.Reload(w.config); err != nil {
				t.Fatal(err)
			}
			for from, allowed := range map[netip.AddrPort]bool{a: c.a, b: c.b} {
				w.receive(from, enveloped(t, []byte{1}, mqttsn.SearchGW{}))
				if allowed {
					w.answered(from, enveloped(t, []byte{1}, mqttsn.GWInfo{GatewayID: 1}))
				} else if n := w.risen("dropped/forwarder"); n != 1 {
					t.Errorf("%s: %d are counted", from, n)
				}
				w.receive(from, datagram(t, mqttsn.SearchGW{})) // by itself it may
				w.answered(from, datagram(t, mqttsn.GWInfo{GatewayID: 1}))
			}
			w.silent()
		})
	}
}

func TestForwardersThatAreNone(t *testing.T) {
	for words, want := range map[string]string{
		"somewhere":      `forwarders[0]: "somewhere" is neither a network nor an address`,
		"10.0.0.1 any":   `forwarders[1]: "any" is neither a network nor an address; any and off stand alone`,
		"10.0.0.0/33":    "forwarders[0]:",
		"10.0.0.1:1884":  "forwarders[0]:",
		"off 10.0.0.0/8": "forwarders[0]:",
	} {
		if err := (Config{Forwarders: strings.Fields(words)}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func TestEnvelopesThatAreNone(t *testing.T) {
	long := append([]byte{1, 2, 0, 0xfe, 0}, bytes.Repeat([]byte{7}, 507)...)
	for name, d := range map[string]string{
		"within another":               "05fe00aabb05fe00ccdd0216",
		"within another, in long form": "05fe00aabb0100070000fe0216",
		"no node identifier's end":     "09fe00aabb",
		"nothing in it":                "05fe00aabb",
		"one byte in it":               "04fe00aa02",
		"no control":                   "02fe0216",
		"two messages":                 "04fe00aa02160216",
		"a message that is cut off":    "04fe00aa0a04040100",
		"an unknown message":           "04fe00aa0219",
		"a long length":                "010006fe00aa0216",
		"a node that no answer names":  hex.EncodeToString(append(long, 2, 0x16)),
	} {
		t.Run(name, func(t *testing.T) {
			w, a := newWorld(t, nil), peerAddress("a")
			b, err := hex.DecodeString(d)
			if err != nil {
				t.Fatal(err)
			}
			w.receive(a, b)
			if n := w.dropped(); n != 1 {
				t.Errorf("%d are counted", n)
			}
			w.silent()
			if w.clients() != 0 || w.sessions() != 0 {
				t.Errorf("%d clients, %d sessions", w.clients(), w.sessions())
			}
		})
	}
}

// newForwarded is newPublisher with the client behind a forwarder.
func newForwarded(tb testing.TB) (g *Gateway, w *work, at path, s *counter, publish []byte) {
	tb.Helper()
	g, w, at, s, _ = newPublisher(tb)
	node := []byte("a node identifier of some length")
	for _, m := range []mqttsn.Message{connectAs("forwarded"), mqttsn.Register{MsgID: 1, Topic: "up/dev"}} {
		w.begin()
		g.receive(w, at, enveloped(tb, node, m))
		w.end()
	}
	id, _, ok := g.clients.named(g.sessionID("forwarded")).topicID("up/dev")
	if !ok {
		tb.Fatal("no topic identifier")
	}
	return g, w, at, s, enveloped(tb, node, mqttsn.Publish{TopicID: id, Payload: []byte("21.5")})
}

func TestForwardedPublishesDoNotAllocate(t *testing.T) {
	g, w, at, s, publish := newForwarded(t)
	if n := testing.AllocsPerRun(100, func() { publishBatch(g, w, at, publish) }); n > 1 { // of the broker's batch, now and then
		t.Errorf("%v allocations for %d datagrams", n, batch)
	}
	if s.n.Load() == 0 {
		t.Error("nothing has arrived")
	}
}

func BenchmarkForwardedPublishQoS0(b *testing.B) {
	g, w, at, s, publish := newForwarded(b)
	b.ReportAllocs()
	for b.Loop() {
		publishBatch(g, w, at, publish)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/datagram")
	if s.n.Load() < int64(b.N*batch) {
		b.Errorf("%d of %d have arrived", s.n.Load(), b.N*batch)
	}
}
