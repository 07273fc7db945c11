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
	// ErrFlapping: the server accepts the connection and ends it at once, over
	// and over. In 3.x that is all a client sees of a fight for its identifier.
	ErrFlapping = errors.New("the server keeps closing the connection; another client may use the same client identifier")
	// ErrClosed: the client has ended, or was never connected.
	ErrClosed = errors.New("client is closed")
)

// ConnectError is a CONNACK that refuses the connection.
type ConnectError struct {
	Version    mqtt.Version
	Code       mqtt.ReasonCode // return code 1 to 5 in 3.x, and in 5.0 from servers that do not know that
	Properties mqtt.Properties
}

func (e *ConnectError) Error() string {
	switch {
	case e.Version == mqtt.V5 && e.Code.IsError():
		return fmt.Sprintf("connection refused by the server: %s (0x%02x)%s", e.Code, uint8(e.Code), reasonText(e.Properties))
	case e.Version == mqtt.V5: // so answers a server that knows no 5.0
		return fmt.Sprintf("connection refused by the server: %s (%d, a return code of MQTT 3)", returnCodeText(e.Code), uint8(e.Code))
	}
	return fmt.Sprintf("connection refused by the server: %s (%d)", returnCodeText(e.Code), uint8(e.Code))
}

// returnCodeText names the CONNACK return codes of MQTT 3.1.1, table 3.1.
func returnCodeText(c mqtt.ReasonCode) string {
	switch c {
	case mqtt.V3UnacceptableProtocolVersion:
		return "unacceptable protocol version"
	case mqtt.V3IdentifierRejected:
		return "identifier rejected"
	case mqtt.V3ServerUnavailable:
		return "server unavailable"
	case mqtt.V3BadUserNameOrPassword:
		return "bad user name or password"
	case mqtt.V3NotAuthorized:
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
	case mqtt.PropSubscriptionIDAvailable:
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

// retryable reports whether a later attempt may fare better than one that
// ended with err. Refusals that the same CONNECT or the same messages would
// meet again are final, and so is a takeover: to come back would start a fight.
func retryable(err error) bool {
	if refused := new(ConnectError); errors.As(err, &refused) {
		if refused.Version != mqtt.V5 {
			return refused.Code == mqtt.V3ServerUnavailable
		}
		return passing(refused.Code)
	}
	if ended := new(DisconnectedError); errors.As(err, &ended) {
		return passing(ended.Code)
	}
	return !errors.As(err, new(*mqtt.Malformed))
}

// passing reports whether a 5.0 reason code speaks of the moment rather than
// of this client.
func passing(c mqtt.ReasonCode) bool {
	switch c {
	case mqtt.NormalDisconnection, mqtt.UnspecifiedError, mqtt.ImplementationSpecificError,
		mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.ServerShuttingDown, mqtt.KeepAliveTimeout,
		mqtt.MessageRateTooHigh, mqtt.QuotaExceeded, mqtt.AdministrativeAction,
		mqtt.ConnectionRateExceeded, mqtt.MaximumConnectTime:
		return true
	}
	return false
}
