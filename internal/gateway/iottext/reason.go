package iottext

import (
	"errors"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Errors that a client hears of by what they say.
type told string

// Error implements error.
func (t told) Error() string { return string(t) }

const (
	errDenied      = told("not authorized")
	errFirstID     = told("say who you are first, with ID")
	errEmptyValue  = told("an empty value is none: DEL takes the value of a variable away")
	errTooMany     = told("too many subscriptions")
	errNobody      = told("nobody receives what is sent to this device")
	errOwner       = told("this id belongs to another user")
	errStrange     = told("too much that is not understood")
	errTries       = told("too many refusals")
	errLate        = told("no ID was accepted in time")
	errNoAnswer    = told("HELLO? was not answered")
	errUnavailable = told("the server cannot do this now")
)

// reasonOf is err in words for the client: nothing of what only the operator
// should know.
func reasonOf(err error) string {
	var (
		say     told
		bad     *iottext.Malformed
		waiting *auth.Pending
		closed  gateway.Closed
	)
	switch {
	case errors.As(err, &say):
		return say.Error()
	case errors.As(err, &bad):
		return bad.Reason
	case errors.As(err, &waiting):
		return waiting.Error()
	case errors.As(err, &closed):
		return closed.Error()
	case errors.Is(err, gateway.ErrKeepAlive):
		return errNoAnswer.Error()
	case errors.Is(err, broker.ErrNotAuthorized):
		return errDenied.Error()
	case errors.Is(err, broker.ErrNotOwner):
		return errOwner.Error()
	case errors.Is(err, broker.ErrQuota):
		return broker.ErrQuota.Error()
	case errors.Is(err, broker.ErrEnded):
		return broker.ErrEnded.Error()
	case errors.Is(err, broker.ErrTakenOver):
		return broker.ErrTakenOver.Error()
	}
	return errUnavailable.Error()
}
