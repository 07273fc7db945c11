package transport

import (
	"errors"
	"fmt"
)

// errSilence is what a client finds when nobody takes part in its handshake.
var errSilence = errors.New("nobody answers")

// explainSilence puts that into words.
func explainSilence(target string, err error) error {
	return &Error{
		Op: "tls", Target: target, Problem: "nobody answers the DTLS handshake", Timeout: true, Err: fmt.Errorf("%w: %w", errSilence, err),
		Hint: "is this the right port, and is DTLS spoken there? Over UDP nobody says that it is not",
	}
}

// explainDTLS puts into words how a handshake without a pre-shared key failed.
func explainDTLS(target, name string, err error) error {
	e := explainServer(target, name, err).(*Error) //nolint:errorlint // it is one
	switch alertText(err) {
	case "handshake failure", "insufficient security level": // whoever has keys alone says so
		e.Problem = "the server agrees to no cipher suite with certificates"
		e.Hint = "it may want a pre-shared key"
	}
	return e
}
