package bench

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Retained is new subscribers that get everything retained.
func Retained() Spec {
	return Spec{
		Name: "retained", Summary: "clients connect and subscribe; an operation ends with the last retained message",
		Defaults: func(p *Plan) {
			Default(&p.Clients, 10)
			Default(&p.Topics, 1000)
			p.defaultRate(10)
			p.defaultQoS(1)
		},
		New: func() Scenario { return retained{} },
	}
}

type retained struct{}

// Open implements Scenario.
func (retained) Open(ctx context.Context, s *Session) (Load, error) {
	base, _, _ := strings.Cut(s.plan.Topic, "%")
	base = strings.TrimSuffix(base, "/")
	n := s.plan.Topics
	o := s.clientOptions(s.plan.Clients)
	author, err := s.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	write := func(ctx context.Context, payload func(i int) []byte) error {
		return author.burst(ctx, n, func(i int, _ int64) mqtt.Publish {
			return mqtt.Publish{Topic: fmt.Appendf(nil, "%s/%d", base, i), QoS: 1, Retain: true, Payload: payload(i)}
		})
	}
	if err := write(ctx, s.filler); err != nil {
		return nil, err
	}
	var missing atomic.Int64
	return operations{
		s: s, workers: s.plan.Clients,
		do: func(ctx context.Context, i int, _, due int64) error {
			ctx, cancel := context.WithTimeout(ctx, s.plan.ConnectTimeout)
			defer cancel()
			got, all := 0, make(chan struct{})
			o := s.clientOptions(i)
			o.Due = due
			o.OnArrive = func([]byte, []byte, int64, int64) {
				if got++; got == n {
					close(all)
				}
			}
			c, err := s.Connect(ctx, o)
			if err != nil {
				return err
			}
			defer c.Disconnect()
			if err := c.Subscribe(ctx, 0, s.subscription(base+"/#")); err != nil {
				return err
			}
			select {
			case <-all:
				return nil
			case <-c.done:
				return c.err
			case <-ctx.Done():
				s.SetValue("retained.incomplete", float64(missing.Add(1)))
				return fmt.Errorf("not all of %d retained messages arrived: %w", n, ErrNoAnswer)
			}
		},
		drain: func(ctx context.Context) error { return write(ctx, func(int) []byte { return nil }) },
	}, nil
}
