// Package gateway is the contract of the protocol front ends, MQTT being one of
// them, and what those that serve connections have in common: Server accepts
// them, Conn reads, writes and ends one.
//
// To add a gateway (README.md does it, step by step):
//
//  1. create codec/x with a file per packet and gateway/x with Config and New;
//  2. embed Conn in a type of your own that is a Client: read, parse, call the
//     broker (see broker/doc.go), and Deliver on the way back;
//  3. run gatewaytest.Run over it;
//  4. add one line to cmd/iotctl/builtin.go.
//
// # Goroutines
//
// One goroutine per connection reads, parses, calls the broker and owns the
// end of the connection. There is no writer goroutine while there is nothing
// that waits: whoever flushes writes what the kernel takes, and only what is
// left over starts one, which ends when it has written everything. Serve
// returns after the last of them.
//
// # Memory
//
// An idle connection holds no buffer. What waits to be written is bounded
// (ServerConfig.PendingBytes); above that deliveries are refused and the session
// decides, and a client that does not read its answers is not read from. What
// is kept of an incomplete frame is bounded by the gateway, which refuses a frame
// as soon as its announced length is too much.
package gateway

import (
	"context"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

// Gateway is one wire protocol turned into broker calls.
type Gateway interface {
	// Serve handles l until ctx ends or l is closed. It owns every goroutine
	// that it starts and returns after the last has ended. When ctx ends it
	// closes l, tells its clients and lets them go.
	Serve(ctx context.Context, l transport.Listener) error
}

// Client is a gateway's own part of one connection: a type that embeds Conn,
// which brings Flush and Close of broker.Receiver. The gateway adds Deliver:
//
//	return c.Append(func(dst []byte) []byte { return appendFrame(dst, d) })
//
// Its other methods run on the goroutine of the connection.
type Client interface {
	broker.Receiver

	// Data works off the complete frames in data, which is valid until it
	// returns. rest is what is left, of an incomplete frame; want is how many bytes
	// that frame has at least, 0 for unknown. A datagram comes whole, and
	// what is left of it is dropped. An *End ends the connection with what it says,
	// any other error as one of the network.
	Data(ctx context.Context, data []byte) (rest []byte, want int, err error)

	// LastWords is what the client is told when its connection ends because of
	// e; nil is nothing. It is asked once, and unless e brings its own or is to be
	// mute. Conn.Close and Conn.End ask on the goroutine of their caller.
	LastWords(e *End) []byte

	conn() *Conn // by embedding Conn
}

// Opener is a Client that wants to know when its connection is open: after the
// handshake and before the first byte.
type Opener interface {
	Opened(ctx context.Context) error
}

// Drainer is a Client for which others still work off what it has sent when
// nothing more comes. Drain waits for them: until it returns, the link is there
// and what Send adds is written, if the peer still takes it.
type Drainer interface {
	Drain(e *End)
}

// Teller is a Client that counts what it sends. Said is called with last words,
// after LastWords or of an End, once they are on their way. From any goroutine.
type Teller interface {
	Said(last []byte)
}

// Ender is a Client that has to clean up. Ended is called once, last, after the
// connection has been closed.
type Ender interface {
	Ended(e *End)
}

// Watch is a Client with deadlines of its own, in the place of
// ServerConfig.ConnectTimeout and Conn.KeepAlive.
type Watch interface {
	// Deadline is when Expired is to be called if nothing is read before; zero is
	// never. lastRead is when something was read, at first when the connection
	// was accepted. It is asked before each read.
	Deadline(lastRead time.Time) time.Time
	// Expired is called after the deadline. nil goes on, for which the deadline
	// must have moved.
	Expired(ctx context.Context) error
}

// SessionID is the client identifier of a gateway's session at the broker. Each
// protocol has a name space of its own, out of the reach of MQTT clients, which
// cannot say NUL [MQTT-1.5.4-2]; unless it is shared with them: then a client
// takes over from any other with its identifier. auth.Identity has the plain
// identifier in both cases.
func SessionID(protocol, clientID string, shared bool) string {
	if shared {
		return clientID
	}
	return protocol + "\x00" + clientID
}

// PlainID is what the client calls itself that has the session id: the reverse of
// SessionID.
func PlainID(sessionID string) string {
	if _, plain, ok := strings.Cut(sessionID, "\x00"); ok {
		return plain
	}
	return sessionID
}
