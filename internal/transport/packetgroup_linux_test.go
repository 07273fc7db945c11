package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// joined is a group on each of the interfaces, by its name.
func joined(t testing.TB, l PacketListener, group string, ifaces ...string) map[string]*Group {
	t.Helper()
	gs, err := l.ListenGroup(netip.MustParseAddrPort(group), ifaces)
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]*Group{}
	for _, g := range gs {
		groups[g.Interface()] = g
		late := time.AfterFunc(limit, func() { _ = g.Close() })
		t.Cleanup(func() { late.Stop(); _ = g.Close() })
	}
	if len(ifaces) > 0 && (len(groups) != len(ifaces) || len(gs) != len(ifaces)) {
		t.Fatalf("%d groups on %q", len(gs), ifaces)
	}
	return groups
}

// heard reads one datagram from g.
func heard(t testing.TB, g *Group) Datagram {
	t.Helper()
	ds := NewDatagrams(1, 100)
	if n, err := g.ReadBatch(ds); n != 1 || err != nil {
		t.Fatalf("on %s: %d, %v", g.Interface(), n, err)
	}
	return ds[0]
}

func TestGroupsHearWhatIsSentToThem(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		for _, tc := range []struct{ url, group, other, unicast string }{
			{"mqttsn://:0", "225.1.1.1:1883", "225.1.1.2:1883", "127.0.0.1"},
			{"mqttsn://0.0.0.0:0", "225.1.1.1:1883", "225.1.1.2:1883", "10.9.0.1"},
			{"mqttsn://:1883", "225.1.1.1:1883", "225.1.1.2:1883", "127.0.0.1"}, // the listener's own port
			{"mqttsn://0.0.0.0:1884", "224.0.0.200:1884", "224.0.0.201:1884", "127.0.0.1"},
			{"mqttsn://:0", "[ff02::1883]:1883", "[ff02::1884]:1883", "::1"},
			{"mqttsn://:1885", "[ff02::1883]:1885", "[ff02::1884]:1885", "::1"},
			{"mqttsn://[::]:1886", "[ff05::1883]:1886", "[ff05::1884]:1886", "::1"},
			{"mqttsn://:0", "[ff18::1883]:1883", "[ff18::1884]:1883", "fd00:9::1"},
		} {
			t.Run(tc.url+" "+tc.group, func(t *testing.T) {
				sender := packets(t, "mqttsn://:0", ListenConfig{}, false)
				one, two := packets(t, tc.url, ListenConfig{}, false), packets(t, "mqttsn://:0", ListenConfig{}, false)
				groups := []map[string]*Group{joined(t, one, tc.group, "lo", "v0"), joined(t, two, tc.group, "v0", "lo")}
				joined(t, two, tc.other, "lo", "v0")
				write := func(group, iface, text string) {
					if err := sender.WriteGroup(netip.MustParseAddrPort(group), iface, 1, []byte(text)); err != nil {
						t.Fatal(err)
					}
				}
				alone, err := net.Dial("udp", net.JoinHostPort(tc.unicast, tc.group[len(tc.group)-4:]))
				if err != nil {
					t.Fatal(err)
				}
				defer alone.Close()
				for range 3 { // none of which belong to the group
					write(tc.other, "lo", "another group")
					write(tc.other, "v0", "another group")
					_, _ = alone.Write([]byte("to one"))
				}
				write(tc.group, "lo", "on lo")
				write(tc.group, "v0", "on v0")
				for _, gs := range groups { // two gateways on one machine
					for iface, g := range gs {
						d := heard(t, g)
						if string(d.Data) != "on "+iface || d.Addr.Port() != sender.Addr().(*net.UDPAddr).AddrPort().Port() {
							t.Errorf("on %s: %q from %s", iface, d.Data, d.Addr)
						}
						if d.Addr.Addr().Is4() != strings.HasPrefix(tc.group, "22") {
							t.Errorf("on %s: from %s", iface, d.Addr)
						}
						if err := sender.WriteBatch([]Datagram{{Addr: d.Addr, Data: []byte("answer")}}); err != nil {
							t.Errorf("answer to %s: %v", d.Addr, err)
						}
						if got := readAll(t, sender, NewDatagrams(1, 100), 1); !strings.HasSuffix(got[0], " answer") {
							t.Errorf("%q", got)
						}
					}
				}
				// The listeners themselves hear what was sent to them.
				for _, l := range []PacketListener{one, two} {
					to := netip.AddrPortFrom(netip.MustParseAddr(tc.unicast), l.Addr().(*net.UDPAddr).AddrPort().Port())
					if err := sender.WriteBatch([]Datagram{{Addr: to, Data: []byte("last")}}); err != nil {
						t.Fatal(err)
					}
					for got := ""; got != "last"; {
						_, got, _ = strings.Cut(readAll(t, l, NewDatagrams(1, 100), 1)[0], " ")
						if got != "last" && (got != "to one" || l != PacketListener(one)) {
							t.Errorf("the listener hears %q", got)
						}
					}
				}
			})
		}
	})
}

