package mqttsn

import "fmt"

// Type is the type of a message of one version; 0 is none.
type Type uint16

// The upper byte of a Type is its version.
const (
	v12 Type = 0x100
	v20 Type = 0x200
)

// Types of 1.2. SN-5.2.2
const (
	TypeAdvertise     = v12
	TypeSearchGW      = v12 | 0x01
	TypeGWInfo        = v12 | 0x02
	TypeAuth          = v12 | 0x03 // an extension: see Options.AuthExtension
	TypeConnect       = v12 | 0x04
	TypeConnack       = v12 | 0x05
	TypeWillTopicReq  = v12 | 0x06
	TypeWillTopic     = v12 | 0x07
	TypeWillMsgReq    = v12 | 0x08
	TypeWillMsg       = v12 | 0x09
	TypeRegister      = v12 | 0x0a
	TypeRegack        = v12 | 0x0b
	TypePublish       = v12 | 0x0c
	TypePuback        = v12 | 0x0d
	TypePubcomp       = v12 | 0x0e
	TypePubrec        = v12 | 0x0f
	TypePubrel        = v12 | 0x10
	TypeSubscribe     = v12 | 0x12
	TypeSuback        = v12 | 0x13
	TypeUnsubscribe   = v12 | 0x14
	TypeUnsuback      = v12 | 0x15
	TypePingreq       = v12 | 0x16
	TypePingresp      = v12 | 0x17
	TypeDisconnect    = v12 | 0x18
	TypeWillTopicUpd  = v12 | 0x1a
	TypeWillTopicResp = v12 | 0x1b
	TypeWillMsgUpd    = v12 | 0x1c
	TypeWillMsgResp   = v12 | 0x1d
	TypeEncapsulated  = v12 | 0xfe
)

// Types of the draft of 2.0.
const (
	TypeConnectV2     = v20 | 0x01
	TypeConnackV2     = v20 | 0x02
	TypePublishV2     = v20 | 0x03
	TypePubackV2      = v20 | 0x04
	TypePubrecV2      = v20 | 0x05
	TypePubrelV2      = v20 | 0x06
	TypePubcompV2     = v20 | 0x07
	TypeSubscribeV2   = v20 | 0x08
	TypeSubackV2      = v20 | 0x09
	TypeUnsubscribeV2 = v20 | 0x0a
	TypeUnsubackV2    = v20 | 0x0b
	TypePingreqV2     = v20 | 0x0c
	TypePingrespV2    = v20 | 0x0d
	TypeDisconnectV2  = v20 | 0x0e
	TypeAuthV2        = v20 | 0x0f
	TypeRegisterV2    = v20 | 0x10
	TypeRegackV2      = v20 | 0x11
	TypePubwosV2      = v20 | 0x12
	TypeSleepreqV2    = v20 | 0x13
	TypeSleeprespV2   = v20 | 0x14
	TypeWakeupV2      = v20 | 0x15
	TypeAdvertiseV2   = v20 | 0x16
	TypeSearchGWV2    = v20 | 0x17
	TypeGWInfoV2      = v20 | 0x18
	TypeForwardedV2   = v20 | 0xfc
	TypeRoamingV2     = v20 | 0xfe
	TypeProtectedV2   = v20 | 0xff
)

// side is who sends a type.
type side uint8

const (
	anybody side = iota
	client
	server
)

// kind is what is known of a type.
type kind struct {
	name      string
	clause    string
	from      side
	extension bool // reserved in the specification
}

