package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/iotctl/iotctl/internal/transport"
)

// running is a listener that is open.
type running struct {
	transport.Listener
	plan *planned // replaced by Reload
}

// name is what Info().Listener and Credentials.Listener are for its
// connections.
func (r *running) name() string {
	if n := r.plan.cfg.Name; n != "" {
		return n
	}
	return r.URL()
}

// inheritance is the sockets that somebody else has opened for us and that are
// not in use yet.
type inheritance []transport.Inherited

// take finds the socket for pl: the one of its name, or else of its address.
func (in *inheritance) take(pl *planned) net.Listener {
	i := slices.IndexFunc(*in, func(s transport.Inherited) bool { return s.Name != "" && s.Name == pl.cfg.Name })
	if i < 0 {
		i = slices.IndexFunc(*in, func(s transport.Inherited) bool { return s.Addr().String() == pl.endpoint.Address() })
	}
	if i < 0 {
		return nil
	}
	l := (*in)[i].Listener
	*in = slices.Delete(*in, i, i+1)
	return l
}

// openAll opens all or none.
func openAll(ctx context.Context, pls []*planned, in inheritance) ([]*running, error) {
	in = slices.Clone(in)
	var opened []*running
	var errs []error
	for _, pl := range pls {
		r, err := open(ctx, pl, &in)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		opened = append(opened, r)
	}
	for _, s := range in {
		errs = append(errs, fmt.Errorf("the inherited socket %q at %s belongs to no listener: name a listener %q or give one its address", s.Name, s.Addr(), s.Name))
	}
	if len(errs) == 0 {
		return opened, nil
	}
	for _, r := range opened {
		errs = append(errs, r.Close())
	}
	for _, s := range in {
		errs = append(errs, s.Close())
	}
	return nil, errors.Join(errs...)
}

func open(ctx context.Context, pl *planned, in *inheritance) (*running, error) {
	var l transport.Listener
	var err error
	if inner := in.take(pl); inner != nil {
		l, err = transport.NewListener(inner, pl.url, pl.cfg)
		if err != nil {
			return nil, errors.Join(err, inner.Close())
		}
	} else if l, err = transport.Listen(ctx, pl.url, pl.cfg); err != nil {
		return nil, err
	}
	r := &running{Listener: l, plan: pl}
	// "localhost" and inherited sockets may turn out to be something else.
	if pl.mustBeLocal && !isLocalAddress(l.Addr()) {
		return nil, errors.Join(&Problem{Path: pl.path, Err: &ExposedError{URL: l.URL()}}, l.Close())
	}
	return r, nil
}

// Port describes an open listener.
type Port struct {
	Name      string   `json:"name"`
	Protocol  string   `json:"protocol"`  // "mqtt"
	Transport string   `json:"transport"` // "tcp", "tls", "ws", "wss", "unix", "udp", "dtls"
	Address   string   `json:"address"`   // "127.0.0.1:1883", or the path of a Unix socket
	URL       string   `json:"url"`       // for clients on this machine, with the real port
	Auth      []string `json:"auth"`      // how clients log in: "password", "certificate", "psk", "anonymous"
}

// Ports describes the open listeners in the order of the configuration.
func (s *Server) Ports() []Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	ports := make([]Port, len(s.running))
	for i, r := range s.running {
		ports[i] = r.port()
	}
	return ports
}

// URLs are those of Ports: what a client on this machine connects to.
func (s *Server) URLs() []string {
	var urls []string
	for _, p := range s.Ports() {
		urls = append(urls, p.URL)
	}
	return urls
}

func (r *running) port() Port {
	scheme := r.Scheme()
	p := Port{
		Name: r.name(), Protocol: scheme.Protocol, Transport: scheme.Network,
		Address: r.Addr().String(), URL: r.URL(), Auth: r.plan.ways,
	}
	switch {
	case scheme.WebSocket && scheme.TLS:
		p.Transport = "wss"
	case scheme.WebSocket:
		p.Transport = "ws"
	case scheme.TLS && scheme.Network == "udp":
		p.Transport = "dtls"
	case scheme.TLS:
		p.Transport = "tls"
	}
	if a, ok := r.Addr().(interface{ AddrPort() netip.AddrPort }); ok && a.AddrPort().Addr().IsUnspecified() {
		e := r.plan.endpoint
		e.Host, e.Port, e.RawQuery = "127.0.0.1", a.AddrPort().Port(), "" // nobody can connect to "all addresses"
		p.URL = e.String()
	}
	return p
}
