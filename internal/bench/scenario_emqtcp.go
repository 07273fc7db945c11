package bench

import (
	"context"
	"fmt"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/client/emqtcp"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// EMQTCPPair is devices of the EMQ private TCP protocol, each with an MQTT client
// of its own at the other end.
func EMQTCPPair() Spec {
	return Spec{
		Name: "emqtcp-pair", Device: "emqtcp", Options: []string{"down"},
		Summary: "devices of the EMQ private TCP protocol, each with an MQTT subscriber of its own",
		Defaults: func(p *Plan) {
			Default(&p.Publishers, firstNumber(p.Clients, 10))
			p.Subscribers = p.Publishers
			p.defaultRate(1000)
			if p.Option("emqtcp-pair.down", 0) > 0 {
				Default(&p.Topic, "tcp/%c/dn")
			} else {
				Default(&p.Topic, "tcp/%c/up")
			}
		},
		New: func() Scenario { return emqtcpPair{} },
	}
}

type emqtcpPair struct{}

// Open implements Scenario.
func (emqtcpPair) Open(ctx context.Context, s *Session) (Load, error) {
	if s.devices == nil {
		return nil, errNoDevices
	}
	if s.plan.QoS+s.plan.SubQoS > 0 || s.plan.Retain {
		return nil, &PlanError{"the protocol has QoS 0 alone, and nothing is retained"}
	}
	if s.plan.Size > maxEMQTCP {
		return nil, &PlanError{fmt.Sprintf("%d bytes are too many for a frame, which holds %d", s.plan.Size, maxEMQTCP)}
	}
	n, down := s.plan.Publishers, s.plan.Option("emqtcp-pair.down", 0) > 0
	all, err := s.connectAll(ctx, 2*n, func(i int, o *ClientOptions) {
		device := i >= n
		if device {
			o.Dialect = emqtcpDialect
		}
		o.Receives = device == down
	})
	if err != nil {
		return nil, err
	}
	others, devices := all[:n], all[n:]
	var up []*Client
	var topics []string
	var reached []bool
	for i, d := range devices {
		pub, sub := d, others[i]
		if down {
			pub, sub = others[i], d
		}
		if pub == nil || d == nil {
			continue
		}
		topic := expand(s.plan.Topic, s.plan.StartNumber+i, d.id, "")
		ok := sub != nil
		if ok && !down {
			ok = sub.Subscribe(ctx, 0, s.subscription(topic)) == nil // counted, and there are others
		}
		up, topics, reached = append(up, pub), append(topics, topic), append(reached, ok)
	}
	if len(up) == 0 {
		return nil, s.nobody()
	}
	return s.newFlow(up, func(i, _ int) string { return topics[i] }, func(i int) int {
		if reached[i] {
			return 1
		}
		return 0
	}), nil
}

// maxEMQTCP is the longest payload.
const maxEMQTCP = 65535

// emqtcpDialect is a device with the names that an MQTT client would have. It
// says no keep alive: PINGs are the session's.
func emqtcpDialect(p *mqtt.Connect) (client.Dialect, error) {
	c := emqtcp.Config{ClientID: p.ClientID}
	if p.HasUsername {
		c.Username = &p.Username
	}
	if p.HasPassword {
		c.Password = p.Password
	}
	return emqtcp.New(c)
}
