package mqtt

import (
	"fmt"
	"slices"
)

// PropertyID identifies a property of MQTT 5.0.
type PropertyID uint8

const (
	PropPayloadFormat                 PropertyID = 1
	PropMessageExpiryInterval         PropertyID = 2
	PropContentType                   PropertyID = 3
	PropResponseTopic                 PropertyID = 8
	PropCorrelationData               PropertyID = 9
	PropSubscriptionIdentifier        PropertyID = 11
	PropSessionExpiryInterval         PropertyID = 17
	PropAssignedClientIdentifier      PropertyID = 18
	PropServerKeepAlive               PropertyID = 19
	PropAuthenticationMethod          PropertyID = 21
	PropAuthenticationData            PropertyID = 22
	PropRequestProblemInformation     PropertyID = 23
	PropWillDelayInterval             PropertyID = 24
	PropRequestResponseInformation    PropertyID = 25
	PropResponseInformation           PropertyID = 26
	PropServerReference               PropertyID = 28
	PropReasonString                  PropertyID = 31
	PropReceiveMaximum                PropertyID = 33
	PropTopicAliasMaximum             PropertyID = 34
	PropTopicAlias                    PropertyID = 35
	PropMaximumQoS                    PropertyID = 36
	PropRetainAvailable               PropertyID = 37
	PropUserProperty                  PropertyID = 38
	PropMaximumPacketSize             PropertyID = 39
	PropWildcardSubscriptionAvailable PropertyID = 40
	PropSubscriptionIDAvailable       PropertyID = 41
	PropSharedSubscriptionAvailable   PropertyID = 42
	maxPropertyID                                = 42
)

// Where is a place for properties: a packet type, or the will in CONNECT.
type Where uint8

// InWill is the second set of properties in CONNECT.
const InWill Where = 16

// In is the place for the properties of a packet of type t.
func In(t Type) Where { return Where(t) }

func (w Where) String() string {
	if w == InWill {
		return "will"
	}
	return Type(w).String()
}

// WireType is how a property's value is encoded.
type WireType uint8

const (
	WireNone   WireType = iota // no such property
	WireByte                   // one byte
	WireUint16                 // two bytes
	WireUint32                 // four bytes
	WireVarint                 // variable byte integer
	WireBytes                  // two-byte length and data
	WireString                 // two-byte length and UTF-8
	WirePair                   // two strings
)

// rule restricts a property's value beyond its wire type.
type rule uint8

const (
	anyValue  rule = iota
	zeroOrOne      // 0 or 1
	notZero        // not 0
	topicName      // at least one character, no wildcards
)

type propertySpec struct {
	name   string // as mosquitto's -D names it
	wire   WireType
	in     uint32 // bit set of Where
	repeat uint32 // where it may appear more than once
	rule   rule
	code   ReasonCode // answer to a breach of rule; 0 is ProtocolError
	clause string     // where the standard restricts number and value
}

const (
	inConnect     = 1 << TypeConnect
	inPublish     = 1 << TypePublish
	inSubscribe   = 1 << TypeSubscribe
	inUnsubscribe = 1 << TypeUnsubscribe
	inWill        = 1 << InWill
	inMessage     = inPublish | inWill
	inAnswers     = inConnack | inPuback | inPubrec | inPubrel | inPubcomp | inSuback | inUnsuback | inDisconnect | inAuth
	inAll         = inConnect | inMessage | inSubscribe | inUnsubscribe | inAnswers
)

