package mqttsn

import (
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/router"
)

// Who publishes with QoS -1 is not connected, and nobody in particular. Everybody
// at a listener is one client of the broker: a client that is in no table, has
// nothing delivered, and its rights from the authenticator like others. SN-6.8

// refusedFor is how long the authenticator is not asked again who they are.
const refusedFor = 10 * time.Second

// isMinusOne reports whether the body of a PUBLISH has QoS -1.
func isMinusOne(body []byte) bool {
	const qos = 0x60
	return len(body) > 0 && body[0]&qos == qos
}

// publishMinusOne works off a PUBLISH with QoS -1 of somebody who is not connected. It
// is never answered.
func (g *Gateway) publishMinusOne(w *work, e event) {
	if !g.terms.Load().QoSMinusOne.Enabled {
		g.counts.minusOneOff.Add(1)
		if g.rates.note(w.now) { // the client cannot be told
			g.log.Info("messages at QoS -1 are dropped: qos_minus_one.enabled of mqttsn is off", "listener", e.from.port.listener, "address", e.from.remote(), "count", g.counts.minusOneOff.Load())
		}
		return
	}
	g.pseudoClient(e.from.port.listener).post(w, e)
}

// pseudoClient is who publishes without a connection at the listener.
func (g *Gateway) pseudoClient(listener string) *client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.pseudo[listener]
	if c == nil {
		c = &client{g: g, standing: standing{state: active, pseudo: true}}
		c.out.init(path{port: nowhere}, 0)
		g.pseudo[listener] = c
	}
	return c
}

// publishFor publishes what somebody without a connection has sent.
func (c *client) publishFor(w *work, e *event) {
	if c.link == nil {
		if c.heard != 0 && c.g.since(w.now)-c.heard < refusedFor {
			c.g.counts.minusOneBad.Add(1)
			return
		}
		if !e.slow { // the authenticator may wait
			if !c.again(*e) {
				c.g.counts.crowded.Add(1)
			}
			return
		}
		if err := c.connectPseudo(e.from.port.listener); err != nil {
			c.heard = max(1, c.g.since(w.now))
			c.g.counts.minusOneBad.Add(1)
			if c.g.rates.log(w.now) {
				c.g.log.Info("nobody may publish without a connection", "listener", e.from.port.listener, "err", err)
			}
			return
		}
	}
	p, err := mqttsn.ParsePublish(e.body, &w.options)
	if err != nil {
		c.g.dropped(err)
		return
	}
	topic, ok := c.topicOf(w, &p)
	if !ok || router.ValidateName(topic) != nil {
		c.g.counts.minusOneBad.Add(1)
		return
	}
	if _, err := c.link.Publish(view(&p, topic)); err != nil {
		c.g.counts.minusOneBad.Add(1)
		return
	}
	c.g.counts.minusOne.Add(1)
	c.g.countPublish(&p)
}

// connectPseudo attaches the client of a listener.
func (c *client) connectPseudo(listener string) error {
	g := c.g
	clientID := g.terms.Load().QoSMinusOne.ClientID
	id, err := g.identify(path{port: &port{listener: listener}}, clientID, nil)
	if err != nil {
		return err
	}
	// NUL keeps it out of the reach of those who are connected.
	l, _, err := g.broker.Attach(g.ctx, id, broker.SessionOptions{
		ClientID: g.sessionID(clientID) + "\x00" + listener, CleanStart: true, Unpaced: true,
	}, c)
	if err != nil {
		return err
	}
	c.link = l
	l.Start()
	return nil
}
