package mqttsn

import (
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
)

// setup is a CONNECT that is being worked off, to CONNACK.
type setup struct {
	from     path
	connect  mqttsn.Connect
	id       string // of the session
	identity auth.Identity
	size     int    // of the datagram
	login    *login // what AUTH has said
	// The will, while and after the client is asked for it.
	testament *testament
	before    state       // of a client that was connected
	asked     mqttsn.Type // WILLTOPICREQ, then WILLMSGREQ; AUTH, for which nothing asks
	attempts  int         // how often that has been sent again

	// Since the wheel began:
	due time.Duration // when it is sent again
	end time.Duration // when the client has to have answered

	guest guest
}

// repeated is how long a CONNECT with nothing behind it is the same as the one
// before. SN-6.13
const repeated = 30 * time.Second

// newcomer works off the CONNECT of somebody who is not known: who knocks is
// remembered while the authenticator thinks.
func (g *Gateway) newcomer(w *work, e event) {
	m, code, err := g.readConnect(w, e.body)
	if isDropped(code, err) {
		g.dropped(err)
		return
	}
	if code == mqttsn.Accepted {
		code, err = g.admits(w, e.from, m.ClientID)
	}
	if code != mqttsn.Accepted {
		g.refuse(w, e.from, m.ClientID, code, err)
		return
	}
	c := g.newClient(e.from)
	c.out.count(c, e.header.Length+e.from.overhead())
	c.post(w, e)
	c.disown()
}

// admits says whether there is room for another client at p.
func (g *Gateway) admits(w *work, p path, clientID string) (mqttsn.ReturnCode, error) {
	t := g.terms.Load()
	var err error
	switch {
	case !g.rates.connect(w.now):
		err = errors.New("connect_rate is exceeded")
	case g.halfOpen.Load() >= int64(t.MaxHalfOpen) && !g.lobby.evict():
		err = errors.New("too many clients are connecting")
	case p.port.crowd.full():
		err = errors.New("the listener has max_connections")
	case g.clients.n.Load() >= int64(t.MaxClients) && g.clients.named(g.sessionID(clientID)) == nil:
		err = errors.New("there are max_clients")
	default:
		return mqttsn.Accepted, nil
	}
	return mqttsn.Congestion, err
}

// newClient has somebody be at p who is connecting, owned by the caller. Who was
// there loses the address.
func (g *Gateway) newClient(p path) *client {
	c := &client{g: g, owned: true}
	c.heard = g.since(g.now())
	c.out.init(p, uint16(g.rand()))
	g.halfOpen.Add(1)
	if old := g.clients.put(p, c); old != nil {
		old.loseAddress(p)
	}
	return c
}

// sessionID is the broker's name of the client's session.
func (g *Gateway) sessionID(clientID string) string {
	return gateway.SessionID(Protocol, clientID, g.terms.Load().Sessions.ShareClientRegistry)
}

// readConnect reads a CONNECT and judges what does not depend on who it is.
func (g *Gateway) readConnect(w *work, body []byte) (mqttsn.Connect, mqttsn.ReturnCode, error) {
	m, err := mqttsn.ParseConnect(body, &w.options)
	if err != nil {
		return m, answerTo(err), err
	}
	s := &g.terms.Load().Sessions
	switch {
	case len(m.ClientID) > s.MaxClientID:
		err = fmt.Errorf("the client identifier has %d bytes, more than max_client_id", len(m.ClientID))
	case m.ClientID == "" && (!m.CleanSession || s.EmptyClientID == emptyRefuse):
		err = errors.New("the client identifier is empty")
	case m.KeepAlive == 0 && s.RefuseKeepAlive0:
		err = errors.New("there is no keep alive")
	default:
		return m, mqttsn.Accepted, nil
	}
	return m, mqttsn.NotSupported, err
}

