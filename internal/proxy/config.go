package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// Config of an engine. Listeners and Upstreams have no default.
type Config struct {
	Listeners []Listener
	Upstreams []Upstream
	Balance   Balance
	Health    Health

	// Transparent passes bytes on and knows nothing of MQTT: no CONNECT, no packets,
	// no stages. Any protocol will do.
	Transparent bool
	// Splice says when the kernel moves bytes from socket to socket by itself, in
	// transparent mode between plain sockets, on Linux.
	Splice Splice
	// SendProxy is the version of the PROXY header that brokers get, 1 or 2; 0: none.
	SendProxy int
	// Stages in the order in which they see what clients send.
	Stages []Factory
	// Strict has every packet parsed wholly; otherwise only the fixed headers after
	// CONNECT and CONNACK are judged, and brokers see to the rest.
	Strict bool
	// FollowReference repeats the CONNECT at the broker that a CONNACK of 5.0 with the
	// codes 0x9C and 0x9D refers to, once.
	FollowReference bool

	ConnectTimeout time.Duration // from the socket to the end of CONNECT. 0: 10 s
	ConnectBytes   int           // of a CONNECT packet. 0: 256 KB
	DialTimeout    time.Duration // of one broker. 0: 5 s
	AnswerTimeout  time.Duration // of CONNACK. 0: 30 s
	// PacketBytes bounds every packet. 0: 16 MB with stages, which need packets whole,
	// and what MQTT can express without.
	PacketBytes int
	// KeepAliveSlack is added to one and a half times the keep alive: a client that
	// has sent nothing for so long is gone. 0: 5 s; negative: nobody is cut off.
	KeepAliveSlack time.Duration
	// IdleTimeout ends connections without a keep alive, and in transparent mode all,
	// on which nothing has come either way for so long. 0: never.
	IdleTimeout time.Duration
	// SendTimeout ends a connection of which one side takes nothing for so long. 0: 60 s.
	SendTimeout time.Duration
	// HalfClosed is how long one side may go on in silence when the other has ended.
	// 0: 30 s.
	HalfClosed time.Duration
	// DrainTimeout is how long connections may go on when the engine is told to stop.
	// 0: they are closed at once.
	DrainTimeout time.Duration
	// Farewell tells clients of 5.0 that the server shuts down when the engine stops.
	// Brokers are told nothing: to them it looks as if the client's link had died, so
	// they publish wills.
	Farewell bool

	Logger  *slog.Logger // nil: silent
	Metrics *Metrics     // nil: its own
}

// Listener is where clients come in.
type Listener struct {
	URL string
	transport.ListenConfig
}

// Defaults of Config.
const (
	DefaultConnectTimeout = 10 * time.Second
	DefaultConnectBytes   = 256 << 10
	DefaultDialTimeout    = 5 * time.Second
	DefaultAnswerTimeout  = 30 * time.Second
	DefaultPacketBytes    = 16 << 20
	DefaultKeepAliveSlack = 5 * time.Second
	DefaultSendTimeout    = 60 * time.Second
	DefaultHalfClosed     = 30 * time.Second
)

func (c Config) withDefaults() Config {
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	defTime(&c.ConnectTimeout, DefaultConnectTimeout)
	defTime(&c.DialTimeout, DefaultDialTimeout)
	defTime(&c.AnswerTimeout, DefaultAnswerTimeout)
	defTime(&c.KeepAliveSlack, DefaultKeepAliveSlack)
	defTime(&c.SendTimeout, DefaultSendTimeout)
	defTime(&c.HalfClosed, DefaultHalfClosed)
	if c.ConnectBytes == 0 {
		c.ConnectBytes = DefaultConnectBytes
	}
	if c.PacketBytes == 0 && len(c.Stages) > 0 {
		c.PacketBytes = DefaultPacketBytes
	}
	c.Health = c.Health.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = &Metrics{}
	}
	return c
}

