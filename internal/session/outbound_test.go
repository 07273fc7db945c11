package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

var start = time.Unix(1_800_000_000, 0)

// deliver makes a delivery whose topic is its name.
func deliver(name string, qos uint8) message.Delivery {
	return message.Delivery{Message: &message.Message{Topic: name, QoS: qos}, QoS: qos}
}

func expiring(name string, qos uint8, after time.Duration) message.Delivery {
	d := deliver(name, qos)
	d.Message.Expires = start.Add(after)
	return d
}

// render writes actions in short: "a@1" a message under identifier 1, "a@1!"
// the same as a duplicate, "rel@1" a PUBREL, "done#1" by place in the queue, "drop a expired" a drop.
func render(actions []Action) string {
	var words []string
	for _, a := range actions {
		d := a.Delivery
		switch a.Kind {
		case Send:
			name := "rel"
			if !d.Release {
				name = d.Message.Topic
			}
			if d.PacketID != 0 {
				name += fmt.Sprintf("@%d", d.PacketID)
			}
			if d.Dup {
				name += "!"
			}
			words = append(words, name)
		case Done:
			words = append(words, fmt.Sprintf("done#%d", a.Seq))
		case Dropped:
			name := "rel"
			if d.Message != nil {
				name = d.Message.Topic
			}
			words = append(words, fmt.Sprintf("drop %s %s", name, a.Reason))
		}
	}
	return strings.Join(words, ", ")
}

// client drives an Outbound and renders what it asks for.
type client struct {
	t      testing.TB
	o      *Outbound
	now    time.Time
	stored []Item // where pages come from
}

func newClient(t testing.TB, l Limits) *client {
	return &client{t: t, o: newOutbound(l, Head{}), now: start}
}

func newOutbound(l Limits, h Head) *Outbound {
	o := new(Outbound)
	o.SetTerms(NewTerms(l, h))
	return o
}

// online is a client that has connected with that receive maximum.
func online(t testing.TB, receiveMaximum int) *client {
	c := newClient(t, Limits{})
	c.resume(receiveMaximum, "")
	return c
}

func (c *client) want(actions []Action, want string) []Action {
	c.t.Helper()
	actions = c.fetch(actions)
	if got := render(actions); got != want {
		c.t.Errorf("got  %q\nwant %q", got, want)
	}
	return actions
}

func (c *client) offer(d message.Delivery, want string) []Action {
	c.t.Helper()
	var seq uint64
	if d.QoS > 0 {
		seq = c.o.Reserve()
	}
	return c.want(c.o.Offer(c.now, seq, d, nil), want)
}

func (c *client) ack(k Ack, id uint16, want string) []Action {
	c.t.Helper()
	actions, err := c.o.Acked(c.now, k, id, nil)
	if err != nil {
		c.t.Errorf("acknowledgement %d of %d: %v", k, id, err)
	}
	return c.want(actions, want)
}

func (c *client) badAck(k Ack, id uint16, want error) {
	c.t.Helper()
	if actions, err := c.o.Acked(c.now, k, id, nil); !errors.Is(err, want) || len(actions) > 0 {
		c.t.Errorf("acknowledgement %d of %d: %v, %s, want %v", k, id, err, render(actions), want)
	}
}

func (c *client) resume(receiveMaximum int, want string) []Action {
	c.t.Helper()
	return c.want(c.o.Resume(c.now, Window{ReceiveMaximum: receiveMaximum}, nil), want)
}

func (c *client) refuse(a Action, want string) {
	c.t.Helper()
	c.want(c.o.Refused(a, nil), want)
}

func (c *client) unblock(want string) []Action {
	c.t.Helper()
	return c.want(c.o.Unblocked(c.now, nil), want)
}

func (c *client) size(waiting, inflight int) {
	c.t.Helper()
	if w, i := c.o.Len(); w != waiting || i != inflight {
		c.t.Errorf("%d waiting and %d in flight, want %d and %d", w, i, waiting, inflight)
	}
	if inflight == 0 && (c.o.used != 0 || c.o.unsent != 0 || c.o.inflight.first != nil || c.o.inflight.last != nil) {
		c.t.Errorf("nothing is in flight, but %+v", c.o)
	}
	if waiting == 0 && (c.o.Bytes() != 0 || c.o.waiting != nil && (inflight == 0 || !c.o.online)) {
		c.t.Errorf("an empty queue holds %d bytes, %v", c.o.Bytes(), c.o.waiting)
	}
}

