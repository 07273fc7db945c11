package dissect

import (
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// checkPhase judges whether a packet of type t may come now.
func (s *mqttState) checkPhase(x *mqttContext, t mqtt.Type) {
	m := &s.side[x.dir]
	if x.dir == FromClient && s.whole && s.connects == 0 && m.packets == 0 {
		x.breach("packet type", "MQTT3-3.1.0-1", "MQTT-3.1.0-1", "the first packet of a client must be CONNECT")
	}
	if x.dir == FromServer && t != mqtt.TypeConnack && (t != mqtt.TypeAuth || x.v < mqtt.V5) {
		switch {
		case s.whole && !s.connack && m.packets == 0:
			x.breach("packet type", "MQTT3-3.2.0-1", "MQTT-3.2.0-1", "the first packet of a server must be CONNACK")
		case s.refused:
			x.breach("packet type", "MQTT3-3.2.2-5", "MQTT-3.2.2-7", "it follows a CONNACK that refuses the connection")
		}
	}
	if m.ended {
		x.breach("packet type", "MQTT3-3.14.4-2", "MQTT-3.14.4-1", "it follows a DISCONNECT of the same side")
	}
}

// checkTime judges the silence of a client, and the size of a packet.
func (s *mqttState) checkTime(x *mqttContext) {
	m := &s.side[x.dir]
	if x.dir == FromClient && s.keepAlive > 0 && m.last != 0 && x.now.at != 0 {
		if d := time.Duration(x.now.at - m.last); d > s.keepAlive*3/2 {
			p := x.breach("packet type", "MQTT3-3.1.2-23", "MQTT-3.1.2-20",
				"the client was silent for %v, its keep alive is %v", d.Round(time.Millisecond), s.keepAlive)
			p.Advice = "A server must close the connection after one and a half times the keep alive." // [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
		}
	}
	if x.dir == Unknown {
		return
	}
	if most := s.side[peer(x.dir)].limits.size; most > 0 && x.size > most {
		rule := "MQTT-3.1.2-24"
		if x.dir == FromClient {
			rule = "MQTT-3.2.2-15"
		}
		p := x.breach("remaining length", "", rule, "%d bytes, the receiver takes at most %d", x.size, most)
		p.Advice = mqttAdvice(mqtt.PacketTooLarge, x.w.typeOr(mqtt.TypePublish), x.v)
	}
}

// typeOr is the type of the packet, or t on the quick way.
func (w *mqttWalk) typeOr(t mqtt.Type) mqtt.Type {
	if w == nil {
		return t
	}
	return w.typ
}

func (s *mqttState) checkConnect(x *mqttContext) {
	if x.dir == FromClient && s.connects > 0 {
		x.breach("packet type", "MQTT3-3.1.0-2", "MQTT-3.1.0-2", "a second CONNECT on the same connection")
	}
}

// noteConnect begins anew, whatever was said before.
func (s *mqttState) noteConnect(x *mqttContext, c *mqtt.Connect) {
	before := s.side
	s.side = [3]mqttSide{}
	for i := range s.side {
		s.side[i].packets = before[i].packets
		s.side[i].resumes = !c.CleanStart
	}
	s.version = min(max(c.Version, mqtt.V31), mqtt.V5)
	s.evidence = Evidence{}
	s.whole = true
	s.connects++
	s.connect = x.now
	s.clean, s.nameless, s.connack, s.refused = c.CleanStart, c.ClientID == "", false, false
	s.method = c.Properties.Has(mqtt.PropAuthenticationMethod)
	words, ok := c.Properties.Byte(mqtt.PropRequestProblemInformation)
	s.plain = ok && words == 0
	s.keepAlive = time.Duration(c.KeepAlive) * time.Second
	s.side[FromClient].limits = mqttLimitsOf(c.Properties)
}

// mqttLimitsOf are the limits that the properties of a CONNECT or CONNACK set.
func mqttLimitsOf(p mqtt.Properties) mqttLimits {
	l := mqttLimits{known: true, receive: 65535, qos: 2}
	for q := range p.All() {
		switch q.ID {
		case mqtt.PropReceiveMaximum:
			l.receive = int(q.Num)
		case mqtt.PropTopicAliasMaximum:
			l.alias = uint16(q.Num)
		case mqtt.PropMaximumPacketSize:
			l.size = int(q.Num)
		case mqtt.PropMaximumQoS:
			l.qos = uint8(q.Num)
		case mqtt.PropRetainAvailable:
			l.noRetained = q.Num == 0
		case mqtt.PropWildcardSubscriptionAvailable:
			l.noWildcard = q.Num == 0
		case mqtt.PropSharedSubscriptionAvailable:
			l.noShared = q.Num == 0
		case mqtt.PropSubscriptionIDAvailable:
			l.noSubscriptionID = q.Num == 0
		}
	}
	return l
}

func (s *mqttState) checkConnack(x *mqttContext, c *mqtt.Connack) {
	if x.dir == FromServer && s.connack {
		x.breach("packet type", "MQTT3-3.2.0-1", "MQTT-3.2.0-2", "a second CONNACK on the same connection")
	}
	if s.connects == 0 || s.connack {
		return
	}
	if c.SessionPresent && s.clean {
		x.breach("session present", "MQTT3-3.2.2-1", "MQTT-3.2.2-2", "session present, but the client asked for a session without a past")
	}
	if x.v >= mqtt.V5 && s.nameless && !c.Code.IsError() && !c.Properties.Has(mqtt.PropAssignedClientIdentifier) {
		x.breach("property length", "", "MQTT-3.2.2-16", "the client has no identifier, and none is assigned")
	}
}

func (s *mqttState) noteConnack(x *mqttContext, c *mqtt.Connack) (done mqttStep) {
	if s.whole && s.connects == 0 {
		s.loose = true
	}
	if !s.connack {
		done = s.connect
	}
	s.connack, s.refused = true, c.Code != mqtt.Success
	if x.v != mqtt.V31 && !c.SessionPresent {
		s.side[FromServer].resumes = false
		if x.v >= mqtt.V5 { // before, a client may go on with its own part
			s.side[FromClient].resumes = false
		}
	}
	if x.v >= mqtt.V5 {
		s.side[FromServer].limits = mqttLimitsOf(c.Properties)
		if k, ok := c.Properties.Uint16(mqtt.PropServerKeepAlive); ok { // [MQTT-3.1.2-21]
			s.keepAlive = time.Duration(k) * time.Second
		}
	}
	return done
}

// mqttPings is how many PINGREQ may wait for an answer and be remembered.
const mqttPings = 16

func (s *mqttState) notePing(x *mqttContext) {
	if m := &s.side[x.dir]; len(m.pings) < mqttPings {
		m.pings = append(m.pings, x.now)
	}
}

func (s *mqttState) checkPong(x *mqttContext) {
	if s.complete(x) && len(s.side[peer(x.dir)].pings) == 0 {
		x.breach("packet type", "MQTT3-3.12.4-1", "MQTT-3.12.4-1", "there is no PINGREQ that it answers")
	}
}

// notePong ends the oldest PINGREQ.
func (s *mqttState) notePong(x *mqttContext) (done mqttStep) {
	m := &s.side[peer(x.dir)]
	if len(m.pings) > 0 {
		done = m.pings[0]
		m.pings = append(m.pings[:0], m.pings[1:]...)
	}
	return done
}

// checkWords judges what tells people why, which a client may not want.
func (s *mqttState) checkWords(x *mqttContext, p mqtt.Properties) {
	if len(p) == 0 || !s.plain || x.dir != FromServer {
		return
	}
	for _, id := range []mqtt.PropertyID{mqtt.PropReasonString, mqtt.PropUserProperty} {
		if p.Has(id) {
			x.breach(propertyName(id), "", "MQTT-3.1.2-29", "%s, though the client wants none", propertyName(id))
		}
	}
}

// checkSubscribe judges a SUBSCRIBE by what the server has said that it does not do.
func (s *mqttState) checkSubscribe(x *mqttContext, p *mqtt.Subscribe) {
	l := &s.side[FromServer].limits
	if x.dir != FromClient || !l.known {
		return
	}
	if l.noSubscriptionID && p.Properties.Has(mqtt.PropSubscriptionIdentifier) {
		x.breach("subscription identifier", "", "MQTT-3.2.2.3.12", "subscription identifier, which the server does not do")
	}
	for _, f := range p.Filters {
		if shared := strings.HasPrefix(f.Filter, "$share/"); shared && l.noShared {
			x.breach("topic filter", "", "MQTT-3.2.2.3.13", "shared subscription, which the server does not do")
			return
		}
		if l.noWildcard && strings.ContainsAny(f.Filter, "+#") {
			x.breach("topic filter", "", "MQTT-3.2.2.3.11", "wildcard, which the server does not do")
			return
		}
	}
}

func (s *mqttState) checkAuth(x *mqttContext) {
	if s.connects == 0 || s.method || x.dir == Unknown {
		return
	}
	rule := "MQTT-4.12.0-6"
	if x.dir == FromClient {
		rule = "MQTT-4.12.0-7"
	}
	x.breach("packet type", "", rule, "the CONNECT has no authentication method")
}
