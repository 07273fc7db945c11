package mqttsn

import (
	"fmt"
	"net/netip"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// Values of Config.Forwarders that are no networks.
const (
	forwardersAny = "any"
	forwardersOff = "off"
)

// forwarders says which addresses may pass on what others have sent.
type forwarders struct {
	any  bool
	from []netip.Prefix
}

func newForwarders(words []string) (forwarders, error) {
	var f forwarders
	for i, word := range words {
		switch {
		case len(words) == 1 && word == forwardersAny:
			f.any = true
		case len(words) == 1 && word == forwardersOff:
		default:
			p, err := parseNetwork(word)
			if err != nil {
				return f, fmt.Errorf("forwarders[%d]: %q is neither a network nor an address; any and off stand alone", i, word)
			}
			f.from = append(f.from, p)
		}
	}
	return f, nil
}

// parseNetwork takes an address for the network that consists of it.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// allow reports whether a forwarder may be at a.
func (f *forwarders) allow(a netip.Addr) bool {
	if f.any {
		return true
	}
	a = a.Unmap()
	for _, p := range f.from {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// unwrap works off what a forwarder has passed on. Its client is known by the
// forwarder's address and the node identifier together. SN-5.5
func (g *Gateway) unwrap(w *work, p path, body, inner []byte) {
	m, err := mqttsn.ParseEncapsulated(body, inner, &w.options)
	switch {
	case err != nil:
		g.dropped(err)
	case !g.terms.Load().forwarders.allow(p.remote().Addr()):
		g.counts.foreignForwarder.Add(1)
	default:
		p.node = node{forwarded: true, id: string(m.NodeID)}
		g.receive(w, p, m.Inner)
	}
}
