package fault

import (
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// refusal is the packet by which the receiver of p refuses it in version v. why says
// in words why there is none; then ends tells whether the connection is to be closed
// instead, as the version would have it.
func refusal(p mqtt.Packet, code mqtt.ReasonCode, v mqtt.Version) (answer mqtt.Packet, ends bool, why string) {
	if v >= mqtt.V5 {
		if reason, ok := mqtt.ReasonOf(code); ok {
			code = reason
		}
	}
	switch p := p.(type) {
	case mqtt.Connect:
		return mqtt.Connack{Code: code}, true, ""
	case mqtt.Publish:
		switch {
		case p.QoS == 0:
			return nil, false, "QoS 0 has no answer: dropped"
		case v < mqtt.V5:
			return nil, true, fmt.Sprintf("MQTT %v cannot refuse a PUBLISH: closed", v)
		case p.QoS == 1:
			return mqtt.Puback{PacketID: p.PacketID, Code: code}, false, ""
		}
		return mqtt.Pubrec{PacketID: p.PacketID, Code: code}, false, ""
	case mqtt.Subscribe:
		s := mqtt.Suback{PacketID: p.PacketID}
		for range p.Filters {
			s.Codes = append(s.Codes, code)
		}
		return s, false, ""
	case mqtt.Unsubscribe:
		if v < mqtt.V5 {
			return nil, true, fmt.Sprintf("MQTT %v cannot refuse an UNSUBSCRIBE: closed", v)
		}
		u := mqtt.Unsuback{PacketID: p.PacketID}
		for range p.Filters {
			u.Codes = append(u.Codes, code)
		}
		return u, false, ""
	case mqtt.Pubrel:
		if v >= mqtt.V5 {
			return mqtt.Pubcomp{PacketID: p.PacketID, Code: code}, false, ""
		}
	case mqtt.Pubrec:
		if v >= mqtt.V5 {
			return mqtt.Pubrel{PacketID: p.PacketID, Code: code}, false, ""
		}
	}
	if v >= mqtt.V5 {
		return mqtt.Disconnect{Code: code}, true, ""
	}
	return nil, true, fmt.Sprintf("MQTT %v has no refusal for %v: closed", v, p.Type())
}
