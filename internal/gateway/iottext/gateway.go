// Package iottext serves the text protocol of "Custom IoT" to devices, and to
// people with netcat. README.md shows it.
//
// A client goes through three phases. It connects, and may say HELLO!; ID
// authorises it, at once or when an operator has approved it; then it may do
// everything else. Every line but CLOSE and the HELLO! that answers a HELLO? is
// answered, in order, with OK, or with BAD and what is wrong, and goes no further
// than that; between a line and its answer there may be values and messages.
//
// A variable is the retained topic text/var/NAME, of which a device that is
// subscribed hears the latest value at once and each change after, its own
// included. Nothing is said when a variable is deleted: SUB with an empty value
// would read as a change to nothing. For the same reason PUB takes no empty
// value. A message to a device goes to text/dev/ID/in, from where the device gets
// it with the client identifier of whoever published it, made a name by
// iottext.SafeName; "_" is the broker itself. Everything is at QoS 0, and a
// session ends with its connection.
//
// It leaves out: wills, sessions that wait, and whatever needs a second topic
// level.
package iottext

import (
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Protocol is the name in listeners, credentials and session identifiers.
const Protocol = "iottext"

// Gateway serves the text protocol on any number of listeners.
type Gateway struct {
	*gateway.Server
	cfg      Config
	variable string // topic of a variable without its name
	device   string // and of a device without its id and "/in"
}

// New returns a gateway to b.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{}
	g.Server = gateway.NewServer(g.settle(cfg, b))
	return g, nil
}

// settle takes the settings; it returns what they mean for connections.
func (g *Gateway) settle(cfg Config, b *broker.Broker) gateway.ServerConfig {
	g.cfg = cfg.withDefaults()
	g.variable, g.device = g.cfg.TopicPrefix+"/var/", g.cfg.TopicPrefix+"/dev/"
	return gateway.ServerConfig{
		Broker: b, Logger: g.cfg.Logger, Open: func() gateway.Client { return &client{g: g} },
		ConnectTimeout: g.cfg.ConnectTimeout, PendingBytes: g.cfg.PendingBytes, SendTimeout: g.cfg.SendTimeout,
	}
}

// Reload replaces the settings for devices to come. Authenticator and Logger
// stay.
func (g *Gateway) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg.Authenticator, cfg.Logger = g.cfg.Authenticator, g.cfg.Logger
	next := *g
	g.SetTerms(next.settle(cfg, g.Broker()))
	return nil
}

// inbox appends the topic at which a device receives.
func (g *Gateway) inbox(dst, id []byte) []byte {
	dst = append(dst, g.device...)
	dst = append(dst, id...)
	return append(dst, "/in"...)
}

// say appends a line of the server.
func say(dst []byte, l iottext.Line) []byte {
	l.From = iottext.Server
	dst, _ = l.Append(dst) // fails for commands alone that servers do not say
	return dst
}

// bad appends a refusal.
func (g *Gateway) bad(dst []byte, reason string) []byte {
	l := iottext.Line{Command: iottext.Bad}
	if !g.cfg.HideReasons {
		l.Reason = []byte(gateway.Clip(reason))
	}
	return say(dst, l)
}

// farewell appends the last line.
func (g *Gateway) farewell(dst []byte, reason string) []byte {
	l := iottext.Line{Command: iottext.Close}
	if !g.cfg.HideReasons {
		l.Reason = []byte(gateway.Clip(reason))
	}
	return say(dst, l)
}

// bye is the end that a client has asked for.
var bye = &gateway.End{
	Why: gateway.Bye.Why, Err: gateway.Bye.Err,
	Last: say(nil, iottext.Line{Command: iottext.Close}),
}

var _ interface {
	gateway.Client
	gateway.Opener
	gateway.Watch
} = (*client)(nil)