// types has a row for every type that there is.
var types = [...]kind{
	TypeAdvertise:     {"ADVERTISE", "SN-5.4.1", server, false},
	TypeSearchGW:      {"SEARCHGW", "SN-5.4.2", client, false},
	TypeGWInfo:        {"GWINFO", "SN-5.4.3", anybody, false},
	TypeAuth:          {"AUTH", "", client, true},
	TypeConnect:       {"CONNECT", "SN-5.4.4", client, false},
	TypeConnack:       {"CONNACK", "SN-5.4.5", server, false},
	TypeWillTopicReq:  {"WILLTOPICREQ", "SN-5.4.6", server, false},
	TypeWillTopic:     {"WILLTOPIC", "SN-5.4.7", client, false},
	TypeWillMsgReq:    {"WILLMSGREQ", "SN-5.4.8", server, false},
	TypeWillMsg:       {"WILLMSG", "SN-5.4.9", client, false},
	TypeRegister:      {"REGISTER", "SN-5.4.10", anybody, false},
	TypeRegack:        {"REGACK", "SN-5.4.11", anybody, false},
	TypePublish:       {"PUBLISH", "SN-5.4.12", anybody, false},
	TypePuback:        {"PUBACK", "SN-5.4.13", anybody, false},
	TypePubcomp:       {"PUBCOMP", "SN-5.4.14", anybody, false},
	TypePubrec:        {"PUBREC", "SN-5.4.14", anybody, false},
	TypePubrel:        {"PUBREL", "SN-5.4.14", anybody, false},
	TypeSubscribe:     {"SUBSCRIBE", "SN-5.4.15", client, false},
	TypeSuback:        {"SUBACK", "SN-5.4.16", server, false},
	TypeUnsubscribe:   {"UNSUBSCRIBE", "SN-5.4.17", client, false},
	TypeUnsuback:      {"UNSUBACK", "SN-5.4.18", server, false},
	TypePingreq:       {"PINGREQ", "SN-5.4.19", anybody, false},
	TypePingresp:      {"PINGRESP", "SN-5.4.20", anybody, false},
	TypeDisconnect:    {"DISCONNECT", "SN-5.4.21", anybody, false},
	TypeWillTopicUpd:  {"WILLTOPICUPD", "SN-5.4.22", client, false},
	TypeWillMsgUpd:    {"WILLMSGUPD", "SN-5.4.23", client, false},
	TypeWillTopicResp: {"WILLTOPICRESP", "SN-5.4.24", server, false},
	TypeWillMsgResp:   {"WILLMSGRESP", "SN-5.4.25", server, false},
	TypeEncapsulated:  {"encapsulated message", "SN-5.5", anybody, false},

	TypeConnectV2:     {"CONNECT", "", client, false},
	TypeConnackV2:     {"CONNACK", "", server, false},
	TypePublishV2:     {"PUBLISH", "", anybody, false},
	TypePubackV2:      {"PUBACK", "", anybody, false},
	TypePubrecV2:      {"PUBREC", "", anybody, false},
	TypePubrelV2:      {"PUBREL", "", anybody, false},
	TypePubcompV2:     {"PUBCOMP", "", anybody, false},
	TypeSubscribeV2:   {"SUBSCRIBE", "", client, false},
	TypeSubackV2:      {"SUBACK", "", server, false},
	TypeUnsubscribeV2: {"UNSUBSCRIBE", "", client, false},
	TypeUnsubackV2:    {"UNSUBACK", "", server, false},
	TypePingreqV2:     {"PINGREQ", "", client, false},
	TypePingrespV2:    {"PINGRESP", "", server, false},
	TypeDisconnectV2:  {"DISCONNECT", "", anybody, false},
	TypeAuthV2:        {"AUTH", "", anybody, false},
	TypeRegisterV2:    {"REGISTER", "", anybody, false},
	TypeRegackV2:      {"REGACK", "", anybody, false},
	TypePubwosV2:      {"PUBWOS", "", anybody, false},
	TypeSleepreqV2:    {"SLEEPREQ", "", client, false},
	TypeSleeprespV2:   {"SLEEPRESP", "", server, false},
	TypeWakeupV2:      {"WAKEUP", "", server, false},
	TypeAdvertiseV2:   {"ADVERTISE", "", server, false},
	TypeSearchGWV2:    {"SEARCHGW", "", client, false},
	TypeGWInfoV2:      {"GWINFO", "", anybody, false},
	TypeForwardedV2:   {"forwarder encapsulation", "", anybody, false},
	TypeRoamingV2:     {"connection encapsulation", "", client, false},
	TypeProtectedV2:   {"protection encapsulation", "", anybody, false},
}

// kind is the row of t, which is empty if there is none.
func (t Type) kind() kind {
	if int(t) < len(types) {
		return types[t]
	}
	return kind{}
}

func (t Type) String() string {
	switch {
	case t.Known():
		return t.kind().name
	case t == 0:
		return "message"
	}
	return fmt.Sprintf("reserved message type 0x%02x", t.Octet())
}

// Octet is t on the wire.
func (t Type) Octet() byte { return byte(t) }

// Known reports whether the specification has such a message.
func (t Type) Known() bool {
	k := t.kind()
	return k.name != "" && !k.extension
}
