package mqttsn

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/transport"
)

// Clients that know no gateway ask for one, or wait until one tells of itself:
// SN-6.1. The gateway does so in the multicast groups of its settings, out of the
// socket of each plain listener, so that the sender's address is the one to
// connect to. Whoever asks is answered, and by that address alone: whether it has
// asked in a group or not.
//
// A standby gateway is silent in the groups for as long as it hears of another one,
// and at its start until it has asked for one. What is not sent to a group cannot
// silence it, but for answers to that question.

// Timers of discovery. SN-7.2
const (
	missedAdvertisements = 3               // that make others think that a gateway is gone: N_ADV
	searchTime           = 5 * time.Second // in which a gateway that is there answers: T_GWINFO
)

// neighbours are the other gateways, as far as they have been heard in groups.
type neighbours struct {
	mu        sync.Mutex
	until     [256]time.Time // by gateway identifier: how long it is taken to be there
	searching time.Time      // until then answers are to our own SEARCHGW
	told      time.Time      // when the log was last told of another one with our identifier
}

// heard notes that a gateway is there.
func (n *neighbours) heard(id uint8, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if until.After(n.until[id]) {
		n.until[id] = until
	}
}

// advertised notes when the next ADVERTISE of a gateway is due, which counts more
// than what was thought before.
func (n *neighbours) advertised(id uint8, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.until[id] = until
}

// last is until when any of the others is taken to be there.
func (n *neighbours) last(own uint8) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	var last time.Time
	for id, until := range n.until {
		if uint8(id) != own && until.After(last) {
			last = until
		}
	}
	return last
}

// search notes that we ask for gateways ourselves.
func (n *neighbours) search(until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.searching = until
}

// asked reports whether a GWINFO may be the answer to our own question.
func (n *neighbours) asked(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return now.Before(n.searching)
}

// standingBy reports whether this gateway is to be silent: another one is there, or
// may be.
func (g *Gateway) standingBy(now time.Time) bool {
	t := g.terms.Load()
	return t.Multicast.Standby && (g.neighbours.asked(now) || now.Before(g.neighbours.last(t.GatewayID)))
}

// presumed is until when another gateway is taken to be there that has not said when
// it advertises: it is taken to do so as often as this one.
func (g *Gateway) presumed(now time.Time) time.Time {
	d := g.terms.Load().AdvertiseDuration
	if d < 0 {
		d = (Config{}).withDefaults().AdvertiseDuration
	}
	return now.Add(missedAdvertisements * d)
}

// discover works off what somebody has sent to the listener, in no group: a
// question is answered, and so is ours.
func (g *Gateway) discover(w *work, p path, t mqttsn.Type, body []byte) {
	switch t {
	case mqttsn.TypeSearchGW:
		if _, err := mqttsn.ParseSearchGW(body, &w.options); err != nil {
			g.dropped(err)
			return
		}
		g.introduce(w, p)
	case mqttsn.TypeGWInfo:
		m, err := mqttsn.ParseGWInfo(body, &w.options)
		switch {
		case err != nil && isGarbled(err):
			g.dropped(err)
		case !g.neighbours.asked(w.now) || len(m.Address) > 0: // clients answer with addresses
			g.counts.unexpected.Add(1)
		default:
			g.neighbours.heard(m.GatewayID, g.presumed(w.now))
		}
	default: // forged easily, where no group has let it in
		g.counts.unexpected.Add(1)
	}
}

// introduce answers SEARCHGW. SN-6.1
func (g *Gateway) introduce(w *work, p path) {
	if !g.rates.answer(p.remote().Addr(), w.now) {
		g.counts.limited.Add(1)
		return
	}
	g.counts.found.Add(1)
	g.tell(w, p, mqttsn.GWInfo{GatewayID: g.terms.Load().GatewayID})
}

