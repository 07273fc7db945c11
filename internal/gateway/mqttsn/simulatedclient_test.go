package mqttsn

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	sn "github.com/iotctl/iotctl/internal/client/mqttsn"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// simulatedClient is a client of the simulation. It never asks for a clean
// session, so whatever happens to it, its messages are to arrive.
type simulatedClient struct {
	s          *simulation
	n          int
	id         string
	core       *sn.Core
	fx         sn.Effects
	addr       netip.AddrPort
	node       []byte    // its identifier at the forwarder; nil: it is not behind one
	next       time.Time // when it does something of its own
	subscribed bool      // SUBACK has come
	asked      bool      // SUBSCRIBE is under way
}

// forwarderAddress is that of some clients.
var forwarderAddress = netip.MustParseAddrPort("10.9.9.9:9")

// newSimulatedClient returns the i-th: every other has a will, and the last two are
// behind a forwarder.
func newSimulatedClient(s *simulation, i int, seed uint64) *simulatedClient {
	c := &simulatedClient{s: s, n: i, id: fmt.Sprintf("c%d", i)}
	cfg := sn.Config{
		ClientID: c.id, KeepAlive: 60, Jitter: 0.1, Names: map[uint16]string{7: "seven"},
		Rand: rand.New(rand.NewPCG(seed, uint64(i)+100)),
	}
	if i%2 == 1 {
		cfg.Will = &sn.Will{Topic: "will/" + c.id, Payload: []byte("gone"), QoS: 1}
	}
	if i >= simulatedClients-2 {
		c.node, c.addr = []byte{byte(i)}, forwarderAddress
		cfg.Forwarded, cfg.NodeID = true, c.node
	}
	var err error
	if c.core, err = sn.New(cfg); err != nil {
		s.t.Fatal(err)
	}
	c.move()
	c.next = s.w.now.Add(s.upTo(time.Second))
	return c
}

// hear takes a datagram, which may be for another behind the same forwarder.
func (c *simulatedClient) hear(b []byte) {
	if c.core.Handle(c.s.w.now, b, &c.fx) == nil {
		c.s.note("%s < %s", c.id, explain(b, true))
	}
	c.work()
}

// move gives it an address that nobody has, as far as the gateway knows either: it
// cannot tell who is there. Others may have had it.
func (c *simulatedClient) move() {
	if c.node != nil {
		return
	}
	for {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(c.s.r.IntN(4))}), uint16(1000+c.s.r.IntN(simulatedClients)))
		if c.s.at[a] == nil && c.s.w.gw.clients.at(path{port: c.s.w.port, addr: a}) == nil {
			delete(c.s.at, c.addr)
			c.addr = a
			c.s.at[a] = c
			c.s.note("%s moves to %s", c.id, a)
			return
		}
	}
}

func (c *simulatedClient) tick() {
	c.core.Tick(c.s.w.now, &c.fx)
	c.work()
}

// work carries out what has followed from a call of the core.
func (c *simulatedClient) work() {
	s := c.s
	for len(c.fx.Events) > 0 || c.fx.Len() > 0 {
		for _, e := range c.fx.Events {
			c.event(e)
		}
		for b := range c.fx.Datagrams() {
			s.note("%s > %s", c.id, explain(b, false))
			s.transmit(true, c.addr, b)
		}
		c.fx.Reset()
	}
}

