package client

import (
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// limits are what a server states in CONNACK, for one connection.
type limits struct {
	receiveMaximum int
	maxQoS         uint8
	maxPacket      int // 0 = none
	topicAliasMax  uint16
	retain         bool
	wildcards      bool
	subscriptionID bool
	shared         bool
}

func noLimits() limits {
	return limits{receiveMaximum: 65535, maxQoS: 2, retain: true, wildcards: true, subscriptionID: true, shared: true}
}

// limitsOf reads the properties of CONNACK; 3.x servers state none.
func limitsOf(p mqtt.Properties) limits {
	l := noLimits()
	for prop := range p.All() {
		switch prop.ID {
		case mqtt.PropReceiveMaximum:
			l.receiveMaximum = int(prop.Num)
		case mqtt.PropMaximumQoS:
			l.maxQoS = uint8(prop.Num)
		case mqtt.PropMaximumPacketSize:
			l.maxPacket = int(prop.Num)
		case mqtt.PropTopicAliasMaximum:
			l.topicAliasMax = uint16(prop.Num)
		case mqtt.PropRetainAvailable:
			l.retain = prop.Num != 0
		case mqtt.PropWildcardSubscriptionAvailable:
			l.wildcards = prop.Num != 0
		case mqtt.PropSubscriptionIDAvailable:
			l.subscriptionID = prop.Num != 0
		case mqtt.PropSharedSubscriptionAvailable:
			l.shared = prop.Num != 0
		}
	}
	return l
}

// publish checks m, whose packet has size bytes and names the given alias.
func (l *limits) publish(p *mqtt.Publish, alias uint16, size int) error {
	switch {
	case p.QoS > l.maxQoS: // [MQTT-3.2.2-11]
		return &LimitError{Property: mqtt.PropMaximumQoS, Limit: uint32(l.maxQoS), Actual: uint32(p.QoS)}
	case p.Retain && !l.retain: // [MQTT-3.2.2-14]
		return &LimitError{Property: mqtt.PropRetainAvailable, Actual: 1}
	case alias > l.topicAliasMax: // [MQTT-3.2.2-17]
		return &LimitError{Property: mqtt.PropTopicAliasMaximum, Limit: uint32(l.topicAliasMax), Actual: uint32(alias)}
	}
	return l.size(size)
}

func (l *limits) size(n int) error {
	if l.maxPacket > 0 && n > l.maxPacket { // [MQTT-3.2.2-15]
		return &LimitError{Property: mqtt.PropMaximumPacketSize, Limit: uint32(l.maxPacket), Actual: uint32(n)}
	}
	return nil
}

func (l *limits) subscribe(s *mqtt.Subscribe) error {
	for _, f := range s.Filters {
		switch {
		case !l.wildcards && strings.ContainsAny(f.Filter, "+#"):
			return &LimitError{Property: mqtt.PropWildcardSubscriptionAvailable, Actual: 1}
		case !l.shared && strings.HasPrefix(f.Filter, "$share/"):
			return &LimitError{Property: mqtt.PropSharedSubscriptionAvailable, Actual: 1}
		}
	}
	if !l.subscriptionID && s.Properties.Has(mqtt.PropSubscriptionIdentifier) {
		return &LimitError{Property: mqtt.PropSubscriptionIDAvailable, Actual: 1}
	}
	return nil
}
