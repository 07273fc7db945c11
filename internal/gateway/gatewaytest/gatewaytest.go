// Package gatewaytest is the suite that every gateway passes: the same devices'
// wishes, whatever the protocol. It looks from the broker's side, so that
// protocols whose devices choose no topics pass it, too.
//
// To hold a gateway to it, write a Client that speaks the protocol over a
// connection that the suite has made, and fill in a Subject.
package gatewaytest

import (
	"net"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// Patience is how long the suite, and a Client, wait for what has to come.
const Patience = 30 * time.Second

// Message is what the broker sees of a device.
type Message struct {
	Topic   string
	Payload string
}

// Client is a device that speaks the gateway's protocol. A method that fails
// ends the test. Payloads of the suite are letters and digits.
type Client interface {
	// Send writes an uplink. It waits for no answer: the suite may hold back
	// what is written, and the gateway may refuse it.
	Send(payload string)
	// Receive returns the payload of the next downlink, or fails after Patience.
	// It passes over what else the gateway says.
	Receive() string
	// Leave says goodbye as the protocol wants it, or closes the connection.
	Leave()
}

// Will is the last will of a client.
type Will struct{ Topic, Payload string }

// Environment is what the gateway of a test gets.
type Environment struct {
	Broker        *broker.Broker
	Authenticator auth.Authenticator
	// ConnectTimeout is how long a client may take to log in; 0 leaves it at the
	// gateway's default.
	ConnectTimeout time.Duration
}

// Subject is a gateway under test.
type Subject struct {
	// URL to listen on, with port 0. Schemes with network "udp" skip what
	// datagrams do not have: reads that cut a message, an end of the stream.
	URL string
	// TLS is the same over TLS or DTLS; "" for none.
	TLS string
	// Schemes of both; nil: transport.MQTTSchemes.
	Schemes []transport.Scheme
	New     func(t *testing.T, e Environment) (gateway.Gateway, error)
	// Connect logs a device in over nc, whose first byte is still to be sent, and
	// returns when the protocol says that it is connected. will is nil for none,
	// and always without Will below.
	Connect func(t *testing.T, nc net.Conn, clientID string, will *Will) Client
	// Refused logs a device in that the authenticator denies and checks what the
	// protocol answers, if it has an answer; the suite checks that the connection
	// ends.
	Refused func(t *testing.T, nc net.Conn, clientID string)
	// Uplink is what the broker sees when the device sends payload.
	Uplink func(clientID, payload string) Message
	// Downlink is what has to be published for the device to receive payload.
	Downlink func(clientID, payload string) Message
	// Will: the protocol has one.
	Will bool
	// PayloadBytes is the longest payload that devices send and receive. 0:
	// 40,000, which is longer than what one read brings.
	PayloadBytes int
	// LoginBytes is how much of a login is no login yet, for a client that stops
	// there. 0: 1.
	LoginBytes int
	// Endless begins a frame that goes on with as many x as anybody sends, where
	// the protocol can say such a thing; the gateway ends the connection.
	Endless []byte
}

func (s Subject) withDefaults() Subject {
	if s.PayloadBytes == 0 {
		s.PayloadBytes = 40_000
	}
	if s.LoginBytes == 0 {
		s.LoginBytes = 1
	}
	return s
}

// datagrams tells whether url is of a scheme without a stream.
func (s Subject) datagrams(url string) bool {
	e, err := transport.Parse(url, s.Schemes)
	return err == nil && e.Scheme.Network == "udp"
}

// Run holds a gateway to what all have in common.
func Run(t *testing.T, s Subject) {
	t.Helper()
	s = s.withDefaults()
	stream := !s.datagrams(s.URL)
	for _, c := range []struct {
		name  string
		test  func(*testing.T, Subject)
		apply bool
	}{
		{"uplinks reach a subscriber", plain(uplink), true},
		{"downlinks reach the device", plain(downlink), true},
		{"uplinks and downlinks over TLS", overTLS, s.TLS != ""},
		{"will of a lost client is published", plain(willPublished), s.Will},
		{"no will after a goodbye", plain(noWill), s.Will},
		{"a device that leaves is detached", plain(leave), stream},
		{"a device that is lost is detached", plain(lost), stream},
		{"a second connection takes over", plain(takeOver), true},
		{"what may not be published is dropped", plain(mayNotPublish), true},
		{"a refused device is told and let go", plain(refused), true},
		{"a slow client harms nobody", plain(slowClient), stream},
		{"shutdown ends every client", plain(shutdown), true},
		{"clients outlive the listener alone", plain(closeListener), stream},
		{"messages that are cut anywhere", cut, stream},
		{"a thousand messages in one write", plain(thousand), stream},
		{"garbage harms nobody", plain(garbage), true},
		{"a frame without an end is cut off", plain(endless), stream && s.Endless != nil},
		{"a client that does not log in is ended", silent, stream},
	} {
		if c.apply {
			t.Run(c.name, func(t *testing.T) { c.test(t, s) })
		}
	}
}

// plain is a test on a stage with nothing special.
func plain(test func(*testing.T, *stage)) func(*testing.T, Subject) {
	return func(t *testing.T, s Subject) { test(t, open(t, s, setting{})) }
}
