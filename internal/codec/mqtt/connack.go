package mqtt

import "fmt"

// Connack answers CONNECT.
type Connack struct {
	SessionPresent bool
	Code           ReasonCode // before 5.0 a return code, 0 to 5; Append turns reason codes into those
	Properties     Properties
}

// ParseConnack reads the body of a CONNACK packet.
func ParseConnack(body []byte, flags uint8, o *Options) (Connack, error) {
	r := newReader(TypeConnack, body, flags, o)
	bits := r.uint8("acknowledge flags")
	if r.v == V31 {
		bits = 0 // unused in 3.1
	}
	c := Connack{SessionPresent: bits&1 != 0, Code: ReasonCode(r.uint8("reason code"))}
	if bits > 1 {
		r.flag(0, MalformedPacket, "MQTT3-3.2.2.1", "MQTT-3.2.2-1", fmt.Sprintf("acknowledge flags %#x", bits))
	}
	if c.SessionPresent && c.Code != Success {
		r.flag(0, ProtocolError, "MQTT3-3.2.2-4", "MQTT-3.2.2-6", "session present in a refusal")
	}
	switch {
	case r.v < V5 && c.Code > V3NotAuthorized:
		r.flag(1, MalformedPacket, "MQTT3-3.2.2.3", "", fmt.Sprintf("return code %d", uint8(c.Code)))
	case r.v >= V5 && !c.Code.AllowedIn(TypeConnack):
		r.flag(1, ProtocolError, "", "MQTT-3.2.2-8", fmt.Sprintf("%v is not for CONNACK", c.Code))
	}
	c.Properties = r.properties(In(TypeConnack))
	return c, r.end()
}

func (Connack) Type() Type { return TypeConnack }

func (c Connack) remaining(v Version) int { return 2 + propertiesSize(c.Properties, v) }

// Size implements Packet.
func (c Connack) Size(v Version) int { return packetSize(c.remaining(v)) }

// Append implements Packet.
func (c Connack) Append(dst []byte, v Version) ([]byte, error) {
	b, err := appendHeader(dst, TypeConnack, 0, c.remaining(v))
	if err != nil {
		return dst, err
	}
	code, bits := c.Code, byte(0)
	if v < V5 {
		code = code.returnCode()
	}
	if c.SessionPresent && v != V31 {
		bits = 1
	}
	b = append(b, bits, byte(code))
	return appendProperties(b, c.Properties, v), nil
}