func (c *simulatedClient) event(e sn.Event) {
	s := c.s
	switch e.Kind {
	case sn.Message:
		if who, _, _ := strings.Cut(string(e.Payload), "-"); who != c.id {
			break // it was on its way to whom the address had belonged
		}
		if p := s.downward[string(e.Payload)]; p != nil {
			p.arrived++
			if p.once && p.arrived > 1 {
				s.fail(c.id, "down: %s at QoS 2 has arrived %d times", e.Payload, p.arrived)
			}
		}
	case sn.Published:
		p := s.upward[fmt.Sprintf("%s-up%d", c.id, e.Token)]
		switch {
		case p == nil:
		case e.Outcome == sn.Acknowledged:
			p.owed = true
		case e.Outcome == sn.Denied && e.Code != mqttsn.Congestion:
			s.fail(c.id, "the gateway has refused %s-up%d: %v", c.id, e.Token, e.Code)
		}
	case sn.Subscribed:
		if e.Code != mqttsn.Accepted {
			if e.Code != mqttsn.Congestion {
				s.fail(c.id, "SUBSCRIBE was refused: %v", e.Code)
			}
			c.asked = false
			break
		}
		c.subscribed = true
	case sn.Refused:
		if e.Code != mqttsn.Congestion {
			s.fail(c.id, "CONNECT was refused: %v", e.Code)
		}
	default:
	}
}

// act does something that the state allows.
func (c *simulatedClient) act() {
	s, now := c.s, c.s.w.now
	c.next = now.Add(s.upTo(4 * time.Second))
	switch c.core.State() {
	case sn.StateDisconnected:
		if !s.calmly && s.chance(0.3) {
			c.move()
		}
		c.core.Connect(now, false, &c.fx)
	case sn.StateActive:
		c.use()
	case sn.StateAsleep:
		c.next = now.Add(s.upTo(20 * time.Second))
		if !s.calmly && s.chance(0.2) {
			c.move()
		}
		switch n := s.r.IntN(10); {
		case n < 1 || s.calmly:
			c.core.Connect(now, false, &c.fx)
		case n < 2:
			_ = c.core.Sleep(now, 10*time.Second+s.upTo(time.Minute), &c.fx)
		case n < 3:
			c.core.Disconnect(now, &c.fx)
		default:
			_ = c.core.Wake(now, &c.fx)
		}
	default:
		if !s.calmly && s.chance(0.01) {
			c.cutOff()
		}
	}
	if !s.calmly && s.chance(0.4) {
		s.publishDown(c)
	}
	c.work()
}

// use is what an active client does.
func (c *simulatedClient) use() {
	s, now := c.s, c.s.w.now
	switch {
	case !c.subscribed && !c.asked:
		c.asked = c.core.Subscribe(now, sn.Named(fmt.Sprintf("dev/%d/+", c.n)), 2, 0, &c.fx) == nil
	case s.calmly:
	case s.chance(0.1):
		_ = c.core.Sleep(now, 10*time.Second+s.upTo(time.Minute), &c.fx)
	case s.chance(0.03):
		c.core.Disconnect(now, &c.fx)
	case s.chance(0.03):
		c.cutOff()
	case s.chance(0.05):
		_ = c.core.Subscribe(now, sn.Named("other/+"), int8(s.r.IntN(3)), 1, &c.fx)
	case s.chance(0.05):
		_ = c.core.Unsubscribe(now, sn.Named("other/+"), 2, &c.fx)
	default:
		c.publish()
	}
}

// cutOff is a power failure: what it has written down is all that it knows.
func (c *simulatedClient) cutOff() {
	c.s.note("%s is cut off", c.id)
	c.core.Drop()
}

func (c *simulatedClient) publish() {
	s := c.s
	s.tokens++
	topics := []sn.Topic{
		sn.Named(fmt.Sprintf("up/%d/%d", c.n, s.r.IntN(5))), sn.Named("other/1"), sn.Short("sh"), sn.Predefined(7),
	}
	p := sn.Publication{Token: s.tokens, Topic: topics[s.r.IntN(len(topics))], QoS: int8(s.r.IntN(3))}
	payload := fmt.Sprintf("%s-up%d", c.id, s.tokens)
	p.Payload = []byte(payload)
	s.upward[payload] = &promise{qos: p.QoS, once: p.QoS == 2}
	if err := c.core.Publish(s.w.now, p, &c.fx); err != nil {
		delete(s.upward, payload)
	}
}
