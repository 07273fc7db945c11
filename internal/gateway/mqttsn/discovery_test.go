package mqttsn

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// village is a multicast group with gateways in it. What one says the others hear at
// once. It is used in a bubble of synctest. The test has the lock, unless it lets time
// pass.
type village struct {
	t       *testing.T
	mu      sync.Mutex
	began   time.Time
	members map[*member]bool
	said    []utterance
}

type utterance struct {
	at   time.Duration // since the start
	by   netip.AddrPort
	what mqttsn.Message
}

// member is a gateway.
type member struct {
	v    *village
	g    *Gateway
	addr netip.AddrPort
	port *port
	air  *air
	stop chan struct{}
	log  bytes.Buffer
}

func newVillage(t *testing.T) *village {
	v := &village{t: t, began: time.Now(), members: map[*member]bool{}}
	v.mu.Lock()
	return v
}

// open starts a gateway.
func (v *village) open(host byte, cfg Config) *member {
	v.t.Helper()
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		v.t.Fatal(err)
	}
	m := &member{v: v, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 1884), stop: make(chan struct{})}
	cfg.Logger = slog.New(slog.NewTextHandler(&m.log, nil))
	if m.g, err = newGateway(cfg, b, time.Now, true); err != nil {
		v.t.Fatal(err)
	}
	m.g.random = nil
	m.air = &air{life: &life{}}
	m.port = m.g.portNamed("test")
	m.port.carrier = m.air
	v.members[m] = true
	go m.g.speak(m.say, m.stop)
	v.pass(0)
	return m
}

// close ends a gateway.
func (m *member) close() {
	close(m.stop)
	delete(m.v.members, m)
	m.v.pass(0)
}

// say has everybody hear what a gateway says.
func (m *member) say(what mqttsn.Message) {
	m.v.mu.Lock()
	defer m.v.mu.Unlock()
	b, err := what.Append(nil)
	if err != nil {
		m.v.t.Error(err)
	}
	m.v.said = append(m.v.said, utterance{time.Since(m.v.began), m.addr, what})
	for o := range m.v.members {
		if o != m {
			o.overhears(m.addr, b)
		}
		for _, answer := range o.air.queue {
			for asker := range m.v.members {
				if asker.addr == answer.Addr {
					asker.hears(o.addr, answer.Data)
				}
			}
		}
		o.air.queue = nil
	}
}

// overhears has something come to the group, hears to the gateway alone.
func (m *member) overhears(from netip.AddrPort, b []byte) {
	w := m.g.newWork()
	m.g.overhear(w, path{port: m.port, addr: from}, b)
	w.end()
}

func (m *member) hears(from netip.AddrPort, b []byte) {
	w := m.g.newWork()
	m.g.receive(w, path{port: m.port, addr: from}, b)
	w.end()
}

// pass lets time go by.
func (v *village) pass(d time.Duration) {
	v.mu.Unlock()
	defer v.mu.Lock()
	time.Sleep(d)
	synctest.Wait()
}

// advertised is when the gateway has advertised itself since the last look, in
// seconds after start.
func (v *village) advertised(m *member) (at []float64) {
	v.said = slices.DeleteFunc(v.said, func(u utterance) bool {
		_, ok := u.what.(mqttsn.Advertise)
		if ok && u.by == m.addr {
			at = append(at, u.at.Seconds())
		}
		return u.by == m.addr
	})
	return at
}

// in runs a test in a bubble.
func in(t *testing.T, f func(v *village)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t)
		f(v)
		for m := range v.members {
			m.close()
		}
	})
}

const quarter = 900 * time.Second

func TestAdvertisementsComeAsTheySay(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second, 7 * time.Second, quarter, 65535 * time.Second} {
		in(t, func(v *village) {
			m := v.open(1, Config{GatewayID: 9, AdvertiseDuration: d})
			if d == 0 {
				d = quarter
			}
			v.pass(3*d + d/2)
			want := mqttsn.Advertise{GatewayID: 9, Duration: uint16(d / time.Second)}
			for i, u := range v.said {
				if u.what != want || u.at != time.Duration(i)*d {
					t.Errorf("%v: %+v after %v", d, u.what, u.at)
				}
			}
			if len(v.said) != 4 || m.g.Counters()["advertised"] != 4 {
				t.Errorf("%v: %+v", d, v.said)
			}
		})
	}
}

