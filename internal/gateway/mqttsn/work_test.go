package mqttsn

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// newConcurrent returns a gateway that starts goroutines as ever, without sockets.
func newConcurrent(t *testing.T) (*Gateway, *port) {
	t.Helper()
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(Config{Authenticator: &door{}}, b, time.Now, false)
	if err != nil {
		t.Fatal(err)
	}
	p := g.portNamed("test")
	p.carrier = discard{}
	t.Cleanup(g.crew.wait)
	return g, p
}

func TestEventsOfAClientAreWorkedOffOneAfterTheOther(t *testing.T) {
	g, p := newConcurrent(t)
	const clients, readers, events = 3, 4, 2000
	all := make([]*client, clients)
	for i := range all {
		all[i] = g.newClient(path{port: p, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1)})
		all[i].disown()
	}
	seen := make([]int, clients)    // of the owner: the race detector watches
	last := [clients][readers]int{} // what each has posted comes in its order, quick or not
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			w := g.newWork()
			for n := 1; n <= events; n++ {
				i := (n + r) % clients
				e := event{quick: n%3 == 0, do: func(*client, *work) {
					seen[i]++
					if n < last[i][r] {
						t.Errorf("event %d of reader %d comes behind %d", n, r, last[i][r])
					}
					last[i][r] = n
				}}
				if n%5 == 0 {
					all[i].summon(e)
				} else {
					all[i].post(w, e)
				}
				if n%64 == 0 {
					w.end()
				}
			}
			w.end()
		})
	}
	wg.Wait()
	g.crew.wait()
	total := 0
	for i, c := range all {
		total += seen[i]
		if c.owned || c.inbox != nil {
			t.Errorf("client %d is owned, or has events left", i)
		}
	}
	if total != readers*events {
		t.Errorf("%d events are worked off, want %d", total, readers*events)
	}
}

// TestClientsRoamAtTheSameTime has everybody use the same few client identifiers and
// addresses at once, while time passes and the broker ends connections.
func TestClientsRoamAtTheSameTime(t *testing.T) {
	g, p := newConcurrent(t)
	const readers, rounds = 4, 400
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			w := g.newWork()
			say := func(addr byte, m mqttsn.Message) {
				b, err := m.Append(nil)
				if err != nil {
					t.Error(err)
				}
				w.begin()
				g.receive(w, path{port: p, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, addr}), 1)}, b)
				w.end()
			}
			for n := range rounds {
				addr, id := byte(n*7+r)%5, fmt.Sprint("dev", (n*3+r)%4)
				say(addr, mqttsn.Connect{CleanSession: n%2 == 0, Will: n%11 == 0, ProtocolID: mqttsn.ProtocolID, KeepAlive: 1, ClientID: id})
				say(addr, mqttsn.WillTopic{Topic: "w"})
				say(addr, mqttsn.WillMsg{Payload: []byte("gone")})
				say(addr, mqttsn.Subscribe{QoS: 1, MsgID: uint16(n + 1), Filter: "all/+"})
				say(addr, mqttsn.Register{MsgID: uint16(n + 1), Topic: "all/" + id})
				say(addr, mqttsn.Publish{Kind: mqttsn.ShortTopic, TopicID: 0x6161, QoS: int8(n % 3), MsgID: uint16(n + 1)})
				say(addr, mqttsn.Pubrel{MsgID: uint16(n + 1)})
				if n%3 == 0 {
					say(addr, mqttsn.Disconnect{HasDuration: true, Duration: 1})
					say(addr+1, mqttsn.Pingreq{ClientID: id})
				}
				if n%17 == 0 {
					g.broker.Disconnect(g.sessionID(id), broker.ReasonAdministrative)
				}
				if n%29 == 0 {
					say(addr, mqttsn.Disconnect{})
				}
			}
		})
	}
	stop := make(chan struct{})
	var turning sync.WaitGroup
	turning.Go(func() {
		for now := g.now(); ; now = now.Add(tick) {
			select {
			case <-stop:
				return
			default:
				g.fire(now)
			}
		}
	})
	wg.Wait()
	close(stop)
	turning.Wait()
	g.crew.wait()
	if n := g.counts.panics.Load(); n > 0 {
		t.Errorf("%d panics", n)
	}
	checkTables(t, g)
}

// checkTables compares the tables of clients with what the clients say.
func checkTables(t *testing.T, g *Gateway) {
	t.Helper()
	connected, halfOpen := 0, 0
	for i := range g.clients.shards {
		sh := &g.clients.shards[i]
		for id, c := range sh.byID {
			connected++
			if c.state == gone || c.id != id || c.link == nil {
				t.Errorf("%q: client %q is %v, link %v", id, c.id, c.state, c.link)
			}
		}
		for hash, c := range sh.byPath {
			if c.link == nil {
				halfOpen++
			}
			if _, at := g.clients.ofPath(c.out.where()); at != hash || c.state == gone {
				t.Errorf("client %q is %v, and not where it is said to be", c.id, c.state)
			}
		}
	}
	if n := g.clients.n.Load(); n != int64(connected) {
		t.Errorf("%d clients are counted, %d are there", n, connected)
	}
	if n := g.halfOpen.Load(); n != int64(halfOpen) {
		t.Errorf("%d half-open clients are counted, %d are there", n, halfOpen)
	}
}
