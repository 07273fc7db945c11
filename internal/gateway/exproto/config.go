package exproto

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/transport"
)

// Config of the gateway. The zero value refuses everybody, because it has no
// authenticator; otherwise its ports are those of EMQX, on the loopback
// interface.
type Config struct {
	Authenticator auth.Authenticator // nil: nobody may connect
	Logger        *slog.Logger       // nil: discarded

	Adapter AdapterConfig
	Handler HandlerConfig // of listeners that name none
	// Listeners holds what is particular about listeners, by their names.
	Listeners []ListenerConfig

	// Mountpoint is put before every topic of a device; ${clientid} and
	// ${username} stand for the device's.
	Mountpoint string
	// AllowClientMountpoint takes that of Authenticate where the configuration
	// has none, as handlers for EMQX before 5.1 expect.
	AllowClientMountpoint bool
	// Framing is a frame codec that comes with the program, FramingFile the file
	// that defines another. Then a handler gets one whole, checked frame per
	// event. "": bytes as they come.
	Framing     string
	FramingFile File
	// ShareClientRegistry: a device and an MQTT client of the same identifier take
	// over from each other. Without, they do not know each other.
	ShareClientRegistry bool

	// IdleTimeout ends connections on which a device says nothing at first; see
	// watch. 0: 30 s.
	IdleTimeout time.Duration
	// KeepaliveMultiplier times the interval of StartTimer is how long a device
	// may be silent. 0: 1.5.
	KeepaliveMultiplier float64
	// MaxBatch is how many messages one OnReceivedMessages carries. 0: 100.
	// Handlers that look at the first one alone need 1.
	MaxBatch int
	// QueueEvents and QueueBytes bound what waits for the handler, per device;
	// bytes of either direction. 0: 1000, 1 MiB.
	QueueEvents int
	QueueBytes  int
	// FlushTimeout is how long what has been received may wait for the handler
	// after the device has gone. 0: 15 s.
	FlushTimeout time.Duration
	// SendTimeout ends a connection that takes nothing for so long. 0: 15 s.
	SendTimeout time.Duration
	// PendingBytes is how much may wait to be written to one device. 0: 1 MiB.
	PendingBytes int
	// EMQXCompatCodes answers Publish, Subscribe and Unsubscribe before
	// Authenticate with UNKNOWN, as EMQX does, in the place of PERMISSION_DENY.
	EMQXCompatCodes bool
	// Node is Message.node. "": iotctl.
	Node string
}

// AdapterConfig is where handlers call the gateway.
type AdapterConfig struct {
	// Address to listen on: http://host:port, https with a certificate.
	// "": http://127.0.0.1:9100.
	Address      string
	CertFile     File `yaml:"cert"`
	KeyFile      File `yaml:"key"`
	ClientCAFile File `yaml:"client_ca"` // who may sign handlers' certificates, which are required then
	// TokenFile holds what handlers have to send as "authorization: Bearer …".
	TokenFile File
	// AllowAnonymous lets handlers of other machines in without a certificate or
	// token. Whoever reaches the adapter then and knows a conn controls a device,
	// and may publish anything.
	AllowAnonymous bool
	Access         []string // rules for addresses, as those of listeners
	// MaxPerSource limits the connections of one address, of 1000 of all. 0: 100.
	MaxPerSource int
	// MaxMessageBytes bounds one call. 0: 1 MiB.
	MaxMessageBytes int
	// MaxCalls bounds the calls of one handler's connection at a time. 0: 256.
	MaxCalls int
	// Timeout of one call. 0: 5 s. A connection that has made none after three of
	// them is closed.
	Timeout time.Duration
}

