package mqttsn

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// A client's events are worked off one after the other, by whoever owns it at the
// moment: the goroutine that a datagram has come to, for what costs nothing but
// computing, or one of the crew for what may wait for the store. So a client that is
// idle, or asleep, has none.

// event is something that has happened to a client.
type event struct {
	// A message, when do is nil.
	from   path
	header mqttsn.Header
	body   []byte

	do    func(c *client, w *work)
	quick bool // do does not wait for the store
	slow  bool // a message that may, whatever its type
}

// inbox is the events that wait for a client's owner: one at least.
type inbox struct {
	events  []event
	visited bool // there is one that a visitor has caused
}

// inboxes holds those that are empty. What has come and gone again while clients
// connect would be as much as what stays of them.
var inboxes = sync.Pool{New: func() any { return new(inbox) }}

// done gives up an inbox that has been worked off.
func (in *inbox) done() {
	const kept = 8
	clear(in.events)
	in.visited = false
	if in.events = in.events[:0]; cap(in.events) <= kept {
		inboxes.Put(in)
	}
}

// isQuick reports whether an event can be worked off without waiting for the
// store, whatever state its client is in.
func (e *event) isQuick() bool {
	if e.do != nil {
		return e.quick
	}
	if e.slow {
		return false
	}
	switch e.header.Type {
	case mqttsn.TypePublish:
		const qos, retain = 0x60, 0x10
		return len(e.body) > 0 && e.body[0]&retain == 0 && (e.body[0]&qos == 0 || e.body[0]&qos == qos)
	case mqttsn.TypePingreq, mqttsn.TypePingresp:
		return true
	}
	return false
}

// Bounds of what may wait for clients' owners. Datagrams are dropped beyond, as a
// network would; what is none always fits.
const (
	inboxEvents = 64       // of one client
	inboxBytes  = 64 << 20 // of all
	eventBytes  = 128      // what an event costs beside its body
)

// work is what one goroutine is at, from reading a batch of datagrams to having
// answered it.
type work struct {
	g       *Gateway
	now     time.Time
	pending []*client        // whose links have a batch to be committed
	touched map[carrier]bool // to be flushed
	options mqttsn.Options   // scratch for the parser
	buf     []byte           // scratch for one message
	head    []byte           // scratch for the head of a forwarder
	topic   []byte           // scratch for one topic
	nodes   nodeNames        // behind forwarders
}

func (g *Gateway) newWork() *work {
	return &work{g: g, now: g.now(), touched: map[carrier]bool{}}
}

// begin starts a batch.
func (w *work) begin() {
	w.now = w.g.now()
	w.options.NamedPublish = w.g.terms.Load().QoSMinusOne.Named
}

// end commits and sends what the batch has brought.
func (w *work) end() {
	for i, c := range w.pending {
		w.pending[i] = nil
		if !c.own() { // its owner commits then, or what waits for it
			c.post(w, event{do: (*client).commitLater, quick: true})
			continue
		}
		if c.dirty {
			c.finish(w)
		}
		c.disown()
	}
	w.pending = w.pending[:0]
	w.flush()
	if w.g.inline {
		w.g.crew.toil(w, &w.g.crew.lanes[0])
	}
}

func (w *work) flush() {
	if len(w.touched) == 0 {
		return
	}
	for k := range w.touched {
		k.flush()
	}
	clear(w.touched)
}

// own makes the caller the owner, unless there is one.
func (c *client) own() bool {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.owned {
		return false
	}
	c.owned = true
	return true
}

// disown ends the ownership. What has come meanwhile is worked off by the crew.
func (c *client) disown() {
	c.turn.Lock()
	more := c.inbox != nil
	c.owned = more
	c.turn.Unlock()
	if more {
		c.g.crew.add(c)
	}
}

// post has e worked off: now, if nobody owns the client and e does not wait for
// the store; otherwise soon, by its owner. A datagram's body is copied if need be.
func (c *client) post(w *work, e event) {
	c.turn.Lock()
	if !c.owned && e.isQuick() {
		c.owned = true
		c.turn.Unlock()
		c.handle(w, &e)
		if !c.dirty && c.link != nil {
			c.dirty = true
			w.pending = append(w.pending, c)
		}
		c.disown()
		return
	}
	if e.do == nil {
		if c.inbox != nil && len(c.inbox.events) >= inboxEvents || !c.g.crew.takes(len(e.body)) {
			c.turn.Unlock()
			c.g.counts.crowded.Add(1)
			return
		}
		e.body = append([]byte(nil), e.body...)
	}
	begin := c.enqueue(e)
	c.turn.Unlock()
	if begin {
		c.g.crew.add(c)
	}
}

// summon is post for those who have no work, and may hold the broker's locks.
func (c *client) summon(e event) {
	c.turn.Lock()
	begin := c.enqueue(e)
	c.turn.Unlock()
	if begin {
		c.g.crew.add(c)
	}
}

// offer is summon for what strangers cause: ok is false if too much waits. Of visits
// there is one at a time: each takes the client's turn while the authenticator thinks.
func (c *client) offer(e event, visit bool) (ok bool) {
	c.turn.Lock()
	if in := c.inbox; in != nil && (len(in.events) >= inboxEvents || visit && in.visited) {
		c.turn.Unlock()
		return false
	}
	begin := c.enqueue(e)
	c.inbox.visited = c.inbox.visited || visit
	c.turn.Unlock()
	if begin {
		c.g.crew.add(c)
	}
	return true
}

