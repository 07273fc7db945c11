package bench

import (
	"context"
	"errors"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Pub only publishes.
func Pub() Spec {
	return Spec{
		Name: "pub", Summary: "clients publish; nobody here subscribes",
		Defaults: func(p *Plan) {
			Default(&p.Clients, firstNumber(p.Publishers, 200))
			p.defaultRate(float64(p.Clients))
		},
		New: func() Scenario { return pub{} },
	}
}

type pub struct{}

// Open implements Scenario.
func (pub) Open(ctx context.Context, s *Session) (Load, error) {
	all, err := s.connectAll(ctx, s.plan.Clients, nil)
	if err != nil {
		return nil, err
	}
	up := connected(all)
	return s.newFlow(up, func(i, t int) string { return s.topic(up[i].index, t, up[i]) }, func(int) int { return 0 }), nil
}

// Sub only subscribes.
func Sub() Spec {
	return Spec{
		Name: "sub", Summary: "clients subscribe to what others publish; messages of bench pub are accounted for",
		Defaults: func(p *Plan) {
			Default(&p.Clients, firstNumber(p.Subscribers, 200))
			Default(&p.Topic, "#")
		},
		New: func() Scenario { return sub{} },
	}
}

type sub struct{}

// Open implements Scenario.
func (sub) Open(ctx context.Context, s *Session) (Load, error) {
	var g *Group
	if strings.HasPrefix(s.plan.Topic, "$share/") {
		g = s.NewGroup()
	}
	all, err := s.connectAll(ctx, s.plan.Clients, func(_ int, o *ClientOptions) { o.Receives, o.Group = true, g })
	if err != nil {
		return nil, err
	}
	err = s.each(all, func(i int, c *Client) error {
		var filters []mqtt.Subscription
		for t := range s.plan.Topics {
			if topic := s.topic(i, t, c); t == 0 || topic != filters[0].Filter {
				filters = append(filters, s.subscription(topic))
			}
		}
		return subscribeAll(ctx, c, filters)
	})
	if err != nil && s.rec.connections.Load() == 0 {
		return nil, err
	}
	return idle{}, nil
}

// Conn connects clients and keeps them.
func Conn() Spec {
	return Spec{
		Name: "conn", Summary: "clients connect, and stay idle", Options: []string{"subscribe"},
		Defaults: func(p *Plan) { Default(&p.Clients, 200) },
		New:      func() Scenario { return conn{} },
	}
}

type conn struct{}

// Open implements Scenario.
func (conn) Open(ctx context.Context, s *Session) (Load, error) {
	all, err := s.connectAll(ctx, s.plan.Clients, nil)
	if err != nil {
		return nil, err
	}
	if s.plan.Option("conn.subscribe", 0) > 0 {
		err = s.each(all, func(i int, c *Client) error { return c.Subscribe(ctx, 0, s.subscription(s.topic(i, 0, c))) })
		if refused := (*Refused)(nil); err != nil && !errors.As(err, &refused) {
			return nil, err
		}
	}
	return idle{}, nil
}

// idle is a Load that waits.
type idle struct{}

// Run implements Load.
func (idle) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Drain implements Load.
func (idle) Drain(context.Context) error { return nil }

// maxFilters is how many go into one SUBSCRIBE.
const maxFilters = 100

func subscribeAll(ctx context.Context, c *Client, filters []mqtt.Subscription) error {
	for len(filters) > 0 {
		n := min(len(filters), maxFilters)
		if err := c.Subscribe(ctx, 0, filters[:n]...); err != nil {
			return err
		}
		filters = filters[n:]
	}
	return nil
}

// everything is a filter for all topics of the plan: its template up to the
// first level that differs.
func (s *Session) everything() string {
	var levels []string
	for _, level := range strings.Split(s.plan.Topic, "/") {
		if strings.Contains(level, "%") {
			break
		}
		levels = append(levels, level)
	}
	if strings.Join(levels, "/") == s.plan.Topic && s.plan.Topics == 1 {
		return s.plan.Topic
	}
	return strings.Join(append(levels, "#"), "/")
}
