package mqttsn

import (
	"errors"
	"iter"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// Effects are what follows from calls of a Core, in order. The zero value is
// ready; one may serve any number of calls. Work off Events, then send Datagrams.
type Effects struct {
	Events []Event
	buf    []byte
	ends   []int
}

// Reset forgets everything and keeps the memory.
func (fx *Effects) Reset() {
	clear(fx.Events)
	fx.Events, fx.buf, fx.ends = fx.Events[:0], fx.buf[:0], fx.ends[:0]
}

// Len is the number of datagrams.
func (fx *Effects) Len() int { return len(fx.ends) }

// Datagrams are to be sent in this order; valid until Reset.
func (fx *Effects) Datagrams() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start := 0
		for _, end := range fx.ends {
			if !yield(fx.buf[start:end:end]) {
				return
			}
			start = end
		}
	}
}

// Event is something that a client's user wants to know.
type Event struct {
	Kind  EventKind
	Token uint64          // of the request that it is about, as the caller gave it
	Code  wire.ReturnCode // of Refused, Published, Subscribed, WillChanged, Rejected

	// Of Published.
	Outcome   Outcome
	Sends     int  // how often the message went out
	Duplicate bool // a QoS 2 message may have arrived twice, for the session was given up

	// Of Message; QoS also of Subscribed: what was granted.
	Topic   Topic
	Name    string // of the topic: for a predefined one the name that Config gives it, or "#17"
	Payload []byte // aliases the datagram
	QoS     int8
	Retain  bool
	Dup     bool
	MsgID   uint16

	Err error // of Lost and Asleep
}

// EventKind is the kind of an Event.
type EventKind uint8

// Kinds of events.
const (
	Connected    EventKind = iota + 1
	Refused                // CONNACK with Code
	Lost                   // the gateway does not answer, or wants to hear nothing: Err
	Disconnected           // as was asked for; Err is ErrUnanswered if nobody said yes
	Asleep                 // as was asked for, or again, after Wake: Err is ErrUnanswered without a PINGRESP
	Message                // a message
	Published              // the final word on a publication
	Subscribed             // the answer to Subscribe
	Unsubscribed           // the answer to Unsubscribe
	WillChanged            // the answer to SetWillTopic and SetWillPayload
	Rejected               // the gateway has not taken some message of QoS 0 to Topic
)

func (k EventKind) String() string {
	names := [...]string{
		Connected: "connected", Refused: "refused", Lost: "lost", Disconnected: "disconnected",
		Asleep: "asleep", Message: "message", Published: "published", Subscribed: "subscribed",
		Unsubscribed: "unsubscribed", WillChanged: "will changed", Rejected: "rejected",
	}
	if k < Connected || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Outcome says what became of a publication.
type Outcome uint8

// Outcomes.
const (
	Acknowledged Outcome = iota + 1 // QoS 1 and 2
	Written                         // QoS 0 and -1: nothing more can be known
	Denied                          // Code says why
	Abandoned                       // by Abandon; the gateway may have it if Sends is above 0
)

// Errors of events.
var (
	ErrUnanswered = errors.New("the gateway does not answer")
	ErrEnded      = errors.New("the gateway has ended the connection, or does not know of it")
)

// Errors of calls.
var (
	ErrState = errors.New("not in this state")
	ErrFull  = errors.New("too much waits already")
	ErrBusy  = errors.New("one such request is outstanding")
	// ErrUnexpected is a message that has no place here: late, a duplicate, for
	// somebody else, or not a gateway's.
	ErrUnexpected = errors.New("unexpected message")
)
