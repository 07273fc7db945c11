// Package rewrite changes packets on their way through a proxy: topics both ways,
// client identifiers, credentials, QoS, retain, keep alive, session expiry and user
// properties.
//
// The client sees its own names of topics, and the broker its own: the client's
// publishes, will, response topics, subscriptions and unsubscriptions are turned into
// the broker's, and what the broker delivers into the client's. Topics that begin
// with "$" are the same on both sides, and "$share/group/" stays in front, as do
// "$queue/", "$exclusive/" and "$delayed/seconds/".
//
// What has no name on the other side is refused, never sent under a wrong one: a
// message with code 0x90, a filter with 0x8F. A client of 3.x is told that all is
// well with the message, and 0x80 for the filter.
package rewrite

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/router"
)

// Config says what is changed. The zero value changes nothing. Templates take %c for
// the client's own identifier and %u for its own user name; %% is a percent sign.
type Config struct {
	Topics Topics
	// ClientID is a template of the identifier that the broker sees: "site1-%c".
	ClientID string
	// Credentials are what the broker is shown in the place of the client's.
	Credentials Credentials
	// Publish is about messages of the client and its will, Deliver about those that
	// it gets, and the QoS that it subscribes with.
	Publish Message
	Deliver Message
	// KeepAlive is what the broker is told in the place of the client's own. Where it
	// is shorter than that, the proxy pings. 0 changes nothing.
	KeepAlive time.Duration
	// SessionExpiry is the most that a 5.0 client may ask for; nil is no limit.
	SessionExpiry *time.Duration
	// UserProperties are added to and taken from packets of 5.0.
	UserProperties []UserProperty
}

// Topics are templates and expressions. The client's name of a topic becomes the
// broker's in this order: strip, map, prefix; and the other way round.
type Topics struct {
	// Prefix is in front of the broker's names alone. It ends in "/": "tenants/%u/".
	Prefix string
	// Strip is in front of the client's names alone. It ends in "/". The client has no
	// other topics then.
	Strip string
	// Map are expressions, of which the first that matches is applied.
	Map []Mapping
}

// Mapping turns the client's names that From matches as a whole into To, with $1 for
// what the first group has matched. Back and BackTo are the same for the broker's
// names; they may be left out if From and To have groups such as (.*), (.+) and
// ([^/]+) alone, each used once: the other way round follows from them then.
type Mapping struct {
	From   string
	To     string
	Back   string
	BackTo string
}

// Credentials replace those of the client. The password comes from a file or the
// environment, so that no list of processes shows it.
type Credentials struct {
	Username     string // a template
	PasswordFile string
	PasswordEnv  string
	// Remove sends neither user name nor password on.
	Remove bool
}

// Message is what becomes of messages of one direction.
type Message struct {
	// MinQoS and MaxQoS bound the QoS that messages go on with: the proxy completes
	// the exchanges with both sides. MaxQoS nil is 2. A message that comes with QoS 0
	// and goes on with another is sent once, and not again after a reconnect.
	MinQoS uint8  `yaml:"min_qos"`
	MaxQoS *uint8 `yaml:"max_qos"`
	// Retain is "strip" or "force"; "" leaves the flag alone.
	Retain string
}

// UserProperty is added to, or with Remove taken from, packets of the types and
// direction.
type UserProperty struct {
	// Direction is "c2s" or "s2c"; "" is both.
	Direction string
	// Types are names of packets, as in [PUBLISH, CONNECT], and WILL; empty is PUBLISH.
	Types []string
	Name  string
	// Value is a template.
	Value string
	// Remove takes all properties of that name away.
	Remove bool
}

const (
	strip = "strip"
	force = "force"
)

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	_, err := c.compile()
	return err
}

// plan is a Config made ready, apart from files and the environment.
type plan struct {
	c          Config
	maps       []mapping
	properties []userProperty
}

func (c Config) compile() (*plan, error) {
	p := &plan{c: c}
	errs := []error{
		validateAffix("topics.prefix", c.Topics.Prefix), validateAffix("topics.strip", c.Topics.Strip),
		c.Publish.validate("publish"), c.Deliver.validate("deliver"), c.Credentials.validate(),
		validateTemplate("client_id", c.ClientID), validateTemplate("credentials.username", c.Credentials.Username),
	}
	if n := len(c.Topics.Map); n > maxMappings {
		errs = append(errs, fmt.Errorf("topics.map: %d expressions, at most %d", n, maxMappings))
	}
	for i, m := range c.Topics.Map {
		made, err := compileMapping(m)
		if err != nil {
			errs = append(errs, fmt.Errorf("topics.map[%d].%w", i, err))
		}
		p.maps = append(p.maps, made)
	}
	for i, u := range c.UserProperties {
		made, err := compileUserProperty(u)
		if err != nil {
			errs = append(errs, fmt.Errorf("user_properties[%d].%w", i, err))
		}
		p.properties = append(p.properties, made)
	}
	if c.KeepAlive < 0 || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0 {
		errs = append(errs, fmt.Errorf("keep_alive: %v: want whole seconds up to 18h12m15s", c.KeepAlive))
	}
	if e := c.SessionExpiry; e != nil && (*e < 0 || *e >= (1<<32-1)*time.Second) {
		errs = append(errs, fmt.Errorf("session_expiry: %v is out of range", *e))
	}
	return p, errors.Join(errs...)
}

