package exproto

import (
	"errors"
	"os"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Reasons of OnSocketClosed.
const (
	reasonPeer      = "peer_closed"
	reasonNormal    = "normal" // the handler has closed it
	reasonIdle      = "idle_timeout"
	reasonKeepalive = "keepalive_timeout"
	reasonTakenOver = "taken_over"
	reasonKicked    = "kicked"
	reasonHandler   = "handler_error"
	reasonSend      = "send_timeout"
	reasonLimit     = "limit"
	reasonShutdown  = "shutdown"
	reasonFraming   = "bad_frame"
)

// closedBy is the reason for what the broker asks for.
func closedBy(r broker.Reason) string {
	switch r {
	case broker.ReasonTakenOver:
		return reasonTakenOver
	case broker.ReasonShutdown:
		return reasonShutdown
	case broker.ReasonUnavailable:
		return reasonLimit
	}
	return reasonKicked
}

// reasonOf is the reason for an end that has come from anywhere.
func reasonOf(e *gateway.End) string {
	var byBroker gateway.Closed
	switch {
	case errors.As(e.Err, &byBroker):
		return closedBy(byBroker.Reason)
	case e.Why == "network" && errors.Is(e.Err, os.ErrDeadlineExceeded): // reads have none that ends a connection
		return reasonSend
	case e.Why == "network":
		return reasonPeer
	case e.Why == "store":
		return reasonLimit
	}
	return e.Why
}
