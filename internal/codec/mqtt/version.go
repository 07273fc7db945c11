package mqtt

import "fmt"

// Version is a protocol level as CONNECT carries it.
type Version uint8

const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return fmt.Sprintf("level %d", uint8(v))
}

// Name is the protocol name that belongs to v.
func (v Version) Name() string {
	if v == V31 {
		return "MQIsdp"
	}
	return "MQTT"
}

// Type is the control packet type, the upper four bits of a packet.
type Type uint8

const (
	TypeConnect Type = 1 + iota
	TypeConnack
	TypePublish
	TypePuback
	TypePubrec
	TypePubrel
	TypePubcomp
	TypeSubscribe
	TypeSuback
	TypeUnsubscribe
	TypeUnsuback
	TypePingreq
	TypePingresp
	TypeDisconnect
	TypeAuth
)

var typeNames = [...]string{
	"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Flags are the fixed header flags that the standard prescribes for t;
// PUBLISH has none prescribed.
func (t Type) Flags() uint8 {
	switch t {
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		return 2
	}
	return 0
}

// clientOnly and serverOnly tell who alone may send t.
func (t Type) clientOnly(v Version) bool {
	switch t {
	case TypeConnect, TypeSubscribe, TypeUnsubscribe, TypePingreq:
		return true
	case TypeDisconnect:
		return v < V5
	}
	return false
}

func (t Type) serverOnly() bool {
	switch t {
	case TypeConnack, TypeSuback, TypeUnsuback, TypePingresp:
		return true
	}
	return false
}
