package client

import (
	"errors"
	"fmt"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

var (
	// ErrTimeout: the server did not answer CONNECT, SUBSCRIBE, UNSUBSCRIBE or
	// PINGREQ in time.
	ErrTimeout = errors.New("the server did not answer in time")
	// ErrClosedBeforeConnack: the server closed the connection instead of
	// answering CONNECT.
	ErrClosedBeforeConnack = errors.New("connection closed before CONNACK")
	// ErrConnectionLost: the connection ended without DISCONNECT.
	ErrConnectionLost = errors.New("connection lost")
	// ErrClosed: the client has ended, or was never connected.
	ErrClosed = errors.New("client is closed")
)

// ConnectError is a CONNACK that refuses the connection.
type ConnectError struct {
	Version    mqtt.Version
	Code       mqtt.ReasonCode // return code 1 to 5 in 3.x
	Properties mqtt.Properties
}

func (e *ConnectError) Error() string {
	if e.Version == mqtt.V5 {
		return fmt.Sprintf("connection refused by the server: %s (0x%02x)%s", e.Code, uint8(e.Code), reasonText(e.Properties))
	}
	return fmt.Sprintf("connection refused by the server: %s (%d)", returnCodeText(e.Code), uint8(e.Code))
}

// returnCodeText names the CONNACK return codes of MQTT 3.1.1, table 3.1.
func returnCodeText(c mqtt.ReasonCode) string {
	switch c {
	case 1:
		return "unacceptable protocol version"
	case 2:
		return "identifier rejected"
	case 3:
		return "server unavailable"
	case 4:
		return "bad user name or password"
	case 5:
		return "not authorized"
	}
	return "unknown return code"
}

// DisconnectedError is a DISCONNECT from the server; 5.0 only.
type DisconnectedError struct {
	Code       mqtt.ReasonCode
	Properties mqtt.Properties
}

func (e *DisconnectedError) Error() string {
	return fmt.Sprintf("disconnected by the server: %s (0x%02x)%s", e.Code, uint8(e.Code), reasonText(e.Properties))
}

// TakenOver reports that another connection uses the same client identifier.
// The client never reconnects after it.
func (e *DisconnectedError) TakenOver() bool { return e.Code == mqtt.SessionTakenOver }

// LimitError is a message or request that the server has said it does not
// accept, in CONNACK; it was not sent.
type LimitError struct {
	Property mqtt.PropertyID // the property that states the limit
	Limit    uint32
	Actual   uint32
}

func (e *LimitError) Error() string {
	switch e.Property {
	case mqtt.PropMaximumPacketSize:
		return fmt.Sprintf("packet of %d bytes: the server accepts at most %d", e.Actual, e.Limit)
	case mqtt.PropMaximumQoS:
		return fmt.Sprintf("QoS %d: the server accepts at most %d", e.Actual, e.Limit)
	case mqtt.PropRetainAvailable:
		return "the server does not accept retained messages"
	case mqtt.PropTopicAliasMaximum:
		return fmt.Sprintf("topic alias %d: the server accepts at most %d", e.Actual, e.Limit)
	case mqtt.PropWildcardSubscriptionAvailable:
		return "the server does not accept wildcard subscriptions"
	case mqtt.PropSubscriptionIdentifierAvailable:
		return "the server does not accept subscription identifiers"
	case mqtt.PropSharedSubscriptionAvailable:
		return "the server does not accept shared subscriptions"
	}
	return fmt.Sprintf("%s: %d, the server accepts at most %d", e.Property, e.Actual, e.Limit)
}

func reasonText(p mqtt.Properties) string {
	if s, ok := p.String(mqtt.PropReasonString); ok && s != "" {
		return fmt.Sprintf(": %q", s)
	}
	return ""
}