// overhear works off what was sent to a group. There is nothing in one for the
// gateway but discovery.
func (g *Gateway) overhear(w *work, p path, b []byte) {
	h, body, n, err := mqttsn.Frame(b, mqttsn.Version12)
	if err != nil {
		g.dropped(err)
		return
	}
	if n < len(b) {
		g.counts.trailing.Add(1)
		return
	}
	g.counts.received(h.Type)
	t := g.terms.Load()
	switch h.Type {
	case mqttsn.TypeSearchGW:
		switch _, err := mqttsn.ParseSearchGW(body, &w.options); {
		case err != nil:
			g.dropped(err)
		case g.standingBy(w.now):
			g.counts.unexpected.Add(1) // the other one answers
		default:
			g.introduce(w, p)
		}
	case mqttsn.TypeAdvertise:
		m, err := mqttsn.ParseAdvertise(body, &mqttsn.Options{FromServer: true})
		switch {
		case err != nil:
			g.dropped(err)
		case m.GatewayID == t.GatewayID:
			g.namesake(w, p)
		default:
			g.neighbours.advertised(m.GatewayID, w.now.Add(missedAdvertisements*time.Duration(m.Duration)*time.Second))
		}
	case mqttsn.TypeGWInfo:
		m, err := mqttsn.ParseGWInfo(body, &mqttsn.Options{FromServer: true})
		switch {
		case err != nil:
			g.dropped(err)
		case m.GatewayID != t.GatewayID && len(m.Address) == 0:
			g.neighbours.heard(m.GatewayID, g.presumed(w.now))
		}
	default:
		g.counts.unexpected.Add(1)
	}
}

// namesakePause is how often the log is told of another gateway with our identifier.
const namesakePause = 10 * time.Minute

// namesake sees to an ADVERTISE with our own identifier: it is ours, or there is
// another gateway that clients cannot tell from this one.
func (g *Gateway) namesake(w *work, p path) {
	n := &g.neighbours
	n.mu.Lock()
	again := n.told.IsZero() || w.now.Sub(n.told) >= namesakePause
	n.mu.Unlock()
	if !again || g.sentFrom(p.addr) {
		return
	}
	n.mu.Lock()
	n.told = w.now
	n.mu.Unlock()
	g.log.Warn("another gateway has the same identifier: give one of them another gateway_id", "gateway_id", g.terms.Load().GatewayID, "address", p.addr)
}

// sentFrom reports whether a is an address that one of the sockets sends from.
func (g *Gateway) sentFrom(a netip.AddrPort) bool {
	g.mu.Lock()
	own := false
	for _, p := range g.ports {
		s, ok := p.carrier.(*socket)
		own = own || ok && s.at(a.Port())
	}
	g.mu.Unlock()
	if !own {
		return false
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(local net.Addr) bool {
		n, ok := local.(*net.IPNet)
		return ok && n.IP.Equal(a.Addr().AsSlice())
	})
}

// at reports whether the socket is open, and has that port.
func (s *socket) at(port uint16) bool {
	s.mu.Lock()
	l := s.l
	s.mu.Unlock()
	if l == nil {
		return false
	}
	own, ok := l.Addr().(*net.UDPAddr)
	return ok && own.AddrPort().Port() == port
}

// meeting is a multicast group, as one listener has joined it.
type meeting struct {
	addr   netip.AddrPort
	groups []*transport.Group // one for each interface
}

// rejoinPause is how long a group waits that could not be joined: its interface may
// not be there yet.
const rejoinPause = 10 * time.Second

// join has the listener be in the groups of the settings that its socket can reach,
// and starts what reads and speaks there. leave ends it. What cannot be joined is
// tried again after each pause.
func (g *Gateway) join(l transport.PacketListener, p *port, pause time.Duration) (leave func()) {
	t := g.terms.Load()
	stop := make(chan struct{})
	var working sync.WaitGroup
	interfaces := [][]string{nil} // all
	if len(t.Multicast.Interfaces) > 0 {
		interfaces = slices.Collect(slices.Chunk(t.Multicast.Interfaces, 1))
	}
	var all []meeting
	for _, addr := range t.groups {
		if !suits(l, addr.Addr()) {
			continue
		}
		for _, names := range interfaces {
			groups, err := l.ListenGroup(addr, names)
			if err != nil {
				g.log.Warn("clients cannot find the gateway in a multicast group; it is tried again", "listener", p.listener, "err", err)
				working.Go(func() { g.joinLater(l, p, addr, names, pause, stop) })
				continue
			}
			all = append(all, meeting{addr, groups})
		}
	}
	if len(all) > 0 {
		working.Go(func() { g.meet(l, p, all, stop) })
	}
	return func() {
		close(stop)
		working.Wait()
	}
}

