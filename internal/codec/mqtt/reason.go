package mqtt

import "fmt"

// ReasonCode is an MQTT 5.0 reason code; in CONNACK before 5.0 it holds the
// return code 0 to 5 instead.
type ReasonCode uint8

const (
	Success                         ReasonCode = 0x00 // also normal disconnection and granted QoS 0
	GrantedQoS1                     ReasonCode = 0x01
	GrantedQoS2                     ReasonCode = 0x02
	DisconnectWithWill              ReasonCode = 0x04
	NoMatchingSubscribers           ReasonCode = 0x10
	NoSubscriptionExisted           ReasonCode = 0x11
	ContinueAuthentication          ReasonCode = 0x18
	Reauthenticate                  ReasonCode = 0x19
	UnspecifiedError                ReasonCode = 0x80
	MalformedPacket                 ReasonCode = 0x81
	ProtocolError                   ReasonCode = 0x82
	ImplementationSpecificError     ReasonCode = 0x83
	UnsupportedProtocolVersion      ReasonCode = 0x84
	ClientIdentifierNotValid        ReasonCode = 0x85
	BadUserNameOrPassword           ReasonCode = 0x86
	NotAuthorized                   ReasonCode = 0x87
	ServerUnavailable               ReasonCode = 0x88
	ServerBusy                      ReasonCode = 0x89
	Banned                          ReasonCode = 0x8A
	ServerShuttingDown              ReasonCode = 0x8B
	BadAuthenticationMethod         ReasonCode = 0x8C
	KeepAliveTimeout                ReasonCode = 0x8D
	SessionTakenOver                ReasonCode = 0x8E
	TopicFilterInvalid              ReasonCode = 0x8F
	TopicNameInvalid                ReasonCode = 0x90
	PacketIdentifierInUse           ReasonCode = 0x91
	PacketIdentifierNotFound        ReasonCode = 0x92
	ReceiveMaximumExceeded          ReasonCode = 0x93
	TopicAliasInvalid               ReasonCode = 0x94
	PacketTooLarge                  ReasonCode = 0x95
	MessageRateTooHigh              ReasonCode = 0x96
	QuotaExceeded                   ReasonCode = 0x97
	AdministrativeAction            ReasonCode = 0x98
	PayloadFormatInvalid            ReasonCode = 0x99
	RetainNotSupported              ReasonCode = 0x9A
	QoSNotSupported                 ReasonCode = 0x9B
	UseAnotherServer                ReasonCode = 0x9C
	ServerMoved                     ReasonCode = 0x9D
	SharedSubscriptionsNotSupported ReasonCode = 0x9E
	ConnectionRateExceeded          ReasonCode = 0x9F
	MaximumConnectTime              ReasonCode = 0xA0
	SubscriptionIDsNotSupported     ReasonCode = 0xA1
	WildcardSubsNotSupported        ReasonCode = 0xA2
)

// NormalDisconnection and GrantedQoS0 are what code 0 means elsewhere.
const (
	NormalDisconnection = Success
	GrantedQoS0         = Success
)

// Return codes of CONNACK in MQTT 3.1 and 3.1.1.
const (
	V3Accepted                    ReasonCode = 0
	V3UnacceptableProtocolVersion ReasonCode = 1
	V3IdentifierRejected          ReasonCode = 2
	V3ServerUnavailable           ReasonCode = 3
	V3BadUserNameOrPassword       ReasonCode = 4
	V3NotAuthorized               ReasonCode = 5
)

// IsError tells whether c reports a failure.
func (c ReasonCode) IsError() bool { return c >= 0x80 }

// String is the name in table 2-6 of the standard.
func (c ReasonCode) String() string {
	if n := reasonTable[c].name; n != "" {
		return n
	}
	return fmt.Sprintf("reason code 0x%02X", uint8(c))
}

// Name is what c is called in a packet of type t and version v: code 0 has
// three names in 5.0, and the return codes of 3.x have their own.
func (c ReasonCode) Name(t Type, v Version) string {
	if v < V5 {
		switch {
		case t == TypeConnack && int(c) < len(returnCodes):
			return returnCodes[c]
		case t == TypeSuback && c == 0x80:
			return "Failure"
		}
	}
	switch {
	case c == 0 && t == TypeDisconnect:
		return "Normal disconnection"
	case c == 0 && t == TypeSuback:
		return "Granted QoS 0"
	}
	return c.String()
}

// AllowedIn tells whether the standard lets a packet of type t carry c in 5.0.
func (c ReasonCode) AllowedIn(t Type) bool { return reasonTable[c].in&(1<<t) != 0 }

// fromClient tells whether the standard lets a client disconnect with c.
func (c ReasonCode) fromClient() bool {
	switch c {
	case NormalDisconnection, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError,
		ImplementationSpecificError, TopicNameInvalid, ReceiveMaximumExceeded, TopicAliasInvalid, PacketTooLarge,
		MessageRateTooHigh, QuotaExceeded, AdministrativeAction, PayloadFormatInvalid:
		return true
	}
	return false
}

// returnCode is the nearest return code of a 3.x CONNACK. Codes below 0x80
// stay as they are.
func (c ReasonCode) returnCode() ReasonCode {
	switch {
	case !c.IsError():
		return c
	case c == UnsupportedProtocolVersion:
		return V3UnacceptableProtocolVersion
	case c == ClientIdentifierNotValid:
		return V3IdentifierRejected
	case c == BadUserNameOrPassword, c == BadAuthenticationMethod:
		return V3BadUserNameOrPassword
	case c == NotAuthorized, c == Banned:
		return V3NotAuthorized
	}
	return V3ServerUnavailable
}

