package iottext

import (
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
)

// scratch is room on the stack for what a line says beside its value.
type scratch struct {
	name [iottext.MaxName]byte
	time [len(time.RFC3339Nano)]byte
}

// lineOf is a delivery as a line; ok is false when there is nothing to say.
func (g *Gateway) lineOf(m *message.Message, s *scratch) (l iottext.Line, ok bool) {
	l = iottext.Line{From: iottext.Server, Command: iottext.Msg, Value: m.Payload}
	if name, is := strings.CutPrefix(m.Topic, g.variable); is {
		if len(m.Payload) == 0 { // it has been deleted
			return l, false
		}
		l.Command, l.Variable = iottext.Sub, append(s.name[:0], name...)
	} else {
		l.Device = iottext.SafeName(s.name[:0], gateway.PlainID(m.Publisher))
	}
	if g.cfg.Times {
		l.Time = m.Published.UTC().AppendFormat(s.time[:0], timeFormat)
	}
	return l, true
}

// timeFormat is RFC 3339 in milliseconds, of fixed length.
const timeFormat = "2006-01-02T15:04:05.000Z"

// fits reports whether a message can be put into a line. Longer ones are dropped
// and counted.
func (c *client) fits(d *message.Delivery) bool {
	var s scratch
	l, ok := c.g.lineOf(d.Message, &s)
	return !ok || l.Size() <= c.g.cfg.MaxLineBytes
}

// Deliver implements broker.Receiver.
func (c *client) Deliver(d *message.Delivery) bool {
	var s scratch
	l, ok := c.g.lineOf(d.Message, &s)
	if !ok {
		return true
	}
	return c.Append(func(dst []byte) []byte {
		dst, _ = l.Append(dst) // a server says both
		return dst
	})
}
