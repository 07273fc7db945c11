package mqtt

import (
	"encoding/binary"
	"fmt"
)

// Suback answers SUBSCRIBE with one code per filter, in their order.
type Suback struct {
	PacketID   uint16
	Properties Properties
	Codes      []ReasonCode // before 5.0 0, 1, 2 or 0x80; Append turns other errors into 0x80
}

// ParseSuback reads the body of a SUBACK packet.
func ParseSuback(body []byte, flags uint8, o *Options) (Suback, error) {
	r := newReader(TypeSuback, body, flags, o)
	s := Suback{PacketID: r.packetID(), Properties: r.properties(In(TypeSuback))}
	s.Codes = r.codes("MQTT3-3.9.3-1", "MQTT-3.9.3-1", "MQTT3-3.9.3-2", "MQTT-3.9.3-2")
	return s, r.result()
}

// codes reads the rest of the body as a list of reason codes. The clauses are
// those against an empty list and against foreign codes.
func (r *reader) codes(none3, none5, foreign3, foreign5 string) []ReasonCode {
	if r.err != nil {
		return nil
	}
	if r.left() == 0 {
		r.flag(r.off, MalformedPacket, none3, none5, "no reason code")
		return nil
	}
	list := make([]ReasonCode, 0, r.left())
	for _, b := range r.b[r.off:] {
		c := ReasonCode(b)
		if (r.v < V5 && c != 0x80 && c > 2 || r.v >= V5 && !c.AllowedIn(r.typ)) && r.listens() {
			r.flag(r.off, ProtocolError, foreign3, foreign5, fmt.Sprintf("%v is not for %v", c, r.typ))
		}
		if r.err != nil {
			break
		}
		list = append(list, c)
		r.off++
	}
	return list
}

func (Suback) Type() Type { return TypeSuback }

func (s Suback) remaining(v Version) int {
	return 2 + propertiesSize(s.Properties, v) + len(s.Codes)
}

// Size implements Packet.
func (s Suback) Size(v Version) int { return packetSize(s.remaining(v)) }

// Append implements Packet.
func (s Suback) Append(dst []byte, v Version) ([]byte, error) {
	b, err := appendHeader(dst, TypeSuback, 0, s.remaining(v))
	if err != nil {
		return dst, err
	}
	b = binary.BigEndian.AppendUint16(b, s.PacketID)
	b = appendProperties(b, s.Properties, v)
	for _, c := range s.Codes {
		if v < V5 && c.IsError() {
			c = UnspecifiedError // [MQTT3-3.9.3-2]
		}
		b = append(b, byte(c))
	}
	return b, nil
}
