package mqttsn

import (
	"fmt"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// willTopicUpdate is a WILLTOPICUPD that is not answered.
type willTopicUpdate struct {
	live  bool
	token uint64
	will  Will // without payload
}

type willPayloadUpdate struct {
	live    bool
	token   uint64
	payload []byte
}

// SetWillTopic changes all of the will but its payload; without a topic it
// deletes the will. WillChanged follows. Errors: ErrBusy while another such change is
// outstanding, ErrTopic, ErrQoS, ErrTooLarge.
func (c *Core) SetWillTopic(now time.Time, w Will, token uint64, fx *Effects) error {
	w.Payload = nil
	if err := w.check(); err != nil {
		return err
	}
	switch {
	case c.willTopic.live:
		return ErrBusy
	case len(w.Topic)+5+c.cfg.envelope() > c.cfg.MaxDatagram:
		return fmt.Errorf("will: %w", ErrTooLarge)
	}
	c.willTopic = willTopicUpdate{live: true, token: token, will: w}
	c.resumeWill(now, fx)
	return nil
}

// SetWillPayload changes the payload of the will. WillChanged follows. Errors:
// ErrBusy while another such change is outstanding, ErrTooLarge.
func (c *Core) SetWillPayload(now time.Time, payload []byte, token uint64, fx *Effects) error {
	switch {
	case c.willPayload.live:
		return ErrBusy
	case len(payload)+4+c.cfg.envelope() > c.cfg.MaxDatagram:
		return fmt.Errorf("will: %w", ErrTooLarge)
	}
	c.willPayload = willPayloadUpdate{live: true, token: token, payload: append([]byte(nil), payload...)}
	c.resumeWill(now, fx)
	return nil
}

// resumeWill sends what is outstanding and has not been sent.
func (c *Core) resumeWill(now time.Time, fx *Effects) {
	if c.state != StateActive {
		return
	}
	if c.willTopic.live && !c.waits(slotWillTopic) {
		c.sendWillTopicUpd(now, fx)
		c.start(slotWillTopic, now)
	}
	if c.willPayload.live && !c.waits(slotWillPayload) {
		send(c, now, fx, wire.WillMsgUpd{Payload: c.willPayload.payload})
		c.start(slotWillPayload, now)
	}
}

func (c *Core) sendWillTopicUpd(now time.Time, fx *Effects) {
	w := &c.willTopic.will
	send(c, now, fx, wire.WillTopicUpd{QoS: w.QoS, Retain: w.Retain, Topic: w.Topic})
}

func (c *Core) willTopicResp(m wire.WillTopicResp, fx *Effects) error {
	u := c.willTopic
	if !u.live {
		return ErrUnexpected
	}
	if m.Code == wire.Accepted {
		w := u.will
		switch {
		case w.Topic == "":
			c.will = nil
		case c.will != nil:
			w.Payload = c.will.Payload
			fallthrough
		default:
			c.will = &w
		}
	}
	c.willTopic = willTopicUpdate{}
	c.stop(slotWillTopic)
	fx.Events = append(fx.Events, Event{Kind: WillChanged, Token: u.token, Code: m.Code})
	return nil
}

func (c *Core) willMsgResp(m wire.WillMsgResp, fx *Effects) error {
	u := c.willPayload
	if !u.live {
		return ErrUnexpected
	}
	if m.Code == wire.Accepted && c.will != nil {
		w := *c.will
		w.Payload = u.payload
		c.will = &w
	}
	c.willPayload = willPayloadUpdate{}
	c.stop(slotWillPayload)
	fx.Events = append(fx.Events, Event{Kind: WillChanged, Token: u.token, Code: m.Code})
	return nil
}
