package client

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Options describe one client. New checks them; the zero value of every field
// but Dial and Version is usable.
type Options struct {
	// Dial opens one network connection to the server, transport and TLS
	// handshake included. The client knows no addresses: it calls Dial again
	// for every reconnection. Required.
	Dial func(context.Context) (net.Conn, error)
	// Version is spoken as it stands; there is no fallback to an older one. Required.
	Version mqtt.Version

	ClientID   string // "" lets the server choose; in 3.x that needs CleanStart
	CleanStart bool   // Clean Session in 3.x
	KeepAlive  uint16 // seconds, 0 = off
	Username   *string
	Password   []byte // nil = none
	Will       *Will
	Properties mqtt.Properties // of CONNECT; 5.0 only

	// MaxInflight bounds the QoS 1 and 2 messages that wait for their
	// acknowledgement; a lower receive maximum of the server wins. 0 = 20.
	MaxInflight int
	// MaxPendingBytes bounds what Publish may have encoded ahead of the
	// network; above it Publish blocks. 0 = 256 KiB.
	MaxPendingBytes int
	// ConnectTimeout bounds Dial and the wait for CONNACK together, for every
	// attempt. 0 = 10 s, below 0 = none.
	ConnectTimeout time.Duration
	// RequestTimeout bounds the wait for SUBACK and UNSUBACK. 0 = none: the
	// context of the call decides alone.
	RequestTimeout time.Duration
	Reconnect      ReconnectPolicy

	// AliasTopics sends a message's topic name once per connection when it
	// carries a topic alias, and the alias alone from then on. Without it the
	// name is always sent beside the alias. 5.0 only.
	AliasTopics bool

	// OnMessage receives every application message, in order, on the
	// goroutine that reads the connection: while it runs nothing else is read,
	// which is the back-pressure. The message and all that it points to are
	// valid until OnMessage returns; the acknowledgement is sent after OnIdle.
	// It may call Halt, Close and Publish at QoS 0. That waits while
	// MaxPendingBytes are ahead of the network, and with a server that does not
	// read before it has been read from, both wait for each other: give it a ctx
	// that ends. It must not wait for anything that only the reader can bring:
	// Publish at QoS 1 and 2 (it blocks when the window is full), PublishWait,
	// Subscribe, Unsubscribe, Flush, Disconnect.
	OnMessage func(Message)
	// OnIdle is called on the same goroutine when OnMessage has been given all
	// that one read of the connection brought, and before the acknowledgements
	// of those messages are sent: the place to flush what OnMessage wrote.
	OnIdle func()
	// OnState is told of every change of the connection, in order, never
	// twice at a time. It must not call the client and should return soon.
	OnState func(State)
	// OnPacket sees every packet in both directions, whole and encoded. raw is
	// valid during the call. Calls for one direction come in wire order; the
	// two directions may call at the same time.
	OnPacket func(dir Direction, raw []byte)
	// OnAuth answers the server's AUTH packets during enhanced authentication
	// with the properties of the next AUTH packet; 5.0 only. Without it an
	// AUTH packet ends the attempt.
	OnAuth func(code mqtt.ReasonCode, props mqtt.Properties) (mqtt.Properties, error)

	Logger *slog.Logger // nil discards
}

// Will is the message that the server publishes when the connection breaks.
type Will struct {
	Topic      string
	Payload    []byte
	QoS        uint8
	Retain     bool
	Properties mqtt.Properties // will delay included; 5.0 only
}

// ReconnectPolicy says what happens when an established connection breaks. The
// first connection is never retried: Connect returns its error.
type ReconnectPolicy struct {
	// Attempts is how many attempts in a row may fail before the client gives
	// up. 0 = never reconnect, below 0 = no limit. A connection that lasts ten
	// seconds starts the count and the delay anew; one that ends sooner
	// counts as a failure, and eight of those in a row end the client with
	// ErrFlapping.
	Attempts int
	// The wait before the n-th attempt doubles from MinDelay (0 = 500 ms) up
	// to MaxDelay (0 = 30 s) with a random part of up to one half taken away.
	MinDelay, MaxDelay time.Duration
}

// Message is an application message, in either direction.
type Message struct {
	Topic    string
	Payload  []byte
	QoS      uint8
	Retain   bool
	Dup      bool   // received messages only
	PacketID uint16 // received messages only, 0 at QoS 0
	// Properties of PUBLISH; 5.0 only. A received message has its topic
	// filled in where the server sent an alias alone.
	Properties mqtt.Properties
}

// Subscription is one entry of SUBSCRIBE.
type Subscription = mqtt.Subscription

// Connack is what the server answered to CONNECT.
type Connack struct {
	SessionPresent bool
	Code           mqtt.ReasonCode // return code in 3.x
	Properties     mqtt.Properties
	// ClientID is the one in use: the caller's or the one the server assigned.
	ClientID string
}