func TestGroupsOnAllInterfaces(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		l := packets(t, "mqttsn://:0", ListenConfig{}, false)
		for _, group := range []string{"225.1.1.1:1883", "[ff02::1883]:1883"} {
			groups := joined(t, l, group)
			for _, iface := range []string{"lo", "v0", "v1"} {
				if err := l.WriteGroup(netip.MustParseAddrPort(group), iface, 1, []byte(iface)); err != nil {
					t.Fatal(err)
				}
				for string(heard(t, groups[iface]).Data) != iface { // the cable brings what was sent at the other end
				}
			}
		}
	})
}

// What is sent out of one end of a cable arrives at the other.
func TestGroupsOverACable(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		l, sender := packets(t, "mqttsn://:0", ListenConfig{}, false), packets(t, "mqttsn://:0", ListenConfig{}, false)
		const group = "[ff02::1883]:1883"
		g := joined(t, l, group, "v1")["v1"]
		if err := sender.WriteGroup(netip.MustParseAddrPort(group), "v0", 1, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if d := heard(t, g); string(d.Data) != "hello" {
			t.Errorf("%q", d.Data)
		}
	})
}

// The cable is slow, and the socket holds a few datagrams only.
func TestWritersWaitForTheKernel(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		slow := exec.CommandContext(t.Context(), "tc", "qdisc", "add", "dev", "v0", "root", "tbf", "rate", "8mbit", "burst", "3000", "limit", "1000000")
		if out, err := slow.CombinedOutput(); err != nil {
			t.Skipf("there are no slow cables here: %v %s", err, out)
		}
		for name, single := range map[string]bool{"many": false, "one": true} {
			t.Run(name, func(t *testing.T) {
				l, sender := packets(t, "mqttsn://:0", ListenConfig{}, single), packets(t, "mqttsn://:0", ListenConfig{WriteBufferBytes: 5000}, single)
				g := joined(t, l, "[ff02::1883]:1883", "v1")["v1"]
				const writers, each = 3, 70
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						ds := NewDatagrams(each, 1000)
						for i := range ds {
							ds[i].Addr = netip.MustParseAddrPort("[ff02::1883%v0]:1883")
							ds[i].Data = ds[i].Data[:1000]
							ds[i].Data[0], ds[i].Data[1] = byte(w), byte(i)
						}
						if err := sender.WriteBatch(ds); err != nil {
							t.Error(err)
						}
					})
				}
				var seen [writers]int
				ds := NewDatagrams(5, 1000)
				for range writers * each {
					n, err := g.ReadBatch(ds[:1])
					if err != nil {
						t.Fatalf("%v, after %v", err, seen)
					}
					w, i := ds[0].Data[0], ds[0].Data[1]
					if n != 1 || len(ds[0].Data) != 1000 || int(i) != seen[w] {
						t.Fatalf("%d bytes, %d of writer %d after %v", len(ds[0].Data), i, w, seen)
					}
					seen[w]++
				}
				wg.Wait()
				if c := sender.Counters(); c.Sent != writers*each || c.SentBytes != 1000*writers*each {
					t.Errorf("%+v", c)
				}
			})
		}
	})
}

