package mqttsn

import (
	"errors"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
)

// publish works off a PUBLISH of the client. Whatever its QoS, only a PUBACK can
// refuse it, and one with QoS -1 nothing. SN-6.6
func (c *client) publish(w *work, body []byte) {
	p, err := mqttsn.ParsePublish(body, &w.options)
	if err != nil {
		code := answerTo(err)
		if isDropped(code, err) {
			c.g.dropped(err)
			return
		}
		c.refusePublish(w, &p, code)
		return
	}
	topic, ok := c.topicOf(w, &p)
	switch {
	case !ok:
		c.refusePublish(w, &p, mqttsn.InvalidTopicID)
		return
	case router.ValidateName(topic) != nil:
		c.refusePublish(w, &p, mqttsn.NotSupported)
		return
	}
	if p.Kind == mqttsn.NormalTopic && p.QoS >= 0 {
		c.out.usedTopic(c)
	}
	if p.QoS == 2 && c.hasReceived(w, &p, topic) {
		c.g.counts.duplicates.Add(1)
		c.reply(w, mqttsn.Pubrec{MsgID: p.MsgID})
		return
	}
	_, err = c.link.Publish(view(&p, topic))
	if err == nil && p.QoS == 2 {
		c.receive(&p, topic)
	}
	if err == nil && p.QoS > 0 {
		err = c.commit(w)
	}
	switch {
	case errors.Is(err, broker.ErrTakenOver): // it hears of that
		c.g.counts.refused.Add(1)
		return
	case err != nil:
		c.tellRefused(w, "publish", string(topic), err)
		c.refusePublish(w, &p, c.g.codeOf(err))
		return
	}
	c.g.countPublish(&p)
	switch p.QoS {
	case 1:
		c.reply(w, mqttsn.Puback{TopicID: p.TopicID, MsgID: p.MsgID})
	case 2:
		c.reply(w, mqttsn.Pubrec{MsgID: p.MsgID})
	}
}

// refusePublish answers a PUBLISH that comes to nothing.
func (c *client) refusePublish(w *work, p *mqttsn.Publish, code mqttsn.ReturnCode) {
	c.g.counts.refused.Add(1)
	if p.QoS < 0 {
		return
	}
	m := mqttsn.Puback{TopicID: p.TopicID, MsgID: p.MsgID, Code: code}
	if p.QoS == 0 {
		m.MsgID = 0
	}
	c.reply(w, m)
}

// topicOf is the topic of p, valid until the next call.
func (c *client) topicOf(w *work, p *mqttsn.Publish) (topic []byte, ok bool) {
	switch {
	case p.Name != nil:
		return p.Name, true
	case p.Kind == mqttsn.ShortTopic:
		w.topic = append(w.topic[:0], byte(p.TopicID>>8), byte(p.TopicID))
		return w.topic, true
	}
	name, ok := c.topicName(p.Kind, p.TopicID)
	w.topic = append(w.topic[:0], name...)
	return w.topic, ok
}

// view is the message of p.
func view(p *mqttsn.Publish, topic []byte) message.View {
	v := message.View{Topic: topic, Payload: p.Payload, QoS: uint8(max(0, p.QoS)), Retain: p.Retain, Dup: p.Dup}
	if p.QoS > 0 {
		v.PacketID = p.MsgID
	}
	return v
}

func (g *Gateway) countPublish(p *mqttsn.Publish) {
	g.counts.published.Add(1)
	switch p.Kind {
	case mqttsn.PredefinedTopic:
		g.counts.predefined.Add(1)
	case mqttsn.ShortTopic:
		g.counts.short.Add(1)
	}
}

// pubrel ends a PUBLISH with QoS 2, also one that has been ended before.
func (c *client) pubrel(w *work, body []byte) {
	m, err := mqttsn.ParsePubrel(body, &w.options)
	if err != nil {
		c.g.dropped(err)
		return
	}
	_, err = c.link.Release(m.MsgID)
	c.release(w, m.MsgID)
	if err != nil || c.commit(w) != nil {
		c.g.counts.refused.Add(1)
		return // the client asks again
	}
	c.reply(w, mqttsn.Pubcomp(m))
}