func TestQoS0PassesOrIsDropped(t *testing.T) {
	c := newClient(t, Limits{})
	c.offer(deliver("a", 0), "drop a offline-qos0")
	c.resume(1, "")
	sent := c.offer(deliver("b", 0), "b")
	c.refuse(sent[0], "drop b slow-client-qos0")
	c.offer(deliver("c", 0), "drop c slow-client-qos0")
	c.unblock("")
	c.offer(deliver("d", 0), "d")
	c.o.Suspend()
	c.offer(deliver("e", 0), "drop e offline-qos0")
	c.size(0, 0)
}

func TestWindowHoldsBackAndGoesOnInOrder(t *testing.T) {
	c := online(t, 2)
	c.offer(deliver("a", 1), "a@1")
	c.offer(deliver("b", 2), "b@2")
	c.offer(deliver("c", 1), "")
	c.offer(deliver("d", 1), "")
	c.size(2, 2)
	c.ack(Puback, 1, "done#1, c@3")
	c.ack(Pubrec, 2, "rel@2") // a QoS 2 delivery keeps its place until PUBCOMP
	c.size(1, 2)
	c.ack(Pubcomp, 2, "done#2, d@4")
	c.ack(Puback, 4, "done#4") // out of order, as a client with several threads does
	c.ack(Puback, 3, "done#3")
	c.size(0, 0)
}

func TestQoS0PassesAFullWindow(t *testing.T) {
	c := online(t, 1)
	c.offer(deliver("a", 1), "a@1")
	c.offer(deliver("b", 1), "")
	c.offer(deliver("c", 0), "c")
}

func TestResumeMarksOnlyWhatWasSent(t *testing.T) {
	c := online(t, 2)
	c.offer(deliver("a", 1), "a@1")
	sent := c.offer(deliver("b", 1), "b@2")
	c.refuse(sent[0], "")
	c.offer(deliver("c", 1), "")
	c.o.Suspend()
	c.offer(deliver("d", 2), "")
	c.resume(4, "a@1!, b@2, c@3, d@4")
	c.o.Suspend()
	c.resume(4, "a@1!, b@2!, c@3!, d@4!")
}

func TestRefusedGoesOutFirstAfterUnblocked(t *testing.T) {
	c := online(t, 3)
	a := c.offer(deliver("a", 1), "a@1")
	c.refuse(a[0], "")
	c.offer(deliver("b", 1), "")
	c.offer(deliver("c", 1), "")
	all := c.unblock("a@1, b@2, c@3")
	c.refuse(all[1], "")
	c.refuse(all[2], "")
	c.badAck(Puback, 2, ErrUnknownID) // the client can not have it
	c.ack(Puback, 1, "done#1")
	c.unblock("b@2, c@3")
	c.ack(Puback, 2, "done#2")
	c.ack(Puback, 3, "done#3")
	c.size(0, 0)
}

func TestRefusedFreesItsPlaceInTheWindow(t *testing.T) {
	c := online(t, 1)
	c.refuse(Action{Seq: 9, Delivery: message.Delivery{PacketID: 9}}, "") // long gone
	c.unblock("")
	a := c.offer(deliver("a", 1), "a@1")
	c.refuse(a[0], "")
	a = c.unblock("a@1")
	c.refuse(a[0], "")
	c.unblock("a@1")
	c.ack(Puback, 1, "done#1")
	c.offer(deliver("b", 1), "b@2")
	c.offer(deliver("c", 1), "")
}

func TestResumeWithASmallerWindow(t *testing.T) {
	c := online(t, 4)
	for i, name := range []string{"a", "b", "c", "d"} {
		c.offer(deliver(name, 1), fmt.Sprintf("%s@%d", name, i+1))
	}
	c.o.Suspend()
	c.resume(2, "a@1!, b@2!")
	c.offer(deliver("e", 1), "")
	c.ack(Puback, 1, "done#1, c@3!")
	c.ack(Puback, 4, "done#4") // acknowledged late for the connection before
	c.ack(Puback, 2, "done#2, e@5")
	c.ack(Puback, 3, "done#3")
	c.ack(Puback, 5, "done#5")
	c.size(0, 0)
}

