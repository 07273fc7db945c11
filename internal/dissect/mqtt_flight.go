package dissect

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// checkPublish judges a PUBLISH by the limits of its receiver, its alias and its
// packet identifier.
func (s *mqttState) checkPublish(x *mqttContext, p *mqtt.Publish) {
	m := &s.side[x.dir]
	if len(p.Properties) > 0 {
		s.checkAlias(x, m, p)
	}
	limits := &s.side[peer(x.dir)].limits
	known := limits.known && x.dir != Unknown
	if known && p.QoS > limits.qos {
		x.breach("QoS", "", "MQTT-3.2.2-11", "QoS %d, the receiver takes at most %d", p.QoS, limits.qos)
	}
	if known && p.Retain && limits.noRetained {
		x.breach("retain", "", "MQTT-3.2.2-14", "retain, which the receiver does not do")
	}
	if p.QoS == 0 || !s.inStep(x) {
		return
	}
	open := m.open.get(p.PacketID)
	used := open != nil
	switch {
	case used && !p.Dup:
		v3, v5 := "MQTT3-2.3.1-2", "MQTT-2.2.1-3"
		if x.dir == FromServer {
			v3, v5 = "MQTT3-2.3.1-4", "MQTT-2.2.1-4"
		}
		x.breach("packet id", v3, v5, "packet id %d is still in use%s", p.PacketID, by(open.first))
	case used && open.typ == mqtt.TypePublish && open.stage >= stageReceived:
		x.breach("packet id", "MQTT3-4.3.3-1", "MQTT-4.3.3-6", "sent again, though its PUBREC has come")
	case used && x.v >= mqtt.V5:
		x.breach("packet id", "", "MQTT-4.4.0-1", "sent again on the same connection%s", by(open.first))
	case !used && p.Dup && s.whole && !m.resumes:
		problem := x.breach("packet id", "MQTT3-3.3.1-1", "MQTT-3.3.1-1", "dup, but packet id %d was never sent before", p.PacketID)
		problem.Warning, problem.Advice = true, ""
	}
	if known && x.v >= mqtt.V5 && s.whole && !used && m.inFlight >= limits.receive {
		rule := "MQTT-3.3.4-7"
		if x.dir == FromServer {
			rule = "MQTT-3.3.4-9"
		}
		problem := x.breach("packet id", "", rule, "%d in flight, the receiver takes at most %d", m.inFlight+1, limits.receive)
		problem.Advice = mqttAdvice(mqtt.ReceiveMaximumExceeded, mqtt.TypePublish, x.v)
	}
}

// by names a packet.
func by(number int) string {
	if number == 0 {
		return ""
	}
	return fmt.Sprintf(" (packet %d)", number)
}

// checkAlias finds the alias and its topic.
func (s *mqttState) checkAlias(x *mqttContext, m *mqttSide, p *mqtt.Publish) {
	alias, _ := p.Properties.Uint16(mqtt.PropTopicAlias)
	if x.alias = alias; alias == 0 {
		return
	}
	advice := func(p *Problem) { p.Advice = mqttAdvice(mqtt.TopicAliasInvalid, mqtt.TypePublish, x.v) }
	if l := &s.side[peer(x.dir)].limits; x.dir != Unknown && l.known && alias > l.alias {
		rules := [2]string{"MQTT-3.1.2-26", "MQTT-3.1.2-27"} // [MQTT-3.3.2-11]
		if x.dir == FromClient {
			rules = [2]string{"MQTT-3.2.2-17", "MQTT-3.2.2-18"} // [MQTT-3.3.2-9]
		}
		if l.alias == 0 {
			advice(x.breach("topic alias", "", rules[1], "topic alias %d, the receiver takes none", alias))
		} else {
			advice(x.breach("topic alias", "", rules[0], "topic alias %d, the receiver takes at most %d", alias, l.alias))
		}
	}
	if len(p.Topic) > 0 {
		return
	}
	topic, ok := m.aliases[uint32(alias)]
	if x.topic = topic; !ok && s.whole && x.dir != Unknown {
		x.breach("topic alias", "", "MQTT-3.3.2.3.4", "topic alias %d does not stand for a topic yet", alias)
	}
}

// aliasBytes is the most of topics that are remembered for their aliases.
const aliasBytes = 1 << 20

func (s *mqttState) notePublish(x *mqttContext, p *mqtt.Publish) {
	m := &s.side[x.dir]
	if alias := x.alias; alias > 0 && len(p.Topic) > 0 {
		if old, ok := m.aliases[uint32(alias)]; !ok || old != string(p.Topic) {
			m.alias(alias, p.Topic, len(old))
		}
	}
	if p.QoS == 0 || p.QoS > 2 {
		return
	}
	if p.Dup {
		if open := m.open.get(p.PacketID); open != nil && open.typ == mqtt.TypePublish {
			return // answered as the first one
		}
	}
	s.begin(x, mqttOpen{id: p.PacketID, typ: mqtt.TypePublish, qos: p.QoS})
}

