package auth

// Pending is the error of an authenticator for a client that waits until an
// operator has approved it. It goes with Deny. It is no fault: gateways let the
// client go as one that is not authorised, tell it Error as the reason where
// their protocol has room for one, and log nothing: the authenticator does.
type Pending struct {
	// Code is what the operator sees beside the request, "48-21": a device that
	// has a display shows it. "": too many wait, and the operator does not see
	// this one yet.
	Code string
}

// Error implements error. It is fit for the client.
func (p *Pending) Error() string {
	if p.Code == "" {
		return "pending approval: too many devices wait, try again later"
	}
	return "pending approval, code " + p.Code
}
