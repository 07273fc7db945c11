package mqttsn

import (
	"fmt"
)

// ProtocolID is the one of 1.2.
const ProtocolID = 1

// Connect is the first message of a client.
type Connect struct {
	Will         bool // the gateway is to ask for one
	CleanSession bool
	ProtocolID   uint8  // as it was sent; Append takes it as it is
	KeepAlive    uint16 // seconds, 0 for none
	ClientID     string
}

// ParseConnect reads the body of a CONNECT message.
func ParseConnect(body []byte, o *Options) (Connect, error) {
	r := newReader(TypeConnect, body, o)
	flags := r.flags(flagWill | flagClean)
	c := Connect{Will: flags&flagWill != 0, CleanSession: flags&flagClean != 0}
	c.ProtocolID = r.uint8("protocol identifier")
	c.KeepAlive = r.uint16("keep alive")
	if !r.ended && c.ProtocolID != ProtocolID {
		r.flag(1, Unsupported, NotSupported, "SN-5.3.8", fmt.Sprintf("protocol identifier %d is not supported", c.ProtocolID))
	}
	c.ClientID = r.clientID()
	return c, r.result()
}

// Type implements Message.
func (Connect) Type() Type { return TypeConnect }

// Size implements Message.
func (c Connect) Size() int { return messageSize(4 + len(c.ClientID)) }

// Append implements Message.
func (c Connect) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeConnect, 4+len(c.ClientID))
	if err != nil {
		return dst, err
	}
	b = append(b, bit(c.Will, flagWill)|bit(c.CleanSession, flagClean), c.ProtocolID)
	b = appendUint16(b, c.KeepAlive)
	return append(b, c.ClientID...), nil
}
