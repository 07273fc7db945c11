package session

import (
	"errors"

	"github.com/iotctl/iotctl/internal/message"
)

// Action is an effect for the caller to carry out.
type Action struct {
	Kind     ActionKind
	Seq      uint64 // of a queued message, as given by Reserve
	Delivery message.Delivery
	Reason   Drop // for Dropped
}

// ActionKind says what an Action asks for.
type ActionKind uint8

const (
	// Send hands Delivery to the client. With Delivery.Release the client has
	// received a QoS 2 message; from here on only its identifier is kept, and
	// the Send must not leave before that has been stored under Seq.
	//
	// When the client cannot take it now,
	// the caller answers with Refused, for this and every later Send that it
	// still has, so that nothing overtakes.
	Send ActionKind = iota
	// Done: the delivery with Seq is complete and can be forgotten.
	Done
	// Dropped: the message will not be delivered, for Reason.
	Dropped
	// Fetch asks for the next page of the queue, by Page. The caller need not
	// hurry, but answers once.
	Fetch
)

// Drop is the reason why a message was not delivered.
type Drop uint8

// Reasons. A full queue first looks for what has expired, then gives up the
// oldest message, so that a client that returns finds the newest.
const (
	DropExpired    Drop = iota // the message expiry interval passed
	DropQueueFull              // queue full, the oldest made room
	DropOffline                // QoS 0 for a client that is not connected
	DropSlow                   // QoS 0 for a client that does not read
	DropTooLarge               // above the client's maximum packet size
	DropRefused                // the client answered with an error
	DropNotAllowed             // rights were withdrawn meanwhile
	DropEnded                  // the session ended
	DropStoreFull              // no room to keep it for a client that is not connected
	dropCount
)

// Drops is the number of reasons.
const Drops = int(dropCount)

func (d Drop) String() string {
	return [...]string{
		"expired", "queue-full", "offline-qos0", "slow-client-qos0",
		"too-large", "refused-by-client", "not-authorized", "session-ended", "store-full",
	}[d]
}

// Ack is the kind of an acknowledgement.
type Ack uint8

// Acknowledgements that a client sends for outbound messages.
const (
	Puback Ack = iota
	Pubrec
	PubrecError // PUBREC with a reason code of 0x80 or above
	Pubcomp
)

// Errors of Acked. Unknown identifiers are no protocol error after a session
// has been lost; the wrong kind of acknowledgement is.
var (
	ErrUnknownID = errors.New("packet identifier not found")
	ErrWrongAck  = errors.New("acknowledgement does not fit the quality of service")
)