func TestAdvertisementsCanBeSwitchedOffAndOn(t *testing.T) {
	in(t, func(v *village) {
		m := v.open(1, Config{AdvertiseDuration: -1})
		v.pass(time.Hour)
		if len(v.said) > 0 {
			t.Fatalf("%+v", v.said)
		}
		m.overhears(peerAddress("a"), datagram(t, mqttsn.SearchGW{}))
		if b, ok := m.air.next(peerAddress("a")); !ok {
			t.Errorf("no answer %x", b)
		}
		if err := m.g.Reload(Config{AdvertiseDuration: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		v.pass(time.Minute + 20*time.Second)
		if n := len(v.advertised(m)); n < 2 {
			t.Errorf("%d advertisements", n)
		}
	})
}

func TestStandbyTakesOver(t *testing.T) {
	in(t, func(v *village) {
		active := v.open(1, Config{GatewayID: 1})
		v.pass(time.Minute)
		standby := v.open(2, Config{GatewayID: 2, Multicast: Multicast{Standby: true}})
		v.pass(5 * quarter)
		if at := v.advertised(standby); at != nil {
			t.Fatalf("the standby advertises at %v", at)
		}
		ask := datagram(t, mqttsn.SearchGW{})
		standby.overhears(peerAddress("a"), ask)
		if b, ok := standby.air.next(peerAddress("a")); ok {
			t.Errorf("the standby answers in the group: %x", b)
		}
		standby.hears(peerAddress("a"), ask) // whoever asks it alone knows it
		if b, ok := standby.air.next(peerAddress("a")); !ok || !bytes.Equal(b, datagram(t, mqttsn.GWInfo{GatewayID: 2})) {
			t.Errorf("%x", b)
		}
		ads := v.advertised(active)
		last := ads[len(ads)-1]
		active.close()

		v.pass(time.Duration(last)*time.Second + 3*quarter - time.Since(v.began) - time.Second)
		if at := v.advertised(standby); at != nil {
			t.Fatalf("the standby advertises at %v, when the other one has last at %v", at, last)
		}
		v.pass(time.Second + tick + searchTime + time.Millisecond)
		at := v.advertised(standby)
		if len(at) != 1 || at[0] < last+2700 || at[0] > last+2705.2 {
			t.Fatalf("the standby advertises at %v, the other one has last at %v", at, last)
		}
		standby.overhears(peerAddress("a"), ask)
		if _, ok := standby.air.next(peerAddress("a")); !ok {
			t.Error("who has taken over does not answer in the group")
		}
		v.pass(quarter)
		if at := v.advertised(standby); len(at) != 1 {
			t.Errorf("who has taken over advertises at %v", at)
		}

		active = v.open(1, Config{GatewayID: 1})
		v.pass(4 * quarter)
		if at := v.advertised(standby); at != nil {
			t.Errorf("the standby advertises at %v, though the other one is back", at)
		}
		if at := v.advertised(active); len(at) != 5 {
			t.Errorf("the other one advertises at %v", at)
		}
	})
}

func TestStandbyAloneIsHeardSoon(t *testing.T) {
	in(t, func(v *village) {
		m := v.open(1, Config{Multicast: Multicast{Standby: true}})
		v.pass(2*searchTime + time.Second)
		if at := v.advertised(m); len(at) != 1 || at[0] < 5 || at[0] > 10 {
			t.Errorf("%v", at)
		}
	})
}

// Gateways that are all standbys are switched on at once: one speaks, and if it ends,
// another one does.
func TestStandbysAgree(t *testing.T) {
	in(t, func(v *village) {
		all := map[*member]bool{}
		for i := range 5 {
			all[v.open(byte(i+1), Config{GatewayID: byte(i + 1), Multicast: Multicast{Standby: true}})] = true
		}
		for len(all) > 0 {
			v.pass(3*quarter + 3*searchTime)
			for m := range all { // those who have spoken before they heard another
				v.advertised(m)
			}
			v.pass(3 * quarter)
			var speakers []*member
			for m := range all {
				if at := v.advertised(m); at != nil {
					speakers = append(speakers, m)
				}
			}
			if len(speakers) != 1 {
				t.Fatalf("%d of %d gateways advertise", len(speakers), len(all))
			}
			delete(all, speakers[0])
			speakers[0].close()
		}
	})
}

// Nothing but the group silences a standby that has taken over, and answers to its
// own question.
func TestForgedAdvertisementsDoNotSilenceAStandby(t *testing.T) {
	in(t, func(v *village) {
		m := v.open(1, Config{Multicast: Multicast{Standby: true}})
		v.pass(2*searchTime + time.Second)
		forger := peerAddress("a")
		before := m.g.Counters()["dropped/unexpected"]
		for _, forged := range []mqttsn.Message{
			mqttsn.Advertise{GatewayID: 7, Duration: 65535},
			mqttsn.GWInfo{GatewayID: 7},
			mqttsn.GWInfo{GatewayID: 7, Address: []byte{192, 0, 2, 7}},
		} {
			m.hears(forger, datagram(t, forged))
			m.hears(forger, enveloped(t, nil, forged))
		}
		if n := m.g.Counters()["dropped/unexpected"] - before; n != 6 {
			t.Errorf("%d of 6 are counted", n)
		}
		// Others tell in the group of gateways that they know: that is not one that is there.
		m.overhears(forger, datagram(t, mqttsn.GWInfo{GatewayID: 7, Address: []byte{192, 0, 2, 7}}))
		v.advertised(m)
		v.pass(3 * quarter)
		if at := v.advertised(m); len(at) != 3 {
			t.Errorf("advertises at %v", at)
		}
		if len(m.air.queue) > 0 {
			t.Errorf("answers %+v", m.air.queue)
		}
	})
}

func TestNamesakesAreWarnedAbout(t *testing.T) {
	in(t, func(v *village) {
		one := v.open(1, Config{GatewayID: 3})
		v.open(2, Config{GatewayID: 3})
		v.pass(time.Minute)
		if s := one.log.String(); strings.Count(s, "another gateway has the same identifier") != 1 || !strings.Contains(s, "gateway_id=3 address=192.0.2.2:1884") {
			t.Errorf("log: %s", s)
		}
		other := netip.MustParseAddrPort("192.0.2.9:1884")
		for range 1000 {
			one.overhears(other, datagram(t, mqttsn.Advertise{GatewayID: 3, Duration: 900}))
		}
		if n := strings.Count(one.log.String(), "\n"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestSearchesAreLimitedAndNotAmplified(t *testing.T) {
	in(t, func(v *village) {
		m := v.open(1, Config{})
		in, out := 0, 0
		flood := func(from netip.AddrPort, n int) (answers int) {
			m.air.queue = nil
			for i := range n {
				b := datagram(t, mqttsn.SearchGW{Radius: 1})
				if i%2 == 0 {
					b = enveloped(t, []byte("node"), mqttsn.SearchGW{})
				}
				in += len(b)
				if i%3 == 0 {
					m.overhears(from, b)
				} else {
					m.hears(from, b)
				}
			}
			for _, d := range m.air.queue {
				if out += len(d.Data); d.Addr != from {
					t.Errorf("an answer to %s", d.Addr)
				}
			}
			return len(m.air.queue)
		}
		before := m.g.Counters()
		if n := flood(peerAddress("a"), 1000); n != 10 {
			t.Errorf("%d answers to one address", n)
		}
		if n := flood(peerAddress("b"), 1); n > 1 {
			t.Errorf("%d answers to another", n)
		}
		network := 0
		for host := range 200 {
			network += flood(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(host)}), 1), 3)
		}
		if network > 100 {
			t.Errorf("%d answers to one network", network)
		}
		if out > in {
			t.Errorf("%d bytes for %d", out, in)
		}
		after := m.g.Counters()
		if after["dropped/limited"]-before["dropped/limited"] == 0 || after["found"]-before["found"] == 0 {
			t.Errorf("%v", after)
		}
		v.pass(time.Second)
		if n := flood(peerAddress("a"), 20); n == 0 {
			t.Error("a second later nobody is answered")
		}
		if m.g.clients.n.Load() != 0 {
			t.Error("who searches is remembered")
		}
	})
}

// There is nothing in a group but discovery.
func TestGroupsAreForDiscovery(t *testing.T) {
	in(t, func(v *village) {
		m := v.open(1, Config{Authenticator: &door{}, EnableQoS3: true})
		for _, b := range [][]byte{
			datagram(t, connectAs("dev")),
			datagram(t, mqttsn.Pingreq{}),
			datagram(t, mqttsn.Disconnect{}),
			enveloped(t, nil, connectAs("dev")),
			enveloped(t, nil, mqttsn.SearchGW{}),
			{},
			{0},
			{1},
			{3, 1},
			{3, 1, 0, 0},
			{2, 1},
			{5, 0, 1, 2},
			{2, 0x19},
		} {
			before := m.g.drops()
			m.overhears(peerAddress("a"), b)
			n := 0
			for name, count := range m.g.drops() {
				n += int(count - before[name])
			}
			if n != 1 {
				t.Errorf("%x: %d are counted", b, n)
			}
		}
		if len(m.air.queue) > 0 || m.g.clients.n.Load() != 0 {
			t.Errorf("answers %+v, %d clients", m.air.queue, m.g.clients.n.Load())
		}
	})
}

func TestDiscoverySettings(t *testing.T) {
	for want, c := range map[string]Config{
		"":                                        {Multicast: Multicast{Groups: []string{"225.1.1.1:1883", "[ff02::1883]:1883"}}},
		"advertise_duration: 1.5s":                {AdvertiseDuration: 1500 * time.Millisecond},
		"advertise_duration: 18h12m16s":           {AdvertiseDuration: 65536 * time.Second},
		`multicast.groups[1]: "10.0.0.1:1883"`:    {Multicast: Multicast{Groups: []string{"225.1.1.1:1883", "10.0.0.1:1883"}}},
		`multicast.groups[0]: "225.1.1.1"`:        {Multicast: Multicast{Groups: []string{"225.1.1.1"}}},
		`multicast.groups[0]: "225.1.1.1:0"`:      {Multicast: Multicast{Groups: []string{"225.1.1.1:0"}}},
		"multicast.ttl: 256 is not between 1 and": {Multicast: Multicast{TTL: 256}},
	} {
		if err := c.Validate(); fmt.Sprint(err) == "<nil>" != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
