package mqtt

import "fmt"

// Disconnect ends a connection; before 5.0 only clients send it and it is empty.
type Disconnect struct {
	Code       ReasonCode // 5.0
	Properties Properties // 5.0
}

// ParseDisconnect reads the body of a DISCONNECT packet. In 5.0 the
// properties, then the reason code may be left out.
func ParseDisconnect(body []byte, flags uint8, o *Options) (Disconnect, error) {
	r := newReader(TypeDisconnect, body, flags, o)
	var d Disconnect
	if r.v < V5 {
		return d, r.end()
	}
	if r.left() > 0 {
		d.Code = ReasonCode(r.uint8("reason code"))
		switch {
		case !d.Code.AllowedIn(TypeDisconnect):
			r.flag(0, ProtocolError, "", "MQTT-3.14.2-1", fmt.Sprintf("%v is not for DISCONNECT", d.Code))
		case !o.EitherSide && !o.FromServer && !d.Code.fromClient():
			r.flag(0, ProtocolError, "", "MQTT-3.14.2-1", fmt.Sprintf("%v sent by a client", d.Code))
		case !o.EitherSide && o.FromServer && d.Code == DisconnectWithWill:
			r.flag(0, ProtocolError, "", "MQTT-3.14.2-1", fmt.Sprintf("%v sent by a server", d.Code))
		}
	}
	if r.left() > 0 {
		d.Properties = r.properties(In(TypeDisconnect))
	}
	return d, r.end()
}

func (Disconnect) Type() Type { return TypeDisconnect }

func (d Disconnect) remaining(v Version) int {
	switch {
	case v < V5, d.Code == NormalDisconnection && len(d.Properties) == 0:
		return 0
	case len(d.Properties) == 0:
		return 1
	}
	return 1 + propertiesSize(d.Properties, v)
}

// Size implements Packet.
func (d Disconnect) Size(v Version) int { return packetSize(d.remaining(v)) }

// Append implements Packet. It writes the shortest form.
func (d Disconnect) Append(dst []byte, v Version) ([]byte, error) {
	n := d.remaining(v)
	b, err := appendHeader(dst, TypeDisconnect, 0, n)
	if err != nil {
		return dst, err
	}
	if n > 0 {
		b = append(b, byte(d.Code))
	}
	if n > 1 {
		b = appendProperties(b, d.Properties, v)
	}
	return b, nil
}