// joinLater tries to join a group until that succeeds or stop is closed.
func (g *Gateway) joinLater(l transport.PacketListener, p *port, addr netip.AddrPort, interfaces []string, pause time.Duration, stop <-chan struct{}) {
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		select {
		case <-stop:
			return
		case <-again.C:
		}
		if groups, err := l.ListenGroup(addr, interfaces); err == nil {
			g.log.Info("multicast group joined", "listener", p.listener, "group", addr, "interfaces", interfaces)
			g.meet(l, p, []meeting{{addr, groups}}, stop)
			return
		}
	}
}

// meet reads and speaks in groups until stop is closed, and leaves them then.
func (g *Gateway) meet(l transport.PacketListener, p *port, all []meeting, stop <-chan struct{}) {
	var reading sync.WaitGroup
	for _, m := range all {
		for _, group := range m.groups {
			reading.Go(func() { g.listen(group, p) })
		}
	}
	g.speak(g.voice(l, all), stop)
	for _, m := range all {
		for _, group := range m.groups {
			_ = group.Close()
		}
	}
	reading.Wait()
}

// suits reports whether the listener's socket is of the family of a.
func suits(l transport.PacketListener, a netip.Addr) bool {
	own, ok := l.Addr().(*net.UDPAddr)
	if !ok {
		return false
	}
	local := own.AddrPort().Addr().Unmap()
	return local.Is6() && local.IsUnspecified() || local.Is4() == a.Is4()
}

// listen reads what is sent to a group.
func (g *Gateway) listen(group *transport.Group, p *port) {
	const most = 512 // more than anything of discovery
	ds := transport.NewDatagrams(batch, most)
	w := g.newWork()
	for {
		n, err := group.ReadBatch(ds)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				g.log.Error("nothing is heard any more in a multicast group", "interface", group.Interface(), "err", err)
			}
			return
		}
		w.begin()
		for i := range ds[:n] {
			g.overhear(w, path{port: p, addr: ds[i].Addr}, ds[i].Data)
		}
		w.end()
	}
}

// voice returns what sends to groups. An interface that fails is in the log once.
func (g *Gateway) voice(l transport.PacketListener, all []meeting) (say func(mqttsn.Message)) {
	failed := map[string]bool{} // by interface
	return func(m mqttsn.Message) {
		b, _ := m.Append(nil) // fixed length
		for _, at := range all {
			for _, group := range at.groups {
				name := group.Interface()
				err := l.WriteGroup(at.addr, name, g.terms.Load().Multicast.TTL, b)
				if err != nil && !failed[name] && !errors.Is(err, net.ErrClosed) {
					g.log.Warn("clients cannot find the gateway in a multicast group", "group", at.addr, "interface", name, "err", err)
				}
				failed[name] = err != nil
			}
		}
	}
}

// speak advertises the gateway in the groups until stop is closed, unless it stands
// by for another one.
func (g *Gateway) speak(say func(mqttsn.Message), stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	if g.terms.Load().Multicast.Standby {
		g.neighbours.search(g.now().Add(searchTime))
		say(mqttsn.SearchGW{})
		timer.Reset(searchTime + g.hesitation())
	}
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		t, now := g.terms.Load(), g.now()
		switch {
		case g.standingBy(now):
			until := g.neighbours.last(t.GatewayID)
			timer.Reset(max(until.Sub(now), 0) + tick + g.hesitation())
		case t.AdvertiseDuration < 0: // found by those who ask
			timer.Reset(time.Minute)
		default:
			g.counts.advertised.Add(1)
			say(mqttsn.Advertise{GatewayID: t.GatewayID, Duration: uint16(t.AdvertiseDuration / time.Second)})
			timer.Reset(t.AdvertiseDuration)
		}
	}
}

// hesitation is by chance, so that of several gateways that stand by one speaks
// first, and the others hear it.
func (g *Gateway) hesitation() time.Duration {
	most := searchTime
	if d := g.terms.Load().AdvertiseDuration; d > 0 {
		most = min(most, d)
	}
	return most * time.Duration(g.rand()>>16) >> 16
}