// ReasonOf is the reason code of 5.0 that says what a return code of a 3.x CONNACK
// does; false if c is none, which ParseConnack refuses.
func ReasonOf(c ReasonCode) (ReasonCode, bool) {
	if int(c) >= len(reasons) {
		return c, false
	}
	return reasons[c], true
}

var reasons = [...]ReasonCode{
	V3Accepted:                    Success,
	V3UnacceptableProtocolVersion: UnsupportedProtocolVersion,
	V3IdentifierRejected:          ClientIdentifierNotValid,
	V3ServerUnavailable:           ServerUnavailable,
	V3BadUserNameOrPassword:       BadUserNameOrPassword,
	V3NotAuthorized:               NotAuthorized,
}

var returnCodes = [...]string{
	"Connection accepted", "Unacceptable protocol version", "Identifier rejected",
	"Server unavailable", "Bad user name or password", "Not authorized",
}

const (
	inConnack    = 1 << TypeConnack
	inPuback     = 1 << TypePuback
	inPubrec     = 1 << TypePubrec
	inPubrel     = 1 << TypePubrel
	inPubcomp    = 1 << TypePubcomp
	inSuback     = 1 << TypeSuback
	inUnsuback   = 1 << TypeUnsuback
	inDisconnect = 1 << TypeDisconnect
	inAuth       = 1 << TypeAuth
)

// reasonTable is table 2-6 of MQTT 5.0 with the packets that may carry each code.
var reasonTable = [256]struct {
	name string
	in   uint32
}{
	Success:                         {"Success", inConnack | inPuback | inPubrec | inPubrel | inPubcomp | inSuback | inUnsuback | inDisconnect | inAuth},
	GrantedQoS1:                     {"Granted QoS 1", inSuback},
	GrantedQoS2:                     {"Granted QoS 2", inSuback},
	DisconnectWithWill:              {"Disconnect with Will Message", inDisconnect},
	NoMatchingSubscribers:           {"No matching subscribers", inPuback | inPubrec},
	NoSubscriptionExisted:           {"No subscription existed", inUnsuback},
	ContinueAuthentication:          {"Continue authentication", inAuth},
	Reauthenticate:                  {"Re-authenticate", inAuth},
	UnspecifiedError:                {"Unspecified error", inConnack | inPuback | inPubrec | inSuback | inUnsuback | inDisconnect},
	MalformedPacket:                 {"Malformed Packet", inConnack | inDisconnect},
	ProtocolError:                   {"Protocol Error", inConnack | inDisconnect},
	ImplementationSpecificError:     {"Implementation specific error", inConnack | inPuback | inPubrec | inSuback | inUnsuback | inDisconnect},
	UnsupportedProtocolVersion:      {"Unsupported Protocol Version", inConnack},
	ClientIdentifierNotValid:        {"Client Identifier not valid", inConnack},
	BadUserNameOrPassword:           {"Bad User Name or Password", inConnack},
	NotAuthorized:                   {"Not authorized", inConnack | inPuback | inPubrec | inSuback | inUnsuback | inDisconnect},
	ServerUnavailable:               {"Server unavailable", inConnack},
	ServerBusy:                      {"Server busy", inConnack | inDisconnect},
	Banned:                          {"Banned", inConnack},
	ServerShuttingDown:              {"Server shutting down", inDisconnect},
	BadAuthenticationMethod:         {"Bad authentication method", inConnack | inDisconnect},
	KeepAliveTimeout:                {"Keep Alive timeout", inDisconnect},
	SessionTakenOver:                {"Session taken over", inDisconnect},
	TopicFilterInvalid:              {"Topic Filter invalid", inSuback | inUnsuback | inDisconnect},
	TopicNameInvalid:                {"Topic Name invalid", inConnack | inPuback | inPubrec | inDisconnect},
	PacketIdentifierInUse:           {"Packet Identifier in use", inPuback | inPubrec | inSuback | inUnsuback},
	PacketIdentifierNotFound:        {"Packet Identifier not found", inPubrel | inPubcomp},
	ReceiveMaximumExceeded:          {"Receive Maximum exceeded", inDisconnect},
	TopicAliasInvalid:               {"Topic Alias invalid", inDisconnect},
	PacketTooLarge:                  {"Packet too large", inConnack | inDisconnect},
	MessageRateTooHigh:              {"Message rate too high", inDisconnect},
	QuotaExceeded:                   {"Quota exceeded", inConnack | inPuback | inPubrec | inSuback | inDisconnect},
	AdministrativeAction:            {"Administrative action", inDisconnect},
	PayloadFormatInvalid:            {"Payload format invalid", inConnack | inPuback | inPubrec | inDisconnect},
	RetainNotSupported:              {"Retain not supported", inConnack | inDisconnect},
	QoSNotSupported:                 {"QoS not supported", inConnack | inDisconnect},
	UseAnotherServer:                {"Use another server", inConnack | inDisconnect},
	ServerMoved:                     {"Server moved", inConnack | inDisconnect},
	SharedSubscriptionsNotSupported: {"Shared Subscriptions not supported", inSuback | inDisconnect},
	ConnectionRateExceeded:          {"Connection rate exceeded", inConnack | inDisconnect},
	MaximumConnectTime:              {"Maximum connect time", inDisconnect},
	SubscriptionIDsNotSupported:     {"Subscription Identifiers not supported", inSuback | inDisconnect},
	WildcardSubsNotSupported:        {"Wildcard Subscriptions not supported", inSuback | inDisconnect},
}