// connect works off a CONNECT from where c is.
func (c *client) connect(w *work, e *event) {
	g := c.g
	m, code, err := g.readConnect(w, e.body)
	if isDropped(code, err) {
		g.dropped(err)
		return
	}
	if c.repeats(w, &m) {
		g.counts.duplicates.Add(1)
		c.answerAgain(w)
		return
	}
	t := g.terms.Load()
	s := &setup{from: e.from, connect: m, size: e.header.Length + e.from.overhead(), end: g.since(w.now) + t.Timers.WillHandshake}
	switch {
	case code != mqttsn.Accepted || c.link == nil: // newcomer has asked
	case m.ClientID == "" || c.id != g.sessionID(m.ClientID):
		code, err = g.admits(w, e.from, m.ClientID)
	case !g.rates.connect(w.now):
		code, err = mqttsn.Congestion, errors.New("connect_rate is exceeded")
	}
	if code == mqttsn.Accepted && t.wantsAuth(e.from) {
		c.awaitAuth(w, s)
		return
	}
	if code == mqttsn.Accepted {
		if c.link != nil {
			if !g.crew.ask() {
				g.counts.crowded.Add(1)
				return
			}
			defer g.crew.asked()
		}
		code, err = g.authenticate(s)
	}
	if code != mqttsn.Accepted { // nothing has happened to a client that is there
		g.refuse(w, e.from, m.ClientID, code, err)
		if c.link == nil {
			c.vanish()
		}
		return
	}
	c.admit(w, s)
}

// admit goes on with somebody who has been let in: c, or another client, or another
// name of the same.
func (c *client) admit(w *work, s *setup) {
	if c.link == nil || c.id == s.id {
		c.begin(w, s)
		return
	}
	if c.setup != nil { // c goes on as it was
		c.state, c.setup = c.setup.before, nil
		c.arm(w.now)
	}
	h := c.g.newClient(s.from)
	h.out.count(h, s.size)
	h.begin(w, s)
	h.disown()
}

// repeats reports whether m is a CONNECT that has been answered, or is being.
func (c *client) repeats(w *work, m *mqttsn.Connect) bool {
	if s := c.setup; s != nil {
		return s.connect == *m
	}
	return c.link != nil && c.fresh && c.g.since(w.now)-c.heard <= repeated &&
		c.clean == m.CleanSession && c.will == m.Will && c.keepAlive == m.KeepAlive &&
		(c.id == c.g.sessionID(m.ClientID) || m.ClientID == "" && c.generated)
}

// answerAgain repeats what a CONNECT was answered with.
func (c *client) answerAgain(w *work) {
	if c.setup != nil {
		c.prompt(w)
		return
	}
	c.reply(w, mqttsn.Connack{})
}

// begin sets a client up that has been let in: it is asked for its will first, if
// it has one.
func (c *client) begin(w *work, s *setup) {
	c.prepare(s)
	if !s.connect.Will {
		c.complete(w)
		return
	}
	s.asked = mqttsn.TypeWillTopicReq
	c.g.lobby.enter(c)
	c.ask(w)
}

// prepare has the client be connecting.
func (c *client) prepare(s *setup) {
	before := c.state
	if c.setup != nil {
		before = c.setup.before
		c.g.lobby.leave(c.setup)
	}
	s.before = before
	c.setup, c.state = s, connecting
	c.out.pause()
}

// ask sends a request for a part of the will, and has it sent again.
func (c *client) ask(w *work) {
	c.setup.due = c.g.since(w.now) + c.g.terms.Load().Timers.Retry
	c.prompt(w)
	c.arm(w.now)
}

func (c *client) prompt(w *work) {
	switch c.setup.asked {
	case mqttsn.TypeWillTopicReq:
		c.reply(w, mqttsn.WillTopicReq{})
	case mqttsn.TypeWillMsgReq:
		c.reply(w, mqttsn.WillMsgReq{})
	}
}

// dispatchSetup is the table of events while the client is connecting.
func (c *client) dispatchSetup(w *work, e *event) {
	s := c.setup
	switch t := e.header.Type; {
	case s == nil: // the CONNECT itself is still to come
		c.g.counts.unexpected.Add(1)
	case t == mqttsn.TypeAuth:
		c.authExtension(w, e.body)
	case t == mqttsn.TypeWillTopic:
		c.willTopic(w, e.body)
	case t == mqttsn.TypeWillMsg && s.asked == mqttsn.TypeWillMsgReq:
		c.willMsg(w, e.body)
	case t == mqttsn.TypeDisconnect:
		c.disconnectSetup(w, e.body)
	case t == mqttsn.TypePublish && isMinusOne(e.body):
		c.g.publishMinusOne(w, *e)
	default:
		c.g.counts.unexpected.Add(1)
	}
}