// HandlerConfig is the user's program.
type HandlerConfig struct {
	// Address is http://host:port or https://host:port. "": http://127.0.0.1:9001.
	Address string
	// Service is ConnectionUnaryHandler, or ConnectionHandler for programs
	// written for EMQX before 5.0.25. "": ConnectionUnaryHandler.
	Service string
	// StreamPerEvent makes a ConnectionHandler keep the order of events, at the
	// price of a stream for each.
	StreamPerEvent bool

	CAFile     File   `yaml:"ca"` // "": the system's authorities
	CertFile   File   `yaml:"cert"`
	KeyFile    File   `yaml:"key"`
	ServerName string // "": the address's host
	// TokenFile holds what is sent as "authorization: Bearer …".
	TokenFile File

	// Timeout of one event. nil: 5 s; 0: none. Streams have none at all.
	Timeout *time.Duration
	// MaxCallsInFlight bounds the events that one handler is told at a time, of all
	// devices and listeners that have its address; the others wait for their turn,
	// which is no part of Timeout. It holds where there is a Timeout. 0: 64.
	MaxCallsInFlight int
	// ConnectTimeout is how long an event waits for a handler that is not there.
	// 0: 5 s.
	ConnectTimeout time.Duration
}

// ListenerConfig is what is particular about one listener.
type ListenerConfig struct {
	Name        string        // the listener's name, or its URL if it has none
	Handler     HandlerConfig // in the place of Config.Handler, all of it
	Mountpoint  string
	Framing     string
	FramingFile File
}

// Services of handlers.
const (
	unaryService  = "ConnectionUnaryHandler"
	streamService = "ConnectionHandler"
)

func def[T comparable](v *T, d T) { *v = cmp.Or(*v, d) }

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	def(&c.IdleTimeout, 30*time.Second)
	def(&c.KeepaliveMultiplier, 1.5)
	def(&c.MaxBatch, 100)
	def(&c.QueueEvents, 1000)
	def(&c.QueueBytes, 1<<20)
	def(&c.FlushTimeout, 15*time.Second)
	def(&c.SendTimeout, 15*time.Second)
	def(&c.PendingBytes, 1<<20)
	def(&c.Node, "iotctl")
	a := &c.Adapter
	def(&a.Address, "http://127.0.0.1:9100")
	def(&a.MaxPerSource, 100)
	def(&a.MaxMessageBytes, 1<<20)
	def(&a.MaxCalls, 256)
	def(&a.Timeout, 5*time.Second)
	c.Handler = c.Handler.withDefaults()
	c.Listeners = slices.Clone(c.Listeners)
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Handler == (HandlerConfig{}) {
			l.Handler = c.Handler
		}
		l.Handler = l.Handler.withDefaults()
		def(&l.Mountpoint, c.Mountpoint)
		if l.Framing == "" && l.FramingFile == "" {
			l.Framing, l.FramingFile = c.Framing, c.FramingFile
		}
	}
	return c
}

func (c HandlerConfig) withDefaults() HandlerConfig {
	def(&c.Address, "http://127.0.0.1:9001")
	def(&c.Service, unaryService)
	def(&c.ConnectTimeout, 5*time.Second)
	def(&c.MaxCallsInFlight, 64)
	if c.Timeout == nil {
		d := 5 * time.Second
		c.Timeout = &d
	}
	return c
}

// listener is what holds for the listener of that name or URL.
func (c *Config) listener(names ...string) ListenerConfig {
	for _, l := range c.Listeners {
		if slices.Contains(names, l.Name) {
			return l
		}
	}
	return ListenerConfig{Handler: c.Handler, Mountpoint: c.Mountpoint, Framing: c.Framing, FramingFile: c.FramingFile}
}

