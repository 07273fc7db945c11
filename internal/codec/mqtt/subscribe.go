package mqtt

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Subscribe asks for subscriptions.
type Subscribe struct {
	PacketID   uint16
	Properties Properties
	Filters    []Subscription
}

// Subscription is a topic filter with its options. Before 5.0 there is only QoS.
type Subscription struct {
	Filter            string
	QoS               uint8 // the most that the client wants
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    uint8 // 0 send retained, 1 only for a new subscription, 2 never
}

// ParseSubscribe reads the body of a SUBSCRIBE packet. The wildcards of the
// filters are not judged.
func ParseSubscribe(body []byte, flags uint8, o *Options) (Subscribe, error) {
	r := newReader(TypeSubscribe, body, flags, o)
	s := Subscribe{PacketID: r.packetID(), Properties: r.properties(In(TypeSubscribe))}
	if r.err == nil && r.left() == 0 {
		r.flag(r.off, ProtocolError, "MQTT3-3.8.3-3", "MQTT-3.8.3-2", "no topic filter")
	}
	for r.left() > 0 {
		if f := r.subscription(); r.err == nil {
			s.Filters = append(s.Filters, f)
		}
	}
	return s, r.result()
}

func (r *reader) filter() string {
	at := r.off
	f := r.text("topic filter") // [MQTT-3.8.3-1] [MQTT3-3.8.3-1] [MQTT-3.10.3-1] [MQTT3-3.10.3-1]
	if len(f) == 0 {
		r.flag(at, MalformedPacket, "MQTT3-4.7.3-1", "MQTT-4.7.3-1", "topic filter is empty")
	}
	return string(f)
}

func (r *reader) subscription() Subscription {
	f := Subscription{Filter: r.filter()}
	at := r.off
	bits := r.uint8("subscription options")
	f.QoS = bits & 3
	if r.v < V5 {
		if bits > 2 {
			r.flag(at, MalformedPacket, "MQTT3-3.8.3-4", "", fmt.Sprintf("requested QoS %#x", bits))
		}
		return f
	}
	f.NoLocal, f.RetainAsPublished, f.RetainHandling = bits&4 != 0, bits&8 != 0, bits>>4&3
	if f.QoS == 3 {
		r.flag(at, ProtocolError, "", "MQTT-3.8.3.1", "maximum QoS 3")
	}
	if f.RetainHandling == 3 {
		r.flag(at, ProtocolError, "", "MQTT-3.8.3.1", "retain handling 3")
	}
	if bits&0xc0 != 0 {
		r.flag(at, MalformedPacket, "", "MQTT-3.8.3-5", "reserved subscription options are set")
	}
	if f.NoLocal && strings.HasPrefix(f.Filter, "$share/") {
		r.flag(at, ProtocolError, "", "MQTT-3.8.3-4", "no local on a shared subscription")
	}
	return f
}

func (Subscribe) Type() Type { return TypeSubscribe }

func (s Subscribe) remaining(v Version) int {
	n := 2 + propertiesSize(s.Properties, v)
	for i := range s.Filters {
		n += 2 + len(s.Filters[i].Filter) + 1
	}
	return n
}

// Size implements Packet.
func (s Subscribe) Size(v Version) int { return packetSize(s.remaining(v)) }

// Append implements Packet. Before 5.0 only filter and QoS are written.
func (s Subscribe) Append(dst []byte, v Version) ([]byte, error) {
	for _, f := range s.Filters {
		if err := fits(TypeSubscribe, len(f.Filter)); err != nil {
			return dst, err
		}
		if f.QoS > 2 || f.RetainHandling > 2 {
			return dst, fmt.Errorf("append SUBSCRIBE: QoS %d, retain handling %d: %w", f.QoS, f.RetainHandling, ErrUnencodable)
		}
	}
	b, err := appendHeader(dst, TypeSubscribe, TypeSubscribe.Flags(), s.remaining(v))
	if err != nil {
		return dst, err
	}
	b = binary.BigEndian.AppendUint16(b, s.PacketID)
	b = appendProperties(b, s.Properties, v)
	for _, f := range s.Filters {
		b = append(appendString(b, f.Filter), f.options(v))
	}
	return b, nil
}

func (f *Subscription) options(v Version) byte {
	bits := f.QoS
	if v < V5 {
		return bits
	}
	if f.NoLocal {
		bits |= 4
	}
	if f.RetainAsPublished {
		bits |= 8
	}
	return bits | f.RetainHandling<<4
}