// disconnectSetup forgets a client that does not want to connect any more.
func (c *client) disconnectSetup(w *work, body []byte) {
	if _, err := mqttsn.ParseDisconnect(body, &w.options); err != nil {
		c.g.dropped(err)
		return
	}
	if c.link != nil { // it was connected before
		c.leave(w)
		return
	}
	p := c.setup.from
	c.abandon()
	c.g.tell(w, p, mqttsn.Disconnect{})
}

// willTopic goes on with the payload, if there is a will. SN-6.3
func (c *client) willTopic(w *work, body []byte) {
	s := c.setup
	if s.asked != mqttsn.TypeWillTopicReq { // sent again
		c.g.counts.duplicates.Add(1)
		c.prompt(w)
		return
	}
	m, err := mqttsn.ParseWillTopic(body, &w.options)
	if isGarbled(err) {
		c.g.counts.malformed.Add(1)
		return
	}
	code, err := checkWillTopic(&m, err)
	switch {
	case code != mqttsn.Accepted:
		c.fail(w, code, fmt.Errorf("will topic: %w", err))
	case m.Topic == "":
		c.complete(w)
	default:
		s.testament = &testament{topic: m.Topic, qos: uint8(m.QoS), retain: m.Retain}
		s.asked, s.attempts = mqttsn.TypeWillMsgReq, 0
		c.ask(w)
	}
}

// willMsg has the will complete.
func (c *client) willMsg(w *work, body []byte) {
	m, err := mqttsn.ParseWillMsg(body, &w.options)
	if err != nil {
		c.g.counts.malformed.Add(1)
		return
	}
	c.setup.testament.payload = append([]byte(nil), m.Payload...)
	c.complete(w)
}

// hurry sends again what a client that is connecting has not answered, or gives up.
func (c *client) hurry(w *work) {
	s, t, now := c.setup, &c.g.terms.Load().Timers, c.g.since(w.now)
	switch {
	case s == nil: // at the authenticator, which has its own time
	case now >= s.end, now >= s.due && s.attempts >= t.Retries:
		c.abandon()
	case now >= s.due:
		s.attempts++
		c.g.counts.retransmitted.Add(1)
		c.ask(w)
	}
}

// fail refuses a client that is connecting.
func (c *client) fail(w *work, code mqttsn.ReturnCode, err error) {
	s := c.setup
	if c.link == nil {
		c.abandon()
	} else { // at once: the CONNECT that may wait is another attempt
		c.setup = nil
		c.lose(w)
	}
	c.g.refuse(w, s.from, s.connect.ClientID, code, err)
}

// abandon forgets a client that has not connected in the end. One that was connected
// before is lost.
func (c *client) abandon() {
	c.g.counts.abandoned.Add(1)
	if c.link == nil {
		c.vanish()
		return
	}
	c.setup = nil
	c.later((*client).lose)
}

// vanish forgets a client that has no session yet.
func (c *client) vanish() {
	if c.state == gone {
		return
	}
	c.g.halfOpen.Add(-1)
	c.remove()
}

// remove takes the client out of the tables.
func (c *client) remove() {
	g := c.g
	g.lobby.leave(c.setup)
	c.state, c.setup, c.link = gone, nil, nil
	g.clients.remove(c.out.where(), c)
	if c.id != "" {
		g.clients.unname(c.id, c)
	}
	g.wheel.stop(c)
	c.out.discard()
}

// refuse tells somebody at p that it is not connected.
func (g *Gateway) refuse(w *work, p path, clientID string, code mqttsn.ReturnCode, err error) {
	g.counts.denied.Add(1)
	g.tell(w, p, mqttsn.Connack{Code: code})
	if pending := (*auth.Pending)(nil); errors.As(err, &pending) || !g.rates.log(w.now) {
		return
	}
	g.log.Info("client refused", "client", gateway.Clip(clientID), "remote", p.remote(), "listener", p.port.listener, "code", code, "err", err)
}
