package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/control"
	"github.com/iotctl/iotctl/internal/proxy/fault"
)

// serveControl takes orders until ctx ends.
func (p *proxyTools) serveControl(ctx context.Context, e *proxy.Engine, c *control.Connections) error {
	token := ""
	if p.controlToken != "" {
		b, err := os.ReadFile(p.controlToken)
		if err != nil {
			return fail(exitUsage, err)
		}
		if token = strings.TrimSpace(string(b)); token == "" {
			return usagef("%s holds no token", p.controlToken)
		}
	}
	l, err := control.Listen(ctx, p.control, token)
	if err != nil {
		hint := "--control 127.0.0.1:0 takes a free port"
		if errors.Is(err, control.ErrNoToken) {
			hint = "--control 127.0.0.1:0 is for this machine alone; --control-token-file FILE lets others ask"
		}
		return fail(exitFailed, fmt.Errorf("--control: %w", err), hint)
	}
	where := "http://" + l.Addr().String()
	if l.Addr().Network() == "unix" {
		where = p.control
	}
	p.run.t.notef("orders at %s", where)
	log := p.run.config.Logger
	p.running.Go(func() {
		cfg := control.Config{Faults: orders{p.set}, Brokers: e, Connections: c, Token: token}
		if err := control.Serve(ctx, l, cfg); err != nil {
			log.Error("no orders are taken any more", "err", err)
		}
	})
	return nil
}

// orders is a set as those know it who give orders.
type orders struct{ set *fault.Set }

func (o orders) Add(text string) (string, error) {
	r, err := fault.ParseRule(text)
	if err != nil {
		return "", err
	}
	names, err := o.set.Add(r)
	if err != nil {
		return "", err
	}
	return names[0], nil
}

func (o orders) Remove(name string) error { return found(o.set.Remove(name)) }
func (o orders) Rules() any               { return o.set.Rules() }

func (o orders) Release(name string, count int) (int, error) {
	n, err := o.set.Release(name, count)
	return n, found(err)
}

func found(err error) error {
	if errors.Is(err, fault.ErrNoRule) {
		return fmt.Errorf("%w: %w", control.ErrNotFound, err)
	}
	return err
}