// propertyTable is table 2-4 of MQTT 5.0 and the value rules of the packets' chapters.
var propertyTable = [maxPropertyID + 1]propertySpec{
	PropPayloadFormat:                 {name: "payload-format-indicator", wire: WireByte, in: inMessage, rule: zeroOrOne, clause: "MQTT-3.3.2.3.2"},
	PropMessageExpiryInterval:         {name: "message-expiry-interval", wire: WireUint32, in: inMessage, clause: "MQTT-3.3.2.3.3"},
	PropContentType:                   {name: "content-type", wire: WireString, in: inMessage, clause: "MQTT-3.3.2.3.9"},
	PropResponseTopic:                 {name: "response-topic", wire: WireString, in: inMessage, rule: topicName, clause: "MQTT-3.3.2-14"},
	PropCorrelationData:               {name: "correlation-data", wire: WireBytes, in: inMessage, clause: "MQTT-3.3.2.3.6"},
	PropSubscriptionIdentifier:        {name: "subscription-identifier", wire: WireVarint, in: inPublish | inSubscribe, repeat: inPublish, rule: notZero, clause: "MQTT-3.8.2.1.2"},
	PropSessionExpiryInterval:         {name: "session-expiry-interval", wire: WireUint32, in: inConnect | inConnack | inDisconnect, clause: "MQTT-3.1.2.11.2"},
	PropAssignedClientIdentifier:      {name: "assigned-client-identifier", wire: WireString, in: inConnack, clause: "MQTT-3.2.2.3.7"},
	PropServerKeepAlive:               {name: "server-keep-alive", wire: WireUint16, in: inConnack, clause: "MQTT-3.2.2.3.14"},
	PropAuthenticationMethod:          {name: "authentication-method", wire: WireString, in: inConnect | inConnack | inAuth, clause: "MQTT-3.1.2.11.9"},
	PropAuthenticationData:            {name: "authentication-data", wire: WireBytes, in: inConnect | inConnack | inAuth, clause: "MQTT-3.1.2.11.10"},
	PropRequestProblemInformation:     {name: "request-problem-information", wire: WireByte, in: inConnect, rule: zeroOrOne, clause: "MQTT-3.1.2.11.7"},
	PropWillDelayInterval:             {name: "will-delay-interval", wire: WireUint32, in: inWill, clause: "MQTT-3.1.3.2.2"},
	PropRequestResponseInformation:    {name: "request-response-information", wire: WireByte, in: inConnect, rule: zeroOrOne, clause: "MQTT-3.1.2.11.6"},
	PropResponseInformation:           {name: "response-information", wire: WireString, in: inConnack, clause: "MQTT-3.2.2.3.15"},
	PropServerReference:               {name: "server-reference", wire: WireString, in: inConnack | inDisconnect, clause: "MQTT-3.2.2.3.16"},
	PropReasonString:                  {name: "reason-string", wire: WireString, in: inAnswers, clause: "MQTT-3.2.2.3.9"},
	PropReceiveMaximum:                {name: "receive-maximum", wire: WireUint16, in: inConnect | inConnack, rule: notZero, clause: "MQTT-3.1.2.11.3"},
	PropTopicAliasMaximum:             {name: "topic-alias-maximum", wire: WireUint16, in: inConnect | inConnack, clause: "MQTT-3.1.2.11.5"},
	PropTopicAlias:                    {name: "topic-alias", wire: WireUint16, in: inPublish, rule: notZero, code: TopicAliasInvalid, clause: "MQTT-3.3.2-8"},
	PropMaximumQoS:                    {name: "maximum-qos", wire: WireByte, in: inConnack, rule: zeroOrOne, clause: "MQTT-3.2.2.3.4"},
	PropRetainAvailable:               {name: "retain-available", wire: WireByte, in: inConnack, rule: zeroOrOne, clause: "MQTT-3.2.2.3.5"},
	PropUserProperty:                  {name: "user-property", wire: WirePair, in: inAll, repeat: inAll, clause: "MQTT-3.1.2.11.8"},
	PropMaximumPacketSize:             {name: "maximum-packet-size", wire: WireUint32, in: inConnect | inConnack, rule: notZero, clause: "MQTT-3.1.2.11.4"},
	PropWildcardSubscriptionAvailable: {name: "wildcard-subscription-available", wire: WireByte, in: inConnack, rule: zeroOrOne, clause: "MQTT-3.2.2.3.11"},
	PropSubscriptionIDAvailable:       {name: "subscription-identifier-available", wire: WireByte, in: inConnack, rule: zeroOrOne, clause: "MQTT-3.2.2.3.12"},
	PropSharedSubscriptionAvailable:   {name: "shared-subscription-available", wire: WireByte, in: inConnack, rule: zeroOrOne, clause: "MQTT-3.2.2.3.13"},
}

func (id PropertyID) spec() *propertySpec {
	if id > maxPropertyID {
		return &propertyTable[0]
	}
	return &propertyTable[id]
}

// String is the kebab-case name that mosquitto's -D uses.
func (id PropertyID) String() string {
	if n := id.spec().name; n != "" {
		return n
	}
	return fmt.Sprintf("property %d", uint8(id))
}

// Wire tells how the property is encoded; WireNone if there is no such property.
func (id PropertyID) Wire() WireType { return id.spec().wire }

// AllowedIn tells whether the standard lets w carry the property.
func (id PropertyID) AllowedIn(w Where) bool { return id.spec().in&(1<<w) != 0 }

// RepeatsIn tells whether w may carry the property more than once.
func (id PropertyID) RepeatsIn(w Where) bool { return id.spec().repeat&(1<<w) != 0 }

// PropertyByName finds a property by its kebab-case name.
func PropertyByName(name string) (PropertyID, bool) {
	if name == "" {
		return 0, false
	}
	i := slices.IndexFunc(propertyTable[:], func(s propertySpec) bool { return s.name == name })
	return PropertyID(max(i, 0)), i >= 0
}
