// Package store is the contract between the broker and whatever keeps its
// state: sessions, subscriptions, queues, packet identifiers in flight,
// retained messages and wills.
//
// To add a store:
//
//  1. create store/x with Load, Queue, Kept, Apply and Close;
//  2. run storetest.Run over it: atomic batches, order, pages, reload;
//  3. add one line to cmd/iotctl/builtin.go.
//
// The broker keeps a working copy of everything in memory but the queues, and
// reads the store once, at start. Of a queue it keeps the head and fetches the
// rest page by page, and what gateways keep with a session it reads when a
// client comes back. What must be applied before which packet may leave is the
// broker's business (see broker/doc.go); what "applied" is worth (memory, a
// synced log) is the store's.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

// Store keeps records. Its methods may be called from any goroutine.
type Store interface {
	// Load calls fn with every record, once, at start: a session before what
	// belongs to it, a Backlog in place of its Queued records, and no Kept. It
	// stops at the first error of fn and returns it.
	Load(ctx context.Context, fn func(Record) error) error
	// Queue returns the next messages of a session's queue, in the order of
	// Seq: those with after < Seq <= through, at most PageMessages, and no more
	// once they exceed PageBytes. A page that is shorter than both is the last.
	// It sees every batch whose Apply has returned.
	Queue(ctx context.Context, client string, after, through uint64) ([]Queued, error)
	// Kept returns the Data of what is kept with a session, by Key; nil or empty
	// if there is nothing. It sees every batch whose Apply has returned. Data is
	// not to be changed.
	Kept(ctx context.Context, client string) (map[string][]byte, error)
	// Apply carries out a batch in order, all of it or nothing, and returns
	// when it is as durable as the store promises. The caller may reuse the
	// slice afterwards; the records in it are never changed.
	//
	// The removal of a Queued may be less durable than the rest: a message
	// that comes back after a crash is a repetition, which MQTT allows.
	Apply(ctx context.Context, batch []Op) error
	// Close flushes and releases everything.
	Close() error
}

// A page of a queue is that long at most, and that large but for its last
// message.
const (
	PageMessages = 256
	PageBytes    = 256 << 10
)

// ErrClosed is what a store answers after Close.
var ErrClosed = errors.New("the store is closed")

// ErrDamaged is part of the error when a store cannot be opened or read because
// what it has written is not what it finds.
var ErrDamaged = errors.New("the store is damaged")

// Fallible is a store that may break for good: a disk that has refused to write
// or to sync holds nobody knows what. From then on every Apply returns an error.
type Fallible interface {
	// Failed delivers the cause, once.
	Failed() <-chan error
}

// Bounded is a store that may run out of room.
type Bounded interface {
	// Room is asked for every message that would take some, so it costs little.
	Room() Room
}

// Room says how much a store can still take.
type Room struct {
	Free uint64 // bytes
	Low  bool   // somebody should see to it
	// Full: no more messages. What is left is for the removal of what is there.
	Full bool
}

// Op is one step of a batch.
type Op struct {
	Kind   OpKind
	Record Record
}

// OpKind says what an Op does with its record.
type OpKind uint8

const (
	// Put creates the record or replaces the one with the same key. What comes
	// too late is ignored: a Subscription, Queued, Released, Received or Kept
	// without a Session, and a Queued or Released below its First.
	Put OpKind = iota
	// Delete removes the record with the same key, if there is one. Only the
	// key fields of the record need to be set. Deleting a Session removes
	// everything that belongs to it.
	Delete
)

// Record is one of Session, Subscription, Queued, Released, Received, Kept,
// Retained and Will, and from Load also Backlog.
type Record interface{ record() }

// Session outlives its network connection. Key: ClientID.
type Session struct {
	ClientID string
	Owner    string        // the identity it belongs to
	Expiry   time.Duration // session expiry interval; Never for 0xFFFFFFFF
	// Ended is when the last network connection ended; zero while there is
	// one. The session expires at Ended + Expiry.
	Ended time.Time
	// First is where its queue begins. Lower places belong to an earlier session
	// with that client identifier; what has them goes when the Session is put.
	First uint64
	// Sent is the last place in the queue from which anything had been sent
	// when the connection ended.
	Sent uint64
}

// Never as a session expiry interval means that the session does not expire.
// // [MQTT-3.1.2.11.2]
const Never time.Duration = 1<<63 - 1

// Subscription of a session. Key: ClientID, Filter.
type Subscription struct {
	ClientID          string
	Filter            string // as the client wrote it, $share prefix included
	QoS               uint8
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    uint8
	ID                uint32 // subscription identifier, 0 for none
}

// Queued is a message that waits for, or is on its way to, a session. Seq
// orders the queue and determines the packet identifier. Key: ClientID, Seq.
type Queued struct {
	ClientID        string
	Seq             uint64
	Message         *message.Message
	QoS             uint8
	Retain          bool
	SubscriptionIDs []uint32
	Share           string // shared subscription it came by, "" for none
}

// Backlog stands for all Queued records of a session. It is never stored.
type Backlog struct {
	ClientID    string
	First, Last uint64 // Seq
	Messages    int
	Bytes       int // the sum of Message.Size
}

// Released is an outbound QoS 2 delivery that has had its PUBREC: only the
// packet identifier is left, until PUBCOMP. It replaces Queued with that Seq.
// To delete it removes either, as durably as the rest of the batch. Key:
// ClientID, Seq.
type Released struct {
	ClientID string
	Seq      uint64
}

// Received is the packet identifier of an inbound QoS 2 message between its
// PUBLISH and its PUBREL. Key: ClientID, PacketID.
type Received struct {
	ClientID string
	PacketID uint16
}

// Kept is what a gateway keeps with a session: the store does not look into it.
// Key: ClientID, Key.
type Kept struct {
	ClientID string
	Key      string
	Data     []byte
}

// Retained is the retained message of a topic. Key: Message.Topic.
type Retained struct {
	Message *message.Message
}

// Will of a session. Key: ClientID.
type Will struct {
	ClientID string
	Message  *message.Message
	Delay    time.Duration
	// Due is when a will that waits for its delay is published; zero while
	// the connection lives.
	Due time.Time
	// ExpiryInterval is the will's message expiry interval; it starts to run
	// when the will is published. 0 for none.
	ExpiryInterval time.Duration
}

func (Session) record()      {}
func (Subscription) record() {}
func (Queued) record()       {}
func (Backlog) record()      {}
func (Released) record()     {}
func (Received) record()     {}
func (Kept) record()         {}
func (Retained) record()     {}
func (Will) record()         {}
