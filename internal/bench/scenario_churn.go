package bench

import "context"

// Churn subscribes and unsubscribes.
func Churn() Spec {
	return Spec{
		Name: "churn", Summary: "clients subscribe and unsubscribe; an operation is either",
		Defaults: func(p *Plan) {
			Default(&p.Clients, 100)
			p.defaultRate(1000)
		},
		New: func() Scenario { return churn{} },
	}
}

type churn struct{}

// Open implements Scenario.
func (churn) Open(ctx context.Context, s *Session) (Load, error) {
	all, err := s.connectAll(ctx, s.plan.Clients, nil)
	if err != nil {
		return nil, err
	}
	up := connected(all)
	turn := make([]int, len(up))
	return operations{s: s, workers: len(up), do: func(ctx context.Context, w int, _, due int64) error {
		c, n := up[w], turn[w]
		turn[w]++
		filter := s.topic(c.index, n/2%s.plan.Topics, c)
		if n%2 == 0 {
			return c.Subscribe(ctx, due, s.subscription(filter))
		}
		return c.Unsubscribe(ctx, due, filter)
	}}, nil
}

// operations is a Load of workers that each do one thing after the other.
type operations struct {
	s       *Session
	workers int
	do      func(ctx context.Context, worker int, seq, due int64) error
	drain   func(ctx context.Context) error // nil: nothing is on its way
}

// Run implements Load.
func (o operations) Run(ctx context.Context) error { return o.s.operate(ctx, o.workers, o.do) }

// Drain implements Load.
func (o operations) Drain(ctx context.Context) error {
	if o.drain == nil {
		return nil
	}
	return o.drain(ctx)
}
