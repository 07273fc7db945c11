package mqtt

import "encoding/binary"

// Unsubscribe ends subscriptions.
type Unsubscribe struct {
	PacketID   uint16
	Properties Properties
	Filters    []string
}

// ParseUnsubscribe reads the body of an UNSUBSCRIBE packet.
func ParseUnsubscribe(body []byte, flags uint8, o *Options) (Unsubscribe, error) {
	r := newReader(TypeUnsubscribe, body, flags, o)
	u := Unsubscribe{PacketID: r.packetID(), Properties: r.properties(In(TypeUnsubscribe))}
	if r.err == nil && r.left() == 0 {
		r.flag(r.off, ProtocolError, "MQTT3-3.10.3-2", "MQTT-3.10.3-2", "no topic filter")
	}
	for r.left() > 0 {
		if f := r.filter(); r.err == nil {
			u.Filters = append(u.Filters, f)
		}
	}
	return u, r.result()
}

func (Unsubscribe) Type() Type { return TypeUnsubscribe }

func (u Unsubscribe) remaining(v Version) int {
	n := 2 + propertiesSize(u.Properties, v)
	for _, f := range u.Filters {
		n += 2 + len(f)
	}
	return n
}

// Size implements Packet.
func (u Unsubscribe) Size(v Version) int { return packetSize(u.remaining(v)) }

// Append implements Packet.
func (u Unsubscribe) Append(dst []byte, v Version) ([]byte, error) {
	for _, f := range u.Filters {
		if err := fits(TypeUnsubscribe, len(f)); err != nil {
			return dst, err
		}
	}
	b, err := appendHeader(dst, TypeUnsubscribe, TypeUnsubscribe.Flags(), u.remaining(v))
	if err != nil {
		return dst, err
	}
	b = binary.BigEndian.AppendUint16(b, u.PacketID)
	b = appendProperties(b, u.Properties, v)
	for _, f := range u.Filters {
		b = appendString(b, f)
	}
	return b, nil
}
