package mqttsn

import (
	"fmt"
	"hash/maphash"
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
func (g *Gateway) unwrap(w *work, p path, h mqttsn.Header, body, inner []byte) {
	m, err := mqttsn.ParseEncapsulated(body, inner, &w.options)
	switch {
	case err != nil:
		g.dropped(err)
	case len(m.NodeID) > mqttsn.MaxNodeID || h.Bytes > 2: // answers have no room for such a one
		g.counts.malformed.Add(1)
	case !g.terms.Load().forwarders.allow(p.remote().Addr()):
		g.counts.foreignForwarder.Add(1)
	default:
		p.node = node{forwarded: true, id: w.nodes.name(m.NodeID)}
		g.receive(w, p, m.Inner)
	}
}

// nodeNames are node identifiers as strings, so that those that come often are not
// made again for each datagram. A new one takes the place of another.
type nodeNames struct {
	seed  maphash.Seed
	names []string
}

// keptNodes is how many are kept.
const keptNodes = 1024

func (n *nodeNames) name(id []byte) string {
	if n.names == nil {
		n.seed, n.names = maphash.MakeSeed(), make([]string, keptNodes)
	}
	s := &n.names[maphash.Bytes(n.seed, id)%keptNodes]
	if *s != string(id) {
		*s = string(id)
	}
	return *s
}
