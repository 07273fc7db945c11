package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Listener accepts connections of one URL. All methods may be called from any
// goroutine; several may call Accept (ListenConfig.Acceptors).
type Listener interface {
	// Accept returns the next connection that no limit refuses. Its handshake
	// is still to be done: see Conn.Handshake. Accept survives errors such as
	// EMFILE, with growing pauses; it returns net.ErrClosed after Close and no
	// other error.
	Accept() (Conn, error)
	// Close ends Accept. Connections stay open, except that nothing more arrives
	// for those of a datagram listener: their reads return what is queued and then
	// ErrListenerClosed. They can write for another second; the socket goes then, or
	// with the last of them, and until then its port is taken.
	Close() error
	Addr() net.Addr
	// URL has the real port: "mqtt://127.0.0.1:41883".
	URL() string
	Scheme() Scheme
	// Config is the present one, defaults filled in.
	Config() ListenConfig
	// Reload reads the certificate files again, for the handshakes to come.
	// When that fails the present ones stay in use.
	Reload() error
	// Apply replaces the options, for connections to come; open ones stay as
	// they are. What belongs to the socket itself (UnixMode) does not change.
	Apply(cfg ListenConfig) error
	Counters() ListenerCounters
}

// Listen opens the socket that rawURL names. Port 0 picks a free one. The host
// may be empty for all addresses, and so may [::]; 0.0.0.0 is all of IPv4 only. With
// a scheme that has Packets, the result is a PacketListener.
func Listen(ctx context.Context, rawURL string, cfg ListenConfig) (Listener, error) {
	e, err := Parse(rawURL, cfg.Schemes)
	if err != nil {
		return nil, err
	}
	set, err := newSettings(cfg, &e.Scheme)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", e, err)
	}
	l, err := open(ctx, e, set)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", e, err)
	}
	return l, nil
}

func open(ctx context.Context, e Endpoint, set *settings) (Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1} // set per connection, so that Apply can change it
	switch e.Scheme.Network {
	case "unix":
		inner, err := listenUnix(ctx, e.Path, set.cfg.UnixMode)
		if err != nil {
			return nil, err
		}
		return newListener(inner, e, set), nil
	case "udp":
		pc, err := lc.ListenPacket(ctx, family(e), e.Address())
		if err != nil {
			return nil, err
		}
		if e.Scheme.Packets {
			return newPacketListener(pc.(*net.UDPConn), e, set)
		}
		return newDatagramListener(pc.(*net.UDPConn), e, set)
	}
	inner, err := lc.Listen(ctx, family(e), e.Address())
	if err != nil {
		return nil, err
	}
	return newListener(inner, e, set), nil
}

// family is the network to listen on. To Go 0.0.0.0 means IPv6, too, which
// nobody expects who has written an IPv4 address.
func family(e Endpoint) string {
	if ip, err := netip.ParseAddr(e.Host); err == nil && ip.Is4() && e.Scheme.Network != "unix" {
		return e.Scheme.Network + "4"
	}
	return e.Scheme.Network
}

// NewListener puts the scheme and options of rawURL on a listener that is open
// already: inherited from systemd, or made by a test. The URL's address is
// replaced by the listener's own where that is known.
func NewListener(inner net.Listener, rawURL string, cfg ListenConfig) (Listener, error) {
	e, err := Parse(rawURL, cfg.Schemes)
	if err != nil {
		return nil, err
	}
	set, err := newSettings(cfg, &e.Scheme)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", e, err)
	}
	return newListener(inner, e, set), nil
}

type listener struct {
	inner    net.Listener
	take     func() (*conn, error) // from inner; nil, nil when that was no new connection, or a refused one
	endpoint Endpoint              // with the real address
	name     string
	set      atomic.Pointer[settings]
	tally    tally
	done     chan struct{}
	close    func() error
}

func newListener(inner net.Listener, e Endpoint, set *settings) *listener {
	switch a := inner.Addr().(type) {
	case *net.TCPAddr:
		e.Port = uint16(a.Port)
	case *net.UDPAddr:
		e.Port = uint16(a.Port)
	case *net.UnixAddr:
		if a.Name != "" {
			e.Path = a.Name
		}
	}
	e.RawQuery = "" // a listener has no use for it
	l := &listener{inner: inner, endpoint: e, name: set.cfg.Name, done: make(chan struct{})}
	if l.name == "" {
		l.name = e.String()
	}
	l.take = l.takeConn
	l.set.Store(set)
	l.close = sync.OnceValue(func() error {
		close(l.done)
		return inner.Close()
	})
	return l
}

const (
	minBackOff = 5 * time.Millisecond
	maxBackOff = time.Second
)

// Accept implements Listener.
func (l *listener) Accept() (Conn, error) {
	backOff := time.Duration(0)
	for {
		c, err := l.take()
		if err == nil {
			if backOff = 0; c != nil {
				return c, nil
			}
			continue
		}
		if err := l.outlive(err, &backOff); err != nil {
			return nil, err
		}
	}
}