func TestPubrecTwiceIsAnsweredTwice(t *testing.T) {
	c := online(t, 1)
	c.offer(deliver("a", 2), "a@1")
	c.ack(Pubrec, 1, "rel@1")
	c.ack(Pubrec, 1, "rel@1")
	c.o.Suspend()
	c.resume(1, "rel@1")
	c.ack(Pubcomp, 1, "done#1")
	c.badAck(Pubcomp, 1, ErrUnknownID)
	c.size(0, 0)
}

func TestPubrecErrorFreesTheIdentifier(t *testing.T) {
	c := online(t, 1)
	c.offer(deliver("a", 2), "a@1")
	c.offer(deliver("b", 2), "")
	c.ack(PubrecError, 1, "drop a refused-by-client, b@2")
	c.badAck(Pubrec, 1, ErrUnknownID)
}

func TestWrongAcknowledgements(t *testing.T) {
	c := online(t, 4)
	c.offer(deliver("a", 1), "a@1")
	c.offer(deliver("b", 2), "b@2")
	c.offer(deliver("c", 2), "c@3")
	c.ack(Pubrec, 3, "rel@3")
	for _, tt := range []struct {
		kind Ack
		id   uint16
		want error
	}{
		{Pubrec, 1, ErrWrongAck},
		{PubrecError, 1, ErrWrongAck},
		{Pubcomp, 1, ErrWrongAck},
		{Puback, 2, ErrWrongAck},
		{Pubcomp, 2, ErrWrongAck},
		{Puback, 3, ErrWrongAck},
		{Puback, 4, ErrUnknownID},
		{Pubrec, 4, ErrUnknownID},
		{PubrecError, 4, ErrUnknownID},
		{Pubcomp, 65535, ErrUnknownID},
	} {
		c.badAck(tt.kind, tt.id, tt.want)
	}
	c.size(0, 3)
}

func TestTooLargeIsDroppedWithoutAPlaceInTheWindow(t *testing.T) {
	c := newClient(t, Limits{})
	fits := func(d *message.Delivery) bool { return len(d.Message.Topic) < 4 }
	c.want(c.o.Resume(c.now, Window{ReceiveMaximum: 1, Fits: fits}, nil), "")
	c.offer(deliver("long", 0), "drop long too-large")
	c.offer(deliver("long", 1), "drop long too-large")
	c.offer(deliver("a", 1), "a@2")
	c.offer(deliver("long", 1), "")
	c.offer(deliver("b", 1), "")
	c.ack(Puback, 2, "done#2, drop long too-large, b@4")
}

func TestResumeDropsWhatNoLongerFits(t *testing.T) {
	c := online(t, 2)
	c.offer(deliver("long", 1), "long@1")
	c.offer(deliver("a", 1), "a@2")
	c.o.Suspend()
	fits := func(d *message.Delivery) bool { return len(d.Message.Topic) < 4 }
	c.want(c.o.Resume(c.now, Window{ReceiveMaximum: 2, Fits: fits}, nil), "drop long too-large, a@2!")
}

func TestExpiredIsDroppedBeforeItIsSent(t *testing.T) {
	c := online(t, 1)
	c.offer(deliver("a", 1), "a@1")
	c.offer(expiring("b", 1, time.Second), "")
	c.offer(expiring("c", 2, time.Minute), "")
	c.now = c.now.Add(time.Second)
	c.ack(Puback, 1, "done#1, drop b expired, c@3")
	// What has been sent does not expire any more. // [MQTT-4.3.3-7]
	c.now = c.now.Add(time.Hour)
	c.o.Suspend()
	c.resume(1, "c@3!")
}

func TestFullQueueDropsTheExpiredThenTheOldest(t *testing.T) {
	c := newClient(t, Limits{MaxQueued: 3})
	c.offer(deliver("a", 1), "")
	c.offer(expiring("b", 1, time.Second), "")
	c.offer(deliver("c", 1), "")
	c.now = c.now.Add(time.Second)
	c.offer(deliver("d", 1), "drop b expired")
	c.offer(deliver("e", 1), "drop a queue-full")
	c.offer(deliver("f", 1), "drop c queue-full")
	c.size(3, 0)
	c.resume(9, "d@4, e@5, f@6")
}

func TestQueueIsBoundInBytes(t *testing.T) {
	size := deliver("a", 1).Message.Size()
	c := newClient(t, Limits{MaxQueuedBytes: 3 * size})
	for _, name := range []string{"a", "b", "c"} {
		c.offer(deliver(name, 1), "")
	}
	if c.o.Bytes() != 3*size {
		t.Errorf("%d bytes, want %d", c.o.Bytes(), 3*size)
	}
	c.offer(deliver("dd", 1), "drop a queue-full, drop b queue-full")
	c.size(2, 0)
}

