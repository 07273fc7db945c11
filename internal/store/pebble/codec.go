package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// Every value starts with the version of its layout, so that one may change
// while older records stay readable. Lengths and numbers are varints, a time is
// its seconds and nanoseconds, and what is usually absent has a flag.

const version = 1

// Kinds of queue entries; each is also the version of its layout.
const (
	entryInline    = 1 // holds the message
	entryReference = 2 // names a body
	entryReleased  = 3 // nothing but its key
)

var (
	errCut     = errors.New("record is cut short")
	errVersion = errors.New("record of an unknown version")
	errFlags   = errors.New("record with unknown flags")
	errSpare   = errors.New("record with bytes left over")
)

// flags of a message.
const (
	messageQoS       = 0x03
	messageRetain    = 1 << 2
	messagePublished = 1 << 3
	messageExpires   = 1 << 4
)

func appendMessage(dst []byte, m *message.Message) []byte {
	flags := m.QoS & messageQoS
	if m.Retain {
		flags |= messageRetain
	}
	if !m.Published.IsZero() {
		flags |= messagePublished
	}
	if !m.Expires.IsZero() {
		flags |= messageExpires
	}
	dst = append(dst, flags)
	if flags&messagePublished != 0 {
		dst = appendTime(dst, m.Published)
	}
	if flags&messageExpires != 0 {
		dst = appendTime(dst, m.Expires)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.Topic)))
	dst = binary.AppendUvarint(dst, uint64(len(m.Publisher)))
	dst = binary.AppendUvarint(dst, uint64(len(m.Owner)))
	dst = binary.AppendUvarint(dst, uint64(len(m.Properties)))
	dst = append(dst, m.Topic...)
	dst = append(dst, m.Publisher...)
	dst = append(dst, m.Owner...)
	dst = append(dst, m.Properties...)
	return append(dst, m.Payload...) // the rest
}

// message reads to the end; what it returns aliases nothing.
func (r *reader) message() *message.Message {
	flags := r.byte()
	if flags&^(messageQoS|messageRetain|messagePublished|messageExpires) != 0 {
		r.fail(errFlags)
	}
	m := &message.Message{QoS: flags & messageQoS, Retain: flags&messageRetain != 0}
	if flags&messagePublished != 0 {
		m.Published = r.time()
	}
	if flags&messageExpires != 0 {
		m.Expires = r.time()
	}
	topic, publisher, owner, props := r.length(), r.length(), r.length(), r.length()
	text := string(r.take(topic + publisher + owner)) // one allocation for three
	rest := append([]byte{}, r.take(len(r.b))...)
	if r.err != nil || props > len(rest) {
		r.fail(errCut)
		return nil
	}
	m.Topic, text = text[:topic], text[topic:]
	m.Publisher, m.Owner = text[:publisher], text[publisher:]
	m.Payload = rest[props:]
	if props > 0 {
		m.Properties = rest[:props:props]
	}
	return m
}

// entry is a queue entry before its message is read.
type entry struct {
	kind byte
	size uint64 // message.Message.Size
	mid  uint64 // of a reference
	rest reader
}

// flags of a queue entry.
const (
	entryQoS    = 0x03
	entryRetain = 1 << 2
	entryIDs    = 1 << 3
	entryShare  = 1 << 4
)

// appendEntry appends a queue entry: a reference to mid, or with mid 0 the
// message itself. The size comes first because a scan wants nothing else.
func appendEntry(dst []byte, q store.Queued, mid uint64) []byte {
	kind := byte(entryInline)
	if mid != 0 {
		kind = entryReference
	}
	dst = binary.AppendUvarint(append(dst, kind), uint64(q.Message.Size()))
	if mid != 0 {
		dst = binary.AppendUvarint(dst, mid)
	}
	flags := q.QoS & entryQoS
	if q.Retain {
		flags |= entryRetain
	}
	if len(q.SubscriptionIDs) > 0 {
		flags |= entryIDs
	}
	if q.Share != "" {
		flags |= entryShare
	}
	dst = append(dst, flags)
	if flags&entryIDs != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(q.SubscriptionIDs)))
		for _, id := range q.SubscriptionIDs {
			dst = binary.AppendUvarint(dst, uint64(id))
		}
	}
	if flags&entryShare != 0 {
		dst = appendString(dst, q.Share)
	}
	if mid == 0 {
		dst = appendMessage(dst, q.Message)
	}
	return dst
}

func decodeEntry(value []byte) (entry, error) {
	r := reader{b: value}
	e := entry{kind: r.byte()}
	switch e.kind {
	case entryInline:
		e.size = r.uvarint()
	case entryReference:
		e.size = r.uvarint()
		if e.mid = r.uvarint(); e.mid == 0 {
			r.fail(errFlags)
		}
	case entryReleased:
		return e, r.end()
	default:
		r.fail(errVersion)
	}
	e.rest = r
	return e, r.err
}

