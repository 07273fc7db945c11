package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Defaults of ListenConfig.
const (
	DefaultMaxConnections   = 100_000
	DefaultMaxConnRate      = 1000
	DefaultMaxHandshakes    = 4096
	DefaultHandshakeTimeout = 15 * time.Second
	DefaultProxyTimeout     = 3 * time.Second
	DefaultUnixMode         = fs.FileMode(0o660)
	DefaultKeepAlive        = 5 * time.Minute
	DefaultQueueDatagrams   = 256
	DefaultQueueBytes       = 256 << 10
	DefaultAllQueuesBytes   = 64 << 20
	DefaultPacketBuffer     = 16 << 20 // ReadBufferBytes of a PacketListener
)

// ListenConfig holds the options of one listener. The zero value is usable for
// plain listeners.
type ListenConfig struct {
	Name    string   // for logs and Info; "" is the URL
	Schemes []Scheme // nil: MQTTSchemes

	// Acceptors is how many goroutines should call Accept; the listener starts
	// none itself. 0: 4, or the number of CPUs when that is less. Datagrams: 1,
	// whatever it says, because that goroutine reads the socket for all peers.
	Acceptors int
	// MaxConnections counts open connections, checked before any handshake.
	// 0: 100,000; negative: no limit.
	MaxConnections int
	// MaxConnRate is connections per second, burst the same; what comes beyond
	// is closed. 0: 1000; negative: no limit.
	MaxConnRate int
	// MaxPerSource limits open connections of one client address, which is a
	// network of 64 bits in IPv6. 0: no limit.
	MaxPerSource int
	// MaxHandshakes limits connections that have been accepted and are not
	// through their handshake; plain listeners have none. One client address
	// other than loopback may take a quarter of it, and 16 in any case. 0: 4096;
	// negative: no limit.
	MaxHandshakes int

	// Access rules, in order: "allow" or "deny", then "all", an address or a
	// CIDR. The first match wins, no match allows. They see the client's own
	// address, the one in the PROXY header where there is one. IPv4-mapped IPv6
	// matches IPv4 rules. Connections without an address (Unix sockets) pass.
	Access []string
	// Proxies are the addresses and CIDRs ("unix" for Unix sockets) whose
	// connections must begin with a PROXY protocol header, version 1 or 2. When
	// there are any, connections from elsewhere are refused. Empty: no headers.
	Proxies []string

	MessageRate Rate // per connection; see Conn.ChargeMessages. Zero: no limit
	ByteRate    Rate // per connection, of what arrives inside TLS. Zero: no limit

	HandshakeTimeout time.Duration // PROXY header, TLS and WebSocket together, or DTLS. 0: 15 s
	ProxyTimeout     time.Duration // the PROXY header alone. 0: 3 s

	Nagle            bool          // false: TCP_NODELAY is set
	KeepAlive        time.Duration // of TCP, idle time before the first probe. 0: 5 min; negative: none
	ReadBufferBytes  int           // of the socket. 0: the system's default, or 16 MB of a PacketListener; the system may allow less
	WriteBufferBytes int           // of the socket. 0: the system's default
	UnixMode         fs.FileMode   // permissions of a Unix socket. 0: 0660

	// Datagrams wait for the reader of their Conn; what does not fit is dropped and
	// counted. One always fits an empty queue as far as QueueBytes goes.
	QueueDatagrams int // of one Conn. 0: 256
	QueueBytes     int // of one Conn. 0: 256 KB
	AllQueuesBytes int // of all of the listener. 0: 64 MB

	TLS       *ServerTLS // required by schemes with TLS
	WebSocket WebSocketConfig

	Logger *slog.Logger // nil: silent
}

// WebSocketConfig holds what the server's side of a WebSocket accepts.
type WebSocketConfig struct {
	// Subprotocols known; the first of the client's list that is among them is
	// chosen. nil: those of the scheme.
	Subprotocols []string
	// AnySubprotocol accepts clients that offer none of them. [MQTT-6.0.0-3]
	// demands that they do.
	AnySubprotocol bool
	// Origins that pages may come from: "https://example.com",
	// "https://*.example.com", or "*". Empty: only pages of the host that the
	// connection names, on any port; on a loopback address that is localhost or
	// an IP address, because any page's name can be made to resolve to that.
	// Requests without Origin do not come from a page and are accepted.
	Origins []string
}

