package emqtcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/transport"
)

// client is a device's connection.
type client struct {
	gateway.Conn
	g         *Gateway
	up        string        // uplink topic
	heard     time.Duration // since the gateway was made: when a whole frame was last there, at first the connection
	keepAlive uint8         // seconds, without the factor; 0: none
	flagged   bool          // it has been logged that reserved flags are set
	warned    atomic.Bool   // it has been logged that a downlink is too large
}

const unheard = -1

// Data implements gateway.Client.
func (c *client) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	for len(data) > 0 {
		limit := c.g.cfg.MaxPacketSize
		if c.Link() == nil {
			if err := checkFirst(data); err != nil { // before any length is believed
				return nil, 0, err
			}
			limit = c.g.cfg.MaxConnectSize
		} else if err := misplaced(data[0]); err != nil {
			return nil, 0, broken(err)
		}
		h, body, n, err := emqtcp.Frame(data, limit)
		if errors.Is(err, emqtcp.ErrShort) {
			return data, n, nil
		}
		if err != nil {
			return nil, 0, broken(err)
		}
		c.heard = c.LastRead().Sub(c.g.began)
		if err := c.handle(ctx, h, body); err != nil {
			return nil, 0, err
		}
		data = data[n:]
	}
	return nil, 0, nil
}

// broken is the end of a connection for a frame that breaks a rule.
func broken(err error) error { return &gateway.End{Why: "protocol", Err: err, Mute: true} }

// checkFirst ends the connection of a stranger, and says what it speaks.
func checkFirst(data []byte) error {
	err := emqtcp.CheckFirst(data)
	switch other := transport.Sniff(data); {
	case other == "MQTT" && !bytes.Contains(data[:min(len(data), 16)], []byte("MQ")), other == "" && err == nil:
		// Its first byte is that of a CONNECT with version 0 as well.
	case other != "" && err == nil:
		err = fmt.Errorf("first frame must be CONNECT; the client speaks %s", other)
	case other != "":
		err = fmt.Errorf("%w; the client speaks %s", err, other)
	}
	if err == nil {
		return nil
	}
	return &gateway.End{Why: "not_connected", Err: err, Mute: true}
}

// misplaced judges a frame of a device that is connected by its first byte.
func misplaced(first byte) error {
	switch t := emqtcp.Type(first >> 4); t {
	case emqtcp.TypeConnect:
		return errors.New("second CONNECT")
	case emqtcp.TypeConnack, emqtcp.TypePong:
		return fmt.Errorf("%v from a device", t)
	}
	return nil
}

// handle works off one frame.
func (c *client) handle(ctx context.Context, h emqtcp.Header, body []byte) error {
	var err error
	switch h.Type {
	case emqtcp.TypeConnect:
		return c.connect(ctx, h, body)
	case emqtcp.TypeDatatrans:
		var p emqtcp.Datatrans
		if p, err = emqtcp.ParseDatatrans(body, h.Flags, &c.g.opts); err == nil {
			err = c.publish(p.Payload)
		}
	case emqtcp.TypePing:
		if _, err = emqtcp.ParsePing(h.Flags, &c.g.opts); err == nil {
			c.answer(emqtcp.Pong{}.Append(c.Answers()))
		}
	default: // DISCONNECT: misplaced and Frame have refused the others
		if _, err = emqtcp.ParseDisconnect(h.Flags, &c.g.opts); err == nil {
			c.Farewell().Abnormal = false
			err = gateway.Bye
		}
	}
	if h.Flags != 0 {
		c.noteFlags(h)
	}
	if m := (*emqtcp.Malformed)(nil); errors.As(err, &m) {
		return broken(err)
	}
	return err
}

// answer takes what an Append to Answers returns.
func (c *client) answer(b []byte, _ error) { c.Answered(b) } // a frame without fields always has room

// noteFlags counts reserved flags, and logs the first of a connection.
func (c *client) noteFlags(h emqtcp.Header) {
	c.g.counts.flags.Add(1)
	if !c.flagged {
		c.flagged = true
		c.Log().Info("reserved flags are set", "frame", h.Type.String(), "flags", h.Flags)
	}
}

// publish sends an uplink on its way.
func (c *client) publish(payload []byte) error {
	c.Charge(1)
	_, err := c.Link().Publish(message.View{Topic: unsafe.Slice(unsafe.StringData(c.up), len(c.up)), Payload: payload})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrTakenOver), errors.Is(err, broker.ErrEnded):
		return &gateway.End{Why: "taken-over", Err: err, Mute: true}
	case errors.Is(err, broker.ErrNotAuthorized):
		c.g.counts.denied.Add(1)
	}
	c.Refused("publish", c.up, err)
	return nil
}

// Deliver implements broker.Receiver.
func (c *client) Deliver(d *message.Delivery) bool {
	return c.Append(func(dst []byte) []byte {
		dst, _ = emqtcp.Datatrans{Payload: d.Message.Payload}.Append(dst) // fits has seen to the length
		return dst
	})
}

// fits reports whether a frame can hold the message. The broker drops and counts
// what does not fit.
func (c *client) fits(d *message.Delivery) bool {
	n := len(d.Message.Payload)
	if n <= emqtcp.MaxPayload {
		return true
	}
	c.g.counts.tooLarge.Add(1)
	if !c.warned.Swap(true) {
		c.Log().Warn("downlink dropped, no frame can hold it", "topic", gateway.Clip(d.Message.Topic), "bytes", n, "limit", emqtcp.MaxPayload)
	}
	return false
}

// LastWords implements gateway.Client: the protocol has none.
func (*client) LastWords(*gateway.End) []byte { return nil }

// Deadline implements gateway.Watch: what counts are whole frames.
func (c *client) Deadline(lastRead time.Time) time.Time {
	if c.heard == unheard {
		c.heard = lastRead.Sub(c.g.began) // the accept
	}
	at := c.g.began.Add(c.heard)
	switch {
	case c.Link() == nil:
		return at.Add(c.g.cfg.IdleTimeout)
	case c.keepAlive == 0:
		return time.Time{}
	}
	return at.Add(time.Duration(float64(c.keepAlive) * c.g.cfg.KeepaliveFactor * float64(time.Second)))
}

// Expired implements gateway.Watch.
func (c *client) Expired(context.Context) error {
	if c.Link() == nil {
		return &gateway.End{Why: "connect-timeout", Err: errors.New("no CONNECT in time"), Mute: true}
	}
	return &gateway.End{Why: "keepalive", Err: gateway.ErrKeepAlive, Mute: true}
}