// outlive pauses after err, longer each time. It returns net.ErrClosed once the
// listener is closed.
func (l *listener) outlive(err error, backOff *time.Duration) error {
	select {
	case <-l.done:
		return net.ErrClosed
	default:
	}
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	l.tally.acceptError()
	*backOff = min(max(2**backOff, minBackOff), maxBackOff)
	log := l.set.Load().cfg.Logger.With("listener", l.name, "error", err, "pause", *backOff)
	if l.endpoint.Scheme.Packets {
		log.Warn("cannot read datagrams")
	} else {
		log.Warn("cannot accept connections")
	}
	select {
	case <-l.done:
		return net.ErrClosed
	case <-time.After(*backOff):
		return nil
	}
}

// takeConn waits for a connection of inner.
func (l *listener) takeConn() (*conn, error) {
	nc, err := l.inner.Accept()
	if err != nil {
		return nil, err
	}
	set := l.set.Load()
	c := l.admit(set, addrPort(nc.RemoteAddr()))
	if c == nil {
		_ = nc.Close()
		return nil, nil
	}
	tune(nc, &set.cfg)
	c.begin(newSocket(nc), set)
	return c, nil
}

// admit applies the limits that need no byte from the peer; nil when one of
// them refuses.
func (l *listener) admit(set *settings, from netip.AddrPort) *conn {
	var e entry
	if why := l.refusal(set, from, &e); why != "" {
		l.tally.refused(why)
		set.cfg.Logger.Debug("connection refused", "listener", l.name, "remote", from, "reason", why)
		return nil
	}
	l.tally.accepted()
	return &conn{ln: l, scheme: &l.endpoint.Scheme, remote: from, entry: e}
}

// refusal counts a connection in as e, or says which limit forbids it.
func (l *listener) refusal(set *settings, from netip.AddrPort, e *entry) (refused string) {
	proxied := len(set.cfg.Proxies) > 0
	switch {
	case proxied && !set.trustsProxy(from):
		return RefusedProxy
	case !proxied && from.IsValid() && !allowed(set.rules, from.Addr()):
		return RefusedRule
	}
	if refused = l.tally.enter(e, &set.cfg, set.shaking); refused != "" {
		return refused
	}
	switch {
	case set.rate != nil && !set.rate.Allow(time.Now(), 1):
		refused = RefusedRate
	case !proxied: // otherwise the header names the client
		refused = l.tally.addSource(e, from.Addr(), &set.cfg)
	}
	if refused != "" {
		l.tally.undo(e)
	}
	return refused
}

// begin puts an accepted connection on its socket.
func (c *conn) begin(sock layer, set *settings) {
	c.sock, c.top = sock, sock
	c.pause = newPause(set.cfg.ByteRate, set.cfg.MessageRate, func(t time.Time) error { return c.top.SetReadDeadline(t) })
	if set.shaking {
		c.shake = &handshake{steps: set.accept, timeout: set.cfg.HandshakeTimeout}
	}
}

// accept is the server's side of the handshake.
func (s *settings) accept(ctx context.Context, c *conn) error {
	if len(s.proxies) > 0 || s.unix {
		if err := c.shake.limited(ctx, c, s.cfg.ProxyTimeout, s.acceptProxy); err != nil {
			return err
		}
	}
	switch {
	case c.scheme.TLS && c.scheme.datagrams():
		return s.tls.acceptDatagrams(ctx, c)
	case c.scheme.TLS:
		if err := s.tls.accept(c); err != nil {
			return err
		}
	}
	if c.scheme.WebSocket {
		return s.acceptWebSocket(c)
	}
	return nil
}

// tune sets socket options; a connection works without them.
func tune(nc net.Conn, cfg *ListenConfig) {
	if t, ok := nc.(*net.TCPConn); ok {
		if cfg.Nagle {
			_ = t.SetNoDelay(false)
		}
		if cfg.KeepAlive > 0 {
			_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: cfg.KeepAlive, Interval: 30 * time.Second, Count: 5})
		}
	}
	if b, ok := nc.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}); ok {
		if cfg.ReadBufferBytes > 0 {
			_ = b.SetReadBuffer(cfg.ReadBufferBytes)
		}
		if cfg.WriteBufferBytes > 0 {
			_ = b.SetWriteBuffer(cfg.WriteBufferBytes)
		}
	}
}

func (l *listener) Close() error               { return l.close() }
func (l *listener) Addr() net.Addr             { return l.inner.Addr() }
func (l *listener) URL() string                { return l.endpoint.String() }
func (l *listener) Scheme() Scheme             { return l.endpoint.Scheme }
func (l *listener) Config() ListenConfig       { return l.set.Load().cfg }
func (l *listener) Counters() ListenerCounters { return l.tally.snapshot() }

// Reload implements Listener.
func (l *listener) Reload() error {
	if t := l.set.Load().tls; t != nil {
		return t.reload()
	}
	return nil
}

// Apply implements Listener.
func (l *listener) Apply(cfg ListenConfig) error {
	set, err := newSettings(cfg, &l.endpoint.Scheme)
	if err != nil {
		return fmt.Errorf("listener %s: %w", l.name, err)
	}
	l.set.Store(set)
	return nil
}
