package mqttsn

import (
	"net/netip"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// stranger works off a datagram from where nobody is known. Nothing but a CONNECT
// leaves a trace, and no answer is longer than the question.
func (g *Gateway) stranger(w *work, e event) {
	switch e.header.Type {
	case mqttsn.TypeConnect:
		g.newcomer(w, e)
		return
	case mqttsn.TypePublish:
		if isMinusOne(e.body) {
			g.publishMinusOne(w, e)
			return
		}
	case mqttsn.TypePingreq:
		m, err := mqttsn.ParsePingreq(e.body, &w.options)
		if err != nil {
			g.dropped(err)
			return
		}
		if m.ClientID != "" {
			g.visitor(w, e, m.ClientID)
			return
		}
	}
	known, err := unknownRequest(w, &e)
	switch {
	case !known:
		g.counts.unexpected.Add(1)
	case isGarbled(err):
		g.counts.malformed.Add(1)
	default:
		g.sendAway(w, e.from)
	}
}

// unknownRequest reads what only clients that are connected may send; known is
// false for anything else, which needs no answer.
func unknownRequest(w *work, e *event) (known bool, err error) {
	switch o := &w.options; e.header.Type {
	case mqttsn.TypeRegister:
		_, err = mqttsn.ParseRegister(e.body, o)
	case mqttsn.TypePublish:
		_, err = mqttsn.ParsePublish(e.body, o)
	case mqttsn.TypeSubscribe:
		_, err = mqttsn.ParseSubscribe(e.body, o)
	case mqttsn.TypeUnsubscribe:
		_, err = mqttsn.ParseUnsubscribe(e.body, o)
	case mqttsn.TypePingreq:
	case mqttsn.TypeDisconnect:
		_, err = mqttsn.ParseDisconnect(e.body, o)
	case mqttsn.TypeWillTopicUpd:
		_, err = mqttsn.ParseWillTopicUpd(e.body, o)
	case mqttsn.TypeWillMsgUpd:
		_, err = mqttsn.ParseWillMsgUpd(e.body, o)
	default:
		return false, nil
	}
	return true, err
}

// sendAway tells somebody that it is not connected, unless there are too many of
// them.
func (g *Gateway) sendAway(w *work, p path) {
	if !g.rates.answer(p.remote().Addr(), w.now) {
		g.counts.limited.Add(1)
		return
	}
	g.counts.stranger.Add(1)
	g.counts.told.Add(1)
	g.tell(w, p, mqttsn.Disconnect{})
}

// tell sends a message to somebody who is no client, or not any more.
func (g *Gateway) tell(w *work, p path, m mqttsn.Message) {
	var err error
	if w.buf, err = m.Append(w.buf[:0]); err != nil {
		g.counts.oversize.Add(1)
		return
	}
	g.counts.out[m.Type().Octet()].Add(1)
	w.head = p.node.head(w.head[:0])
	p.port.carrier.send(p.addr, w.head, w.buf)
	w.touched[p.port.carrier] = true
}

// visitor works off a PINGREQ from somebody who says that it is a client that is
// known elsewhere.
func (g *Gateway) visitor(w *work, e event, clientID string) {
	c := g.clients.named(g.sessionID(clientID))
	switch {
	case c == nil:
		g.sendAway(w, e.from)
		return
	case !g.rates.connect(w.now): // the authenticator is asked
		g.counts.limited.Add(1)
		return
	}
	size := e.header.Length + e.from.overhead()
	body := append([]byte(nil), e.body...)
	if !c.offer(event{do: func(c *client, w *work) { c.rebind(w, e.from, body, size) }}, true) {
		g.counts.crowded.Add(1)
	}
}

// rebind has the client go on at another address, if it may: whoever knows its
// client identifier could have sent that. With DTLS, who has proved to be the same
// may always.
func (c *client) rebind(w *work, from path, body []byte, size int) {
	g := c.g
	if c.state == gone {
		g.sendAway(w, from)
		return
	}
	old := c.out.where()
	if old != from {
		if !g.crew.ask() {
			g.counts.crowded.Add(1)
			return
		}
		id, err := g.identify(from, c.plainID(), nil)
		g.crew.asked()
		owner := c.link.Identity()
		proved := err == nil && owner.Name != "" && from.port.secure() && c.secure
		if err != nil || id.Owner() != owner.Owner() || c.secure && !from.port.secure() || !proved && !c.mayRebind(old, from) {
			g.counts.notRebound.Add(1)
			g.sendAway(w, from)
			return
		}
		g.counts.rebound.Add(1)
		g.clients.remove(old, c)
		if other := g.clients.put(from, c); other != nil {
			other.loseAddress(from)
		}
		c.out.move(from)
		c.out.count(c, size)
		_ = c.link.SetIdentity(id) // it is of the same owner
		c.keepState()
	}
	c.heard, c.fresh = g.since(w.now), false
	c.pingreq(w, body)
	c.fed(w)
}

// mayRebind reports whether sessions.rebind lets the client go on there.
func (c *client) mayRebind(old, from path) bool {
	switch c.g.terms.Load().Sessions.Rebind {
	case rebindAlways:
		return c.state != connecting
	case rebindSleep:
		return c.state == asleep || c.state == awake
	case rebindSameIP:
		return c.state != connecting && sameHost(old, from)
	}
	return false
}

// sameHost reports whether two paths differ by the port at most.
func sameHost(a, b path) bool {
	a.addr, b.addr = netip.AddrPortFrom(a.addr.Addr(), 0), netip.AddrPortFrom(b.addr.Addr(), 0)
	return a == b
}
