package mqttsn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// Defaults of Search.
const (
	// DefaultGroup is where clients of the Eclipse Paho kind look.
	DefaultGroup       = "225.1.1.1:1883"
	DefaultSearchDelay = 5 * time.Second // T_SEARCHGW
	DefaultSearchWait  = 2 * time.Second
)

// Search says where to look for a gateway.
type Search struct {
	// Target is a multicast group, or somebody who is asked directly and alone may
	// answer.
	Target netip.AddrPort
	// Interfaces of a group, by name; none is all that are up and know multicast.
	Interfaces []string
	// Radius is how many hops a SEARCHGW to a group goes; 0 is as far as it can.
	Radius uint8
	// Delay bounds the time that chance lets pass before a group is asked, so that a
	// hall of devices that are switched on at once does not speak at once: 0 is
	// DefaultSearchDelay, below 0 none. Who hears another one ask meanwhile only listens.
	Delay time.Duration
	// Wait is until the question is repeated; each wait is twice the one before.
	Wait time.Duration
	// Port is that of a gateway of which somebody else tells, without a port. 0 is 1884.
	Port uint16
	Rand *rand.Rand // nil: one of its own
}

// ErrNoGateway is the end of a search in vain.
var ErrNoGateway = errors.New("no gateway answers")

// Found is a gateway.
type Found struct {
	ID   uint8
	Addr netip.AddrPort
	// Told: not the gateway itself has answered, but somebody who knows of it.
	Told bool
}

// Discover looks for a gateway until it has found one or ctx ends: GWINFO, of a
// gateway or of somebody who knows one, and in a group ADVERTISE.
func Discover(ctx context.Context, s Search) (Found, error) {
	if !s.Target.IsValid() || s.Target.Port() == 0 {
		return Found{}, fmt.Errorf("search a gateway at %q: an address and a port are needed", s.Target)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := transport.Listen(ctx, "mqttsn://:0", transport.ListenConfig{Schemes: transport.MQTTSNSchemes()})
	if err != nil {
		return Found{}, fmt.Errorf("search a gateway: %w", err)
	}
	x := &search{Search: s.withDefaults(), sock: l.(transport.PacketListener), heard: make(chan heard)}
	var readers sync.WaitGroup
	defer readers.Wait()
	defer func() { _ = l.Close() }()
	if s.Target.Addr().IsMulticast() {
		groups, err := x.sock.ListenGroup(s.Target, s.Interfaces)
		if x.interfaces = s.Interfaces; err != nil && len(s.Interfaces) > 0 {
			return Found{}, fmt.Errorf("search a gateway: %w", err)
		}
		for _, g := range groups {
			readers.Go(func() { x.read(ctx, g.ReadBatch, true) })
			if len(s.Interfaces) == 0 {
				x.interfaces = append(x.interfaces, g.Interface())
			}
		}
		if err != nil { // no membership is needed to ask
			x.interfaces = multicasting()
		}
	}
	readers.Go(func() { x.read(ctx, x.sock.ReadBatch, false) })
	defer cancel()
	return x.run(ctx)
}

// multicasting names the interfaces that are up and know multicast.
func multicasting() (names []string) {
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
			names = append(names, i.Name)
		}
	}
	return names
}

func (s Search) withDefaults() Search {
	if s.Delay == 0 {
		s.Delay = DefaultSearchDelay
	}
	if s.Wait <= 0 {
		s.Wait = DefaultSearchWait
	}
	if s.Port == 0 {
		s.Port = transport.MQTTSNSchemes()[0].Port
	}
	if s.Rand == nil {
		s.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return s
}

// search is one under way.
type search struct {
	Search
	sock       transport.PacketListener
	interfaces []string
	heard      chan heard
}

// heard is a datagram that matters.
type heard struct {
	found  *Found // nil: somebody else asks the same
	radius uint8
}

// read passes on what matters of what one socket hears.
func (x *search) read(ctx context.Context, receive func([]transport.Datagram) (int, error), group bool) {
	ds := transport.NewDatagrams(8, 512)
	for {
		n, err := receive(ds)
		if err != nil {
			return
		}
		for _, d := range ds[:n] {
			h, ok := x.judge(d, group)
			if !ok {
				continue
			}
			select {
			case x.heard <- h:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (x *search) judge(d transport.Datagram, group bool) (heard, bool) {
	alone := !x.Target.Addr().IsMulticast()
	if alone && d.Addr != netip.AddrPortFrom(x.Target.Addr().Unmap(), x.Target.Port()) {
		return heard{}, false
	}
	m, _, err := wire.Parse(d.Data, wire.Options{EitherSide: true})
	if err != nil {
		return heard{}, false
	}
	switch m := m.(type) {
	case wire.GWInfo:
		f := &Found{ID: m.GatewayID, Addr: d.Addr}
		if len(m.Address) > 0 {
			f.Addr, f.Told = m.AddrPort(), true
			if f.Addr.IsValid() && f.Addr.Port() == 0 {
				f.Addr = netip.AddrPortFrom(f.Addr.Addr(), x.Port)
			}
		}
		return heard{found: f}, f.Addr.IsValid() && !f.Addr.Addr().IsMulticast() && !f.Addr.Addr().IsUnspecified()
	case wire.Advertise:
		return heard{found: &Found{ID: m.GatewayID, Addr: d.Addr}}, true
	case wire.SearchGW:
		return heard{radius: m.Radius}, group
	}
	return heard{}, false
}

// run asks, again and again, until somebody answers.
func (x *search) run(ctx context.Context) (Found, error) {
	wait, quiet := time.Duration(0), false
	if x.Target.Addr().IsMulticast() && x.Delay > 0 {
		wait = time.Duration(x.Rand.Int64N(int64(x.Delay)))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	asked := false
	for next := x.Wait; ; {
		select {
		case <-ctx.Done():
			return Found{}, fmt.Errorf("%w at %s: %w", ErrNoGateway, x.Target, context.Cause(ctx))
		case h := <-x.heard:
			if h.found != nil {
				return *h.found, nil
			}
			quiet = quiet || !asked && h.radius == x.Radius
		case <-timer.C:
			if !quiet {
				if err := x.ask(); err != nil {
					return Found{}, fmt.Errorf("search a gateway: %w", err)
				}
			}
			quiet, asked = false, true
			timer.Reset(next)
			next *= 2
		}
	}
}

// ask sends SEARCHGW; it is an error only if that was possible nowhere.
func (x *search) ask() error {
	b, err := wire.SearchGW{Radius: x.Radius}.Append(nil)
	if err != nil {
		return err
	}
	if !x.Target.Addr().IsMulticast() {
		return x.sock.WriteBatch([]transport.Datagram{{Addr: x.Target, Data: b}})
	}
	if len(x.interfaces) == 0 {
		return errors.New("no interface is up and capable of multicast")
	}
	ttl := int(x.Radius)
	if ttl == 0 {
		ttl = 255
	}
	var errs []error
	for _, name := range slices.Compact(slices.Sorted(slices.Values(x.interfaces))) {
		if err := x.sock.WriteGroup(x.Target, name, ttl, b); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(x.interfaces) {
		return errors.Join(errs...)
	}
	return nil
}
