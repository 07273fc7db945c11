package exproto

import (
	"context"
	"errors"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/router"
)

// coded is an error that knows its result code. The texts are those that
// handlers may have seen of EMQX.
type coded struct {
	code pb.ResultCode
	text string
}

func (c *coded) Error() string { return c.text }

var (
	errConn      = &coded{pb.ResultCode_PARAMS_TYPE_ERROR, "The conn type error"}
	errGone      = &coded{pb.ResultCode_CONN_PROCESS_NOT_ALIVE, "Connection process is not alive"}
	errBusy      = &coded{pb.ResultCode_UNKNOWN, "Connection is not answered"}
	errQoS       = &coded{pb.ResultCode_PARAMS_TYPE_ERROR, "The qos is none of 0, 1 and 2"}
	errTimer     = &coded{pb.ResultCode_PARAMS_TYPE_ERROR, "The timer is not KEEPALIVE with an interval above 0"}
	errDuplicate = &coded{pb.ResultCode_PERMISSION_DENY, "Duplicated authenticate command"}
	errNoSocket  = &coded{pb.ResultCode_PERMISSION_DENY, "Client socket disconnected"}
	errDenied    = &coded{pb.ResultCode_PERMISSION_DENY, "Authorization deny"}
	errRefused   = &coded{pb.ResultCode_PERMISSION_DENY, "Not authorized: the client is not known, or the password is wrong"}
	errAnonymous = &coded{pb.ResultCode_PERMISSION_DENY, "The client has not been authenticated: call Authenticate first"}
	errInternal  = &coded{pb.ResultCode_UNKNOWN, "Internal error"}
)

func missing(what string) error {
	return &coded{pb.ResultCode_REQUIRED_PARAMS_MISSED, "Missing " + what}
}

func wrong(err error) error {
	return &coded{pb.ResultCode_PARAMS_TYPE_ERROR, gateway.Clip(err.Error())}
}

// answer is the one place where errors become result codes.
func (g *Gateway) answer(err error) *pb.CodeResponse {
	if err == nil {
		return &pb.CodeResponse{}
	}
	var known *coded
	var invalid *router.Invalid
	var pending *auth.Pending
	switch {
	case errors.As(err, &known):
	case errors.As(err, &invalid):
		errors.As(wrong(err), &known)
	case errors.As(err, &pending):
		known = &coded{pb.ResultCode_PERMISSION_DENY, pending.Error()}
	case errors.Is(err, broker.ErrNotAuthorized):
		g.count.denied.Add(1)
		known = errDenied
	case errors.Is(err, broker.ErrNotOwner):
		known = &coded{pb.ResultCode_PERMISSION_DENY, err.Error()}
	case errors.Is(err, broker.ErrTakenOver), errors.Is(err, broker.ErrEnded):
		known = errGone
	case errors.Is(err, broker.ErrQuota):
		known = &coded{pb.ResultCode_UNKNOWN, err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		known = errBusy
	default:
		g.log.Error("exproto: a call of the handler has failed", "err", err)
		known = errInternal
	}
	code := known.code
	if known == errAnonymous && g.cfg.EMQXCompatCodes {
		code = pb.ResultCode_UNKNOWN
	}
	return &pb.CodeResponse{Code: code, Message: known.text}
}
