package mqttsn

import (
	"encoding/binary"
	"errors"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
)

// testament is the will of a client. The broker has a copy while the client is
// connected; that of a session that is not clean outlives DISCONNECT here, under
// keptWill. SN-6.3
type testament struct {
	topic   string
	qos     uint8
	retain  bool
	payload []byte
}

// keptWill is the key of what is kept of a session's will.
const keptWill = "w"

// will is the testament for the broker.
func (t *testament) will() *broker.Will {
	if t == nil {
		return nil
	}
	return &broker.Will{Message: message.View{Topic: []byte(t.topic), Payload: t.payload, QoS: t.qos, Retain: t.retain}}
}

// encode is the testament for the store: flags, the length of the topic in two
// bytes, the topic, the payload.
func (t *testament) encode() []byte {
	if t == nil {
		return nil
	}
	flags := t.qos
	if t.retain {
		flags |= 0x10
	}
	b := binary.BigEndian.AppendUint16([]byte{flags}, uint16(len(t.topic)))
	return append(append(b, t.topic...), t.payload...)
}

// decodeTestament is the reverse of encode; nil for anything else.
func decodeTestament(b []byte) *testament {
	if len(b) < 3 {
		return nil
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < 3+n {
		return nil
	}
	return &testament{topic: string(b[3 : 3+n]), qos: b[0] & 3, retain: b[0]&0x10 != 0, payload: append([]byte(nil), b[3+n:]...)}
}

// checkWillTopic judges what the parser has left.
func checkWillTopic(m *mqttsn.WillTopic, err error) (mqttsn.ReturnCode, error) {
	if err == nil && m.Topic != "" {
		err = router.ValidateName(m.Topic)
	}
	if err != nil {
		return mqttsn.NotSupported, err
	}
	return mqttsn.Accepted, nil
}

// willTopicUpd changes the topic of the will, or deletes it. SN-5.4.22
func (c *client) willTopicUpd(w *work, body []byte) {
	m, err := mqttsn.ParseWillTopicUpd(body, &w.options)
	if isGarbled(err) {
		c.g.counts.malformed.Add(1)
		return
	}
	code, _ := checkWillTopic((*mqttsn.WillTopic)(&m), err)
	if code == mqttsn.Accepted {
		var next *testament
		if m.Topic != "" {
			next = &testament{topic: m.Topic, qos: uint8(m.QoS), retain: m.Retain}
			if c.testament != nil {
				next.payload = c.testament.payload
			}
		}
		code = c.changeWill(w, next)
	}
	c.countRefusal(code)
	c.reply(w, mqttsn.WillTopicResp{Code: code})
}

// willMsgUpd changes the payload of the will. SN-5.4.23
func (c *client) willMsgUpd(w *work, body []byte) {
	m, err := mqttsn.ParseWillMsgUpd(body, &w.options)
	if err != nil {
		c.g.counts.malformed.Add(1)
		return
	}
	code := mqttsn.NotSupported
	if c.testament != nil {
		next := *c.testament
		next.payload = append([]byte(nil), m.Payload...)
		code = c.changeWill(w, &next)
	}
	c.countRefusal(code)
	c.reply(w, mqttsn.WillMsgResp{Code: code})
}

// changeWill gives the client another will; nil is none.
func (c *client) changeWill(w *work, next *testament) mqttsn.ReturnCode {
	err := c.link.SetWill(next.will())
	if err == nil {
		c.link.Keep(keptWill, next.encode())
		err = c.commit(w)
	}
	if err != nil {
		return c.g.codeOf(err)
	}
	c.testament = next
	return mqttsn.Accepted
}

// codeOf is what a client is told of an error of the broker.
func (g *Gateway) codeOf(err error) mqttsn.ReturnCode {
	var invalid *router.Invalid
	switch {
	case err == nil:
		return mqttsn.Accepted
	case errors.Is(err, broker.ErrNotAuthorized), errors.Is(err, broker.ErrNotOwner):
		return g.denied()
	case errors.As(err, &invalid):
		return mqttsn.NotSupported
	}
	return mqttsn.Congestion // later
}
