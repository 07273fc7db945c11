package mqtt

import "fmt"

// Auth is a step of an enhanced authentication; it exists from 5.0 on.
type Auth struct {
	Code       ReasonCode
	Properties Properties
}

// ParseAuth reads the body of an AUTH packet. An empty one means success.
func ParseAuth(body []byte, flags uint8, o *Options) (Auth, error) {
	r := newReader(TypeAuth, body, flags, o)
	if r.v < V5 {
		r.flag(InHeader, MalformedPacket, "MQTT3-2.2.1", "", "packet type 15 is reserved")
		r.v = V5
	}
	var a Auth
	if r.left() == 0 {
		r.sender(InHeader, a.Code)
		return a, r.result()
	}
	a.Code = ReasonCode(r.uint8("reason code"))
	if !a.Code.AllowedIn(TypeAuth) {
		r.flag(0, ProtocolError, "", "MQTT-3.15.2-1", fmt.Sprintf("%v is not for AUTH", a.Code))
	}
	r.sender(0, a.Code)
	a.Properties = r.properties(In(TypeAuth))
	if !a.Properties.Has(PropAuthenticationMethod) {
		r.flag(1, ProtocolError, "", "MQTT-3.15.2.2.2", "no authentication-method")
	}
	return a, r.end()
}

// sender judges who may send an AUTH packet with code c, which is at off.
func (r *reader) sender(off int, c ReasonCode) {
	switch {
	case r.o.EitherSide:
	case r.o.FromServer && c == Reauthenticate:
		r.flag(off, ProtocolError, "", "MQTT-3.15.2-1", fmt.Sprintf("%v sent by a server", c))
	case !r.o.FromServer && c == Success:
		r.flag(off, ProtocolError, "", "MQTT-3.15.2-1", fmt.Sprintf("%v sent by a client", c))
	}
}

func (Auth) Type() Type { return TypeAuth }

func (a Auth) remaining(v Version) int {
	if a.Code == Success && len(a.Properties) == 0 {
		return 0
	}
	return 1 + propertiesSize(a.Properties, v)
}

// Size implements Packet.
func (a Auth) Size(v Version) int {
	if v < V5 {
		return 0
	}
	return packetSize(a.remaining(v))
}

// Append implements Packet.
func (a Auth) Append(dst []byte, v Version) ([]byte, error) {
	if v < V5 {
		return dst, fmt.Errorf("append AUTH in MQTT %v: %w", v, ErrUnencodable)
	}
	n := a.remaining(v)
	b, err := appendHeader(dst, TypeAuth, 0, n)
	if err != nil || n == 0 {
		return b, err
	}
	return appendProperties(append(b, byte(a.Code)), a.Properties, v), nil
}
