package mqttsn

import (
	"encoding/binary"
	"hash/maphash"
	"strings"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/router"
)

// subscribe works off a SUBSCRIBE. SN-6.9
func (c *client) subscribe(w *work, body []byte) {
	m, err := mqttsn.ParseSubscribe(body, &w.options)
	if isGarbled(err) {
		c.g.counts.malformed.Add(1)
		return
	}
	answer := mqttsn.Suback{MsgID: m.MsgID, Code: answerTo(err)}
	if answer.Code == mqttsn.Accepted {
		answer = c.grant(w, &m)
	}
	c.countRefusal(answer.Code)
	c.reply(w, answer)
	if answer.Code != mqttsn.Accepted {
		return
	}
	if m.Kind == mqttsn.NormalTopic && answer.TopicID != 0 {
		c.toldTopic(answer.TopicID)
	}
	c.link.Ready()
}

// grant subscribes the client; the answer says to what.
func (c *client) grant(w *work, m *mqttsn.Subscribe) mqttsn.Suback {
	refused := func(code mqttsn.ReturnCode) mqttsn.Suback { return mqttsn.Suback{MsgID: m.MsgID, Code: code} }
	filter, ok := c.filterOf(m.Kind, m.TopicID, m.Filter)
	if !ok {
		return refused(mqttsn.InvalidTopicID)
	}
	if m.Kind == mqttsn.ShortTopic && router.ValidateName(filter) != nil || m.QoS < 0 || !c.g.names(filter) {
		return refused(mqttsn.NotSupported)
	}
	want := broker.Subscription{Filter: filter, QoS: uint8(m.QoS)}
	switch {
	case c.asksAgain(mqttsn.TypeSubscribe, m.MsgID, filter):
		c.g.counts.duplicates.Add(1)
		want.RetainHandling = retainNever
	case m.Dup:
		want.RetainHandling = retainNew
	}
	if err := c.link.Subscribe([]broker.Subscription{want})[0].Err; err != nil {
		c.request = 0
		c.tellRefused(w, "subscribe", filter, err)
		return refused(c.g.codeOf(err))
	}
	answer, isNew := mqttsn.Suback{QoS: m.QoS, MsgID: m.MsgID}, false
	_, topic, _, _ := router.SplitShared(filter) // it has been found valid
	switch {
	case m.Kind == mqttsn.PredefinedTopic:
		answer.TopicID = m.TopicID
	case m.Kind == mqttsn.ShortTopic:
		answer.TopicID, _ = mqttsn.ShortID(filter)
	case strings.ContainsAny(topic, "+#"): // REGISTER tells of each topic
	default:
		if answer.TopicID, isNew, ok = c.topicID(topic); !ok {
			c.request = 0
			c.link.Unsubscribe([]string{filter})
			return refused(c.g.exhausted())
		}
	}
	if err := c.commit(w); err != nil {
		c.request = 0
		if isNew {
			c.out.unkept(topic)
		}
		return refused(mqttsn.Congestion)
	}
	return answer
}

// Values of broker.Subscription.RetainHandling.
const (
	retainNew   = 1 // the retained messages, if there was no such subscription
	retainNever = 2
)

// filterOf is the filter that a client means; ok is false for a predefined topic
// that does not exist.
func (c *client) filterOf(k mqttsn.TopicKind, id uint16, filter string) (string, bool) {
	if k == mqttsn.PredefinedTopic {
		return c.topicName(k, id)
	}
	return filter, true
}

// asksAgain reports whether a request is the last one, sent again: with the same
// MsgId about the same. SN-6.13
func (c *client) asksAgain(t mqttsn.Type, msgID uint16, filter string) bool {
	var h maphash.Hash
	h.SetSeed(c.g.clients.seed)
	h.Write(binary.BigEndian.AppendUint16([]byte{t.Octet()}, msgID))
	h.WriteString(filter)
	sum := h.Sum64() | 1 // 0 is none
	same := c.request == sum
	c.request = sum
	return same
}

// unsubscribe works off an UNSUBSCRIBE, which cannot be refused.
func (c *client) unsubscribe(w *work, body []byte) {
	m, err := mqttsn.ParseUnsubscribe(body, &w.options)
	if isGarbled(err) {
		c.g.counts.malformed.Add(1)
		return
	}
	filter, ok := c.filterOf(m.Kind, m.TopicID, m.Filter)
	if err != nil || !ok {
		c.g.counts.refused.Add(1)
	} else {
		if c.asksAgain(mqttsn.TypeUnsubscribe, m.MsgID, filter) {
			c.g.counts.duplicates.Add(1)
		}
		c.link.Unsubscribe([]string{filter}) // whether it was there or not
		if c.commit(w) != nil {
			c.g.counts.refused.Add(1)
			return // the client asks again
		}
	}
	c.reply(w, mqttsn.Unsuback{MsgID: m.MsgID})
}

// register gives the client the identifier of a topic. SN-6.5
func (c *client) register(w *work, body []byte) {
	m, err := mqttsn.ParseRegister(body, &w.options)
	if isGarbled(err) {
		c.g.counts.malformed.Add(1)
		return
	}
	answer := mqttsn.Regack{MsgID: m.MsgID, Code: answerTo(err)}
	if answer.Code == mqttsn.Accepted {
		answer.TopicID, answer.Code = c.giveTopic(w, m.Topic)
	}
	c.countRefusal(answer.Code)
	c.reply(w, answer)
	if answer.Code == mqttsn.Accepted {
		c.toldTopic(answer.TopicID)
	}
}

// names reports whether a client can be told of a topic, or of what a filter like that
// matches. Nothing longer is kept.
func (g *Gateway) names(topic string) bool {
	return mqttsn.Register{Topic: topic}.Size() <= g.terms.Load().MaxDatagram
}

// giveTopic returns the identifier of a topic for a client that asks for it.
func (c *client) giveTopic(w *work, topic string) (uint16, mqttsn.ReturnCode) {
	if router.ValidateName(topic) != nil || !c.g.names(topic) {
		return 0, mqttsn.NotSupported
	}
	if c.g.broker.Full() && !c.out.knows(topic) {
		return 0, mqttsn.Congestion
	}
	id, isNew, ok := c.topicID(topic)
	switch {
	case !ok:
		return 0, c.g.exhausted()
	case isNew && c.commit(w) != nil:
		c.out.unkept(topic)
		return 0, mqttsn.Congestion
	}
	return id, mqttsn.Accepted
}

// knows reports whether the topic has an identifier.
func (o *outbox) knows(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.topics.named(topic)
	return t != nil && t.id != 0
}
