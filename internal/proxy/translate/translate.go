package translate

import (
	"context"
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// Config says what brokers speak, and what becomes of things that cannot be
// translated.
type Config struct {
	// To is the version that brokers are spoken to in: 3.1, 3.1.1 or 5.0. "" is that
	// of each client: nothing is translated.
	To string
	// Failures says what becomes of a failure that a client of 3.x cannot be told: a
	// PUBACK or PUBREC of a 5.0 broker that reports one, a message larger than the
	// broker takes. "swallow" (default): the client is told that all is well. "close":
	// its connection is closed.
	Failures string
	// NoLocal says what becomes of a subscription of a 5.0 client that does not want
	// its own messages back, which brokers of 3.x cannot do: "ignore" (default) or
	// "refuse" with code 0x83.
	NoLocal string
	// TopicAliases is how many topic aliases a 5.0 client may use; 0 is 16, -1 none.
	TopicAliases int
	// Subscriptions is how many topic filters of a 5.0 client are remembered for their
	// subscription identifiers and retain handling; 0 is 1000. Above it they are
	// refused with code 0x97.
	Subscriptions int
	// Expiries is how many messages of 5.0 clients are remembered, by topic and payload,
	// for the expiry interval that brokers of 3.x lose: clients of 5.0 get what is left
	// of it, and no message that has expired. 0 is none. Only for brokers that nobody
	// publishes to but by this proxy: it does not see that a message has been sent
	// anew by others.
	Expiries int
	// HoldBytes bounds the messages that are held back for a connection because of
	// the other side's receive maximum; 0 is 1 MiB. What goes beyond waits in the
	// sockets.
	HoldBytes int
}

const (
	swallow = "swallow"
	closing = "close"
	ignore  = "ignore"
	refuse  = "refuse"
)

// maxExpiries bounds what Config.Expiries may ask for: some 100 bytes each.
const maxExpiries = 10_000_000

// maxRequests bounds the SUBSCRIBE and UNSUBSCRIBE packets that wait for an answer.
const maxRequests = 1024

func (c Config) withDefaults() Config {
	if c.Failures == "" {
		c.Failures = swallow
	}
	if c.NoLocal == "" {
		c.NoLocal = ignore
	}
	switch {
	case c.TopicAliases == 0:
		c.TopicAliases = 16
	case c.TopicAliases < 0:
		c.TopicAliases = 0
	}
	if c.Subscriptions == 0 {
		c.Subscriptions = 1000
	}
	if c.HoldBytes == 0 {
		c.HoldBytes = 1 << 20
	}
	return c
}

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	var errs []error
	if _, err := version(c.To); err != nil {
		errs = append(errs, err)
	}
	if c.Failures != "" && c.Failures != swallow && c.Failures != closing {
		errs = append(errs, fmt.Errorf("failures: %.40q is neither %s nor %s", c.Failures, swallow, closing))
	}
	if c.NoLocal != "" && c.NoLocal != ignore && c.NoLocal != refuse {
		errs = append(errs, fmt.Errorf("no_local: %.40q is neither %s nor %s", c.NoLocal, ignore, refuse))
	}
	if c.TopicAliases > 65535 {
		errs = append(errs, fmt.Errorf("topic_aliases: %d is more than 65535", c.TopicAliases))
	}
	if c.Subscriptions < 0 {
		errs = append(errs, fmt.Errorf("subscriptions: %d is negative", c.Subscriptions))
	}
	if c.Expiries < 0 || c.Expiries > maxExpiries {
		errs = append(errs, fmt.Errorf("expiries: %d is out of range: want 0 to %d", c.Expiries, maxExpiries))
	}
	if c.HoldBytes < 0 {
		errs = append(errs, fmt.Errorf("hold_bytes: %d is negative", c.HoldBytes))
	}
	return errors.Join(errs...)
}

func version(s string) (mqtt.Version, error) {
	switch s {
	case "":
		return 0, nil
	case "3.1", "3":
		return mqtt.V31, nil
	case "3.1.1", "4":
		return mqtt.V311, nil
	case "5.0", "5":
		return mqtt.V5, nil
	}
	return 0, fmt.Errorf("to: %.40q is no version of MQTT: want 3.1, 3.1.1 or 5.0", s)
}

// Factory translates for the connections whose clients do not speak what brokers do.
type Factory struct {
	c        Config
	to       mqtt.Version
	expiries *expiries // nil: none are remembered
}

// New makes a factory; nil if c asks for nothing.
func New(c Config) (*Factory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	to, _ := version(c.To)
	if to == 0 {
		return nil, nil
	}
	f := &Factory{c: c.withDefaults(), to: to}
	if c.Expiries > 0 && to < mqtt.V5 {
		f.expiries = newExpiries(c.Expiries)
	}
	return f, nil
}

// Open implements proxy.Factory.
func (f *Factory) Open(c *proxy.Conn) (proxy.Stage, error) {
	switch {
	case c.Version == f.to:
		return nil, nil
	case c.Version == mqtt.V5:
		return newDown(f, c), nil
	case f.to == mqtt.V5:
		return newUp(f.c, c), nil
	}
	return &across{from: c.Version, to: f.to}, nil
}

// across translates between 3.1 and 3.1.1.
type across struct{ from, to mqtt.Version }

// Handle implements proxy.Stage.
func (a *across) Handle(_ context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	in, out := a.from, a.to
	if f.Direction == proxy.ToClient {
		in, out = a.to, a.from
	}
	if f.Header.Type == mqtt.TypePublish {
		return emit(f)
	}
	p, _, err := mqtt.Parse(f.Bytes, proxy.Options(f.Direction, in))
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if c, ok := p.(mqtt.Connect); ok {
		c.Version, c.ProtocolName = a.to, ""
		p = c
	}
	return proxy.Send(emit, f.Direction, out, p)
}

// drop counts the properties that cannot be passed on.
func drop(c *proxy.Conn, ps mqtt.Properties, kept ...mqtt.PropertyID) {
next:
	for p := range ps.All() {
		for _, k := range kept {
			if p.ID == k {
				continue next
			}
		}
		c.Metrics.Dropped("translate", p.ID.String())
	}
}