// again has the owner work off a datagram once more, when it may wait. ok is false if
// too much waits.
func (c *client) again(e event) (ok bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.inbox != nil && len(c.inbox.events) >= inboxEvents || !c.g.crew.takes(len(e.body)) {
		return false
	}
	e.slow, e.body = true, append([]byte(nil), e.body...)
	c.enqueue(e) // there is an owner, who sees to it
	return true
}

// enqueue adds to the inbox; begin means that the crew has to be told. Called with
// turn held.
func (c *client) enqueue(e event) (begin bool) {
	if c.inbox == nil {
		c.inbox = inboxes.Get().(*inbox)
	}
	c.inbox.events = append(c.inbox.events, e)
	begin, c.owned = !c.owned, true
	return begin
}

// workOff works off what waits for the client's owner, which the caller has
// become.
func (c *client) workOff(w *work) {
	c.turn.Lock()
	in := c.inbox
	c.inbox = nil
	c.turn.Unlock()
	for i := range in.events {
		e := &in.events[i]
		if e.do == nil {
			c.g.crew.taken(len(e.body))
		}
		w.begin()
		c.handle(w, e)
		c.finish(w)
		w.flush()
	}
	in.done()
	c.disown() // what has come meanwhile waits for its turn
}

// crew is the goroutines that work off what may wait for the store, or for an
// authenticator. Who has no session has others than those who have, so that an
// authenticator that is slow, or asked too much, keeps nobody from anything but
// connecting.
type crew struct {
	g       *Gateway
	waiting atomic.Int64 // bytes in inboxes

	asking atomic.Int64 // those at the authenticator for clients that have a session

	mu    sync.Mutex
	idle  sync.Cond // nobody is working
	lanes [2]lane   // for clients that have a session, and for those that have not

	spare sync.Pool // work of those who have ended theirs
}

// lane is some of the crew, and whom they are to see to.
type lane struct {
	queue   []*client // each once, because it is owned
	head    int       // of queue, where the first is
	working int
}

// Bounds of a crew.
const (
	maxCrew   = 1024        // goroutines of a lane
	maxAsking = maxCrew / 2 // clients that have a session; what would be more is dropped
)

func (cr *crew) init(g *Gateway) {
	cr.g = g
	cr.idle.L = &cr.mu
	cr.spare.New = func() any { return g.newWork() }
}

// takes reports whether there is room for another datagram.
func (cr *crew) takes(n int) bool {
	if cr.waiting.Add(int64(n+eventBytes)) <= inboxBytes {
		return true
	}
	cr.taken(n)
	return false
}

func (cr *crew) taken(n int) { cr.waiting.Add(-int64(n + eventBytes)) }

// ask reports whether the authenticator may be asked for a client that has a session.
// Whoever may calls asked then.
func (cr *crew) ask() (ok bool) {
	if cr.asking.Add(1) <= maxAsking {
		return true
	}
	cr.asked()
	return false
}

func (cr *crew) asked() { cr.asking.Add(-1) }

// add has the events of c worked off, who is owned by the crew from now on.
func (cr *crew) add(c *client) {
	l := &cr.lanes[0]
	if c.link == nil && !cr.g.inline {
		l = &cr.lanes[1]
	}
	cr.mu.Lock()
	defer cr.mu.Unlock()
	l.queue = append(l.queue, c)
	if cr.g.inline || l.working == maxCrew {
		return
	}
	l.working++
	go func() {
		w := cr.spare.Get().(*work)
		cr.toil(w, l)
		cr.spare.Put(w)
	}()
}

// next takes a client whose turn it is. nil ends the caller's work.
func (cr *crew) next(l *lane) *client {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
		if cap(l.queue) > keptQueue {
			l.queue = nil
		}
		if !cr.g.inline {
			l.working--
			cr.idle.Broadcast()
		}
		return nil
	}
	c := l.queue[l.head]
	l.queue[l.head] = nil
	if l.head++; l.head > keptQueue && l.head > len(l.queue)/2 {
		n := copy(l.queue, l.queue[l.head:])
		clear(l.queue[n:])
		l.queue, l.head = l.queue[:n], 0
	}
	return c
}

// keptQueue is how much of a queue that is empty is kept for the next.
const keptQueue = 1024

// toil works off what there is.
func (cr *crew) toil(w *work, l *lane) {
	for c := cr.next(l); c != nil; c = cr.next(l) {
		c.workOff(w)
	}
}

// wait returns when nothing is left to do.
func (cr *crew) wait() { cr.waitFor(math.MaxInt64) }

// waitFor returns then, or after d: who goes on to send keeps the crew busy.
func (cr *crew) waitFor(d time.Duration) {
	late := false
	t := time.AfterFunc(d, func() {
		cr.mu.Lock()
		defer cr.mu.Unlock()
		late = true
		cr.idle.Broadcast()
	})
	defer t.Stop()
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for cr.lanes[0].working+cr.lanes[1].working > 0 && !late {
		cr.idle.Wait()
	}
}
