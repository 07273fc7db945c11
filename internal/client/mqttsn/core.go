package mqttsn

import (
	"math/rand/v2"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// State of a Core.
type State uint8

// States; see the package comment.
const (
	StateDisconnected State = iota
	StateConnecting
	StateActive
	StateDozing // DISCONNECT with a duration is not answered yet
	StateAsleep
	StateAwake
	StateLeaving // DISCONNECT is not answered yet
)

func (s State) String() string {
	return [...]string{"disconnected", "connecting", "active", "dozing", "asleep", "awake", "leaving"}[s]
}

// Core is the client's half of MQTT-SN 1.2. Calls on one of them have to be
// serialised.
type Core struct {
	cfg    Config
	will   *Will
	state  State
	halted bool
	clean  bool   // of the last CONNECT
	asleep uint16 // seconds, of the last sleep
	msgID  uint16 // the last one

	slots    [slots]slot
	lastSent time.Time // while active

	topics      topics
	registering string // by the REGISTER that is outstanding
	registerID  uint16
	queue       publications
	flying      publication // QoS 1 or 2; without a topic there is none
	held        time.Time   // no publication before this
	requests    []request   // the first is outstanding if it has a MsgId
	requestHeld time.Time
	willTopic   willTopicUpdate
	willPayload willPayloadUpdate
	receipts    []receipt
}

// New returns a client that has no connection yet.
func New(c Config) (*Core, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	k := &Core{cfg: c}
	if c.Will != nil {
		w := *c.Will
		k.will = &w
	}
	if c.Rand != nil {
		k.msgID = uint16(c.Rand.Uint32())
	}
	return k, nil
}

// State tells where in its life the client is.
func (c *Core) State() State { return c.state }

// Idle reports whether everything that was asked for has been answered.
func (c *Core) Idle() bool {
	return c.queue.len() == 0 && !c.flying.live && len(c.requests) == 0 && !c.willTopic.live && !c.willPayload.live
}

// Halt ends the delivery of messages: from now on a PUBLISH of the gateway is
// neither reported nor answered, so that the gateway keeps it.
func (c *Core) Halt() { c.halted = true }

// Connect opens a connection, or makes a new one of that which there is, or ends
// a sleep. clean gives up what the session holds on both sides. Connected, Refused
// or Lost follows.
func (c *Core) Connect(now time.Time, clean bool, fx *Effects) {
	c.rest()
	c.clean = clean
	if clean {
		c.topics.clear()
		c.receipts = c.receipts[:0]
		c.flying.anew()
	} else {
		c.topics.stale()
	}
	c.state = StateConnecting
	c.sendConnect(now, fx)
	c.start(slotLink, now)
}

func (c *Core) sendConnect(now time.Time, fx *Effects) {
	send(c, now, fx, wire.Connect{
		Will: c.will != nil, CleanSession: c.clean, ProtocolID: wire.ProtocolID,
		KeepAlive: c.cfg.KeepAlive, ClientID: c.cfg.ClientID,
	})
}

// Sleep says that the client sleeps for d, in whole seconds, at least one and
// at most 65535 of them. Asleep follows, or Lost. What is outstanding rests. ErrState
// unless there is a connection.
func (c *Core) Sleep(now time.Time, d time.Duration, fx *Effects) error {
	switch c.state {
	case StateActive, StateDozing, StateAsleep, StateAwake:
	default:
		return ErrState
	}
	c.rest()
	c.state = StateDozing
	c.asleep = uint16(min(max((d+time.Second-1)/time.Second, 1), 65535))
	send(c, now, fx, wire.Disconnect{HasDuration: true, Duration: c.asleep})
	c.start(slotLink, now)
	return nil
}

// Wake asks for what waits for a sleeping client. Messages follow, and Asleep
// ends them; or Lost. ErrState unless it sleeps.
func (c *Core) Wake(now time.Time, fx *Effects) error {
	if c.state != StateAsleep {
		return ErrState
	}
	c.state = StateAwake
	send(c, now, fx, wire.Pingreq{ClientID: c.cfg.ClientID})
	c.start(slotLink, now)
	return nil
}

// Disconnect ends the connection. Disconnected follows, at once if there is none.
func (c *Core) Disconnect(now time.Time, fx *Effects) {
	c.rest()
	if c.state == StateDisconnected {
		fx.Events = append(fx.Events, Event{Kind: Disconnected})
		return
	}
	c.state = StateLeaving
	send(c, now, fx, wire.Disconnect{})
	c.start(slotLink, now)
}

// Drop forgets the connection without a word, as a client does that is cut off.
// No event follows.
func (c *Core) Drop() {
	c.rest()
	c.state = StateDisconnected
}

// Abandon gives up everything that was asked for and not answered: each
// publication is Abandoned, other requests are answered by nothing.
func (c *Core) Abandon(fx *Effects) {
	for k := range c.slots {
		if slotKind(k) != slotLink {
			c.stop(slotKind(k))
		}
	}
	if c.flying.live {
		c.settle(fx, &c.flying, Abandoned, wire.Accepted)
	}
	for c.queue.len() > 0 {
		c.settle(fx, c.queue.first(), Abandoned, wire.Accepted)
		c.queue.pop()
	}
	c.registering = ""
	c.requests = c.requests[:0]
	c.willTopic, c.willPayload = willTopicUpdate{}, willPayloadUpdate{}
}

// connected goes on with everything that rested.
func (c *Core) connected(now time.Time, fx *Effects) {
	c.stop(slotLink)
	c.state = StateActive
	fx.Events = append(fx.Events, Event{Kind: Connected})
	c.resumeRequests(now, fx)
	c.resumeWill(now, fx)
	c.pump(now, fx)
}

// lost ends the connection for err.
func (c *Core) lost(err error, fx *Effects) {
	c.rest()
	c.state = StateDisconnected
	fx.Events = append(fx.Events, Event{Kind: Lost, Err: err})
}

// rest stops the clocks of all that is outstanding.
func (c *Core) rest() {
	for k := range c.slots {
		c.stop(slotKind(k))
	}
	c.registering = ""
	c.flying.sent = false
}

// fallAsleep is after a DISCONNECT, or a PINGRESP.
func (c *Core) fallAsleep(err error, fx *Effects) {
	c.stop(slotLink)
	c.state = StateAsleep
	fx.Events = append(fx.Events, Event{Kind: Asleep, Err: err})
}

// nextID is a message identifier that is not in use.
func (c *Core) nextID() uint16 {
	for {
		c.msgID++
		inUse := c.msgID == 0 || c.flying.live && c.msgID == c.flying.msgID ||
			c.registering != "" && c.msgID == c.registerID ||
			len(c.requests) > 0 && c.msgID == c.requests[0].msgID
		if !inUse {
			return c.msgID
		}
	}
}

// send appends a message to the effects. Everything that is sent has been found
// to fit before.
func send[M wire.Message](c *Core, now time.Time, fx *Effects, m M) {
	start := len(fx.buf)
	if c.cfg.Forwarded {
		fx.buf, _ = wire.Encapsulated{NodeID: c.cfg.NodeID}.AppendHead(fx.buf)
	}
	b, err := m.Append(fx.buf)
	if err != nil {
		fx.buf = fx.buf[:start]
		return
	}
	fx.buf = b
	fx.ends = append(fx.ends, len(b))
	c.lastSent = now
}

// chance is a factor of around 1.
func chance(r *rand.Rand, jitter float64) float64 {
	if r == nil || jitter == 0 {
		return 1
	}
	return 1 + jitter*(2*r.Float64()-1)
}
