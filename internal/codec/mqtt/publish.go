package mqtt

import (
	"encoding/binary"
	"fmt"
)

// Publish carries an application message. Its slices alias the parsed body.
type Publish struct {
	Dup        bool
	QoS        uint8
	Retain     bool
	Topic      []byte // empty when a topic alias stands for it
	PacketID   uint16 // 0 at QoS 0
	Properties Properties
	Payload    []byte
}

// ParsePublish reads the body of a PUBLISH packet without allocating.
func ParsePublish(body []byte, flags uint8, o *Options) (Publish, error) {
	r := newReader(TypePublish, body, flags, o)
	p := Publish{Dup: flags&8 != 0, QoS: flags >> 1 & 3, Retain: flags&1 != 0}
	if p.QoS == 3 {
		r.flag(InHeader, MalformedPacket, "MQTT3-3.3.1-4", "MQTT-3.3.1-4", "QoS 3")
	}
	if p.Dup && p.QoS == 0 {
		r.flag(InHeader, MalformedPacket, "MQTT3-3.3.1-2", "MQTT-3.3.1-2", "DUP at QoS 0")
	}
	p.Topic = r.bytes("topic")
	r.name(0, p.Topic, "MQTT3-3.3.2-2", "MQTT-3.3.2-2", "topic") // [MQTT-3.3.2-1] [MQTT3-3.3.2-1]
	if p.QoS > 0 {                                               // [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
		p.PacketID = r.packetID()
	}
	p.Properties = r.properties(In(TypePublish))
	if len(p.Topic) == 0 && r.err == nil {
		r.emptyTopic(p.Properties)
	}
	if r.err == nil {
		p.Payload = r.b[r.off:len(r.b):len(r.b)]
		r.declaredText(r.off, p.Properties, p.Payload, "payload")
	}
	return p, r.result()
}

func (r *reader) emptyTopic(p Properties) {
	if r.v < V5 {
		r.flag(0, TopicNameInvalid, "MQTT3-4.7.3-1", "", "topic is empty")
	} else if !p.Has(PropTopicAlias) {
		r.flag(0, ProtocolError, "", "MQTT-3.3.2.1", "neither topic nor topic-alias")
	}
}

func (Publish) Type() Type { return TypePublish }

func (p *Publish) remaining(v Version) int {
	n := 2 + len(p.Topic) + propertiesSize(p.Properties, v) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	return n
}

// Size implements Packet.
func (p Publish) Size(v Version) int { return packetSize(p.remaining(v)) }

// Append implements Packet. It allocates only to grow dst.
func (p Publish) Append(dst []byte, v Version) ([]byte, error) {
	if p.QoS > 2 {
		return dst, fmt.Errorf("append PUBLISH: QoS %d: %w", p.QoS, ErrUnencodable)
	}
	if len(p.Topic) > MaxFieldBytes {
		return dst, fmt.Errorf("append PUBLISH: topic: %w", ErrTooLong)
	}
	remaining := p.remaining(v)
	flags := p.QoS << 1
	if p.Dup {
		flags |= 8
	}
	if p.Retain {
		flags |= 1
	}
	b, err := appendHeader(dst, TypePublish, flags, remaining)
	if err != nil {
		return dst, err
	}
	b = appendBytes(b, p.Topic)
	if p.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, p.PacketID)
	}
	return append(appendProperties(b, p.Properties, v), p.Payload...), nil
}
