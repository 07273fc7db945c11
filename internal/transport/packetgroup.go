package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Group is a multicast group on one interface. It has a socket of its own, bound
// to the address of the group, so only what was sent to the group comes out of it;
// others on this machine may listen to the same group and port. The port may be
// the listener's own; on systems other than Linux only if the listener is not on
// all addresses. Windows cannot bind such sockets, and has no groups.
//
// An interface that is deleted takes the membership along: nothing more comes in,
// and another ListenGroup is needed once there is a new one.
type Group struct {
	packetReader
	of    *packetListener
	udp   *net.UDPConn
	iface string
}

// ReadBatch is that of PacketListener. After Close, of the group or of the
// listener, it returns net.ErrClosed.
func (g *Group) ReadBatch(ds []Datagram) (int, error) { return g.packetReader.ReadBatch(ds) }

// Interface is the name of the interface that everything here has come in on, as
// WriteGroup takes it.
func (g *Group) Interface() string { return g.iface }

// Close leaves the group.
func (g *Group) Close() error {
	g.of.mu.Lock()
	delete(g.of.groups, g)
	g.of.mu.Unlock()
	return g.udp.Close()
}

// ListenGroup implements PacketListener.
func (l *packetListener) ListenGroup(group netip.AddrPort, interfaces []string) ([]*Group, error) {
	group = unmapped(group)
	if err := checkGroup(group); err != nil {
		return nil, fmt.Errorf("listen to group %s: %w", group, err)
	}
	ifaces, err := multicastInterfaces(interfaces)
	if err != nil {
		return nil, fmt.Errorf("listen to group %s: %w", group, err)
	}
	var groups []*Group
	var errs []error
	for _, i := range ifaces {
		g, err := l.join(group, &i)
		if err != nil {
			errs = append(errs, fmt.Errorf("listen to group %s on %s: %w", group, i.Name, err))
			continue
		}
		groups = append(groups, g)
	}
	if len(groups) > 0 && len(interfaces) == 0 {
		return groups, nil // some interfaces lack a family
	}
	if len(errs) > 0 {
		for _, g := range groups {
			_ = g.Close()
		}
		return nil, errors.Join(errs...)
	}
	return groups, nil
}

func checkGroup(group netip.AddrPort) error {
	switch a := group.Addr(); {
	case !a.IsMulticast():
		return errors.New("this is no multicast address; those are 224.0.0.0/4 and ff00::/8")
	case a.Zone() != "":
		return fmt.Errorf("name the interface %s apart from the address", a.Zone())
	case group.Port() == 0:
		return errors.New("the port is missing")
	}
	return nil
}

// multicastInterfaces finds the interfaces of these names, or all that there are
// for multicast.
func multicastInterfaces(names []string) ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		const needed = net.FlagUp | net.FlagMulticast
		found := slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&needed != needed })
		if len(found) == 0 {
			return nil, errors.New("no interface is up and capable of multicast")
		}
		return found, nil
	}
	var found []net.Interface
	var errs []error
	for _, name := range names {
		at := slices.IndexFunc(all, func(i net.Interface) bool { return i.Name == name })
		if at < 0 {
			errs = append(errs, noInterface(name, all))
			continue
		}
		found = append(found, all[at])
	}
	return found, errors.Join(errs...)
}

func noInterface(name string, all []net.Interface) error {
	var known []string
	for _, i := range all {
		known = append(known, i.Name)
	}
	return fmt.Errorf("there is no interface %q, but %s", name, strings.Join(known, ", "))
}

// join opens the socket for one interface.
func (l *packetListener) join(group netip.AddrPort, i *net.Interface) (*Group, error) {
	udp, err := openGroup(group, i)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: something else has port %d on all addresses; take another port for the group, or listen on one address there", err, group.Port())
	}
	if err != nil {
		return nil, err
	}
	to := &net.UDPAddr{IP: group.Addr().AsSlice()}
	if group.Addr().Is4() {
		err = ipv4.NewPacketConn(udp).JoinGroup(i, to)
	} else {
		err = ipv6.NewPacketConn(udp).JoinGroup(i, to)
	}
	if err != nil {
		_ = udp.Close()
		return nil, err
	}
	sock, err := newPacketSocket(udp)
	if err != nil {
		_ = udp.Close()
		return nil, err
	}
	g := &Group{packetReader: packetReader{ln: l.listener, sock: sock}, of: l, udp: udp, iface: i.Name}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups == nil {
		_ = udp.Close()
		return nil, net.ErrClosed
	}
	l.groups[g] = true
	return g, nil
}

// closeGroups ends all groups, those to come included.
func (l *packetListener) closeGroups() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range l.groups {
		_ = g.udp.Close()
	}
	l.groups = nil
}

// WriteGroup implements PacketListener.
func (l *packetListener) WriteGroup(group netip.AddrPort, iface string, ttl int, b []byte) error {
	group = unmapped(group)
	err := l.writeGroup(group, iface, ttl, b)
	switch {
	case err == nil:
		l.tally.sent(1, len(b))
		return nil
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return fmt.Errorf("send to group %s on %s: %w", group, iface, err)
}

func (l *packetListener) writeGroup(group netip.AddrPort, iface string, ttl int, b []byte) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	if ttl < 0 || ttl > 255 {
		return fmt.Errorf("%d hops are not within 0 and 255", ttl)
	}
	is, err := multicastInterfaces([]string{iface})
	if err != nil {
		return err
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	if group.Addr().Is4() {
		p := ipv4.NewPacketConn(l.udp)
		err = errors.Join(p.SetMulticastInterface(&is[0]), p.SetMulticastTTL(ttl), p.SetMulticastLoopback(true))
	} else {
		group = netip.AddrPortFrom(group.Addr().WithZone(iface), group.Port())
		p := ipv6.NewPacketConn(l.udp)
		err = errors.Join(p.SetMulticastInterface(&is[0]), p.SetMulticastHopLimit(ttl), p.SetMulticastLoopback(true))
	}
	if err != nil {
		return err
	}
	if _, err = l.udp.WriteToUDPAddrPort(b, group); err != nil && !errors.Is(err, net.ErrClosed) {
		err = l.unsent(group, err)
	}
	return err
}
