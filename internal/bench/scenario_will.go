package bench

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Will lets clients die, and waits for their wills.
func Will() Spec {
	return Spec{
		Name: "will", Summary: "clients break off and connect again; an operation ends when the will has arrived",
		Defaults: func(p *Plan) {
			Default(&p.Clients, 50)
			p.defaultRate(50)
			p.defaultQoS(1)
		},
		New: func() Scenario { return will{} },
	}
}

type will struct{}

// errNoWill says that a will did not arrive in time.
var errNoWill = errors.New("no will arrived in time")

// Open implements Scenario.
func (will) Open(ctx context.Context, s *Session) (Load, error) {
	n := s.plan.Clients
	arrived := make([]chan struct{}, n)
	for i := range arrived {
		arrived[i] = make(chan struct{}, 1)
	}
	base := s.plan.Topic[:max(strings.IndexByte(s.plan.Topic, '%'), 0)]
	if base == "" {
		base = s.plan.Topic + "/"
	}
	watcher := s.clientOptions(n)
	watcher.OnArrive = func(topic, _ []byte, _, _ int64) {
		i, err := strconv.Atoi(string(topic[min(len(base), len(topic)):]))
		if err != nil || i >= n {
			return
		}
		select {
		case arrived[i] <- struct{}{}:
		default:
		}
	}
	w, err := s.Connect(ctx, watcher)
	if err == nil {
		err = w.Subscribe(ctx, 0, s.subscription(base+"#"))
	}
	if err != nil {
		return nil, err
	}
	last := func(i int, o *ClientOptions) {
		o.Will = &mqtt.Will{Topic: base + strconv.Itoa(i), Payload: s.filler(i), QoS: uint8(s.plan.QoS), Retain: s.plan.Retain}
	}
	all, err := s.connectAll(ctx, n, last)
	if err != nil {
		return nil, err
	}
	return operations{s: s, workers: n, do: func(ctx context.Context, i int, _, _ int64) error {
		ctx, cancel := context.WithTimeout(ctx, s.plan.ConnectTimeout)
		defer cancel()
		if all[i] != nil {
			all[i].Cut()
			select {
			case <-arrived[i]:
			case <-ctx.Done():
				return errNoWill
			}
		}
		o := s.clientOptions(i)
		last(i, &o)
		var err error
		all[i], err = s.Connect(s.ctx, o)
		return err
	}}, nil
}
