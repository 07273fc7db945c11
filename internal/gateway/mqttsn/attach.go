package mqttsn

import (
	"errors"
	"log/slog"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/session"
)

// complete connects the client, whose setup has all there is. When its session has
// a client already, at whatever address, that one goes on with it.
func (c *client) complete(w *work) {
	s := c.setup
	c.g.lobby.leave(s)
	if c.link != nil {
		c.adopt(w, s)
		return
	}
	owner := c.g.clients.name(s.id, c)
	if owner == c {
		c.id = s.id
		c.attach(w, s)
		return
	}
	if old := c.g.clients.put(s.from, owner); old != nil && old != c { // what comes from there now waits behind our event
		old.loseAddress(s.from)
	}
	c.vanish()
	handed := owner.offer(event{do: func(o *client, w *work) {
		if o.state == gone { // meanwhile
			o.g.again(w, s)
			return
		}
		o.adopt(w, s)
	}}, false)
	if !handed {
		c.g.clients.remove(s.from, owner)
		c.g.refuse(w, s.from, s.connect.ClientID, mqttsn.Congestion, errors.New("too much waits for the client"))
	}
}

// again has a new client at s.from, whose setup is complete.
func (g *Gateway) again(w *work, s *setup) {
	c := g.newClient(s.from)
	c.out.count(c, s.connect.Size()+s.from.overhead())
	c.setup = s
	c.complete(w)
	c.disown()
}

// attach connects a client to a session that nobody is connected to.
func (c *client) attach(w *work, s *setup) {
	g := c.g
	t := g.terms.Load()
	link, resumed, err := g.broker.Attach(g.ctx, s.identity, broker.SessionOptions{
		ClientID: s.id, CleanStart: s.connect.CleanSession, Expiry: t.Sessions.Expiry,
		Will: s.testament.will(), Window: c.window(), ReceiveMaximum: openMessages, Unpaced: true, Keeps: true,
	}, c)
	if err != nil {
		c.fail(w, g.codeOf(err), err)
		return
	}
	c.link = link
	g.halfOpen.Add(-1)
	if resumed.Present {
		c.out.loadTopics(g, resumed.Kept, false)
		if kept, err := decodeStored(resumed.Kept[keptState]); err == nil {
			c.out.setBase(kept.base)
		}
		c.testament = decodeTestament(resumed.Kept[keptWill])
		c.receipts = decodeReceipts(resumed.Kept[keptReceipts], g.since(w.now))
	}
	if err := c.settleWill(s, true); err != nil {
		c.fail(w, g.codeOf(err), err)
		return
	}
	if c.accept(w, s) {
		link.Start()
	}
}

// openMessages is how many messages at QoS 2 a client may begin to publish before it
// ends one. The specification has one. SN-6.6
const openMessages = 256

// window is what the broker may send to a client at a time.
func (c *client) window() session.Window {
	return session.Window{ReceiveMaximum: 1, Fits: c.fits}
}

// settleWill has the will be what CONNECT asks for: the one that the client was
// asked for, none, or without CleanSession the one before. attached says that the
// broker has been told of the first. SN-6.3
func (c *client) settleWill(s *setup, attached bool) error {
	switch {
	case s.connect.Will:
		if attached && s.testament == nil && c.testament == nil {
			return nil
		}
		c.testament = s.testament
	case s.connect.CleanSession:
		if c.testament == nil {
			return nil
		}
		c.testament = nil
	case c.testament == nil:
		return nil
	}
	c.link.Keep(keptWill, c.testament.encode())
	if attached && s.connect.Will {
		return nil
	}
	return c.link.SetWill(c.testament.will())
}

// accept makes the client active and says so. Whoever connects may have forgotten
// its topic identifiers, even if it has only slept. ok is false if that could not be
// stored.
func (c *client) accept(w *work, s *setup) (ok bool) {
	m := &s.connect
	c.clean, c.will, c.generated, c.keepAlive = m.CleanSession, m.Will, m.ClientID == "", m.KeepAlive
	c.sleep, c.request, c.secure = 0, 0, s.from.port.secure()
	c.setup, c.state, c.fresh, c.heard = nil, active, true, c.g.since(w.now)
	c.keepState()
	if err := c.commit(w); err != nil {
		c.setup = s
		c.fail(w, mqttsn.Congestion, err)
		return false
	}
	c.g.counts.connected.Add(1)
	c.reply(w, mqttsn.Connack{})
	if c.g.log.Enabled(c.g.ctx, slog.LevelDebug) {
		c.g.log.Debug("client connected", "client", gateway.Clip(c.plainID()), "user", s.identity.Name, "remote", s.from.remote(), "listener", s.from.port.listener)
	}
	c.out.forget(c)
	c.resume(w)
	c.arm(w.now)
	return true
}

var errActive = errors.New("the client is connected at another address")

// adopt has the client of a session go on by a new CONNECT: a repeated one, one that
// ends its sleep, or one from another address.
func (c *client) adopt(w *work, s *setup) {
	g := c.g
	t := g.terms.Load()
	old := c.out.where()
	moved := old != s.from
	before := c.state
	if c.setup != nil {
		before = c.setup.before
	}
	owner := c.link.Identity()
	var err error
	switch {
	case owner.Owner() != s.identity.Owner():
		err = broker.ErrNotOwner
	case moved && before == active && old.port != nowhere && t.Sessions.Takeover == takeoverReject:
		err = errActive
	}
	if err != nil { // c goes on as it is
		if moved {
			g.clients.remove(s.from, c)
		} else {
			c.setup = s
			c.fail(w, g.denied(), err)
			return
		}
		g.refuse(w, s.from, s.connect.ClientID, g.denied(), err)
		return
	}
	slept := before == asleep || before == awake
	if moved {
		g.counts.tookOver.Add(1)
		g.clients.remove(old, c)
		if !slept {
			g.tell(w, old, mqttsn.Disconnect{})
		}
	}
	c.out.pause()
	if s.connect.CleanSession && !(slept && t.Sessions.AsleepConnect == asleepResume) {
		c.renew(w, s, moved)
		return
	}
	s.before, c.state, c.setup = before, connecting, s
	if moved {
		c.out.move(s.from)
		c.out.count(c, s.connect.Size()+s.from.overhead())
	}
	err = c.link.SetIdentity(s.identity)
	if err == nil {
		err = c.settleWill(s, false)
	}
	if err != nil {
		c.fail(w, g.codeOf(err), err)
		return
	}
	g.counts.resumed.Add(1)
	c.accept(w, s)
}

// renew gives the client a new session in the place of the one that it has. A will
// is published if the client has turned up at another address: then nobody has
// said that the one before has ended.
func (c *client) renew(w *work, s *setup, moved bool) {
	c.end(w, broker.Farewell{Abnormal: moved, HasExpiry: true})
	c.g.again(w, s)
}