// Validate returns every problem, with the names of the configuration file.
func (c Config) Validate() error {
	var errs []error
	add := func(path string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	for _, n := range []struct {
		name string
		v    float64
	}{
		{"idle_timeout", float64(c.IdleTimeout)},
		{"keepalive_multiplier", c.KeepaliveMultiplier},
		{"max_batch", float64(c.MaxBatch)},
		{"queue_events", float64(c.QueueEvents)},
		{"queue_bytes", float64(c.QueueBytes)},
		{"flush_timeout", float64(c.FlushTimeout)},
		{"send_timeout", float64(c.SendTimeout)},
		{"pending_bytes", float64(c.PendingBytes)},
		{"adapter.max_per_source", float64(c.Adapter.MaxPerSource)},
		{"adapter.max_message_bytes", float64(c.Adapter.MaxMessageBytes)},
		{"adapter.max_calls", float64(c.Adapter.MaxCalls)},
		{"adapter.timeout", float64(c.Adapter.Timeout)},
	} {
		if n.v < 0 {
			add(n.name, errors.New("it is negative"))
		}
	}
	add("mountpoint", checkMountpoint(c.Mountpoint))
	_, err := openFraming(c.Framing, c.FramingFile)
	add("framing", err)
	c.Adapter.problems(add)
	c.Handler.problems("handler.", add)
	names := map[string]bool{}
	for i, l := range c.Listeners {
		at := fmt.Sprintf("listeners[%d].", i)
		switch {
		case l.Name == "":
			add(at+"name", errors.New("it is empty: which listener is meant?"))
		case names[l.Name]:
			add(at+"name", fmt.Errorf("%q is there twice", l.Name))
		}
		names[l.Name] = true
		add(at+"mountpoint", checkMountpoint(l.Mountpoint))
		_, err := openFraming(l.Framing, l.FramingFile)
		add(at+"framing", err)
		l.Handler.problems(at+"handler.", add)
	}
	return errors.Join(errs...)
}

func (c AdapterConfig) problems(add func(string, error)) {
	e, err := parseAddress(cmp.Or(c.Address, "http://127.0.0.1:9100"))
	add("adapter.address", err)
	if err == nil {
		add("adapter", c.exposed(e))
		add("adapter", c.listenConfig(e).Validate())
		if e.Scheme.TLS {
			add("adapter", c.listenConfig(e).TLS.Check())
		} else if c.CertFile != "" || c.KeyFile != "" || c.ClientCAFile != "" {
			add("adapter.address", errors.New("http has no TLS: write https"))
		}
	}
	_, err = readToken(c.TokenFile)
	add("adapter.token_file", err)
}

// exposed refuses an adapter that everybody could use.
func (c AdapterConfig) exposed(e transport.Endpoint) error {
	if isLocal(e) || c.AllowAnonymous || c.TokenFile != "" || c.ClientCAFile != "" {
		return nil
	}
	return errors.New("other machines could reach it, and no handler would have to log in: set token_file or client_ca, or allow_anonymous: true where a firewall sees to it")
}

func (c HandlerConfig) problems(at string, add func(string, error)) {
	e, err := parseAddress(cmp.Or(c.Address, "http://127.0.0.1:9001"))
	switch {
	case err != nil:
	case e.Host == "" || e.Port == 0:
		err = fmt.Errorf("%q names no host and port", c.Address)
	case !e.Scheme.TLS && (c.CAFile != "" || c.CertFile != "" || c.KeyFile != "" || c.ServerName != ""):
		err = errors.New("http has no TLS: write https")
	}
	add(at+"address", err)
	switch c.Service {
	case "", unaryService:
		if c.StreamPerEvent {
			add(at+"stream_per_event", fmt.Errorf("%s has no streams; it is for service: %s", unaryService, streamService))
		}
	case streamService:
	default:
		add(at+"service", fmt.Errorf("%q is neither %s nor %s", c.Service, unaryService, streamService))
	}
	if c.ConnectTimeout < 0 || c.Timeout != nil && *c.Timeout < 0 {
		add(at+"timeout", errors.New("it is negative"))
	}
	if c.MaxCallsInFlight < 0 {
		add(at+"max_calls_in_flight", errors.New("it is negative"))
	}
	_, err = readToken(c.TokenFile)
	add(at+"token_file", err)
}
