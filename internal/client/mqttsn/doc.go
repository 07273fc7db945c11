// Package mqttsn is a client of MQTT-SN 1.2, in two parts.
//
// # Core
//
// Core is the client's half of the protocol and nothing else: no I/O, no
// goroutine, no lock, no clock. Time is passed in, and what follows from a call is
// appended to Effects: datagrams to be sent, and events. The caller works off the
// events first, so that a message has been handed over before its acknowledgement
// leaves, then sends the datagrams, and calls Tick at Deadline. The same calls
// with the same times give the same effects; what is random comes from Config.Rand.
//
//	disconnected --Connect--> connecting --CONNACK--> active
//	active --Sleep--> dozing --DISCONNECT--> asleep --Wake--> awake --PINGRESP--> asleep
//	dozing, asleep, awake --Connect--> connecting; --Sleep--> dozing, for another duration
//	any but disconnected --Disconnect--> leaving --DISCONNECT--> disconnected
//
// One transaction of a kind is outstanding: REGISTER, SUBSCRIBE or UNSUBSCRIBE, a
// PUBLISH with QoS 1 or 2, WILLTOPICUPD, WILLMSGUPD, and one of CONNECT, PINGREQ and
// DISCONNECT. Each is repeated after T_retry; when the last of N_retry repetitions
// has not been answered the gateway is lost. What else is asked for waits its turn,
// in order. None of it ends with the connection: the next Connect goes on with it,
// a message that was on its way with DUP and its own MsgId, unless it was asked to
// be clean. While the client sleeps it rests.
//
// Topic identifiers that a client has asked for hold for one connection: some
// gateways forget them, and to publish under one that now means something else
// would be worse than to register again.
//
// # Client
//
// Client is a Core with a connection, behind the interface of client.API.
// A message of QoS -1 has MinusOne for its QoS there, and "#17" is the
// predefined topic 17: a name that no topic can have.
package mqttsn