// queued reads the rest of an entry. body is the value of the body that a
// reference names, nil for an inline message.
func (e entry) queued(client string, seq uint64, body []byte) (store.Queued, error) {
	r := e.rest
	flags := r.byte()
	if flags&^(entryQoS|entryRetain|entryIDs|entryShare) != 0 {
		r.fail(errFlags)
	}
	q := store.Queued{ClientID: client, Seq: seq, QoS: flags & entryQoS, Retain: flags&entryRetain != 0}
	if flags&entryIDs != 0 {
		n := r.length() // each takes a byte at least
		if n == 0 {
			r.fail(errFlags)
		}
		q.SubscriptionIDs = make([]uint32, 0, n)
		for range n {
			q.SubscriptionIDs = append(q.SubscriptionIDs, uint32(r.uvarint()))
		}
	}
	if flags&entryShare != 0 {
		q.Share = r.string()
	}
	if e.kind == entryInline {
		q.Message = r.message()
		return q, r.err
	}
	if err := r.end(); err != nil {
		return q, err
	}
	m, err := decodeMessage(body)
	q.Message = m
	return q, err
}

// encodeMessage is the value of a body and of a retained message.
func encodeMessage(dst []byte, m *message.Message) []byte {
	return appendMessage(append(dst, version), m)
}

func decodeMessage(value []byte) (*message.Message, error) {
	r := versioned(value)
	m := r.message()
	return m, r.err
}

func appendSessionValue(dst []byte, s store.Session) []byte {
	dst = append(dst, version)
	dst = appendString(dst, s.ClientID)
	dst = appendString(dst, s.Owner)
	dst = binary.AppendVarint(dst, int64(s.Expiry))
	dst = appendOptionalTime(dst, s.Ended)
	return binary.AppendUvarint(binary.AppendUvarint(dst, s.First), s.Sent)
}

func decodeSession(value []byte) (store.Session, error) {
	r := versioned(value)
	s := store.Session{ClientID: r.string(), Owner: r.string(), Expiry: time.Duration(r.varint())}
	s.Ended = r.optionalTime()
	s.First, s.Sent = r.uvarint(), r.uvarint()
	return s, r.end()
}

// flags of a subscription; two bits of QoS, two of retain handling.
const (
	subscriptionNoLocal           = 1 << 2
	subscriptionRetainAsPublished = 1 << 3
	subscriptionHandling          = 4
)

func appendSubscriptionValue(dst []byte, s store.Subscription) []byte {
	flags := s.QoS&3 | s.RetainHandling&3<<subscriptionHandling
	if s.NoLocal {
		flags |= subscriptionNoLocal
	}
	if s.RetainAsPublished {
		flags |= subscriptionRetainAsPublished
	}
	return binary.AppendUvarint(append(dst, version, flags), uint64(s.ID))
}

func decodeSubscription(client, filter string, value []byte) (store.Subscription, error) {
	r := versioned(value)
	flags := r.byte()
	if flags>>6 != 0 {
		r.fail(errFlags)
	}
	s := store.Subscription{
		ClientID: client, Filter: filter, QoS: flags & 3,
		NoLocal: flags&subscriptionNoLocal != 0, RetainAsPublished: flags&subscriptionRetainAsPublished != 0,
		RetainHandling: flags >> subscriptionHandling & 3, ID: uint32(r.uvarint()),
	}
	return s, r.end()
}

func decodeKept(client, key string, value []byte) (store.Kept, error) {
	r := versioned(value)
	return store.Kept{ClientID: client, Key: key, Data: append([]byte{}, r.take(len(r.b))...)}, r.err
}

func appendWillValue(dst []byte, w store.Will) []byte {
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, int64(w.Delay))
	dst = appendOptionalTime(dst, w.Due)
	dst = binary.AppendVarint(dst, int64(w.ExpiryInterval))
	return appendMessage(dst, w.Message)
}

func decodeWill(client string, value []byte) (store.Will, error) {
	r := versioned(value)
	w := store.Will{ClientID: client, Delay: time.Duration(r.varint())}
	w.Due = r.optionalTime()
	w.ExpiryInterval = time.Duration(r.varint())
	w.Message = r.message()
	return w, r.err
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendTime(dst []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, t.Unix()), uint64(t.Nanosecond()))
}

func appendOptionalTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	return appendTime(append(dst, 1), t)
}

// reader takes a value apart. After the first error everything is zero.
type reader struct {
	b   []byte
	err error
}

// versioned reads a value whose first byte is version.
func versioned(value []byte) *reader {
	r := &reader{b: value}
	if v := r.byte(); v != version {
		r.fail(errVersion)
	}
	return r
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail(errCut)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length reads the length of something that follows, and so fits.
func (r *reader) length() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail(errCut)
		return 0
	}
	return int(n)
}

func (r *reader) string() string { return string(r.take(r.length())) }

func (r *reader) time() time.Time {
	sec, nsec := r.varint(), r.uvarint()
	if nsec >= uint64(time.Second) {
		r.fail(fmt.Errorf("time with %d nanoseconds", nsec))
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (r *reader) optionalTime() time.Time {
	if r.byte() == 0 {
		return time.Time{}
	}
	return r.time()
}

// end says whether all has been read, and well.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail(errSpare)
	}
	return r.err
}