// alias remembers a topic; one of old bytes goes. There may be too much of them:
// then the alias is known, and the topic is not.
func (m *mqttSide) alias(alias uint16, topic []byte, old int) {
	if m.aliases == nil {
		m.aliases = map[uint32]string{}
	}
	m.aliasBytes -= old
	if m.aliasBytes+len(topic) > aliasBytes {
		topic = nil
	}
	m.aliasBytes += len(topic)
	m.aliases[uint32(alias)] = string(topic)
}

// begin remembers that open waits for an answer.
func (s *mqttState) begin(x *mqttContext, open mqttOpen) {
	m := &s.side[x.dir]
	open.mqttStep, open.first = x.now, x.now.number
	if old := m.open.get(open.id); old != nil && old.typ == mqtt.TypePublish {
		m.inFlight--
	}
	if open.typ == mqtt.TypePublish {
		m.inFlight++
	}
	m.open.put(open)
}

// end forgets it.
func (m *mqttSide) end(open *mqttOpen) {
	if open.typ == mqtt.TypePublish {
		m.inFlight--
	}
	m.open.remove(open)
}

// checkAck judges one of the four acknowledgements of PUBLISH.
func (s *mqttState) checkAck(x *mqttContext, t mqtt.Type, id uint16, c mqtt.ReasonCode) {
	if !s.inStep(x) {
		return
	}
	sender := peer(x.dir)
	if t == mqtt.TypePubrel {
		sender = x.dir
	}
	open := s.side[sender].open.get(id)
	ok := open != nil
	switch {
	case !ok && (c == mqtt.PacketIdentifierNotFound || !s.complete(x)):
	case !ok && t == mqtt.TypePubrel:
		if !s.side[sender].resumes {
			x.breach("packet id", "MQTT3-4.3.3-1", "MQTT-4.3.3-4", "there is no PUBREC with packet id %d that it answers", id)
		}
	case !ok && t == mqtt.TypePubcomp:
		x.breach("packet id", "MQTT3-4.3.3-2", "MQTT-4.3.3-11", "there is no PUBREL with packet id %d that it answers", id)
	case !ok:
		x.breach("packet id", "MQTT3-2.3.1-6", "MQTT-2.2.1-5", "there is no PUBLISH with packet id %d that it answers", id)
	case open.typ != mqtt.TypePublish:
		x.breach("packet id", "MQTT3-2.3.1-6", "MQTT-2.2.1-5", "packet id %d is that of a %v", id, open.typ)
	case t == mqtt.TypePuback && open.qos != 1:
		x.breach("packet type", "MQTT3-4.3.3-2", "MQTT-4.3.3-8", "PUBACK for a PUBLISH of QoS %d", open.qos)
	case t != mqtt.TypePuback && open.qos != 2:
		x.breach("packet type", "MQTT3-4.3.2-2", "MQTT-4.3.2-4", "%v for a PUBLISH of QoS %d", t, open.qos)
	case t == mqtt.TypePubrel && open.stage < stageReceived:
		x.breach("packet type", "MQTT3-4.3.3-1", "MQTT-4.3.3-3", "PUBREL before the PUBREC")
	case t == mqtt.TypePubcomp && open.stage < stageReleased:
		x.breach("packet type", "MQTT3-4.3.3-2", "MQTT-4.3.3-11", "PUBCOMP before the PUBREL")
	}
}

// noteAck moves the PUBLISH on, and returns what is answered.
func (s *mqttState) noteAck(x *mqttContext, t mqtt.Type, id uint16, c mqtt.ReasonCode) (done mqttStep) {
	m := &s.side[peer(x.dir)]
	if t == mqtt.TypePubrel {
		m = &s.side[x.dir]
	}
	open := m.open.get(id)
	if open == nil {
		if t == mqtt.TypePubrel { // of an earlier connection, or unseen
			m.inFlight++
			m.open.put(mqttOpen{mqttStep: x.now, first: x.now.number, id: id, typ: mqtt.TypePublish, qos: 2, stage: stageReleased})
		}
		return done
	}
	if open.typ != mqtt.TypePublish {
		return done
	}
	done = open.mqttStep
	switch {
	case t == mqtt.TypePubrel:
		open.qos, open.stage, open.mqttStep = 2, stageReleased, x.now
	case t == mqtt.TypePubrec && !c.IsError():
		open.stage, open.mqttStep = stageReceived, x.now
	default:
		m.end(open)
	}
	return done
}

