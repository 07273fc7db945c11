package serve

import (
	"log/slog"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// Config of a server. Only Builtin has no default.
type Config struct {
	Builtin Builtin

	// Listeners to open. nil: DefaultListeners.
	Listeners []Listener

	// AllowAnonymous lets clients without credentials in, on every listener, or
	// on none. nil: on listeners that only this machine can reach, as long as
	// no method of authentication is set up.
	AllowAnonymous *bool
	// Methods holds the settings of methods of authentication by their key; a
	// method without an entry is off.
	Methods map[string]any

	// Gateways holds the settings of gateways by protocol; a gateway without an
	// entry has its zero settings.
	Gateways map[string]any
	// Broker: Store, Authorizer and Logger are set by Start.
	Broker broker.Config

	Store         string // name of an entry; "" is the first
	StoreSettings any

	// Control is the path of the control socket, in a directory of this user's
	// that no other server uses. "": there is none. One that does not open is
	// logged, and the server goes on without.
	Control string

	// Logger is what everything logs to. nil: silent.
	Logger *slog.Logger
	Log    Log

	// Inherited sockets are used instead of opening those listeners that have
	// the name or the address of one. Each must belong to a listener.
	Inherited []transport.Inherited

	// DrainTimeout is how long the end may take. 0: 30 s.
	DrainTimeout time.Duration
	// CertificateCheck is the time between looks at the certificate files,
	// which are loaded when they have changed. 0: 30 s; below 0: never.
	CertificateCheck time.Duration

	source source
}

// Log is what the file says about logging; NewLogger follows it.
type Log struct {
	Level  slog.Level // zero is info
	Format Format     // zero is text
}

// Listener is one URL and its options. Its name is ListenConfig.Name or, when
// that is empty, the URL with its real port.
type Listener struct {
	URL string
	transport.ListenConfig
	path string // in the file it came from
}

// DefaultListeners are MQTT's on the loopback interface.
func DefaultListeners() []Listener {
	return []Listener{{URL: "mqtt://127.0.0.1:1883"}, {URL: "ws://127.0.0.1:8083/mqtt"}}
}

// Defaults of Config.
const (
	DefaultDrainTimeout     = 30 * time.Second
	DefaultCertificateCheck = 30 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Listeners == nil {
		c.Listeners = DefaultListeners()
	}
	c.Listeners = slices.Clone(c.Listeners)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Store == "" && len(c.Builtin.Stores) > 0 {
		c.Store = c.Builtin.Stores[0].Name
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.CertificateCheck == 0 {
		c.CertificateCheck = DefaultCertificateCheck
	}
	return c
}
