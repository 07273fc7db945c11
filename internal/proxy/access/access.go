// Package access lets a proxy allow and deny what clients may do, by who they are,
// where they come from, and topics.
//
// Rules are lines; the first that speaks of a client and what it wants decides:
//
//	allow connect address=10.0.0.0/8
//	deny  connect
//	allow publish topic=up/%c/#
//	deny  publish client=sensor-*
//	deny  subscribe receive topic=secret/# user=guest
//
// %c and %u are the client's identifier and user name, each as a whole level of a
// topic; patterns of names take * and ?. User names are what clients say: whether
// it is true is for the broker to find out, when it has the password.
//
// A subscription is decided by a rule whose filter covers all of it. What a rule
// denies for receive is kept back when it is delivered, so a wide subscription may
// be allowed of which not everything arrives.
//
// What is refused is answered in the client's version: CONNACK with 5 or 0x87, SUBACK
// with 0x80 or 0x87, PUBACK and PUBREC with 0x87. Clients of 3.x cannot be told that
// a message was refused: see Config.Refused. The broker gets the acknowledgements of
// deliveries that the client does not get.
package access

import (
	"context"
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/aclfile"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/router"
)

// Config says what is allowed. The zero value allows everything.
type Config struct {
	// Rules are asked in order; the first that speaks of it decides.
	Rules []string
	// File is an access control file as mosquitto's, which is asked for topics that no
	// rule speaks of. It denies what it does not allow.
	File string
	// Default is what becomes of what no rule speaks of: "allow" (default) or "deny".
	Default string
	// Refused is what a client of 3.x notices of a message that is refused:
	// "acknowledge" (default): the message is dropped and acknowledged. "close": the
	// connection is closed.
	Refused string
}

const (
	allowed     = "allow"
	denied      = "deny"
	acknowledge = "acknowledge"
	closing     = "close"
)

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	_, err := c.compile()
	return err
}

func (c Config) compile() ([]rule, error) {
	var errs []error
	rules := make([]rule, 0, len(c.Rules))
	for i, text := range c.Rules {
		r, err := parseRule(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("rules[%d]: %w", i, err))
		}
		rules = append(rules, r)
	}
	if c.Default != "" && c.Default != allowed && c.Default != denied {
		errs = append(errs, fmt.Errorf("default: %.40q is neither %s nor %s", c.Default, allowed, denied))
	}
	if c.File != "" && c.Default == denied {
		errs = append(errs, errors.New("default: has no meaning beside file, which denies what it does not allow"))
	}
	if c.Refused != "" && c.Refused != acknowledge && c.Refused != closing {
		errs = append(errs, fmt.Errorf("refused: %.40q is neither %s nor %s", c.Refused, acknowledge, closing))
	}
	return rules, errors.Join(errs...)
}

// Factory asks the rules for each connection.
type Factory struct {
	c     Config
	rules []rule
	file  *aclfile.File // nil: none
}

// New makes a factory; nil if c allows everything.
func New(c Config) (*Factory, error) {
	rules, err := c.compile()
	if err != nil {
		return nil, err
	}
	f := &Factory{c: c, rules: rules}
	if c.File != "" {
		if f.file, err = aclfile.New(aclfile.Config{Path: c.File}); err != nil {
			return nil, fmt.Errorf("file: %w", err)
		}
	}
	if len(rules) == 0 && f.file == nil && c.Default != denied {
		return nil, nil
	}
	return f, nil
}

// Reload reads the file again, if there is one.
func (f *Factory) Reload() error {
	if f.file == nil {
		return nil
	}
	return f.file.Reload()
}

// Open implements proxy.Factory.
func (f *Factory) Open(c *proxy.Conn) (proxy.Stage, error) {
	s := &stage{f: f, conn: c, id: auth.Identity{Name: c.Username, ClientID: c.ClientID, Username: c.Username}}
	w := who{c.ClientID, c.Username, c.Client.Remote.Addr()}
	s.rules = rules{list: about(f.rules, w), rest: verdict{allow: f.c.Default != denied, rule: "default"}}
	return s, nil
}

func refuse(v verdict) *proxy.End {
	return &proxy.End{Why: "access", Err: fmt.Errorf("refused by %q", v.rule), Client: mqtt.NotAuthorized}
}

// stage asks for one connection.
type stage struct {
	f     *Factory
	conn  *proxy.Conn
	id    auth.Identity
	rules rules

	aliases  [2]proxy.Aliases // by direction
	settled  [2]proxy.Settled
	requests proxy.Requests
}

// decide asks the rules, then the file.
func (s *stage) decide(a action, topic string) verdict {
	v := s.rules.decide(a, topic)
	if v.rule != s.rules.rest.rule || s.f.file == nil {
		return v
	}
	act := auth.Publish
	switch a {
	case subscribe:
		act = auth.Subscribe
	case receive:
		act = auth.Receive
	}
	return verdict{s.f.file.Authorize(context.Background(), &s.id, act, topic) == auth.Allow, "file"}
}

