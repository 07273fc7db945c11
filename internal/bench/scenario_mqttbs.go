package bench

import "time"

// MQTTBS is the four scenarios of the MQTT benchmark suite mqttbs, each in its
// basic and its enterprise size: 16 bytes, QoS 1, keep alive 300 s, half an
// hour.
func MQTTBS() []Spec {
	return []Spec{
		mqttbs("mqttbs/conn", "10,000 connections at 100 per second", Conn, func(p *Plan) {
			Default(&p.Clients, 10_000)
			Default(&p.ConnRate, 100)
		}),
		mqttbs("mqttbs/conn-enterprise", "1,000,000 connections at 5,000 per second", Conn, func(p *Plan) {
			Default(&p.Clients, 1_000_000)
			Default(&p.ConnRate, 5000)
		}),
		mqttbs("mqttbs/fanout", "1 publisher, 1,000 subscribers, 1 message per second", FanOut, func(p *Plan) {
			Default(&p.Subscribers, 1000)
			p.defaultRate(1)
		}),
		mqttbs("mqttbs/fanout-enterprise", "5 publishers at 50 per second each, 1,000 subscribers to all of it", FanOut, func(p *Plan) {
			Default(&p.Publishers, 5)
			Default(&p.Subscribers, 1000)
			p.defaultRate(250)
		}),
		mqttbs("mqttbs/p2p", "1,000 pairs, 1 message per second each", Pair, func(p *Plan) {
			Default(&p.Publishers, 1000)
			p.defaultRate(float64(p.Publishers))
		}),
		mqttbs("mqttbs/p2p-enterprise", "50,000 pairs, 1 message per second each", Pair, func(p *Plan) {
			Default(&p.Publishers, 50_000)
			p.defaultRate(float64(p.Publishers))
		}),
		mqttbs("mqttbs/fanin", "1,000 publishers at 1 per second each, a shared subscription of 5", Shared, func(p *Plan) {
			Default(&p.Topic, "test/%i")
			Default(&p.Publishers, 1000)
			Default(&p.Subscribers, 5)
			p.defaultRate(float64(p.Publishers))
		}),
		mqttbs("mqttbs/fanin-enterprise", "50,000 publishers at 1 per second each, a shared subscription of 500", Shared, func(p *Plan) {
			Default(&p.Topic, "test/%i")
			Default(&p.Publishers, 50_000)
			Default(&p.Subscribers, 500)
			p.defaultRate(float64(p.Publishers))
		}),
	}
}

// mqttbs is another scenario with defaults of its own.
func mqttbs(name, summary string, base func() Spec, defaults func(*Plan)) Spec {
	s := base()
	inherited := s.Defaults
	s.Name, s.Summary = name, summary
	s.Defaults = func(p *Plan) {
		Default(&p.Size, 16)
		Default(&p.Duration, 30*time.Minute)
		p.defaultQoS(1)
		defaults(p)
		inherited(p)
	}
	return s
}