func TestLongQueueKeepsOrderThroughGrowthAndWrapAround(t *testing.T) {
	var q queue
	next, want := 0, 0
	for round := range 50 {
		for range round {
			q.push(item{seq: uint64(next), d: deliver("x", 1)})
			next++
		}
		for range min(q.n, round*2/3) {
			if it := q.pop(); it.seq != uint64(want) {
				t.Fatalf("popped %d, want %d", it.seq, want)
			}
			want++
		}
	}
	for q.n > 1 {
		last := uint64(want + q.n - 1)
		if it := q.remove(q.n - 1); it.seq != last {
			t.Fatalf("removed %d, want %d", it.seq, last)
		}
		if it := q.pop(); it.seq != uint64(want) {
			t.Fatalf("popped %d, want %d", it.seq, want)
		}
		want++
	}
}

func TestPassingOnQoS0DoesNotAllocate(t *testing.T) {
	c := newClient(t, Limits{})
	c.o.Resume(c.now, Window{ReceiveMaximum: 1, Fits: func(*message.Delivery) bool { return true }}, nil)
	d := deliver("a", 0)
	actions := make([]Action, 0, 4)
	if n := testing.AllocsPerRun(100, func() { actions = c.o.Offer(c.now, 0, d, actions[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRefusedPubrelKeepsItsPlaceInTheWindow(t *testing.T) {
	c := online(t, 1)
	c.offer(deliver("a", 2), "a@1")
	c.offer(deliver("b", 1), "")
	rel := c.ack(Pubrec, 1, "rel@1")
	c.refuse(rel[0], "")
	c.unblock("rel@1") // and not b: the client counts a until its PUBCOMP
	c.ack(Pubcomp, 1, "done#1, b@2")
}

func TestPubrelNeedsNoPlaceInTheWindow(t *testing.T) {
	c := online(t, 3)
	c.offer(deliver("a", 1), "a@1")
	c.offer(deliver("b", 1), "b@2")
	c.offer(deliver("c", 2), "c@3")
	c.ack(Pubrec, 3, "rel@3")
	c.o.Suspend()
	c.resume(1, "a@1!, rel@3")
	c.ack(Pubcomp, 3, "done#3")
	c.ack(Puback, 1, "done#1, b@2!")
}

func TestPubrelWaitsBehindOneThatWasRefused(t *testing.T) {
	c := online(t, 2)
	c.offer(deliver("a", 2), "a@1")
	c.offer(deliver("b", 2), "b@2")
	rel := c.ack(Pubrec, 1, "rel@1")
	c.refuse(rel[0], "")
	c.ack(Pubrec, 2, "")
	c.unblock("rel@1, rel@2") // [MQTT-4.6.0-4]
	c.unblock("")
}

func TestRefusedExpiresWhileItWaits(t *testing.T) {
	c := online(t, 2)
	c.offer(expiring("a", 1, time.Second), "a@1")
	c.offer(expiring("b", 2, time.Second), "b@2")
	c.o.Suspend()
	all := c.resume(2, "a@1!, b@2!")
	c.refuse(all[0], "")
	c.refuse(all[1], "")
	c.now = c.now.Add(time.Second)
	c.unblock("a@1!, b@2!") // sent once: expires no more // [MQTT-4.3.3-7]

	c = online(t, 1)
	a := c.offer(expiring("a", 1, time.Second), "a@1")
	c.refuse(a[0], "")
	c.offer(deliver("b", 1), "")
	c.now = c.now.Add(time.Second)
	c.unblock("drop a expired, b@2")
}

func TestMessageAboveTheQueueLimitDisplacesNothing(t *testing.T) {
	c := newClient(t, Limits{MaxQueuedBytes: 2 * deliver("a", 1).Message.Size()})
	huge := deliver(strings.Repeat("h", 100), 1)
	drop := "drop " + huge.Message.Topic + " queue-full"
	c.offer(huge, drop)
	c.offer(deliver("a", 1), "")
	c.offer(huge, drop)
	c.resume(2, "a@2")
	c.offer(huge, huge.Message.Topic+"@4") // it need not wait
	c.offer(huge, drop)
	c.size(0, 2)
}
