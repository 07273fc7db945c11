package mqtt

import (
	"encoding/binary"
	"fmt"
)

// ack is what PUBACK, PUBREC, PUBREL and PUBCOMP have in common.
type ack struct {
	PacketID   uint16
	Code       ReasonCode
	Properties Properties
}

// parseAck reads an acknowledgement, which is exactly a packet identifier
// before 5.0. In 5.0 the properties, then the reason code may be left out.
func parseAck(t Type, body []byte, flags uint8, o *Options) (ack, error) {
	r := newReader(t, body, flags, o)
	a := ack{PacketID: r.packetID()}
	if r.v < V5 {
		return a, r.end()
	}
	if r.left() > 0 {
		a.Code = ReasonCode(r.uint8("reason code"))
		if !a.Code.AllowedIn(t) {
			r.flag(2, ProtocolError, "", ackClause(t), fmt.Sprintf("%v is not for %v", a.Code, t))
		}
	}
	if r.left() > 0 {
		a.Properties = r.properties(In(t))
	}
	return a, r.end()
}

// ackClause is the statement that limits the reason codes of t.
func ackClause(t Type) string {
	switch t {
	case TypePuback:
		return "MQTT-3.4.2-1"
	case TypePubrec:
		return "MQTT-3.5.2-1"
	case TypePubrel:
		return "MQTT-3.6.2-1"
	}
	return "MQTT-3.7.2-1"
}

func (a *ack) remaining(v Version) int {
	switch {
	case v < V5, a.Code == Success && len(a.Properties) == 0:
		return 2
	case len(a.Properties) == 0:
		return 3
	}
	return 3 + propertiesSize(a.Properties, v)
}

// append writes the shortest form. Before 5.0 reason code and properties have
// no place and are left out.
func (a *ack) append(dst []byte, t Type, v Version) ([]byte, error) {
	n := a.remaining(v)
	b, err := appendHeader(dst, t, t.Flags(), n)
	if err != nil {
		return dst, err
	}
	b = binary.BigEndian.AppendUint16(b, a.PacketID)
	if n > 2 {
		b = append(b, byte(a.Code))
	}
	if n > 3 {
		b = appendProperties(b, a.Properties, v)
	}
	return b, nil
}
