package session

import (
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

// Window is what the client at the other end can take.
type Window struct {
	// ReceiveMaximum is how many QoS 1 and 2 messages may be unacknowledged
	// at a time, 1 to 65535. // [MQTT-3.1.2.11.3]
	ReceiveMaximum int
	// Fits reports whether the packet is within the client's maximum packet
	// size; nil: everything fits. // [MQTT-3.1.2-24]
	Fits func(*message.Delivery) bool
}

// entry is a delivery under way.
type entry struct {
	seq        uint64
	d          message.Delivery
	released   bool // PUBREC has come: only the identifier is left
	unsent     bool // to be sent (again) on this connection; see setUnsent
	counted    bool // holds a place in the window of this connection
	prev, next *entry
}

// entries holds those of completed deliveries: one comes with every message at
// QoS 1 and 2.
var entries = sync.Pool{New: func() any { return new(entry) }}

func (e *entry) reset() *entry {
	*e = entry{}
	return e
}

// Terms bound what waits for a client. Many clients share one.
type Terms struct {
	limits Limits
	head   Head
}

// NewTerms are those of queues that are stored (paging), or with the zero Head of
// others.
func NewTerms(l Limits, h Head) *Terms { return &Terms{limits: l.withDefaults(), head: h} }

// Outbound is the state of the deliveries to one client. There are many, and most
// have nothing to do: what only some need is allocated when they do.
type Outbound struct {
	terms    *Terms
	fits     func(*message.Delivery) bool // of the window
	window   int32                        // its receive maximum
	used     int32                        // places of the window in use
	unsent   int32                        // entries in flight that are to be sent (again)
	online   bool
	blocked  bool // the client refused a Send; wait for Unblocked
	fetching bool // see paging
	seq      uint64
	sent     uint64 // the last place from which anything has been sent
	inflight inflight
	waiting  *queue // nil while it is empty, or soon after
	paging   paging
}

// SetTerms comes first. It may be called again while nothing waits.
func (o *Outbound) SetTerms(t *Terms) { o.terms = t }

// Len returns how many messages wait and how many are in flight.
func (o *Outbound) Len() (waiting, inflight int) {
	return o.waiting.len() + o.paging.parked, int(o.inflight.n)
}

// Bytes returns the size of the messages that wait.
func (o *Outbound) Bytes() int { return o.waiting.size() + o.paging.bytes }

// Sent returns the last place in the queue from which anything has been sent.
func (o *Outbound) Sent() uint64 { return o.sent }

// Crowded reports whether more than half of what may wait does, or the client
// has refused a Send.
func (o *Outbound) Crowded() bool {
	waiting, _ := o.Len()
	return o.blocked || waiting > o.terms.limits.MaxQueued/2 || o.Bytes() > o.terms.limits.MaxQueuedBytes/2
}

// Blocked reports whether the client has refused a Send since it last said
// that it can take more.
func (o *Outbound) Blocked() bool { return o.blocked }

// Skip begins the places after seq. Packet identifiers begin anew when seq is a
// multiple of 65,535.
func (o *Outbound) Skip(seq uint64) { o.seq = max(o.seq, seq) }

// reserveTries bounds the search for a free identifier when a client with a huge
// window acknowledges nothing.
const reserveTries = 1024

// Reserve gives out the next place in the queue. A caller that stores messages
// before it offers them stores them under it. Places whose packet identifier is
// still in use are passed over, so that one message that is never acknowledged
// holds nothing up 65,535 messages later.
func (o *Outbound) Reserve() uint64 {
	o.seq++
	for n := min(int(o.inflight.n), reserveTries); n > 0 && o.inflight.get(packetID(o.seq)) != nil; n-- {
		o.seq++
	}
	return o.seq
}

// packetID derives the identifier from the place in the queue, so that after a
// restart a message goes out under the identifier that it had before.
func packetID(seq uint64) uint16 { return uint16((seq-1)%65535) + 1 }

// Offer gives a message to the client: sent now, queued or dropped. QoS 0
// needs no place in the queue.
func (o *Outbound) Offer(now time.Time, seq uint64, d message.Delivery, dst []Action) []Action {
	if d.QoS == 0 {
		switch {
		case !o.online:
			return append(dst, Action{Kind: Dropped, Delivery: d, Reason: DropOffline})
		case o.blocked:
			return append(dst, Action{Kind: Dropped, Delivery: d, Reason: DropSlow})
		}
		dst = append(dst, Action{Kind: Send, Delivery: d})
		if a := &dst[len(dst)-1]; !o.fit(&a.Delivery) { // there, where it is on the heap anyway
			a.Kind, a.Reason = Dropped, DropTooLarge
		}
		return dst
	}
	size := d.Message.Size()
	waiting, _ := o.Len()
	if size > o.terms.limits.MaxQueuedBytes && (waiting > 0 || !o.open()) {
		// It would displace everything and still not fit.
		return o.fetch(append(dst, Action{Kind: Dropped, Seq: seq, Delivery: d, Reason: DropQueueFull}))
	}
	if o.parks(seq, size) {
		o.park(seq, size)
		return o.fetch(o.makeRoom(now, dst))
	}
	o.paging.kept = max(o.paging.kept, seq)
	if waiting == 0 && o.open() && o.inflight.get(packetID(seq)) == nil {
		return o.launch(now, item{seq, d}, dst)
	}
	o.push(item{seq, d})
	return o.pump(now, o.makeRoom(now, dst))
}

// open reports whether the next message can be sent at once.
func (o *Outbound) open() bool {
	return o.online && !o.blocked && o.used < o.window
}

func (o *Outbound) fit(d *message.Delivery) bool {
	return o.fits == nil || o.fits(d)
}

// expiredScan bounds the look for expired messages in a full queue, so that a
// full queue costs the same per message however long it is.
const expiredScan = 32

// makeRoom drops messages while there are too many. It drops those at hand: while
// the head of a paged queue is being fetched, the queue is longer than its limit.
func (o *Outbound) makeRoom(now time.Time, dst []Action) []Action {
	for o.waiting.len() > 0 && o.exceeds() {
		i, why := o.expendable(now)
		it := o.waiting.remove(i)
		dst = append(dst, Action{Kind: Dropped, Seq: it.seq, Delivery: it.d, Reason: why})
	}
	return dst
}

func (o *Outbound) exceeds() bool {
	waiting, _ := o.Len()
	return waiting > o.terms.limits.MaxQueued || o.Bytes() > o.terms.limits.MaxQueuedBytes
}

// expendable chooses what a full queue gives up: what has expired, or else the
// oldest message that the client does not wait for. It waits for the PUBREL of
// a QoS 2 message that it may have been sent.
func (o *Outbound) expendable(now time.Time) (i int, why Drop) {
	found := false
	for j := range min(o.waiting.len(), expiredScan) {
		if found && o.waiting.expiring == 0 {
			break
		}
		it := o.waiting.at(j)
		if it.expired(now) {
			return j, DropExpired
		}
		if !found && !(it.d.QoS == 2 && it.d.Dup) {
			i, found = j, true
		}
	}
	return i, DropQueueFull
}

// pump moves messages from the queue into the window while both allow it.
func (o *Outbound) pump(now time.Time, dst []Action) []Action {
	for o.open() && o.waiting.len() > 0 && o.inflight.get(packetID(o.waiting.at(0).seq)) == nil {
		dst = o.launch(now, o.waiting.pop(), dst)
	}
	return o.fetch(dst)
}

// launch puts a message into the window, if it can still be sent. One that is
// too large counts as delivered and takes no place. // [MQTT-3.1.2-25]
func (o *Outbound) launch(now time.Time, it item, dst []Action) []Action {
	if it.expired(now) {
		return append(dst, Action{Kind: Dropped, Seq: it.seq, Delivery: it.d, Reason: DropExpired})
	}
	e := entries.Get().(*entry)
	e.seq, e.d, e.counted = it.seq, it.d, true
	if !o.fit(&e.d) {
		entries.Put(e.reset())
		return append(dst, Action{Kind: Dropped, Seq: it.seq, Delivery: it.d, Reason: DropTooLarge})
	}
	e.d.PacketID = packetID(it.seq)
	o.inflight.put(e)
	o.used++
	o.sent = max(o.sent, e.seq)
	return append(dst, Action{Kind: Send, Seq: e.seq, Delivery: e.d})
}

// drop forgets a delivery; e is not valid any more.
func (o *Outbound) drop(e *entry) {
	o.inflight.remove(e)
	o.release(e)
	o.setUnsent(e, false)
	entries.Put(e.reset())
}

// setUnsent counts the entries that are to be sent, so that an acknowledgement
// does not have to look for them.
func (o *Outbound) setUnsent(e *entry, unsent bool) {
	if unsent != e.unsent {
		e.unsent = unsent
		if unsent {
			o.unsent++
		} else {
			o.unsent--
		}
	}
}

// release gives the place in the window back.
func (o *Outbound) release(e *entry) {
	if e.counted {
		e.counted = false
		o.used--
	}
}

// Refused takes back a Send that the client could not take. Everything after
// it waits for Unblocked; a QoS 0 message does not wait.
func (o *Outbound) Refused(a Action, dst []Action) []Action {
	o.blocked = true
	if a.Delivery.PacketID == 0 {
		return append(dst, Action{Kind: Dropped, Delivery: a.Delivery, Reason: DropSlow})
	}
	if e := o.inflight.get(a.Delivery.PacketID); e != nil && e.seq == a.Seq {
		o.setUnsent(e, true)
		if !e.released { // else the client still counts it, until its PUBCOMP
			o.release(e)
		}
	}
	return dst
}

// Unblocked continues after the client has made room.
func (o *Outbound) Unblocked(now time.Time, dst []Action) []Action {
	o.blocked = false
	return o.sendUnsent(now, dst)
}

// sendUnsent repeats, in their order, the deliveries that this connection has
// not seen yet, then goes on with the queue. PUBREL needs no place in the
// window. // [MQTT-4.4.0-1] [MQTT-4.9.0-3]
func (o *Outbound) sendUnsent(now time.Time, dst []Action) []Action {
	if !o.online || o.blocked {
		return dst
	}
	var next *entry
	for e := o.inflight.first; e != nil && o.unsent > 0; e = next {
		next = e.next // drop takes e out of the list
		if !e.unsent {
			continue
		}
		if !e.released {
			if !e.d.Dup && e.d.Message.Expired(now) { // refused before, and never sent
				dst = append(dst, Action{Kind: Dropped, Seq: e.seq, Delivery: e.d, Reason: DropExpired})
				o.drop(e)
				continue
			}
			if o.used >= o.window {
				continue // for all that follow as well, but for PUBREL
			}
			o.used++
			e.counted = true
		}
		o.setUnsent(e, false)
		dst = append(dst, Action{Kind: Send, Seq: e.seq, Delivery: e.d})
	}
	return o.pump(now, dst)
}

// Acked takes an acknowledgement of the client.
func (o *Outbound) Acked(now time.Time, kind Ack, id uint16, dst []Action) ([]Action, error) {
	e := o.inflight.get(id)
	if e == nil || (e.unsent && !e.d.Dup && !e.d.Release) {
		return dst, ErrUnknownID
	}
	switch kind {
	case Puback:
		if e.d.QoS != 1 {
			return dst, ErrWrongAck
		}
	case Pubrec:
		if e.d.QoS != 2 {
			return dst, ErrWrongAck
		}
		if !e.released {
			o.setReleased(e)
		}
		if o.setUnsent(e, o.blocked); e.unsent {
			return dst, nil // behind what was refused // [MQTT-4.6.0-4]
		}
		return append(dst, Action{Kind: Send, Seq: e.seq, Delivery: e.d}), nil
	case PubrecError:
		if e.d.QoS != 2 {
			return dst, ErrWrongAck
		}
		dst = append(dst, Action{Kind: Dropped, Seq: e.seq, Delivery: e.d, Reason: DropRefused})
		o.drop(e)
		return o.sendUnsent(now, dst), nil
	case Pubcomp:
		if !e.released {
			return dst, ErrWrongAck
		}
	}
	dst = append(dst, Action{Kind: Done, Seq: e.seq})
	o.drop(e)
	return o.sendUnsent(now, dst), nil
}

// setReleased forgets the message and keeps the identifier. // [MQTT-4.3.3-6]
func (o *Outbound) setReleased(e *entry) {
	e.released = true
	e.d = message.Delivery{PacketID: e.d.PacketID, QoS: 2, Release: true}
}

// Suspend notes that the connection has ended.
func (o *Outbound) Suspend() {
	o.online, o.used = false, 0
	for e := o.inflight.first; e != nil; e = e.next {
		e.counted = false
	}
	o.rest()
}

// Resume notes a new connection and sends what the last one left unfinished,
// marked as duplicates, in the original order. // [MQTT-4.4.0-1]
func (o *Outbound) Resume(now time.Time, w Window, dst []Action) []Action {
	o.Suspend()
	o.online, o.blocked = true, false
	o.fits, o.window = w.Fits, int32(w.ReceiveMaximum)
	for e := o.inflight.first; e != nil; {
		next := e.next
		if !e.released {
			// Not sent before, or refused by the buffer: no duplicate.
			e.d.Dup = e.d.Dup || !e.unsent
		}
		o.setUnsent(e, true)
		if !e.released && !o.fit(&e.d) {
			dst = append(dst, Action{Kind: Dropped, Seq: e.seq, Delivery: e.d, Reason: DropTooLarge})
			o.drop(e)
		}
		e = next
	}
	return o.sendUnsent(now, dst)
}

// RestoreReleased puts back an identifier that waits for its PUBCOMP, in the
// order of Seq, before the first Resume.
func (o *Outbound) RestoreReleased(seq uint64) {
	o.seq = max(o.seq, seq)
	o.inflight.put(&entry{
		seq: seq, released: true,
		d: message.Delivery{PacketID: packetID(seq), QoS: 2, Release: true},
	})
}

// Drain empties the state and calls fn with every message that the client has
// not acknowledged, except what is parked; sent says that it may have received
// it.
func (o *Outbound) Drain(fn func(d message.Delivery, sent bool)) {
	for e := o.inflight.first; e != nil; e = e.next {
		if !e.released {
			fn(e.d, !e.unsent || e.d.Dup)
		}
	}
	for i := range o.waiting.len() {
		d := o.waiting.at(i).d
		fn(d, d.Dup)
	}
	o.waiting.free()
	*o = Outbound{terms: o.terms, seq: o.seq}
}

// Filter drops what waits or is to be repeated and is not allowed any more.
// What is parked is filtered by the caller when it is fetched.
// What this connection has been sent stays until it is acknowledged: the client
// counts it against its receive maximum.
func (o *Outbound) Filter(now time.Time, allowed func(*message.Message) bool, dst []Action) []Action {
	for n := o.waiting.len(); n > 0; n-- {
		it := o.waiting.pop()
		if allowed(it.d.Message) {
			o.push(it)
			continue
		}
		dst = append(dst, Action{Kind: Dropped, Seq: it.seq, Delivery: it.d, Reason: DropNotAllowed})
	}
	for e := o.inflight.first; e != nil; {
		next := e.next
		if !e.released && !e.counted && !allowed(e.d.Message) {
			dst = append(dst, Action{Kind: Dropped, Seq: e.seq, Delivery: e.d, Reason: DropNotAllowed})
			o.drop(e)
		}
		e = next
	}
	o.rest()
	return o.sendUnsent(now, dst)
}

// Block notes that the client takes nothing at the moment, until Unblocked.
func (o *Outbound) Block() { o.blocked = true }