func TestGroupsAreSentToWithATTL(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		l := packets(t, "mqttsn://:0", ListenConfig{}, false)
		for _, ttl := range []int{1, 7, 255} {
			for _, group := range []string{"225.1.1.1:1883", "[ff05::1883]:1883"} {
				g := joined(t, l, group, "v0")["v0"]
				p4, p6 := ipv4.NewPacketConn(g.udp), ipv6.NewPacketConn(g.udp)
				if err := errors.Join(p4.SetControlMessage(ipv4.FlagTTL, group[0] != '['), p6.SetControlMessage(ipv6.FlagHopLimit, group[0] == '[')); err != nil && group[0] == '[' {
					t.Fatal(err)
				}
				if err := l.WriteGroup(netip.MustParseAddrPort(group), "v0", ttl, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				got := 0
				if group[0] == '[' {
					_, cm, _, err := p6.ReadFrom(make([]byte, 10))
					if err != nil {
						t.Fatal(err)
					}
					got = cm.HopLimit
				} else {
					_, cm, _, err := p4.ReadFrom(make([]byte, 10))
					if err != nil {
						t.Fatal(err)
					}
					got = cm.TTL
				}
				if got != ttl {
					t.Errorf("%s: %d hops, want %d", group, got, ttl)
				}
				_ = g.Close()
			}
		}
	})
}

func TestGroupsHaveTheRulesOfTheListener(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		group := netip.MustParseAddrPort("225.1.1.1:1883")
		l := packets(t, "mqttsn://:0", ListenConfig{Access: []string{"deny 10.9.0.0/24"}}, false)
		sender := packets(t, "mqttsn://:0", ListenConfig{}, false)
		g := joined(t, l, group.String(), "v0", "lo")
		for _, iface := range []string{"v0", "lo"} {
			for _, s := range []string{"", strings.Repeat("x", 101), "short"} {
				if err := sender.WriteGroup(group, iface, 1, []byte(s)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if d := heard(t, g["lo"]); string(d.Data) != "short" {
			t.Errorf("%q from %s", d.Data, d.Addr)
		}
		if err := l.Apply(ListenConfig{Schemes: MQTTSNSchemes(), Access: []string{"deny 127.0.0.1"}}); err != nil {
			t.Fatal(err)
		}
		if d := heard(t, g["v0"]); string(d.Data) != "short" {
			t.Errorf("%q from %s", d.Data, d.Addr)
		}
		want := ListenerCounters{Received: 2, ReceivedBytes: 10, Dropped: map[string]uint64{DroppedEmpty: 2, DroppedLong: 2}}
		if d := cmp.Diff(want, l.Counters()); d != "" {
			t.Error(d)
		}
		if err := l.Apply(ListenConfig{Schemes: MQTTSNSchemes(), Access: []string{"deny 10.9.0.1"}}); err != nil {
			t.Fatal(err)
		}
		for _, iface := range []string{"v0", "lo"} {
			if err := sender.WriteGroup(group, iface, 1, []byte(iface)); err != nil {
				t.Fatal(err)
			}
		}
		heard(t, g["lo"])
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = g["v0"].ReadBatch(NewDatagrams(1, 100)) })
		eventually(t, "it is refused", func() bool { return l.Counters().Refused[RefusedRule] == 1 })
		_ = g["v0"].Close()
		wg.Wait()
		if c := sender.Counters(); c.Sent != 8 || c.SentBytes != 216 {
			t.Errorf("%+v", c)
		}
	})
}