// decideName asks about a topic name, and about the one that a broker may find in it.
func (s *stage) decideName(a action, topic string) verdict {
	v := s.decide(a, topic)
	if wrap, inner := proxy.Wrapped(topic); wrap != "" && v.allow {
		v = s.decide(a, inner)
	}
	return v
}

// Handle implements proxy.Stage.
func (s *stage) Handle(_ context.Context, f proxy.Frame, emit func(proxy.Frame) error) error {
	switch f.Header.Type {
	case mqtt.TypeConnect:
		return proxy.Refuse(emit, s.conn.Version, s.connect(f, emit))
	case mqtt.TypePublish:
		return s.publish(f, emit)
	case mqtt.TypePubrel:
		return s.release(f, emit)
	case mqtt.TypeSubscribe:
		return s.subscribe(f, emit)
	case mqtt.TypeSuback:
		return s.suback(f, emit)
	}
	return emit(f)
}

// connect asks whether the client may connect, and publish its will.
func (s *stage) connect(f proxy.Frame, emit func(proxy.Frame) error) error {
	if v := s.rules.decide(connect, ""); !v.allow {
		s.conn.Metrics.Refused("access", v.rule)
		return refuse(v)
	}
	o := proxy.Options(f.Direction, s.conn.Version)
	c, err := mqtt.ParseConnect(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	if c.Will != nil {
		if v := s.decideName(publish, c.Will.Topic); !v.allow {
			s.conn.Metrics.Refused("access", v.rule)
			return refuse(v)
		}
	}
	return emit(f)
}

func (s *stage) publish(f proxy.Frame, emit func(proxy.Frame) error) error {
	p, err := proxy.ParsePublish(&f, s.conn.Version)
	if err != nil {
		return err
	}
	short := len(p.Topic) == 0
	aliases, settled := &s.aliases[f.Direction], &s.settled[f.Direction]
	if err := aliases.Resolve(&p); err != nil {
		return err
	}
	act := publish
	if f.Direction == proxy.ToClient {
		act = receive
	}
	if v := s.decideName(act, string(p.Topic)); !v.allow {
		return s.refuse(v, act, settled, &p, emit, f.Direction)
	}
	if p.QoS == 2 {
		settled.Passed(p.PacketID)
	}
	aliases.Pass(&p)
	if short && len(p.Topic) > 0 { // the packet that set the alias was refused
		return proxy.Send(emit, f.Direction, s.conn.Version, p)
	}
	return emit(f)
}

func (s *stage) refuse(
	v verdict, act action, settled *proxy.Settled, p *mqtt.Publish, emit func(proxy.Frame) error, d proxy.Direction,
) error {
	s.conn.Metrics.Refused("access", v.rule)
	code := mqtt.NotAuthorized
	if act == receive {
		code = mqtt.Success
	} else if s.conn.Version < mqtt.V5 && s.f.c.Refused == closing {
		return refuse(v)
	}
	if a, ok := settled.Answer(p, s.conn.Version, code); ok {
		return proxy.SendAck(emit, d.Back(), s.conn.Version, a)
	}
	return nil
}

// release completes the exchanges of messages that were refused.
func (s *stage) release(f proxy.Frame, emit func(proxy.Frame) error) error {
	a, err := proxy.ParseAck(&f, s.conn.Version)
	if err != nil {
		return err
	}
	if answer, ok := s.settled[f.Direction].Release(a.PacketID); ok {
		return proxy.SendAck(emit, f.Direction.Back(), s.conn.Version, answer)
	}
	return emit(f)
}

func (s *stage) subscribe(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, s.conn.Version)
	in, err := mqtt.ParseSubscribe(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	codes := make([]mqtt.ReasonCode, len(in.Filters))
	out := in
	out.Filters = nil
	for i, want := range in.Filters {
		_, inner, _, err := router.SplitShared(want.Filter)
		if err != nil || router.ValidateFilter(want.Filter) != nil {
			codes[i] = mqtt.TopicFilterInvalid
			continue
		}
		_, inner = proxy.Wrapped(inner)
		if v := s.decide(subscribe, inner); !v.allow {
			s.conn.Metrics.Refused("access", v.rule)
			codes[i] = mqtt.NotAuthorized
			continue
		}
		out.Filters = append(out.Filters, want)
	}
	switch len(out.Filters) {
	case len(in.Filters):
		return emit(f)
	case 0:
		return proxy.Send(emit, f.Direction.Back(), s.conn.Version, mqtt.Suback{PacketID: in.PacketID, Codes: codes})
	}
	if err := s.requests.Add(in.PacketID, codes); err != nil {
		return err
	}
	return proxy.Send(emit, f.Direction, s.conn.Version, out)
}

func (s *stage) suback(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, s.conn.Version)
	a, err := mqtt.ParseSuback(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	codes, changed, err := s.requests.Merge(a.PacketID, a.Codes)
	switch {
	case err != nil:
		return err
	case !changed:
		return emit(f)
	}
	a.Codes = codes
	return proxy.Send(emit, f.Direction, s.conn.Version, a)
}
