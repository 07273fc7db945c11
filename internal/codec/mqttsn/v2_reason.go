package mqttsn

import "fmt"

// ReasonCode says how a request of 2.0 went: the codes of MQTT 5.0, and those of
// MQTT-SN. From 0x80 they are failures.
type ReasonCode uint8

// SuccessV2 is what a reason code that was left out stands for.
const SuccessV2 ReasonCode = 0

var reasons = [256]string{
	0x00: "success",
	0x01: "granted QoS 1",
	0x02: "granted QoS 2",
	0x04: "disconnect with will message",
	0x10: "no matching subscribers",
	0x11: "no subscription existed",
	0x18: "continue authentication",
	0x19: "re-authenticate",
	0x1a: "topic alias exists",
	0x80: "unspecified error",
	0x81: "malformed packet",
	0x82: "protocol error",
	0x83: "implementation specific error",
	0x84: "unsupported protocol version",
	0x85: "client identifier not valid",
	0x86: "bad user name or password",
	0x87: "not authorized",
	0x88: "server unavailable",
	0x89: "server busy",
	0x8a: "banned",
	0x8b: "server shutting down",
	0x8c: "bad authentication method",
	0x8d: "keep alive timeout",
	0x8e: "session taken over",
	0x8f: "topic filter invalid",
	0x90: "topic name invalid",
	0x91: "packet identifier in use",
	0x92: "packet identifier not found",
	0x93: "receive maximum exceeded",
	0x94: "topic alias invalid",
	0x95: "packet too large",
	0x96: "message rate too high",
	0x97: "quota exceeded",
	0x98: "administrative action",
	0x99: "payload format invalid",
	0x9a: "retain not supported",
	0x9b: "QoS not supported",
	0x9c: "use another server",
	0x9d: "server moved",
	0x9e: "shared subscriptions not supported",
	0x9f: "connection rate exceeded",
	0xa0: "maximum connect time",
	0xa1: "subscription identifiers not supported",
	0xa2: "wildcard subscriptions not supported",
	0xe6: "only protected packets accepted",
	0xe7: "protection scheme invalid",
	0xe8: "unknown sender identifier",
	0xf0: "unknown topic alias",
	0xf1: "congestion",
	0xf2: "protection not supported",
	0xf3: "forwarder encapsulation not supported",
	0xf4: "no virtual connection",
}

func (c ReasonCode) String() string {
	if n := reasons[c]; n != "" {
		return n
	}
	return fmt.Sprintf("reserved reason code 0x%02x", uint8(c))
}
