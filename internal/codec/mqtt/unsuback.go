package mqtt

import "encoding/binary"

// Unsuback answers UNSUBSCRIBE, in 5.0 with one code per filter.
type Unsuback struct {
	PacketID   uint16
	Properties Properties   // 5.0
	Codes      []ReasonCode // 5.0
}

// ParseUnsuback reads the body of an UNSUBACK packet.
func ParseUnsuback(body []byte, flags uint8, o *Options) (Unsuback, error) {
	r := newReader(TypeUnsuback, body, flags, o)
	u := Unsuback{PacketID: r.packetID(), Properties: r.properties(In(TypeUnsuback))}
	if r.v < V5 {
		return u, r.end()
	}
	u.Codes = r.codes("", "MQTT-3.11.3-1", "", "MQTT-3.11.3-2")
	return u, r.result()
}

func (Unsuback) Type() Type { return TypeUnsuback }

func (u Unsuback) remaining(v Version) int {
	if v < V5 {
		return 2
	}
	return 2 + propertiesSize(u.Properties, v) + len(u.Codes)
}

// Size implements Packet.
func (u Unsuback) Size(v Version) int { return packetSize(u.remaining(v)) }

// Append implements Packet.
func (u Unsuback) Append(dst []byte, v Version) ([]byte, error) {
	b, err := appendHeader(dst, TypeUnsuback, 0, u.remaining(v))
	if err != nil {
		return dst, err
	}
	b = binary.BigEndian.AppendUint16(b, u.PacketID)
	if v < V5 {
		return b, nil
	}
	b = appendProperties(b, u.Properties, v)
	for _, c := range u.Codes {
		b = append(b, byte(c))
	}
	return b, nil
}