func (c ListenConfig) withDefaults() ListenConfig {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Schemes == nil {
		c.Schemes = MQTTSchemes()
	}
	def(&c.Acceptors, min(4, runtime.NumCPU()))
	def(&c.MaxConnections, DefaultMaxConnections)
	def(&c.MaxConnRate, DefaultMaxConnRate)
	def(&c.MaxHandshakes, DefaultMaxHandshakes)
	def(&c.QueueDatagrams, DefaultQueueDatagrams)
	def(&c.QueueBytes, DefaultQueueBytes)
	def(&c.AllQueuesBytes, DefaultAllQueuesBytes)
	defTime(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	defTime(&c.ProxyTimeout, DefaultProxyTimeout)
	defTime(&c.KeepAlive, DefaultKeepAlive)
	if c.UnixMode == 0 {
		c.UnixMode = DefaultUnixMode
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate returns every problem, joined, each beginning with the option's
// name in configuration files. It reads no files.
func (c ListenConfig) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, s := range c.Access {
		if _, err := parseRule(s); err != nil {
			add("access[%d]: %w", i, err)
		}
	}
	for i, s := range c.Proxies {
		if _, err := parsePrefix(s); err != nil && s != "unix" {
			add("proxies[%d]: %q is no address and no CIDR", i, s)
		}
	}
	for _, n := range []struct {
		name string
		v    int
	}{
		{"acceptors", c.Acceptors},
		{"max_per_source", c.MaxPerSource},
		{"read_buffer", c.ReadBufferBytes},
		{"write_buffer", c.WriteBufferBytes},
		{"queue.datagrams", c.QueueDatagrams},
		{"queue.bytes", c.QueueBytes},
		{"queue.all_bytes", c.AllQueuesBytes},
	} {
		if n.v < 0 {
			add("%s: %d is negative", n.name, n.v)
		}
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"handshake_timeout", c.HandshakeTimeout}, {"proxy_timeout", c.ProxyTimeout}} {
		if d.v < 0 {
			add("%s: %s is negative", d.name, d.v)
		}
	}
	for _, r := range []struct {
		name string
		v    Rate
	}{{"rate_limit.messages", c.MessageRate}, {"rate_limit.bytes", c.ByteRate}} {
		if r.v.Count < 0 || r.v.Count > 0 && r.v.Per <= 0 {
			add("%s: %d per %s is no rate", r.name, r.v.Count, r.v.Per)
		}
	}
	if c.UnixMode&^fs.ModePerm != 0 {
		add("unix_mode: %#o has bits outside 0777", uint32(c.UnixMode))
	}
	for i, o := range c.WebSocket.Origins {
		if o != "*" && !strings.Contains(o, "://") {
			add("websocket.origins[%d]: %q is no origin; one looks like https://example.com", i, o)
		}
	}
	if c.TLS != nil {
		for _, err := range c.TLS.problems() {
			add("tls.%w", err)
		}
	}
	return errors.Join(errs...)
}

// settings is a ListenConfig made ready for use; replaced as a whole by Apply.
type settings struct {
	cfg     ListenConfig
	rules   []rule
	proxies []netip.Prefix
	unix    bool // Unix sockets are proxies
	tls     *tlsServer
	rate    *Bucket // nil: no limit
	shaking bool    // connections have a handshake to do
}

func newSettings(cfg ListenConfig, s *Scheme) (*settings, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if s.Packets {
		if err := cfg.fitPackets(s); err != nil {
			return nil, err
		}
	}
	cfg = cfg.withDefaults()
	if s.Packets && (!s.datagrams() || s.TLS) {
		return nil, fmt.Errorf("%s:// has packets without connections, which only plain UDP has", s.Name)
	}
	if s.datagrams() {
		if err := cfg.fitDatagrams(s); err != nil {
			return nil, err
		}
	}
	if cfg.WebSocket.Subprotocols == nil {
		cfg.WebSocket.Subprotocols = s.Subprotocols
	}
	set := &settings{cfg: cfg, shaking: s.TLS || s.WebSocket || len(cfg.Proxies) > 0}
	for _, text := range cfg.Access {
		r, _ := parseRule(text) // Validate has read it
		set.rules = append(set.rules, r)
	}
	for _, text := range cfg.Proxies {
		if p, err := parsePrefix(text); err == nil {
			set.proxies = append(set.proxies, p)
		}
	}
	set.rate = NewBucket(Rate{Count: int64(max(cfg.MaxConnRate, 0)), Per: time.Second}, time.Now())
	set.unix = slices.Contains(cfg.Proxies, "unix")
	if !s.TLS {
		return set, nil
	}
	if cfg.TLS == nil {
		if s.datagrams() {
			return nil, fmt.Errorf("tls: %s:// needs a certificate and its key, or a psk_file", s.Name)
		}
		return nil, fmt.Errorf("tls: %s:// needs a certificate and its key", s.Name)
	}
	var err error
	set.tls, err = cfg.TLS.load(s)
	return set, err
}

// fitPackets refuses limits of connections, and queues, where there are none.
func (c *ListenConfig) fitPackets(s *Scheme) error {
	var errs []error
	for _, o := range []struct {
		name string
		set  bool
	}{
		{"max_conn_rate", c.MaxConnRate > 0},
		{"max_per_source", c.MaxPerSource > 0},
		{"rate_limit.messages", c.MessageRate.Count > 0},
		{"rate_limit.bytes", c.ByteRate.Count > 0},
		{"queue.datagrams", c.QueueDatagrams > 0},
		{"queue.bytes", c.QueueBytes > 0},
		{"queue.all_bytes", c.AllQueuesBytes > 0},
	} {
		if o.set {
			errs = append(errs, fmt.Errorf("%s: %s:// has no connections that it could hold for", o.name, s.Name))
		}
	}
	return errors.Join(errs...)
}

// fitDatagrams refuses what datagrams cannot have.
func (c *ListenConfig) fitDatagrams(s *Scheme) error {
	c.Acceptors = 1
	if s.Packets && c.ReadBufferBytes == 0 {
		c.ReadBufferBytes = DefaultPacketBuffer
	}
	switch {
	case len(c.Proxies) > 0:
		return fmt.Errorf("proxies: %s:// is UDP, which carries no PROXY protocol header", s.Name)
	case s.WebSocket:
		return fmt.Errorf("%s:// is a WebSocket over UDP, which does not exist", s.Name)
	case s.TLS && c.TLS != nil:
		return c.TLS.fitDatagrams()
	}
	return nil
}

func (s *settings) trustsProxy(a netip.AddrPort) bool {
	if !a.IsValid() {
		return s.unix
	}
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a.Addr().WithZone("")) })
}
