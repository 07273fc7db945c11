package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Error is what Dial and Handshake return: which step failed, in words, and
// what to try.
type Error struct {
	Op     string // "resolve", "connect", "proxy", "access", "tls", "websocket"
	Target string // the URL's address or the peer's
	// Problem says it in words, without Op and Target.
	Problem string
	// Hint is one sentence on what to do, or "".
	Hint string
	// Timeout: the step did not end in time.
	Timeout bool
	Err     error // what was found, if anything; for errors.Is and errors.As
}

// Error implements error.
func (e *Error) Error() string { return e.Op + " " + e.Target + ": " + e.Problem }

// Unwrap gives access to the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrTooLong refuses to write a datagram that is longer than the network, or
// DTLS, takes. The connection lives.
var ErrTooLong = errors.New("the datagram is too long to be sent")

// errRefused marks connections that the handshake refused and counted.
var errRefused = errors.New("refused")

// isTimeout reports expired deadlines and contexts.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne := net.Error(nil)
	return errors.As(err, &ne) && ne.Timeout()
}

// explainConnect puts an error of net.Dialer into words.
func explainConnect(target string, e Endpoint, err error) *Error {
	out := &Error{Op: "connect", Target: target, Problem: err.Error(), Err: err, Timeout: isTimeout(err)}
	if oe := (*net.OpError)(nil); errors.As(err, &oe) {
		out.Problem = oe.Err.Error()
	}
	dns := (*net.DNSError)(nil)
	switch {
	case errors.As(err, &dns):
		out.Op, out.Target, out.Problem = "resolve", dns.Name, dns.Err
		if dns.IsNotFound {
			out.Problem, out.Hint = "no such host", "check the spelling of the host name"
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		out.Problem = "connection refused"
		out.Hint = "nothing listens there: is the broker running, and is this its port?"
		if e.Scheme.Network == "unix" {
			out.Hint = "the socket file is there, but no process listens on it"
		}
	case errors.Is(err, os.ErrNotExist) && e.Scheme.Network == "unix":
		out.Problem, out.Hint = "no such socket file", "is the broker running with a listener at this path?"
	case errors.Is(err, os.ErrPermission):
		out.Problem = "permission denied"
	case errors.Is(err, context.Canceled):
		out.Problem = "cancelled"
	case out.Timeout:
		out.Problem = "no answer in time"
		out.Hint = "the host is down, or a firewall drops the packets"
	}
	return out
}

// Sniff names what a peer seems to speak, by its first bytes, for error
// messages: "TLS", "HTTP", "SSH", "MQTT", "a PROXY header"; "" when unknown.
func Sniff(b []byte) string {
	switch {
	case len(b) >= 2 && (b[0] == 0x16 || b[0] == 0x15) && b[1] == 3:
		return "TLS"
	case bytes.HasPrefix(b, []byte("PROXY")) || bytes.HasPrefix(b, []byte("\r\n\r\n\x00")):
		return "a PROXY header"
	case len(b) >= 2 && (b[0] == 0x10 || b[0] == 0x20):
		return "MQTT"
	}
	return dissect.Foreign(b)
}
