package iottext

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
)

// variable is the topic of a variable; valid until the next call.
func (c *client) variable(name []byte) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c.topic = append(append(c.topic[:0], c.g.variable...), name...)
	return c.topic, nil
}

// publish gives a variable its value.
func (c *client) publish(l iottext.Line) error {
	topic, err := c.variable(l.Variable)
	if err != nil {
		return err
	}
	if len(l.Value) == 0 {
		return errEmptyValue
	}
	return c.send(topic, l.Value, true)
}

// remove takes its value away.
func (c *client) remove(l iottext.Line) error {
	topic, err := c.variable(l.Variable)
	if err != nil {
		return err
	}
	return c.send(topic, nil, true)
}

// message sends to a device, or whoever else receives what is sent to it.
func (c *client) message(l iottext.Line) error {
	if err := checkName(l.Device); err != nil {
		return err
	}
	c.topic = c.g.inbox(c.topic[:0], l.Device)
	return c.send(c.topic, l.Value, false)
}

// send publishes, and answers OK when somebody was there, or it is retained.
func (c *client) send(topic, value []byte, retain bool) error {
	c.Charge(1)
	matched, err := c.Link().Publish(message.View{Topic: topic, Payload: value, Retain: retain})
	switch {
	case errors.Is(err, broker.ErrTakenOver):
		return &gateway.End{Why: "taken-over", Err: err}
	case err != nil:
		c.Refused("publish", string(topic), err)
		return err
	case matched == 0 && !retain:
		return errNobody
	}
	c.ok()
	return nil
}

// subscribe answers before the value follows. Again, it asks for the value.
func (c *client) subscribe(l iottext.Line) error {
	topic, err := c.variable(l.Variable)
	if err != nil {
		return err
	}
	if _, had := c.vars[string(l.Variable)]; !had && len(c.vars) >= c.g.cfg.MaxSubscriptions {
		return errTooMany
	}
	filter := string(topic)
	switch err := c.Link().Subscribe([]broker.Subscription{{Filter: filter}})[0].Err; {
	case errors.Is(err, broker.ErrTakenOver):
		return &gateway.End{Why: "taken-over", Err: err}
	case err != nil:
		c.Refused("subscription", filter, err)
		return err
	}
	if c.vars == nil {
		c.vars = map[string]struct{}{}
	}
	c.vars[filter[len(c.g.variable):]] = struct{}{}
	c.ok()
	c.Ready()
	return nil
}

func (c *client) unsubscribe(l iottext.Line) error {
	topic, err := c.variable(l.Variable)
	if err != nil {
		return err
	}
	if _, had := c.vars[string(l.Variable)]; !had {
		return told(fmt.Sprintf("there is no subscription to %q", l.Variable))
	}
	delete(c.vars, string(l.Variable))
	c.Link().Unsubscribe([]string{string(topic)})
	c.ok()
	return nil
}

func (c *client) unsubscribeAll() error {
	filters := make([]string, 0, len(c.vars))
	for name := range c.vars {
		filters = append(filters, c.g.variable+name)
	}
	c.vars = nil
	c.Link().Unsubscribe(filters)
	c.ok()
	return nil
}