// request judges and notes a SUBSCRIBE or UNSUBSCRIBE.
func (s *mqttState) request(x *mqttContext, open mqttOpen) {
	if old := s.side[x.dir].open.get(open.id); old != nil && s.inStep(x) {
		x.breach("packet id", "MQTT3-2.3.1-2", "MQTT-2.2.1-3", "packet id %d is still in use%s", open.id, by(old.first))
	}
	s.begin(x, open)
}

// answer judges and notes a SUBACK or UNSUBACK, which answers a packet of type t.
func (s *mqttState) answer(x *mqttContext, t mqtt.Type, id uint16, codes []mqtt.ReasonCode) (done mqttStep) {
	m := &s.side[peer(x.dir)]
	open := m.open.get(id)
	switch {
	case open == nil:
		if s.complete(x) {
			x.breach("packet id", "MQTT3-2.3.1-7", "MQTT-2.2.1-6", "there is no %v with packet id %d that it answers", t, id)
		}
		return done
	case open.typ != t:
		if s.inStep(x) {
			x.breach("packet id", "MQTT3-2.3.1-7", "MQTT-2.2.1-6", "packet id %d is that of a %v", id, open.typ)
		}
		return done
	}
	done, asked := open.mqttStep, open.asked
	m.end(open)
	if t == mqtt.TypeUnsubscribe {
		if x.v >= mqtt.V5 && len(codes) != asked.filters {
			x.breach("reason code", "", "MQTT-3.11.3-1", "codes for %d filters, asked for %d", len(codes), asked.filters)
		}
		return done
	}
	name := "reason code"
	if x.v < mqtt.V5 {
		name = "return code"
	}
	if len(codes) != asked.filters {
		x.breach(name, "MQTT3-3.8.4-5", "MQTT-3.8.4-6", "codes for %d filters, asked for %d", len(codes), asked.filters)
	}
	for i, c := range codes[:min(len(codes), len(asked.qos))] {
		if !c.IsError() && uint8(c) > asked.qos[i] {
			p := x.breach(name, "MQTT3-3.8.4-6", "MQTT-3.8.4-7", "filter %d is granted QoS %d, asked for %d", i+1, uint8(c), asked.qos[i])
			p.Off += i
		}
	}
	return done
}

// Finish implements Finisher.
func (MQTT) Finish(st *Stream) []Open {
	s, ok := st.shared.(*mqttState)
	if !ok || s.loose {
		return nil
	}
	s.sync(st)
	var all []Open
	add := func(number int, v3, v5, text string) {
		if s.version >= mqtt.V5 {
			v3 = v5
		}
		all = append(all, Open{number, Problem{Text: text, Rule: v3, Warning: true}})
	}
	if s.connects > 0 && !s.connack && s.side[FromServer].packets > 0 {
		add(s.connect.number, "MQTT3-3.2.0-1", "MQTT-3.2.0-1", "CONNECT without a CONNACK")
	}
	for d := range s.side {
		if m := &s.side[d]; s.side[peer(Direction(d))].packets > 0 {
			for i := range m.open.slots {
				if open := &m.open.slots[i]; open.typ != 0 {
					text, v3, v5 := open.missing()
					add(open.number, v3, v5, fmt.Sprintf("packet id %d: %s", open.id, text))
				}
			}
			for _, p := range m.pings {
				add(p.number, "MQTT3-3.12.4-1", "MQTT-3.12.4-1", "PINGREQ without a PINGRESP")
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Open) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Text, b.Text))
	})
	return all
}

// missing says what a packet waits for.
func (o *mqttOpen) missing() (text, v3, v5 string) {
	switch {
	case o.typ == mqtt.TypeSubscribe:
		return "SUBSCRIBE without a SUBACK", "MQTT3-3.8.4-1", "MQTT-3.8.4-1"
	case o.typ == mqtt.TypeUnsubscribe:
		return "UNSUBSCRIBE without an UNSUBACK", "MQTT3-3.10.4-4", "MQTT-3.10.4-4"
	case o.qos == 1:
		return "PUBLISH without a PUBACK", "MQTT3-4.3.2-2", "MQTT-4.3.2-4"
	case o.stage == stageReceived:
		return "PUBREC without a PUBREL", "MQTT3-4.3.3-1", "MQTT-4.3.3-4"
	case o.stage == stageReleased:
		return "PUBREL without a PUBCOMP", "MQTT3-4.3.3-2", "MQTT-4.3.3-11"
	}
	return "PUBLISH without a PUBREC", "MQTT3-4.3.3-2", "MQTT-4.3.3-8"
}
