package session

import (
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

// paging is about a queue that is stored, message by message, before it is
// offered: only its head is kept in memory. The rest is parked, that is
// counted, and fetched page by page when its turn comes.
//
// Everything that is parked lies behind the cursor, and so does what is being
// stored and has not been offered; what is offered from before the cursor is
// kept. A page therefore ends before the first place that is still being stored:
// see Page.
type paging struct {
	parked int
	bytes  int // of what is parked
	cursor uint64
	kept   uint64 // the last place that was offered and not parked
}

// Head bounds the part of a stored queue that is kept in memory. With the zero one
// nothing is stored; with any other all that is offered at QoS 1 and 2 has been.
type Head struct {
	Messages int
	Bytes    int
}

// parks reports whether the message is left to a later page.
func (o *Outbound) parks(seq uint64, size int) bool {
	p := &o.paging
	switch {
	case p.parked > 0:
		return seq > p.cursor
	case o.terms.head.Messages == 0 || seq < p.kept: // a page would bring what is here already
		return false
	default:
		full := o.waiting.len() >= o.terms.head.Messages || o.waiting.size()+size > o.terms.head.Bytes
		return !o.online || o.waiting.len() > 0 && full
	}
}

func (o *Outbound) park(seq uint64, size int) {
	p := &o.paging
	if p.parked == 0 {
		p.cursor = seq - 1
	}
	p.parked++
	p.bytes += size
}

// fetch asks for a page when the queue at hand has run empty and could go on,
// or has to give something up.
func (o *Outbound) fetch(dst []Action) []Action {
	o.rest()
	p := &o.paging
	if p.parked == 0 || o.fetching || o.waiting.len() > 0 || !o.open() && !o.exceeds() {
		return dst
	}
	o.fetching = true
	return append(dst, Action{Kind: Fetch, Seq: p.cursor})
}

// Unread returns the part of the queue from which the next page is to be read:
// places with after < place <= through. storing is the first place that is
// being stored and has not been offered yet, 0 for none: what is read must not be
// offered again.
func (o *Outbound) Unread(storing uint64) (after, through uint64) {
	if storing > 0 {
		return o.paging.cursor, storing - 1
	}
	return o.paging.cursor, o.seq
}

// Page is the answer to Fetch.
type Page struct {
	// Items are the next messages behind the cursor, in the order of Seq. Dup
	// of a delivery says that it may have been sent before.
	Items []Item
	// Through is the last place that the page covers: the last item's when there
	// may be more, or else the bound that Unread gave when the page was read.
	Through uint64
}

// Item is a message and its place in the queue.
type Item struct {
	Seq      uint64
	Delivery message.Delivery
	// Refused: the client may not receive it any more.
	Refused bool
}

// Page goes on with the next part of the queue.
func (o *Outbound) Page(now time.Time, pg Page, dst []Action) []Action {
	p := &o.paging
	o.fetching = false
	for _, it := range pg.Items {
		p.parked--
		p.bytes -= it.Delivery.Message.Size()
		if it.Refused {
			dst = append(dst, Action{Kind: Dropped, Seq: it.Seq, Delivery: it.Delivery, Reason: DropNotAllowed})
			continue
		}
		o.push(item{it.Seq, it.Delivery})
	}
	p.cursor = max(p.cursor, pg.Through)
	if p.cursor >= o.seq {
		p.parked, p.bytes = 0, 0 // there are no places behind; if they were counted, the store is right
	}
	return o.pump(now, o.makeRoom(now, dst))
}

// Unfetched takes back a Fetch that could not be answered. The next call that
// finds the queue at hand empty asks again.
func (o *Outbound) Unfetched() { o.fetching = false }

// Continue asks for what Unfetched has put off.
func (o *Outbound) Continue(dst []Action) []Action { return o.fetch(dst) }

// Parked returns how many messages are to be fetched, and the place before the
// first of them.
func (o *Outbound) Parked() (n int, after uint64) { return o.paging.parked, o.paging.cursor }

// Restore puts back a stored queue, before the first Resume.
func (o *Outbound) Restore(first, last uint64, messages, bytes int) {
	o.seq = max(o.seq, last)
	o.paging.parked, o.paging.bytes, o.paging.cursor = messages, bytes, first-1
}
