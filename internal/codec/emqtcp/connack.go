package emqtcp

import "fmt"

// AckCode is the answer to a CONNECT.
type AckCode uint8

// Codes. 3 to 15 are reserved.
const (
	Successful     AckCode = 0
	AuthFailed     AckCode = 1
	IllegalVersion AckCode = 2
)

func (c AckCode) String() string {
	switch c {
	case Successful:
		return "successful"
	case AuthFailed:
		return "authentication failed"
	case IllegalVersion:
		return "protocol version not supported"
	}
	return fmt.Sprintf("reserved code %d", uint8(c))
}

// Messages that go with the codes.
const (
	MessageSuccessful     = "Connect Successfully"
	MessageAuthFailed     = "Authentication Failure"
	MessageIllegalVersion = "Unsupported protocol version"
)

// Connack answers CONNECT.
type Connack struct {
	Code    AckCode
	Message string // free text, for people
}

// ParseConnack reads the body of a CONNACK frame.
func ParseConnack(body []byte, flags uint8, o *Options) (Connack, error) {
	r := newReader(TypeConnack, body, o)
	c := Connack{Code: AckCode(flags), Message: string(body)}
	if c.Code > IllegalVersion && o.Lenient {
		r.flag(inHeader, c.Code.String())
	}
	return c, r.result()
}

// Type implements Packet.
func (Connack) Type() Type { return TypeConnack }

// Size implements Packet.
func (c Connack) Size() int { return headBytes + len(c.Message) }

// Append implements Packet.
func (c Connack) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeConnack, uint8(c.Code), len(c.Message))
	if err != nil {
		return dst, err
	}
	return append(b, c.Message...), nil
}
