package serve_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

type pace struct{ Interval int }

// pacer is a gateway that has settings and nothing else.
type pacer struct{ got []int }

func (*pacer) Serve(context.Context, transport.Listener) error { return nil }

func (p *pacer) Reload(c pace) error {
	if c.Interval < 0 {
		return errors.New("interval: negative")
	}
	p.got = append(p.got, c.Interval)
	return nil
}

func TestReloadGivesGatewaysTheirNewSettings(t *testing.T) {
	var p pacer
	add := func(interval int) func(*serve.Config) {
		return func(c *serve.Config) {
			c.Builtin.Gateways = append(slices.Clip(c.Builtin.Gateways), serve.NewGateway("pacer", nil, func(_ serve.Environment, c pace) (gateway.Gateway, error) {
				p.got = append(p.got, c.Interval)
				return &p, nil
			}))
			c.Gateways = map[string]any{"pacer": pace{interval}}
		}
	}
	s := servetest.Start(t, add(1))
	for _, step := range []struct {
		interval int
		restart  []string
		got      []int
	}{
		{1, nil, []int{1}}, // nothing has changed
		{2, nil, []int{1, 2}},
		{-3, []string{"pacer"}, []int{1, 2}},
		{2, nil, []int{1, 2}},
		{1, nil, []int{1, 2, 1}},
	} {
		c := serve.Config{Builtin: servetest.Builtin(), Listeners: []serve.Listener{{URL: s.URLs()[0]}}}
		add(step.interval)(&c)
		restart, err := s.Reload(t.Context(), c)
		if err != nil || !slices.Equal(restart, step.restart) {
			t.Errorf("interval %d: restart %q, %v, want %q", step.interval, restart, err, step.restart)
		}
		if !slices.Equal(p.got, step.got) {
			t.Errorf("interval %d: the gateway has got %v, want %v", step.interval, p.got, step.got)
		}
	}
}
