package mqttsn

import (
	"runtime/debug"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
)

// state is that of a client, as the gateway sees it. SN-6.14
type state uint8

// States. A client that is disconnected or lost is none here: what outlives it
// is at the broker.
const (
	connecting state = iota // between CONNECT and CONNACK; a client that connects again has its link meanwhile
	active
	asleep
	awake
	gone // not in the tables any more
)

func (s state) String() string {
	return [...]string{"connecting", "active", "asleep", "awake", "gone"}[s]
}

// client is one that has sent a valid CONNECT. It implements broker.Receiver.
//
// Locks, in the order in which they are taken: turn and those of the tables are
// leaves; owning a client comes before the locks of the broker, and these before
// out.mu, which comes before that of a carrier.
type client struct {
	g     *Gateway
	id    string // of the session at the broker, "" before Attach: see gateway.SessionID
	timer timer  // the next of its deadlines

	turn  sync.Mutex // guards what follows
	owned bool
	inbox *inbox // nil: empty

	// Of the owner.
	standing
	setup *setup // while connecting

	out outbox
}

// standing is what the owner knows of the client.
type standing struct {
	state     state
	clean     bool
	will      bool          // the flag of CONNECT
	generated bool          // the client has not named itself
	secure    bool          // it has come by DTLS
	pseudo    bool          // see minusone.go
	fresh     bool          // nothing has come since CONNACK
	dirty     bool          // in the list of some work, to be committed
	keepAlive uint16        // seconds; 0: there is none
	sleep     uint16        // seconds that the last DISCONNECT has asked for
	heard     time.Duration // since the wheel began
	request   uint64        // the last SUBSCRIBE or UNSUBSCRIBE, hashed; see repeated
	link      *broker.Link  // nil before CONNACK, and when gone
	testament *testament    // nil: no will
	receipts  *receipts     // nil: none
}

// handle works off one event. The caller owns c.
func (c *client) handle(w *work, e *event) {
	defer c.rescue()
	switch {
	case e.do != nil:
		e.do(c, w)
	case c.pseudo:
		c.publishFor(w, e)
	case c.state == gone:
		c.g.stranger(w, *e)
	case e.from != c.out.where():
		c.g.counts.moved.Add(1)
	default:
		c.dispatch(w, e)
		c.fed(w)
	}
}

// dispatch is the table of states and events. SN-6.14
func (c *client) dispatch(w *work, e *event) {
	if e.header.Type == mqttsn.TypeConnect {
		c.connect(w, e)
		return
	}
	if c.state == connecting {
		c.dispatchSetup(w, e)
		return
	}
	if e.header.Type == mqttsn.TypeAuth { // behind a CONNECT that was sent again
		c.g.counts.duplicates.Add(1)
		return
	}
	c.heard, c.fresh = c.g.since(w.now), false
	switch e.header.Type {
	case mqttsn.TypeRegister:
		c.register(w, e.body)
	case mqttsn.TypeRegack:
		c.regack(w, e.body)
	case mqttsn.TypePublish:
		c.publish(w, e.body)
	case mqttsn.TypePubrel:
		c.pubrel(w, e.body)
	case mqttsn.TypePuback:
		c.puback(w, e.body)
	case mqttsn.TypePubrec:
		c.pubrec(w, e.body)
	case mqttsn.TypePubcomp:
		c.pubcomp(w, e.body)
	case mqttsn.TypeSubscribe:
		c.subscribe(w, e.body)
	case mqttsn.TypeUnsubscribe:
		c.unsubscribe(w, e.body)
	case mqttsn.TypePingreq:
		c.pingreq(w, e.body)
	case mqttsn.TypePingresp:
	case mqttsn.TypeDisconnect:
		c.disconnect(w, e.body)
	case mqttsn.TypeWillTopicUpd:
		c.willTopicUpd(w, e.body)
	case mqttsn.TypeWillMsgUpd:
		c.willMsgUpd(w, e.body)
	default:
		c.g.counts.unexpected.Add(1)
	}
}

// finish commits what events have brought.
func (c *client) finish(w *work) {
	defer c.rescue()
	_ = c.commit(w)
}

// rescue is deferred: what panics costs the client its connection, and nobody else.
func (c *client) rescue() {
	if p := recover(); p != nil {
		c.g.log.Error("internal error", "client", c.id, "panic", p, "stack", string(debug.Stack()))
		c.g.counts.panics.Add(1)
		c.fault()
	}
}

// fault ends a client in whose events something has gone wrong, as well as can be.
func (c *client) fault() {
	l := c.link
	switch {
	case l != nil:
	case c.pseudo:
		return
	default:
		c.vanish()
		return
	}
	c.remove()
	c.later(func(*client, *work) { l.Detach(broker.Farewell{Abnormal: true}) })
}

// since is now as clients remember it.
func (g *Gateway) since(now time.Time) time.Duration { return now.Sub(g.wheel.began) }

// reply sends an answer to the client.
func (c *client) reply(w *work, m mqttsn.Message) { c.out.send(c, w, m) }

// later has f called by the owner. It may be called with the broker's locks held.
func (c *client) later(f func(c *client, w *work)) { c.summon(event{do: f}) }

// commit stores what the client has sent. Answers that promise something leave
// after it has returned nil.
func (c *client) commit(*work) error {
	c.dirty = false
	if c.link == nil {
		return nil
	}
	err := c.link.Commit(c.g.ctx)
	if err != nil {
		c.g.counts.unstored.Add(1)
		c.g.log.Error("store", "client", c.id, "err", err)
	}
	return err
}

// commitLater commits what somebody else has begun.
func (c *client) commitLater(w *work) {
	if c.dirty {
		_ = c.commit(w)
	}
}

// Deliver implements broker.Receiver. What cannot leave now waits in the outbox;
// retained messages of which there are many wait at the broker.
func (c *client) Deliver(d *message.Delivery) bool { return c.out.deliver(c, d) }

// Flush implements broker.Receiver.
func (c *client) Flush() { c.out.carrier().flush() }

// Close implements broker.Receiver.
func (c *client) Close(r broker.Reason) {
	c.summon(event{do: func(c *client, w *work) { c.closed(w, r) }})
}
