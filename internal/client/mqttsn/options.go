package mqttsn

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/dissect"
)

// MinusOne is the QoS, in a client.Message, of one that is sent without a
// connection: QoS -1, which has these bits on the wire.
const MinusOne uint8 = 3

// defaultConnectTimeout is enough for two repetitions of CONNECT.
const defaultConnectTimeout = 30 * time.Second

// Options describe a Client. Of client.Options count Dial, which has to keep
// the bounds of datagrams, ClientID, CleanStart, KeepAlive, Will, MaxInflight,
// ConnectTimeout (0 = 30 s), RequestTimeout, Reconnect, and the callbacks but OnAuth.
type Options struct {
	client.Options

	// As in Config.
	Forwarded     bool
	NodeID        []byte
	Retry         time.Duration
	Retries       int
	Jitter        float64
	Congestion    time.Duration
	MaxDatagram   int
	NamedMinusOne bool
	Rand          *rand.Rand // nil: one of its own

	// Names of predefined topics: a message to such a name goes to the topic, and
	// one from the topic has the name. One without a name has "#17".
	Names map[uint16]string
	// Short takes names of two bytes as they are, without a registration.
	Short bool
	// Connectionless is a client for QoS -1 alone: it says nothing but that.
	Connectionless bool

	// OnRejected is told of a message of QoS 0 that the gateway has not taken, and
	// the code; the topic is "" where nothing tells which it was. It must not block
	// nor call the client.
	OnRejected func(topic string, code wire.ReturnCode)
}

// config is what the Core needs to know.
func (o *Options) config() Config {
	c := Config{
		ClientID: o.ClientID, KeepAlive: o.KeepAlive, Forwarded: o.Forwarded, NodeID: o.NodeID,
		Retry: o.Retry, Retries: o.Retries, Farewell: farewellRetry, Jitter: o.Jitter,
		Rand:       o.Rand,
		Congestion: o.Congestion, MaxDatagram: o.MaxDatagram, Names: o.Names, Nameless: true,
		MaxQueued: DefaultMaxQueued + o.MaxInflight, NamedMinusOne: o.NamedMinusOne,
	}
	if w := o.Will; w != nil {
		c.Will = &Will{Topic: w.Topic, Payload: w.Payload, QoS: int8(w.QoS), Retain: w.Retain}
	}
	return c
}

func (o Options) withDefaults() Options {
	if o.MaxInflight <= 0 {
		o.MaxInflight = 20
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	return o
}

// TopicOf is what a topic or filter of client.API stands for here.
func (o *Options) TopicOf(name string) Topic {
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		if id, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return Predefined(uint16(id))
		}
	}
	for id, n := range o.Names {
		if n == name {
			return Predefined(id)
		}
	}
	if o.Short && len(name) == 2 && !wild(name) {
		return Short(name)
	}
	return Named(name)
}

// CodeError is a return code that refuses something. It is a
// *client.RefusedError, too.
type CodeError struct {
	What string // "connection", "message", "request"
	Code wire.ReturnCode
}

// Error implements error.
func (e *CodeError) Error() string { return e.Unwrap().Error() }

// Unwrap is e for those who do not know of codes.
func (e *CodeError) Unwrap() error {
	return &client.RefusedError{What: e.What, Reason: codeText(e.Code)}
}

func codeText(c wire.ReturnCode) string { return fmt.Sprintf("%v (%d)", c, uint8(c)) }

// Describe puts a datagram into words, for people.
func Describe(datagram []byte, _ client.Direction) string {
	p, _, err := (dissect.MQTTSN{}).Dissect(datagram, nil)
	switch {
	case err != nil:
		return fmt.Sprintf("%d bytes that are no message: %v", len(datagram), err)
	case p.Summary == "":
		return p.Type
	}
	return p.Type + " " + p.Summary
}
