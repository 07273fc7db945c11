package mqtt

import (
	"errors"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
)

// reasonOf is the one place where errors become reason codes.
func reasonOf(err error) mqtt.ReasonCode {
	if err == nil { // before errors.As makes the variables below escape
		return mqtt.Success
	}
	var malformed *mqtt.Malformed
	var invalid *router.Invalid
	var closed gateway.Closed
	switch {
	case errors.As(err, &closed):
		return farewellOf(closed.Reason)
	case errors.Is(err, gateway.ErrKeepAlive):
		return mqtt.KeepAliveTimeout // [MQTT-3.1.2-22]
	case errors.Is(err, gateway.ErrStore):
		return mqtt.ImplementationSpecificError
	case errors.As(err, &malformed):
		return malformed.Code
	case errors.As(err, &invalid) && invalid.Filter:
		return mqtt.TopicFilterInvalid
	case errors.As(err, &invalid):
		return mqtt.TopicNameInvalid
	case errors.Is(err, broker.ErrNotAuthorized), errors.Is(err, broker.ErrNotOwner):
		return mqtt.NotAuthorized
	case errors.Is(err, broker.ErrQuota):
		return mqtt.QuotaExceeded
	case errors.Is(err, broker.ErrTakenOver):
		return mqtt.SessionTakenOver
	case errors.Is(err, broker.ErrEnded):
		return mqtt.ServerShuttingDown
	case errors.Is(err, broker.ErrNoSubscription):
		return mqtt.NoSubscriptionExisted
	case errors.Is(err, session.ErrReceiveMaximum):
		return mqtt.ReceiveMaximumExceeded
	case errors.Is(err, session.ErrWrongAck):
		return mqtt.ProtocolError
	case errors.Is(err, session.ErrUnknownID):
		return mqtt.PacketIdentifierNotFound
	}
	return mqtt.UnspecifiedError
}

// told is code, or what hides it from the client.
func (g *Gateway) told(code mqtt.ReasonCode) mqtt.ReasonCode {
	if g.cfg.HideReasons && (code == mqtt.NotAuthorized || code == mqtt.QuotaExceeded) {
		return mqtt.UnspecifiedError
	}
	return code
}

// farewellOf is what a client is told when the broker ends its connection.
func farewellOf(r broker.Reason) mqtt.ReasonCode {
	switch r {
	case broker.ReasonTakenOver:
		return mqtt.SessionTakenOver
	case broker.ReasonShutdown:
		return mqtt.ServerShuttingDown
	case broker.ReasonUnavailable:
		return mqtt.ImplementationSpecificError
	}
	return mqtt.AdministrativeAction
}
