package mqtt

import (
	"time"
	"unsafe"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/message"
)

// outbound is what the client has said about deliveries. Its fields are set
// before the session is attached; aliases belong to the writer's lock.
type outbound struct {
	version   mqtt.Version
	maxPacket int // 0: no limit
	aliasMax  int
	aliases   map[string]uint16
	scratch   mqtt.Properties
}

func (o *outbound) init(p *mqtt.Connect, ownAliasMax int) {
	o.version = p.Version
	if v, ok := p.Properties.Uint32(mqtt.PropMaximumPacketSize); ok {
		o.maxPacket = int(v)
	}
	if v, ok := p.Properties.Uint16(mqtt.PropTopicAliasMaximum); ok {
		o.aliasMax = min(int(v), ownAliasMax) // the server is free to use fewer
	}
}

func (o *outbound) tooLarge(n int) bool { return o.maxPacket > 0 && n > o.maxPacket }

// fits reports whether the packet is within the client's maximum packet size
// at its largest: with the topic and an alias. // [MQTT-3.1.2-24]
func (o *outbound) fits(d *message.Delivery) bool {
	if o.maxPacket == 0 {
		return true
	}
	m := d.Message
	p := mqtt.Publish{QoS: d.QoS, PacketID: 1, Topic: bytesOf(m.Topic), Payload: m.Payload}
	if o.version == mqtt.V5 {
		p.Properties = o.properties(nil, d, time.Time{})
		if o.aliasMax > 0 {
			p.Properties = p.Properties.AppendUint16(mqtt.PropTopicAlias, 1)
		}
	}
	return !o.tooLarge(p.Size(o.version))
}

// bytesOf is a view of s, for the codec, which only reads it.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// properties are those of the message and of this hop. Without anything of
// this hop they are the message's own, not copied.
func (o *outbound) properties(dst mqtt.Properties, d *message.Delivery, now time.Time) mqtt.Properties {
	m := d.Message
	if m.Expires.IsZero() && len(d.SubscriptionIDs) == 0 {
		return m.Properties
	}
	dst = append(dst, m.Properties...)
	if left, ok := m.RemainingExpiry(now); ok {
		dst = dst.AppendUint32(mqtt.PropMessageExpiryInterval, left) // [MQTT-3.3.2-6]
	}
	for _, id := range d.SubscriptionIDs {
		dst = dst.AppendVarint(mqtt.PropSubscriptionIdentifier, id) // [MQTT-3.3.4-3]
	}
	return dst
}

// Deliver implements broker.Receiver.
func (c *conn) Deliver(d *message.Delivery) bool {
	var bad error
	ok := c.Append(func(dst []byte) []byte {
		b, err := c.appendDelivery(dst, d)
		if err != nil {
			bad = err
			return dst
		}
		c.g.count(b[len(dst):])
		return b
	})
	if bad != nil { // MQTT can not express it: it is as good as delivered
		c.Log().Error("message not deliverable", "err", bad)
	}
	return ok
}

func (c *conn) appendDelivery(dst []byte, d *message.Delivery) ([]byte, error) {
	o := &c.out
	if d.Release {
		return mqtt.Pubrel{PacketID: d.PacketID}.Append(dst, o.version)
	}
	m := d.Message
	p := mqtt.Publish{
		Dup: d.Dup, QoS: d.QoS, Retain: d.Retain, PacketID: d.PacketID,
		Topic: bytesOf(m.Topic), Payload: m.Payload,
	}
	if o.version == mqtt.V5 {
		p.Properties = o.properties(o.scratch[:0], d, time.Now())
		if o.aliasMax > 0 {
			c.useAlias(&p, m.Topic)
		}
	}
	return p.Append(dst, o.version)
}

// useAlias replaces the topic by an alias, defining one while there are any
// left: first come, first served. // [MQTT-3.3.2-12]
func (c *conn) useAlias(p *mqtt.Publish, topic string) {
	o := &c.out
	alias, known := o.aliases[topic]
	if !known && len(o.aliases) >= o.aliasMax {
		return
	}
	if known {
		p.Topic = nil
	} else {
		if o.aliases == nil {
			o.aliases = map[string]uint16{}
		}
		alias = uint16(len(o.aliases) + 1)
		o.aliases[topic] = alias
	}
	o.scratch = append(o.scratch[:0], p.Properties...)
	o.scratch = o.scratch.AppendUint16(mqtt.PropTopicAlias, alias)
	p.Properties = o.scratch
}
