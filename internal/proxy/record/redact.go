package record

import (
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// redact takes passwords and authentication data out of a packet. A packet without
// any is returned as it is.
func redact(b []byte, v mqtt.Version) ([]byte, bool) {
	if len(b) == 0 {
		return b, false
	}
	var p mqtt.Packet
	switch t := mqtt.Type(b[0] >> 4); t {
	case mqtt.TypeConnect, mqtt.TypeConnack, mqtt.TypeAuth:
		var err error
		if p, _, err = mqtt.Parse(b, mqtt.Options{Version: v, Lenient: true, EitherSide: true}); err != nil {
			return []byte{b[0], 0}, true // who knows where it is in there
		}
	default:
		return b, false
	}
	hidden := false
	switch q := p.(type) {
	case mqtt.Connect:
		if len(q.Password) > 0 {
			q.Password, hidden = nil, true
		}
		hidden = hide(&q.Properties) || hidden
		p = q
	case mqtt.Connack:
		hidden = hide(&q.Properties)
		p = q
	case mqtt.Auth:
		hidden = hide(&q.Properties)
		p = q
	}
	if !hidden {
		return b, false
	}
	out, err := p.Append(nil, v)
	if err != nil {
		return []byte{b[0], 0}, true
	}
	return out, true
}

// hide empties authentication data.
func hide(p *mqtt.Properties) bool {
	if data, ok := p.Bytes(mqtt.PropAuthenticationData); !ok || len(data) == 0 {
		return false
	}
	*p = append(mqtt.Properties(nil), p.Without(mqtt.PropAuthenticationData)...).AppendBytes(mqtt.PropAuthenticationData, nil)
	return true
}
