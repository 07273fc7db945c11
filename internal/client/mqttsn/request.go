package mqttsn

import (
	"fmt"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// request is a SUBSCRIBE or an UNSUBSCRIBE.
type request struct {
	token uint64
	topic Topic
	qos   int8
	leave bool   // UNSUBSCRIBE
	msgID uint16 // 0: not sent yet
}

// Subscribe asks for the messages of a filter, at qos or less; Subscribed follows.
// Errors: ErrTopic, ErrQoS, ErrTooLarge, ErrFull; then nothing follows.
func (c *Core) Subscribe(now time.Time, t Topic, qos int8, token uint64, fx *Effects) error {
	if qos < 0 || qos > 2 {
		return fmt.Errorf("%w: %d", ErrQoS, qos)
	}
	return c.request(now, request{token: token, topic: t, qos: qos}, fx)
}

// Unsubscribe ends the subscription of a filter; Unsubscribed follows. Errors: ErrTopic,
// ErrTooLarge, ErrFull; then nothing follows.
func (c *Core) Unsubscribe(now time.Time, t Topic, token uint64, fx *Effects) error {
	return c.request(now, request{token: token, topic: t, leave: true}, fx)
}

func (c *Core) request(now time.Time, r request, fx *Effects) error {
	if err := r.topic.Check(true); err != nil {
		return err
	}
	if size := (wire.Subscribe{Filter: r.topic.Name}).Size() + c.cfg.envelope(); size > c.cfg.MaxDatagram {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, c.cfg.MaxDatagram)
	}
	if len(c.requests) >= c.cfg.MaxQueued {
		return ErrFull
	}
	c.requests = append(c.requests, r)
	c.nextRequest(now, fx)
	return nil
}

// nextRequest sends the first request, if its turn has come.
func (c *Core) nextRequest(now time.Time, fx *Effects) {
	if c.state != StateActive || len(c.requests) == 0 || c.waits(slotRequest) || !c.requestHeld.IsZero() {
		return
	}
	again := c.requests[0].msgID != 0
	if !again {
		c.requests[0].msgID = c.nextID()
	}
	c.sendRequest(now, fx, again)
	c.start(slotRequest, now)
}

// resumeRequests goes on after a connection was made.
func (c *Core) resumeRequests(now time.Time, fx *Effects) { c.nextRequest(now, fx) }

func (c *Core) sendRequest(now time.Time, fx *Effects, again bool) {
	r := &c.requests[0]
	if r.leave {
		send(c, now, fx, wire.Unsubscribe{Kind: r.topic.Kind, MsgID: r.msgID, TopicID: r.topic.ID, Filter: r.topic.Name})
		return
	}
	send(c, now, fx, wire.Subscribe{
		Dup: again, QoS: r.qos, Kind: r.topic.Kind, MsgID: r.msgID, TopicID: r.topic.ID, Filter: r.topic.Name,
	})
}

// answered is the outstanding request, if m is about it, and ends it.
func (c *Core) answered(msgID uint16, leave bool) (request, bool) {
	if len(c.requests) == 0 {
		return request{}, false
	}
	r := c.requests[0]
	if r.msgID == 0 || r.msgID != msgID || r.leave != leave {
		return request{}, false
	}
	c.stop(slotRequest)
	return r, true
}

func (c *Core) suback(now time.Time, m wire.Suback, fx *Effects) error {
	r, ok := c.answered(m.MsgID, false)
	if !ok {
		return ErrUnexpected
	}
	if m.Code == wire.Congestion && c.cfg.Congestion > 0 {
		c.requests[0].msgID = 0
		c.requestHeld = now.Add(c.cfg.Congestion)
		return nil
	}
	c.requests = popRequest(c.requests)
	if m.Code == wire.Accepted && r.topic.Kind == wire.NormalTopic && !wild(r.topic.Name) && !reserved(m.TopicID) {
		c.topics.learn(m.TopicID, r.topic.Name)
	}
	fx.Events = append(fx.Events, Event{Kind: Subscribed, Token: r.token, Code: m.Code, QoS: m.QoS, Topic: r.topic})
	c.nextRequest(now, fx)
	c.pump(now, fx) // a REGISTER may have become needless
	return nil
}

func (c *Core) unsuback(now time.Time, m wire.Unsuback, fx *Effects) error {
	r, ok := c.answered(m.MsgID, true)
	if !ok {
		return ErrUnexpected
	}
	c.requests = popRequest(c.requests)
	fx.Events = append(fx.Events, Event{Kind: Unsubscribed, Token: r.token, Topic: r.topic})
	c.nextRequest(now, fx)
	return nil
}

func popRequest(rs []request) []request {
	copy(rs, rs[1:])
	rs[len(rs)-1] = request{}
	return rs[:len(rs)-1]
}
