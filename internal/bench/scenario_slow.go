package bench

import "context"

// Slow is fan-out with some subscribers that read too slowly.
func Slow() Spec {
	return Spec{
		Name: "slow", Summary: "fan-out with subscribers that hardly read (slow.share, 0.1; slow.bytes_per_second, 1000); the others are measured",
		Options: []string{"bytes_per_second", "share"},
		Defaults: func(p *Plan) {
			Default(&p.Publishers, 1)
			Default(&p.Subscribers, firstNumber(p.Clients, 20))
			p.defaultRate(1000)
		},
		New: func() Scenario { return slow{} },
	}
}

type slow struct{}

// Open implements Scenario.
func (slow) Open(ctx context.Context, s *Session) (Load, error) {
	pubs, subs := s.plan.Publishers, s.plan.Subscribers
	lazy := min(max(int(s.plan.Option("slow.share", 0.1)*float64(subs)), 1), max(subs-1, 0))
	rate := int(s.plan.Option("slow.bytes_per_second", 1000))
	all, err := s.connectAll(ctx, pubs+subs, func(i int, o *ClientOptions) {
		o.Receives = i >= lazy && i < subs
		if i < lazy {
			o.ReadRate = max(rate, 1)
		}
	})
	if err != nil {
		return nil, err
	}
	err = s.each(all[:subs], func(_ int, c *Client) error { return c.Subscribe(ctx, 0, s.subscription(s.everything())) })
	if err != nil {
		return nil, err
	}
	quick := len(connected(all[lazy:subs]))
	up := connected(all[subs:])
	if len(up) == 0 {
		return nil, ErrNobody
	}
	return s.newFlow(up, func(i, t int) string { return s.topic(i, t, up[i]) }, func(int) int { return quick }), nil
}