func validateAffix(path, s string) error {
	if s == "" {
		return nil
	}
	if !strings.HasSuffix(s, "/") {
		return fmt.Errorf("%s: %q is no whole levels: want %q", path, s, s+"/")
	}
	if strings.HasPrefix(s, "$") {
		return fmt.Errorf(`%s: %q: topics that begin with "$" are the broker's own`, path, s)
	}
	if err := router.ValidateName(s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return validateTemplate(path, s)
}

func (m Message) validate(path string) error {
	var errs []error
	most := uint8(2)
	if m.MaxQoS != nil {
		most = *m.MaxQoS
	}
	if most > 2 {
		errs = append(errs, fmt.Errorf("%s.max_qos: %d: want 0, 1 or 2", path, most))
	}
	if m.MinQoS > most {
		errs = append(errs, fmt.Errorf("%s.min_qos: %d is above the maximum, %d", path, m.MinQoS, most))
	}
	if m.Retain != "" && m.Retain != strip && m.Retain != force {
		errs = append(errs, fmt.Errorf("%s.retain: %.40q is neither %s nor %s", path, m.Retain, strip, force))
	}
	return errors.Join(errs...)
}

func (m Message) changesQoS() bool { return m.MinQoS > 0 || m.MaxQoS != nil && *m.MaxQoS < 2 }

func (m Message) qos(q uint8) uint8 {
	q = max(q, m.MinQoS)
	if m.MaxQoS != nil {
		q = min(q, *m.MaxQoS)
	}
	return q
}

func (m Message) retain(r bool) bool {
	switch m.Retain {
	case strip:
		return false
	case force:
		return true
	}
	return r
}

func (c Credentials) validate() error {
	switch {
	case c.PasswordFile != "" && c.PasswordEnv != "":
		return errors.New("credentials.password_env: a password has one source; password_file is there, too")
	case c.Remove && (c.Username != "" || c.PasswordFile != "" || c.PasswordEnv != ""):
		return errors.New("credentials.remove: has no meaning beside others to send")
	}
	return nil
}

// password reads it; nil if there is none to set.
func (c Credentials) password() ([]byte, error) {
	var b []byte
	switch {
	case c.PasswordFile != "":
		var err error
		if b, err = os.ReadFile(c.PasswordFile); err != nil {
			return nil, fmt.Errorf("credentials.password_file: %w", err)
		}
		b = []byte(strings.TrimRight(string(b), "\r\n"))
	case c.PasswordEnv != "":
		s, ok := os.LookupEnv(c.PasswordEnv)
		if !ok {
			return nil, fmt.Errorf("credentials.password_env: %s is not set", c.PasswordEnv)
		}
		b = []byte(s)
	default:
		return nil, nil
	}
	if len(b) > mqtt.MaxFieldBytes {
		return nil, fmt.Errorf("credentials: the password has %d bytes, at most %d are possible", len(b), mqtt.MaxFieldBytes)
	}
	return b, nil
}

// Factory changes the packets of each connection.
type Factory struct {
	plan
	password atomic.Pointer[[]byte] // of the broker; points to nil: the client's
}

// New makes a factory; nil if c changes nothing. It reads the password.
func New(c Config) (*Factory, error) {
	p, err := c.compile()
	if err != nil {
		return nil, err
	}
	f := &Factory{plan: *p}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	none := c.Topics.Prefix == "" && c.Topics.Strip == "" && len(p.maps) == 0 && c.ClientID == "" &&
		c.Credentials == (Credentials{}) && c.Publish == (Message{}) && c.Deliver == (Message{}) &&
		c.KeepAlive == 0 && c.SessionExpiry == nil && len(p.properties) == 0
	if none {
		return nil, nil
	}
	return f, nil
}

// Reload reads the password again, for connections to come. Where that fails the
// present one stays in use.
func (f *Factory) Reload() error {
	password, err := f.c.Credentials.password()
	if err == nil {
		f.password.Store(&password)
	}
	return err
}

// Open implements proxy.Factory.
func (f *Factory) Open(c *proxy.Conn) (proxy.Stage, error) { return newStage(f, c) }
