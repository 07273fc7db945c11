package serve

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/transport"
)

// Builtin is the table of what a server can be made of. Its owner writes one
// line per entry; the settings type of an entry is read from the section of the
// configuration file that has the entry's name, field by field: MaxPacketBytes
// is max_packet_bytes there. A Validate method of the settings type is called
// when the configuration is checked; its errors begin with such names. That of
// a gateway may have a CheckListener method, too, which is called with the
// transport.Endpoint of each of its listeners, and a HasPasswords method, which is
// called in the same way: false says that no client there can present a name and a
// password.
type Builtin struct {
	Gateways []Gateway
	Methods  []Method // in the order in which they are asked
	Stores   []Store  // the first is the default
	Commands []Command
}

// Environment is what gateways are made with.
type Environment struct {
	Broker        *broker.Broker
	Authenticator auth.Authenticator // the same one all the time; Reload changes what is behind it
	Enhanced      auth.EnhancedMethods
	Logger        *slog.Logger
}

// Gateway is an entry of the table: one wire protocol.
type Gateway struct {
	Protocol string // Scheme.Protocol and name of the section
	Schemes  []transport.Scheme
	settings settings
	build    func(Environment, any) (gateway.Gateway, error)
	reload   func(gateway.Gateway, any) (done bool, err error)
}

// Reloadable is a gateway that takes changed settings while it runs, for clients
// to come. What build has set beside the settings of the file is missing in them
// and stays as it was.
type Reloadable[C any] interface {
	gateway.Gateway
	Reload(C) error
}

// NewGateway makes an entry. build is called once per server; the gateway may be
// Reloadable.
func NewGateway[C any](protocol string, schemes []transport.Scheme, build func(Environment, C) (gateway.Gateway, error)) Gateway {
	return Gateway{
		Protocol: protocol, Schemes: schemes, settings: settingsOf[C](),
		build: func(e Environment, c any) (gateway.Gateway, error) { return build(e, c.(C)) },
		reload: func(g gateway.Gateway, c any) (bool, error) {
			r, ok := g.(Reloadable[C])
			if !ok {
				return false, nil
			}
			return true, r.Reload(c.(C))
		},
	}
}

// Reach says on which listeners a method can tell who a client is.
type Reach uint8

// Values of Reach.
const (
	Nowhere         Reach = iota // it only judges what identified clients may do
	Everywhere                   // wherever the client presents a name and a password
	WithCertificate              // on listeners that require client certificates
	WithPSK                      // on listeners with pre-shared keys, without further configuration
	Strangers                    // as a Doorkeeper, whoever nobody else knows
)

// Method is an entry of the table: one way to authenticate or to authorise.
type Method struct {
	Key      string // below "auth" in the file
	Word     string // for the table of open ports: "password"
	Reach    Reach
	settings settings
	build    func(*slog.Logger, any) (Checks, error)
}

// Checks is what a method contributes. Fields may be nil.
type Checks struct {
	Authenticator auth.Authenticator
	Enhanced      []auth.EnhancedAuthenticator // fixed at start
	Authorizer    auth.Authorizer
	// Doorkeeper stands behind all authenticators, in the place of anonymity, on
	// the Listeners of these names; nil: on all. Only the first one is asked.
	Doorkeeper auth.Doorkeeper
	Listeners  []string
}

// NewMethod makes an entry. build reads the files that its settings name; it
// is called for every check, start and reload of a configuration that has the
// key.
func NewMethod[C any](key, word string, reach Reach, build func(*slog.Logger, C) (Checks, error)) Method {
	return Method{
		Key: key, Word: word, Reach: reach, settings: settingsOf[C](),
		build: func(l *slog.Logger, c any) (Checks, error) { return build(l, c.(C)) },
	}
}

// Store is an entry of the table: one place to keep sessions and messages.
type Store struct {
	Name     string // as in store.type; settings stand below store, too
	settings settings
	open     func(*slog.Logger, any) (store.Store, error)
}

// NewStore makes an entry. open is called once per server, which closes the
// store at its end.
func NewStore[C any](name string, open func(*slog.Logger, C) (store.Store, error)) Store {
	return Store{
		Name: name, settings: settingsOf[C](),
		open: func(l *slog.Logger, c any) (store.Store, error) { return open(l, c.(C)) },
	}
}

// settings hides the type of an entry's settings.
type settings struct {
	fresh    func() any      // a pointer to zero settings
	value    func(any) any   // what such a pointer points to
	validate func(any) error // of a value
	listener func(any, transport.Endpoint) error
	// passwords reports whether clients can present a name and a password.
	passwords func(any, transport.Endpoint) bool
	fits      func(any) (any, bool) // nil is the zero value
}

func settingsOf[C any]() settings {
	return settings{
		fresh: func() any { return new(C) },
		value: func(p any) any { return *p.(*C) },
		validate: func(c any) error {
			if v, ok := c.(interface{ Validate() error }); ok {
				return v.Validate()
			}
			return nil
		},
		listener: func(c any, e transport.Endpoint) error {
			if v, ok := c.(interface {
				CheckListener(transport.Endpoint) error
			}); ok {
				return v.CheckListener(e)
			}
			return nil
		},
		passwords: func(c any, e transport.Endpoint) bool {
			v, ok := c.(interface {
				HasPasswords(transport.Endpoint) bool
			})
			return !ok || v.HasPasswords(e)
		},
		fits: func(c any) (any, bool) {
			if c == nil {
				var zero C
				return zero, true
			}
			_, ok := c.(C)
			return c, ok
		},
	}
}

// checked returns the settings that c stands for.
func (s settings) checked(c any) (any, error) {
	v, ok := s.fits(c)
	if !ok {
		return nil, fmt.Errorf("settings of type %T", c)
	}
	return v, s.validate(v)
}

// Schemes is what listeners may be named by.
func (b Builtin) Schemes() []transport.Scheme {
	var all []transport.Scheme
	for _, g := range b.Gateways {
		all = append(all, g.Schemes...)
	}
	return all
}

func (b Builtin) check() error {
	if len(b.Gateways) == 0 || len(b.Stores) == 0 {
		return errors.New("the table of gateways and stores is empty")
	}
	return nil
}
