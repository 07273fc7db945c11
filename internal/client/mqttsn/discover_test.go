package mqttsn

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/iotctl/iotctl/internal/transport"
)

type discovery struct {
	found Found
	err   error
}

func discover(ctx context.Context, s Search) <-chan discovery {
	result := make(chan discovery, 1)
	go func() {
		f, err := Discover(ctx, s)
		result <- discovery{f, err}
	}()
	return result
}

func (g *gateway) addr() netip.AddrPort { return netip.MustParseAddrPort(g.sock.LocalAddr().String()) }

var addresses = cmpopts.EquateComparable(netip.AddrPort{})

func TestDiscoveryAsksDirectly(t *testing.T) {
	for answer, want := range map[string]Found{
		"030207":             {ID: 7},
		"090208c000020a075c": {ID: 8, Addr: netip.MustParseAddrPort("192.0.2.10:1884"), Told: true},
		"070209c000020b":     {ID: 9, Addr: netip.MustParseAddrPort("192.0.2.11:1000"), Told: true},
		"0500010384":         {ID: 1},
	} {
		g := newGateway(t)
		if !want.Told {
			want.Addr = g.addr()
		}
		result := discover(t.Context(), Search{Target: g.addr(), Port: 1000, Radius: 3, Wait: time.Minute})
		g.want("030103").send("0217", "00", "030103", answer)
		got := <-result
		if diff := cmp.Diff(want, got.found, addresses); got.err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", answer, got.err, diff)
		}
	}
}

func TestDiscoveryAsksAgain(t *testing.T) {
	g := newGateway(t)
	result := discover(t.Context(), Search{Target: g.addr(), Wait: time.Millisecond})
	g.want("030100", "030100", "030100").send("030207")
	if got := <-result; got.err != nil || got.found.ID != 7 {
		t.Error(got)
	}
}

func TestStrangersDoNotAnswer(t *testing.T) {
	g, stranger := newGateway(t), newGateway(t)
	result := discover(t.Context(), Search{Target: g.addr(), Wait: time.Minute})
	g.want("030100")
	stranger.peer = g.peer
	stranger.send("030266")
	g.send("030207")
	if got := <-result; got.err != nil || got.found.ID != 7 {
		t.Error(got)
	}
}

func TestDiscoveryEndsWithItsContext(t *testing.T) {
	g := newGateway(t)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := discover(ctx, Search{Target: g.addr()})
	g.want("030100")
	cancel(reason)
	if got := <-result; !errors.Is(got.err, reason) {
		t.Error(got.err)
	}
	if _, err := Discover(t.Context(), Search{}); err == nil {
		t.Error("nobody was asked")
	}
}

// group is a member of a multicast group on the loopback interface.
type group struct {
	t    *testing.T
	at   netip.AddrPort
	sock transport.PacketListener
	in   *transport.Group
}

func newGroup(t *testing.T) *group {
	t.Helper()
	l, err := transport.Listen(t.Context(), "mqttsn://127.0.0.1:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	g := &group{t: t, sock: l.(transport.PacketListener)}
	port := netip.MustParseAddrPort(l.Addr().String()).Port() // nobody else's
	g.at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{225, 1, 1, byte(1 + port%200)}), port)
	all, err := g.sock.ListenGroup(g.at, []string{"lo"})
	if err != nil {
		t.Skipf("no multicast on the loopback interface: %v", err)
	}
	g.in = all[0]
	return g
}

func (g *group) receive() transport.Datagram {
	g.t.Helper()
	ds := transport.NewDatagrams(1, 100)
	if _, err := g.in.ReadBatch(ds); err != nil {
		g.t.Fatal(err)
	}
	return ds[0]
}

func TestDiscoveryInAGroup(t *testing.T) {
	g := newGroup(t)
	result := discover(t.Context(), Search{Target: g.at, Interfaces: []string{"lo"}, Radius: 1, Delay: -1, Wait: 10 * time.Millisecond})
	asked := g.receive()
	if diff := cmp.Diff([]byte{3, 1, 1}, asked.Data); diff != "" {
		t.Error(diff)
	}
	if err := g.sock.WriteBatch([]transport.Datagram{{Addr: asked.Addr, Data: []byte{3, 2, 7}}}); err != nil {
		t.Fatal(err)
	}
	got := <-result
	if diff := cmp.Diff(Found{ID: 7, Addr: netip.MustParseAddrPort(g.sock.Addr().String())}, got.found, addresses); got.err != nil || diff != "" {
		t.Error(got.err, diff)
	}
}

func TestDiscoveryHearsAnAdvertisement(t *testing.T) {
	g := newGroup(t)
	result := discover(t.Context(), Search{Target: g.at, Interfaces: []string{"lo"}, Radius: 1, Delay: -1, Wait: time.Minute})
	g.receive()
	if err := g.sock.WriteGroup(g.at, "lo", 1, []byte{5, 0, 9, 3, 0x84}); err != nil {
		t.Fatal(err)
	}
	got := <-result
	if diff := cmp.Diff(Found{ID: 9, Addr: netip.MustParseAddrPort(g.sock.Addr().String())}, got.found, addresses); got.err != nil || diff != "" {
		t.Error(got.err, diff)
	}
}

func TestGroupThatIsOnNoInterface(t *testing.T) {
	if _, err := Discover(t.Context(), Search{Target: netip.MustParseAddrPort("225.1.1.1:1883"), Interfaces: []string{"none"}}); err == nil {
		t.Error("found")
	}
}

// silent is a socket that notes when something is sent to a group.
type silent struct {
	transport.PacketListener
	sent chan time.Duration
	from time.Time
}

func (s *silent) WriteGroup(netip.AddrPort, string, int, []byte) error {
	s.sent <- time.Since(s.from)
	return nil
}

func TestDiscoveryDoesNotRepeatWhatAnotherHasAsked(t *testing.T) {
	for _, tt := range []struct {
		radius     uint8
		suppressed bool
	}{{1, true}, {2, false}} {
		synctest.Test(t, func(t *testing.T) {
			s := Search{Target: netip.MustParseAddrPort(DefaultGroup), Radius: 1, Rand: rand.New(rand.NewPCG(1, 2))}.withDefaults()
			sock := &silent{sent: make(chan time.Duration, 9), from: time.Now()}
			x := &search{Search: s, sock: sock, interfaces: []string{"lo"}, heard: make(chan heard)}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := async(func() error { _, err := x.run(ctx); return err })
			x.heard <- heard{radius: tt.radius}
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			close(sock.sent)
			var at []time.Duration
			for d := range sock.sent {
				at = append(at, d)
			}
			begun := at[0]
			if tt.suppressed {
				begun -= DefaultSearchWait
			} else if at[1]-at[0] != DefaultSearchWait {
				t.Errorf("asked after %v", at)
			}
			if begun <= 0 || begun > DefaultSearchDelay {
				t.Errorf("first asked after %v", begun)
			}
			if n := len(at); at[n-1]-at[n-2] != 2*(at[n-2]-at[n-3]) {
				t.Errorf("asked after %v", at)
			}
		})
	}
}
