package transport

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// DefaultDialTimeout is for name resolution, connection and handshakes
// together.
const DefaultDialTimeout = 30 * time.Second

// DialConfig holds the options of Dial. The zero value is usable.
type DialConfig struct {
	Schemes []Scheme      // nil: MQTTSchemes
	Timeout time.Duration // of everything together. 0: 30 s
	// LocalAddress to dial from: an IP address, with or without port.
	LocalAddress string
	// Proxy is a SOCKS5 proxy: socks5h://user:password@host:port, percent-
	// encoded, port 1080 unless named. It resolves the host name. Unix sockets
	// are dialed directly.
	Proxy string
	// SRV looks the host up as a service (_mqtt._tcp.host, or what the scheme
	// says) and tries the targets in order; the URL's port is not used then.
	// Schemes without a service name fail.
	SRV bool

	TLS *ClientTLS // nil: the zero value

	Header http.Header // sent with the WebSocket handshake; Host and Origin work too
	// Subprotocols to offer. nil: the first of the scheme's.
	Subprotocols []string

	Nagle     bool          // false: TCP_NODELAY is set
	KeepAlive time.Duration // of TCP. 0: 15 s; negative: none

	Resolver *net.Resolver // nil: the system's

	// Connected is called when a socket is connected, before its handshakes.
	Connected func()
	// Preface is written to the socket before its handshakes: a PROXY header.
	Preface []byte
}

// Dial connects to what rawURL names; the handshake is complete on return.
// Errors are *Error when the network is to blame, and plain ones for what is
// wrong with the URL or the configuration.
func Dial(ctx context.Context, rawURL string, cfg DialConfig) (Conn, error) {
	e, err := Parse(rawURL, cfg.Schemes)
	if err != nil {
		return nil, err
	}
	return DialEndpoint(ctx, e, cfg)
}

// DialEndpoint is Dial for a URL that has been parsed, and perhaps changed.
func DialEndpoint(ctx context.Context, e Endpoint, cfg DialConfig) (Conn, error) {
	if e.Scheme.Network != "unix" && e.Host == "" {
		return nil, fmt.Errorf("dial %s: the URL names no host", e)
	}
	if e.Scheme.Network != "unix" && e.Port == 0 && !cfg.SRV {
		return nil, fmt.Errorf("dial %s: port 0 cannot be dialed", e)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultDialTimeout
	}
	if cfg.TLS == nil {
		cfg.TLS = &ClientTLS{}
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if !cfg.SRV {
		return cfg.dialOne(ctx, e, []string{e.Host})
	}
	targets, err := cfg.lookup(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		var c Conn
		if c, err = cfg.dialOne(ctx, t.Endpoint, t.names); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// dialOne connects to one host; names are what its certificate may be for.
func (cfg *DialConfig) dialOne(ctx context.Context, e Endpoint, names []string) (Conn, error) {
	nc, err := cfg.dialSocket(ctx, e)
	if err != nil {
		return nil, err
	}
	if cfg.Connected != nil {
		cfg.Connected()
	}
	if len(cfg.Preface) > 0 {
		if _, err := nc.Write(cfg.Preface); err != nil { // which an empty buffer of the kernel takes at once
			_ = nc.Close()
			return nil, explainConnect(e.Address(), e, err)
		}
	}
	c := &conn{scheme: &e.Scheme, remote: addrPort(nc.RemoteAddr())}
	if udp, ok := nc.(*net.UDPConn); ok {
		c.sock = newUDPSocket(udp)
	} else {
		c.sock = newSocket(nc)
	}
	c.top = c.sock
	switch {
	case e.Scheme.TLS, e.Scheme.WebSocket:
	case e.Scheme.datagrams():
		c.top = &answered{layer: c.sock, to: e}
		return c, nil
	default:
		c.top = &greeting{layer: c.sock, target: e.Address(), protocol: e.Scheme.Protocol}
		return c, nil
	}
	c.shake = &handshake{steps: func(ctx context.Context, c *conn) error {
		switch {
		case e.Scheme.TLS && e.Scheme.datagrams():
			return cfg.TLS.dialDatagrams(ctx, c, e, names)
		case e.Scheme.TLS:
			if err := cfg.TLS.dial(c, e.Address(), names); err != nil {
				return err
			}
		}
		if e.Scheme.WebSocket {
			return cfg.dialWebSocket(c, e)
		}
		return nil
	}}
	if err := c.shake.run(ctx, c); err != nil {
		return nil, err
	}
	return c, nil
}

func (cfg *DialConfig) dialSocket(ctx context.Context, e Endpoint) (net.Conn, error) {
	d := net.Dialer{KeepAlive: cfg.KeepAlive, Resolver: cfg.Resolver}
	if e.Scheme.Network != "unix" && cfg.LocalAddress != "" {
		local, err := localAddr(cfg.LocalAddress, e.Scheme.Network)
		if err != nil {
			return nil, err
		}
		d.LocalAddr = local
	}
	if cfg.Proxy != "" && e.Scheme.datagrams() {
		return nil, fmt.Errorf("dial %s: the SOCKS proxy is for TCP, and %s:// is UDP", e, e.Scheme.Name)
	}
	if cfg.Proxy != "" && e.Scheme.Network != "unix" {
		return dialProxy(ctx, &d, cfg, e)
	}
	nc, err := d.DialContext(ctx, e.Scheme.Network, e.Address())
	if err != nil {
		return nil, explainConnect(e.Address(), e, err)
	}
	cfg.tune(nc)
	return nc, nil
}

func (cfg *DialConfig) tune(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok && cfg.Nagle {
		_ = t.SetNoDelay(false)
	}
}

func localAddr(s, network string) (net.Addr, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("local address %q is no IP address", s)
		}
		ap = netip.AddrPortFrom(a, 0)
	}
	if network == "udp" {
		return net.UDPAddrFromAddrPort(ap), nil
	}
	return net.TCPAddrFromAddrPort(ap), nil
}

// greeting watches the first bytes that a plain MQTT connection gets: a TLS
// server answers MQTT with a TLS alert, and that is worth saying.
type greeting struct {
	layer
	target, protocol string
	seen             bool
}

// Read implements net.Conn.
func (g *greeting) Read(b []byte) (int, error) {
	n, err := g.layer.Read(b)
	if !g.seen && err == nil {
		return n, g.check(b[:n])
	}
	return n, err
}

// ReadWith implements Conn.
func (g *greeting) ReadWith(borrow func() []byte) ([]byte, int, error) {
	b, n, err := g.layer.ReadWith(borrow)
	if !g.seen && err == nil {
		err = g.check(b[:n])
	}
	return b, n, err
}

func (g *greeting) check(b []byte) error {
	g.seen = true
	if g.protocol != "mqtt" {
		return nil
	}
	switch what := Sniff(b); what {
	case "TLS":
		return &Error{Op: "connect", Target: g.target, Problem: "the server speaks TLS on this port", Hint: "use the URL scheme with TLS (mqtts:// or wss://)"}
	case "HTTP":
		return &Error{Op: "connect", Target: g.target, Problem: "the server speaks HTTP on this port", Hint: "if it is a WebSocket port, use ws://"}
	}
	return nil
}
