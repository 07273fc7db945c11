package bench

import (
	"context"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Pair is publishers and as many subscribers, each with a topic of its own.
func Pair() Spec {
	return Spec{
		Name: "pair", Summary: "each publisher has a subscriber of its own",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, firstNumber(p.Clients, 10))
			p.Subscribers = p.Publishers
			p.defaultRate(1000)
		},
		New: func() Scenario { return fan{} },
	}
}

// FanOut is one publisher whose messages many get.
func FanOut() Spec {
	return Spec{
		Name: "fanout", Summary: "few publishers, and every subscriber gets everything",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, 1)
			Default(&p.Subscribers, firstNumber(p.Clients, 100))
			p.defaultRate(100)
		},
		New: func() Scenario { return fan{all: true} },
	}
}

// FanIn is many publishers whose messages one gets.
func FanIn() Spec {
	return Spec{
		Name: "fanin", Summary: "many publishers, and one subscriber gets everything",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, firstNumber(p.Clients, 100))
			Default(&p.Subscribers, 1)
			Default(&p.Window, 10)
			p.defaultRate(1000)
		},
		New: func() Scenario { return fan{all: true} },
	}
}

// Shared is fan-in by a shared subscription.
func Shared() Spec {
	return Spec{
		Name: "shared", Summary: "many publishers, and a shared subscription of few",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, firstNumber(p.Clients, 100))
			Default(&p.Subscribers, 5)
			Default(&p.Window, 10)
			p.defaultRate(1000)
		},
		New: func() Scenario { return fan{all: true, shared: true} },
	}
}

// Latency is a load that a broker should not notice.
func Latency() Spec {
	return Spec{
		Name: "latency", Summary: "20 pairs at 5,000 messages per second, QoS 1: how long a message takes",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, firstNumber(p.Clients, 20))
			p.Subscribers = p.Publishers
			p.defaultRate(5000)
			p.defaultQoS(1)
		},
		New: func() Scenario { return fan{} },
	}
}

func firstNumber(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// defaultRate is used if the plan says nothing about speed.
func (p *Plan) defaultRate(rate float64) {
	if p.Rate == 0 && p.Interval == 0 && len(p.Steps) == 0 && !p.ClosedLoop {
		p.Rate = rate
	}
}

func (p *Plan) defaultQoS(qos int) {
	if p.QoS < 0 {
		p.QoS = qos
	}
}

// fan is publishers and subscribers: in pairs, or everybody with everybody.
type fan struct{ all, shared bool }

// Open implements Scenario.
func (f fan) Open(ctx context.Context, s *Session) (Load, error) {
	var g *Group
	if f.shared {
		g = s.NewGroup()
	}
	part := &s.o.Part
	if part.Crosses {
		s.own, s.base = true, part.FirstPublisher*s.plan.Topics
	}
	pubs, subs := s.plan.Publishers, s.plan.Subscribers
	clients, err := s.connectAll(ctx, pubs+subs, func(i int, o *ClientOptions) {
		o.Receives, o.Group = i < subs, nil
		if i < subs {
			o.Group = g
		}
	})
	if err != nil {
		return nil, err
	}
	own := clients[subs:]
	taken := make([]bool, subs)
	err = s.each(clients[:subs], func(i int, c *Client) error {
		var filters []mqtt.Subscription
		for _, topic := range f.filters(s, i, own) {
			filters = append(filters, s.subscription(topic))
		}
		err := subscribeAll(ctx, c, filters)
		taken[i] = err == nil
		return nil // counted, and there may be others
	})
	if err != nil {
		return nil, err
	}
	n := 0
	for _, ok := range taken {
		if ok {
			n++
		}
	}
	if f.shared {
		n = min(n, 1)
	}
	var up []*Client
	var number []int
	for i, c := range own {
		if c != nil {
			up, number = append(up, c), append(number, i)
		}
	}
	if len(up) == 0 && pubs > 0 {
		return nil, ErrNobody
	} else if pubs == 0 {
		return idle{}, nil
	}
	return s.newFlow(up, func(i, t int) string { return s.topic(number[i], t, up[i]) }, func(i int) int {
		switch {
		case f.all:
			return n
		case f.takes(s, number[i], taken):
			return 1
		}
		return 0
	}), nil
}

// takes tells whether publisher i has its subscriber here.
func (f fan) takes(s *Session, i int, taken []bool) bool {
	sub := i + s.o.Part.FirstPublisher - s.o.Part.FirstSubscriber
	return sub >= 0 && sub < len(taken) && taken[sub]
}

// filters are what subscriber i subscribes to.
func (f fan) filters(s *Session, i int, pubs []*Client) []string {
	if f.shared {
		return []string{"$share/benchmark/" + s.everything()}
	}
	part := &s.o.Part
	if f.all && (max(len(pubs), part.AllPublishers) > 1 || s.plan.Topics > 1) {
		return []string{s.everything()}
	}
	if f.all {
		i = -part.FirstPublisher // the only one, who may be another part's
	} else {
		i += part.FirstSubscriber - part.FirstPublisher
	}
	var pub *Client
	if i >= 0 && i < len(pubs) {
		pub = pubs[i]
	}
	var all []string
	for t := range s.plan.Topics {
		all = append(all, s.topic(i, t, pub))
	}
	return all
}
