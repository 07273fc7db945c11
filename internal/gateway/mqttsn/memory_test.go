package mqttsn

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// sleepers has n clients connect, subscribe and go to sleep.
func sleepers(tb testing.TB, n int) *Gateway {
	tb.Helper()
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	g, err := newGateway(Config{Authenticator: &door{}, ConnectRate: 1 << 30}, b, func() time.Time { return now }, true)
	if err != nil {
		tb.Fatal(err)
	}
	p := g.portNamed("test")
	p.carrier = discard{}
	w := g.newWork()
	buf := make([]byte, 0, 64)
	for i := range n {
		from := path{port: p, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1884)}
		id := fmt.Sprintf("sensor-%06d", i)
		for _, m := range []mqttsn.Message{
			mqttsn.Connect{CleanSession: true, ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: id},
			mqttsn.Subscribe{QoS: 1, MsgID: 1, Filter: "down/" + id},
			mqttsn.Disconnect{HasDuration: true, Duration: 3600},
		} {
			buf, _ = m.Append(buf[:0])
			w.begin()
			g.receive(w, from, buf)
			w.end()
		}
	}
	if got := g.counts.slept.Load(); got != uint64(n) {
		tb.Fatalf("%d of %d sleep", got, n)
	}
	return g
}

// TestSleepersAreSmall bounds what a client costs that is asleep: here, and
// together with the broker.
func TestSleepersAreSmall(t *testing.T) {
	const n, most = 20_000, 2000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	g := sleepers(t, n)
	each := (heap() - before) / n
	t.Logf("%d bytes for a client that sleeps, %d of them in its struct", each, unsafe.Sizeof(client{}))
	if each > most {
		t.Errorf("a client that sleeps costs %d bytes, want %d at most", each, most)
	}
	runtime.KeepAlive(g)
}
