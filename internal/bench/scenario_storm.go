package bench

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Storm lets all clients lose their connection at once and come back.
func Storm() Spec {
	return Spec{
		Name: "storm", Summary: "all clients lose their connection at once and connect again; an operation is one storm",
		Defaults: func(p *Plan) {
			Default(&p.Clients, 200)
			p.defaultRate(0.5)
		},
		New: func() Scenario { return storm{} },
	}
}

type storm struct{}

// Open implements Scenario.
func (storm) Open(ctx context.Context, s *Session) (Load, error) {
	all, err := s.connectAll(ctx, s.plan.Clients, nil)
	if err != nil {
		return nil, err
	}
	subscribe := func(i int, c *Client) error {
		return c.Subscribe(ctx, 0, s.subscription(s.topic(i, 0, c)))
	}
	if err := s.each(all, subscribe); err != nil {
		return nil, err
	}
	worst := 0.0
	return operations{s: s, workers: 1, do: func(ctx context.Context, _ int, _, _ int64) error {
		// Everybody is gone before the first comes back, as after a restart.
		if err := s.each(all, func(_ int, c *Client) error { c.Cut(); return nil }); err != nil {
			return err
		}
		cut := s.now()
		var missing atomic.Int64
		err := s.each(all, func(i int, _ *Client) error {
			o := s.clientOptions(i)
			o.Due = cut
			c, err := s.Connect(ctx, o)
			switch {
			case err == nil:
				all[i] = c
			case ctx.Err() == nil:
				missing.Add(1) // it tries again in the next storm
			}
			if err != nil || c.SessionPresent {
				return ctx.Err()
			}
			return subscribe(i, c)
		})
		worst = max(worst, float64(s.now()-cut)/1e9)
		s.SetValue("storm.recovery_seconds", worst)
		if n := missing.Load(); err == nil && n > 0 {
			err = fmt.Errorf("%d of %d clients did not come back", n, len(all))
		}
		return err
	}}, nil
}
