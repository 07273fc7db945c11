package bench

import (
	"errors"
	"fmt"
	"io"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// This file is clients that speak another protocol than MQTT: what they say and
// hear is their dialect's, everything else is as with the others.

// dialect is what such a client speaks.
type dialect = client.Dialect

// errNoDevices says that a scenario does not know where its devices connect to.
var errNoDevices = errors.New("the scenario has devices, and no URL says where they connect to")

// newDevices is how devices connect, nil without a scheme.
func newDevices(o *Options) (*dialer, error) {
	if o.Devices.Scheme.Name == "" {
		return nil, nil
	}
	own := *o
	own.Endpoint, own.Identities = o.Devices, nil
	return newDialer(&own)
}

// frames handles the whole frames in b, with both locks held.
func (c *Client) frames(b []byte, now int64) (used int, err error) {
	for used < len(b) {
		e, n, err := c.dialect.Next(b[used:])
		if err != nil {
			return used, err
		}
		if n == 0 {
			return used, nil
		}
		used += n
		if err := c.heard(&e, now); err != nil {
			return used, err
		}
		if e.Reply != nil {
			o := c.output()
			o.b = append(o.b, e.Reply...)
		}
	}
	return used, nil
}

// heard handles what one frame means.
func (c *Client) heard(e *client.Event, now int64) error {
	switch e.Kind {
	case client.EventAnswer:
		if c.accepted || e.Err == nil && c.awaited > 1 {
			c.awaited--
			return nil
		}
		a := answer{typ: mqtt.TypeConnack, codes: []mqtt.ReasonCode{mqtt.Success}, refused: e.Err}
		c.accepted = e.Err == nil
		select {
		case c.answer <- a:
			return nil
		default:
			return errors.New("an answer that nobody has asked for")
		}
	case client.EventMessage:
		c.sh.n.Received++
		c.account(&mqtt.Publish{Topic: []byte(e.Message.Topic), Payload: e.Message.Payload}, now)
	case client.EventEnd:
		return e.Err
	}
	return nil
}

// prepare makes the login of a device, before anything is read. One that is not
// answered is taken for granted.
func (c *Client) prepare() error {
	o := c.output()
	var err error
	if o.b, c.awaited, err = c.dialect.Login(o.b); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	c.unanswered = c.awaited == 0
	c.accepted = c.unanswered
	return nil
}

// say writes what the dialect has for an occasion, if it has anything.
func (c *Client) say(words func(dst []byte) []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.broken {
		return io.ErrClosedPipe
	}
	o := c.output()
	o.b = words(o.b)
	c.flush()
	return nil
}

// alive keeps the connection from being taken for dead.
func (c *Client) alive() error {
	if c.dialect != nil {
		return c.say(c.dialect.Alive)
	}
	return c.send(mqtt.Pingreq{})
}

// bye says goodbye.
func (c *Client) bye() error {
	if c.dialect != nil {
		return c.say(c.dialect.Leave)
	}
	return c.send(mqtt.Disconnect{})
}