// Validate returns every problem, joined, each beginning with the option's name in
// configuration files.
func (c *Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Listeners) == 0 {
		add("listen: no URL is named")
	}
	for i := range c.Listeners {
		errs = append(errs, below(fmt.Sprintf("listen[%d].", i), c.Listeners[i].problem()))
	}
	if len(c.Upstreams) == 0 {
		add("to: no broker is named")
	}
	for i := range c.Upstreams {
		errs = append(errs, below(fmt.Sprintf("to[%d].", i), c.Upstreams[i].Validate()))
	}
	if c.SendProxy < 0 || c.SendProxy > 2 {
		add("send_proxy: %d is neither 1 nor 2", c.SendProxy)
	}
	if c.Transparent && len(c.Stages) > 0 {
		add("transparent: packets are not looked at, so they cannot be changed, refused or logged either")
	}
	if c.Transparent && c.Health.Mode != HealthOff && c.Health.Mode != HealthTCP {
		add("health.mode: %s is MQTT, which a transparent proxy does not speak; use tcp", c.Health.Mode)
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"connect_timeout", c.ConnectTimeout},
		{"dial_timeout", c.DialTimeout},
		{"answer_timeout", c.AnswerTimeout},
		{"idle_timeout", c.IdleTimeout},
		{"send_timeout", c.SendTimeout},
		{"half_closed", c.HalfClosed},
		{"drain_timeout", c.DrainTimeout},
	} {
		if d.v < 0 {
			add("%s: %s is negative", d.name, d.v)
		}
	}
	if c.ConnectBytes < 0 || c.PacketBytes < 0 {
		add("max_connect, max_packet: a size is negative")
	}
	return errors.Join(append(errs, c.Health.Validate())...)
}

// Check reads the files that the configuration names, and returns every problem with
// them, joined.
func (c *Config) Check() error {
	var errs []error
	for i := range c.Listeners {
		if err := c.Listeners[i].TLS.Check(); err != nil {
			errs = append(errs, below(fmt.Sprintf("listen[%d].", i), err))
		}
	}
	for i := range c.Upstreams {
		if t := c.Upstreams[i].TLS; t != nil {
			if err := t.Check(); err != nil {
				errs = append(errs, below(fmt.Sprintf("to[%d].tls.", i), err))
			}
		}
	}
	return errors.Join(errs...)
}

func (l *Listener) problem() error {
	e, err := transport.Parse(l.URL, Schemes())
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if e.Scheme.TLS && l.TLS == nil {
		return fmt.Errorf("tls: %s:// needs a certificate and its key", e.Scheme.Name)
	}
	return l.Validate()
}

// below puts the path of a section before each of the errors that err joins.
func below(path string, err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s%w", path, err)
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, below(path, e))
	}
	return errors.Join(all...)
}

// Schemes are those of MQTT, and tcp:// and tls:// for whatever it is.
func Schemes() []transport.Scheme {
	return append(transport.MQTTSchemes(),
		transport.Scheme{Name: "tcp", Protocol: "mqtt", Network: "tcp"},
		transport.Scheme{Name: "tls", Protocol: "mqtt", Network: "tcp", TLS: true})
}

// opaque are Schemes for bytes that nobody looks at.
func opaque() []transport.Scheme {
	all := Schemes()
	for i := range all {
		all[i].Protocol = "bytes"
	}
	return all
}

// Splice says when the kernel moves bytes by itself.
type Splice uint8

// Values of Splice.
const (
	SpliceAuto Splice = iota // where much comes at once
	SpliceAlways
	SpliceNever
)

var spliceNames = [...]string{"auto", "always", "never"}

func (s Splice) String() string { return spliceNames[s] }

// UnmarshalText reads the name.
func (s *Splice) UnmarshalText(b []byte) error {
	return named((*uint8)(s), spliceNames[:], b)
}

// named finds b in names.
func named(v *uint8, names []string, b []byte) error {
	for i, name := range names {
		if string(b) == name {
			*v = uint8(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s", b, strings.Join(names, ", "))
}