func TestClosingEndsGroups(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		l := packets(t, "mqttsn://:0", ListenConfig{}, false)
		const group = "225.1.1.1:1883"
		g := joined(t, l, group, "lo", "v0", "v1")
		var wg sync.WaitGroup
		for _, g := range g {
			for range 2 {
				wg.Go(func() {
					if n, err := g.ReadBatch(NewDatagrams(1, 100)); n != 0 || !errors.Is(err, net.ErrClosed) {
						t.Errorf("%d, %v", n, err)
					}
				})
			}
		}
		if err := g["lo"].Close(); err != nil {
			t.Error(err)
		}
		if err := g["lo"].Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("again: %v", err)
		}
		again := joined(t, l, group, "lo")["lo"]
		_ = l.Close()
		wg.Wait()
		if n, err := again.ReadBatch(NewDatagrams(1, 100)); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := l.ListenGroup(netip.MustParseAddrPort(group), []string{"lo"}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := l.WriteGroup(netip.MustParseAddrPort(group), "lo", 1, []byte("farewell")); err != nil {
			t.Errorf("last words: %v", err)
		}
		eventually(t, "the socket is closed", func() bool {
			return errors.Is(l.WriteGroup(netip.MustParseAddrPort(group), "lo", 1, nil), net.ErrClosed)
		})
	})
}

func TestGroupErrors(t *testing.T) {
	transporttest.InNetwork(t, func(t *testing.T) {
		taken, err := net.ListenPacket("udp4", ":1885")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		all, four, six := packets(t, "mqttsn://:0", ListenConfig{}, false), packets(t, "mqttsn://127.0.0.1:0", ListenConfig{}, false), packets(t, "mqttsn://[::1]:0", ListenConfig{}, false)
		for _, tc := range []struct{ group, iface, want string }{
			{"10.0.0.1:1883", "lo", "listen to group 10.0.0.1:1883: this is no multicast address; those are 224.0.0.0/4 and ff00::/8"},
			{"[fe80::1]:1883", "lo", "no multicast address"},
			{"[ff02::1%v0]:1883", "lo", "name the interface v0 apart"},
			{"225.1.1.1:0", "lo", "the port is missing"},
			{"225.1.1.1:1883", "eth7", `listen to group 225.1.1.1:1883: there is no interface "eth7", but lo, v1, v0`},
			{"225.1.1.1:1885", "v0", "listen to group 225.1.1.1:1885 on v0: bind: address already in use: something else has port 1885 on all addresses"},
		} {
			_, err := all.ListenGroup(netip.MustParseAddrPort(tc.group), []string{"lo", tc.iface})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s on %s: %v", tc.group, tc.iface, err)
			}
			if len(all.groups) > 0 {
				t.Errorf("%s on %s: %d groups are left", tc.group, tc.iface, len(all.groups))
			}
		}
		for _, tc := range []struct {
			from         *packetListener
			group, iface string
			ttl          int
			want         string
		}{
			{all, "10.0.0.1:1883", "lo", 1, "no multicast address"},
			{all, "225.1.1.1:1883", "eth7", 1, `send to group 225.1.1.1:1883 on eth7: there is no interface "eth7", but lo, v1, v0`},
			{all, "225.1.1.1:1883", "v0", 256, "256 hops"},
			{all, "225.1.1.1:1883", "v0", -1, "-1 hops"},
			{four, "225.1.1.1:1883", "v0", 1, "send to group 225.1.1.1:1883 on v0: write udp"},
			{four, "[ff02::1883]:1883", "v0", 1, "send to group [ff02::1883]:1883 on v0: "},
			{six, "225.1.1.1:1883", "v0", 1, "send to group 225.1.1.1:1883 on v0: write udp"},
		} {
			err := tc.from.WriteGroup(netip.MustParseAddrPort(tc.group), tc.iface, tc.ttl, []byte("x"))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s from %s: %v", tc.group, tc.from.Addr(), err)
			}
			t.Log(err)
		}
		if err := all.WriteGroup(netip.MustParseAddrPort("225.1.1.1:1883"), "v0", 1, make([]byte, 65_508)); !errors.Is(err, ErrTooLong) {
			t.Error(err)
		}
		for _, url := range []string{"mqttsn://:0", "mqttsn://127.0.0.1:0"} { // two services still cannot have one port
			l := packets(t, url, ListenConfig{}, false)
			for _, again := range []string{l.URL(), fmt.Sprintf("mqttsn://:%d", l.Addr().(*net.UDPAddr).Port)} {
				if second, err := Listen(t.Context(), again, ListenConfig{Schemes: MQTTSNSchemes()}); !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("%s besides %s: %v", again, l.URL(), err)
					_ = second.Close()
				}
			}
		}
	})
}
