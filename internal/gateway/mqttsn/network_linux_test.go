package mqttsn

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// patience is how long something may take that has to come.
const patience = 30 * time.Second

// station is a gateway on sockets of this machine.
type station struct {
	g     *Gateway
	ports []uint16 // of its listeners
	log   gatewaytest.Journal
	close func()
}

// onAir starts a gateway with so many listeners.
func onAir(t *testing.T, listeners int, cfg Config) *station {
	t.Helper()
	b, err := broker.New(context.Background(), broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := &station{}
	cfg.Authenticator, cfg.Logger = &door{}, slog.New(slog.NewTextHandler(&s.log, nil))
	if s.g, err = New(cfg, b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	for range listeners {
		l, err := transport.Listen(ctx, "mqttsn://:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
		if err != nil {
			t.Fatal(err)
		}
		s.ports = append(s.ports, l.Addr().(*net.UDPAddr).AddrPort().Port())
		serving.Go(func() {
			if err := s.g.Serve(ctx, l); err != nil {
				t.Error(err)
			}
		})
	}
	s.close = sync.OnceFunc(func() {
		cancel()
		serving.Wait()
	})
	t.Cleanup(s.close)
	return s
}

// scout is a client that looks for gateways.
type scout struct {
	t     *testing.T
	l     transport.PacketListener
	group netip.AddrPort
	air   <-chan transport.Datagram // of the group
	own   <-chan transport.Datagram // to the client alone
}

func newScout(t *testing.T, group string) *scout {
	t.Helper()
	l, err := transport.Listen(t.Context(), "mqttsn://:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	s := &scout{t: t, l: l.(transport.PacketListener), group: netip.MustParseAddrPort(group)}
	groups, err := s.l.ListenGroup(s.group, []string{"v0"})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	read := func(batch func([]transport.Datagram) (int, error)) <-chan transport.Datagram {
		heard := make(chan transport.Datagram, 1000)
		reading.Go(func() {
			for {
				ds := transport.NewDatagrams(1, 100)
				if n, err := batch(ds); n != 1 || err != nil {
					return
				}
				heard <- ds[0]
			}
		})
		return heard
	}
	s.air, s.own = read(groups[0].ReadBatch), read(s.l.ReadBatch)
	t.Cleanup(func() {
		_ = l.Close()
		reading.Wait()
	})
	return s
}

// hears waits for a datagram.
func (s *scout) hears(from <-chan transport.Datagram) (m mqttsn.Message, port uint16) {
	s.t.Helper()
	select {
	case d := <-from:
		m, _, err := mqttsn.Parse(d.Data, mqttsn.Options{EitherSide: true})
		if err != nil {
			s.t.Fatalf("%x: %v", d.Data, err)
		}
		return m, d.Addr.Port()
	case <-time.After(patience):
		s.t.Fatal("nothing is heard")
		return nil, 0
	}
}

// advertised waits for the next ADVERTISE in the group.
func (s *scout) advertised() (id uint8, port uint16) {
	s.t.Helper()
	for {
		m, port := s.hears(s.air)
		if a, ok := m.(mqttsn.Advertise); ok {
			if time.Duration(a.Duration)*time.Second != advertiseEvery {
				s.t.Errorf("%+v", a)
			}
			return a.GatewayID, port
		}
	}
}

// alone waits until the gateway has advertised n times, and nobody else meanwhile: on
// a machine with much to do, another one may have missed it before.
func (s *scout) alone(gateway uint8, n int) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for got := 0; got < n; {
		id, _ := s.advertised()
		if got++; id != gateway {
			got = 0
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("gateway %d is not alone", gateway)
		}
	}
}

// Two gateways are on one machine, and one of them stands by.
// advertiseEvery leaves a standby three times as long until it takes over: a busy
// machine may well be late by a second.
const advertiseEvery = 2 * time.Second

func TestDiscoveryOnTheNetwork(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		for _, c := range []struct{ group, host string }{
			{"225.1.1.1:1883", "10.9.0.1"},
			{"[ff02::1883]:1885", "fd00:9::1"},
		} {
			t.Run(c.group, func(t *testing.T) {
				t.Parallel()
				testDiscovery(t, c.group, netip.MustParseAddr(c.host))
			})
		}
	})
}

func testDiscovery(t *testing.T, group string, host netip.Addr) {
	t.Helper()
	config := func(id uint8, standby bool) Config {
		return Config{GatewayID: id, AdvertiseDuration: advertiseEvery, Multicast: Multicast{
			Groups: []string{group}, Interfaces: []string{"v0"}, Standby: standby,
		}}
	}
	s := newScout(t, group)
	search := datagram(t, mqttsn.SearchGW{Radius: 1})
	active := onAir(t, 2, config(1, false))
	for heard := map[uint16]bool{}; len(heard) < 2; { // then both have joined
		id, port := s.advertised()
		if id != 1 || !active.at(port) {
			t.Fatalf("gateway %d advertises from port %d", id, port)
		}
		heard[port] = true
	}
	standby := onAir(t, 1, config(2, true))

	// Who asks the group is answered by both listeners of the one that is active,
	// from where it serves, and by nobody else.
	if err := s.l.WriteGroup(s.group, "v0", 1, search); err != nil {
		t.Fatal(err)
	}
	answers := map[uint16]bool{}
	for range 2 {
		m, port := s.hears(s.own)
		if i, ok := m.(mqttsn.GWInfo); !ok || i.GatewayID != 1 || len(i.Address) > 0 {
			t.Errorf("%+v", m)
		}
		answers[port] = active.at(port)
	}
	if len(answers) != 2 || !answers[active.ports[0]] || !answers[active.ports[1]] {
		t.Errorf("answers from %v, gateway at %v", answers, active.ports)
	}
	// Who asks one alone is answered by that.
	for _, one := range []*station{standby, active} {
		if err := s.l.WriteBatch([]transport.Datagram{{Addr: netip.AddrPortFrom(host, one.ports[0]), Data: search}}); err != nil {
			t.Fatal(err)
		}
		m, port := s.hears(s.own)
		if i, ok := m.(mqttsn.GWInfo); !ok || i.GatewayID != one.g.terms.Load().GatewayID || port != one.ports[0] {
			t.Errorf("%+v from port %d, asked at %d", m, port, one.ports[0])
		}
	}
	s.alone(1, 6) // for longer than the standby asks
	active.close()
	for id := uint8(1); id == 1; { // what it has said last
		var port uint16
		if id, port = s.advertised(); id != 1 && !standby.at(port) {
			t.Fatalf("gateway %d advertises from port %d", id, port)
		}
	}
	active = onAir(t, 1, config(1, false))
	s.alone(1, 4)
	for _, one := range []*station{active, standby} {
		if log := one.log.String(); strings.Contains(log, "same identifier") {
			t.Errorf("log: %s", log)
		}
	}
	namesake := onAir(t, 1, config(1, false))
	want := fmt.Sprintf(":%d", namesake.ports[0])
	for deadline := time.Now().Add(patience); !strings.Contains(active.log.String(), want); s.advertised() {
		if time.Now().After(deadline) {
			t.Fatalf("log: %s", active.log.String())
		}
	}
}

// at reports whether the gateway serves at that port.
func (s *station) at(port uint16) bool { return slices.Contains(s.ports, port) }