// OutcomeKind says what became of a published message.
type OutcomeKind uint8

const (
	// Acknowledged: PUBACK, or the complete QoS 2 exchange, with a code below
	// 0x80.
	Acknowledged OutcomeKind = iota + 1
	// Written: a QoS 0 message whose last byte the operating system has taken
	// while the connection was up. Nothing more can be known about QoS 0.
	Written
	// Refused: the server answered with an error code (5.0), or a limit that
	// the server states forbids to send the message (Err is a *LimitError).
	Refused
	// Lost: neither acknowledged nor refused when the client ended. The server
	// may or may not have it when Sends is above 0.
	Lost
)

// Outcome is the one final word on one published message.
type Outcome struct {
	Kind       OutcomeKind
	Code       mqtt.ReasonCode // of PUBACK, PUBREC or PUBCOMP; 5.0 only
	Properties mqtt.Properties // of the same packet
	PacketID   uint16          // 0 at QoS 0
	// Sends counts how often the message was put on a connection; above 1
	// after a reconnection.
	Sends int
	// Duplicate reports that a server which had lost the session was given
	// the message again, so that a QoS 2 message may have arrived twice.
	Duplicate bool
	Err       error // why, for Refused by a limit and Lost
}

// StateKind names a change of the connection.
type StateKind uint8

const (
	StateConnected    StateKind = iota + 1 // Connack is set
	StateLost                              // an established connection ended; Err is set
	StateReconnecting                      // attempt Attempt follows after Delay; Err is the last failure
	StateResubscribed                      // the server had no session; Subscriptions were renewed with Codes, or Err
	StateClosed                            // nothing follows; Err is what Client.Err returns
)

// State is one change of the connection.
type State struct {
	Kind          StateKind
	Connack       *Connack
	Err           error
	Attempt       int
	Delay         time.Duration
	Subscriptions []Subscription
	Codes         []mqtt.ReasonCode
}

// Direction of a packet.
type Direction uint8

const (
	Sent Direction = iota
	Received
)

// API is the client as its callers see it; *Client is the implementation.
type API interface {
	// Connect opens the first connection. On error the client has ended.
	// Errors: what Dial returned, *ConnectError, ErrTimeout,
	// ErrClosedBeforeConnack, *mqtt.Malformed, the context's.
	Connect(ctx context.Context) (Connack, error)
	// Publish sends m and returns as soon as it is on its way; it blocks while
	// the window or the pending bytes are full or there is no connection, and
	// ctx ends that. m may be reused at once. When Publish returned nil, done
	// (unless nil) is called exactly once with the outcome, in any order and
	// on any goroutine; it must not block. When it returned an error the
	// message was not taken and done is never called: *LimitError for what the
	// server said it does not accept, ErrClosed, ctx's error.
	Publish(ctx context.Context, m Message, done func(Outcome)) error
	// PublishWait is Publish and the wait for the outcome. The error is of
	// Publish or of ctx; a refused message is an Outcome, not an error.
	PublishWait(ctx context.Context, m Message) (Outcome, error)
	// Subscribe sends one SUBSCRIBE with subs in the order given and returns a
	// code for each: the granted QoS or an error code (0x80 and above). The
	// client renews what was granted when a reconnection finds no session.
	Subscribe(ctx context.Context, subs []Subscription, props mqtt.Properties) ([]mqtt.ReasonCode, error)
	// Unsubscribe sends one UNSUBSCRIBE. 3.x has no codes: nil.
	Unsubscribe(ctx context.Context, filters []string, props mqtt.Properties) ([]mqtt.ReasonCode, error)
	// Flush waits until no message is without its outcome and every done has
	// returned.
	Flush(ctx context.Context) error
	// Halt ends the delivery of messages. Called inside OnMessage, the message
	// in hand is still acknowledged, and nothing after it is handed over or
	// acknowledged, so that a server with a session keeps it.
	Halt()
	// Disconnect halts, sends what is pending and DISCONNECT, waits for the
	// server to close the connection (two seconds at most, or ctx), which
	// tells that it has read all of it, and ends the client.
	// code and props exist in 5.0 only. Messages without outcome become Lost.
	// It returns after the last goroutine of the client has ended. A client
	// that receives nothing, and on this connection has published nothing at
	// QoS 0 and has every other outcome, learns nothing by waiting: it returns
	// once the operating system has DISCONNECT, and Done tells the rest.
	Disconnect(ctx context.Context, code mqtt.ReasonCode, props mqtt.Properties) error
	// Close ends the client without DISCONNECT: the server publishes the will.
	// It does not wait; Done does.
	Close() error
	// Done is closed when the client has ended for good: after Disconnect or
	// Close, or when a connection broke and the policy allows no other.
	Done() <-chan struct{}
	// Err says why the client ended; nil before that and after Disconnect.
	Err() error
}
