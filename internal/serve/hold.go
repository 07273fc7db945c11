package serve

import (
	"context"
	"errors"
	"slices"

	"github.com/iotctl/iotctl/internal/gateway"
)

// Holder is a gateway that has a port of its own beside its listeners: it is open
// before the first of them is, so that a port which is taken keeps the server
// from starting, or a reload from changing anything.
type Holder interface {
	gateway.Gateway
	// Hold opens the port, unless it is open already; release lets go of it. Calls
	// of Serve under way hold it, too. Errors begin with the name of the setting
	// that has to do with it.
	Hold(ctx context.Context) (release func(), err error)
}

// hold lets the gateways that have listeners in p open their own ports, if they do
// not hold them already, and keeps them in s.held. undo lets go of the new ones
// again. Errors are joined, each a *Problem. Called with mu held, or before there
// is anybody else.
func (s *Server) hold(ctx context.Context, p *plan) (undo func(), err error) {
	ps := &problems{source: p.source}
	var added []string
	for _, pl := range p.listeners {
		name := pl.endpoint.Scheme.Protocol
		h, ok := s.gateways[name].(Holder)
		if !ok || s.held[name] != nil {
			continue
		}
		release, err := h.Hold(ctx)
		if err != nil {
			ps.addJoined(name, err)
			break // the others would only say the same
		}
		s.held[name] = release
		added = append(added, name)
	}
	undo = func() {
		for _, name := range added {
			s.held[name]()
			delete(s.held, name)
		}
	}
	return undo, errors.Join(ps.all.Unwrap()...)
}

// letGo lets go of the ports of gateways that have no listener in p. What they
// still serve keeps them open. Called with mu held.
func (s *Server) letGo(p *plan) {
	for name, release := range s.held {
		if !slices.ContainsFunc(p.listeners, func(pl *planned) bool { return pl.endpoint.Scheme.Protocol == name }) {
			delete(s.held, name)
			s.gatewaysWG.Go(release)
		}
	}
}
