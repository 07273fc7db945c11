package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

func TestDrainTellsWhatMayHaveBeenReceived(t *testing.T) {
	c := online(t, 3)
	c.offer(deliver("a", 1), "a@1")
	c.offer(deliver("b", 2), "b@2")
	c.offer(deliver("c", 2), "c@3")
	c.offer(deliver("d", 1), "")
	c.ack(Pubrec, 3, "rel@3")
	c.o.Suspend()
	all := c.resume(9, "a@1!, b@2!, rel@3, d@4")
	c.refuse(all[1], "")
	c.refuse(all[3], "")
	var got []string
	c.o.Drain(func(d message.Delivery, sent bool) {
		got = append(got, fmt.Sprintf("%s sent=%v", d.Message.Topic, sent))
	})
	if want := "a sent=true, b sent=true, d sent=false"; strings.Join(got, ", ") != want {
		t.Errorf("drained %q, want %q", got, want)
	}
	c.size(0, 0)
	c.badAck(Puback, 1, ErrUnknownID)
}

func TestRestoreKeepsIdentifiersAndOrder(t *testing.T) {
	c := online(t, 3)
	c.offer(deliver("a", 1), "a@1")
	c.offer(deliver("b", 2), "b@2")
	c.offer(deliver("c", 2), "c@3")
	c.offer(deliver("d", 1), "")
	c.ack(Pubrec, 2, "rel@2")

	after := newClient(t, Limits{})
	after.o.RestoreReleased(2)
	after.restore(Item{Seq: 1, Delivery: deliver("a", 1)}, Item{Seq: 3, Delivery: deliver("c", 2)}, Item{Seq: 4, Delivery: deliver("d", 1)})
	after.size(3, 1)
	after.resume(3, "rel@2, a@1, c@3, d@4")
	after.ack(Pubcomp, 2, "done#2")
	after.offer(deliver("e", 1), "")
	after.ack(Pubrec, 3, "rel@3")
	after.ack(Pubcomp, 3, "done#3, e@5")
}

func TestFilterDropsWhatWaits(t *testing.T) {
	c := online(t, 1)
	c.offer(deliver("a", 1), "a@1")
	for _, name := range []string{"b", "c", "b", "d"} {
		c.offer(deliver(name, 1), "")
	}
	notB := func(m *message.Message) bool { return m.Topic != "b" }
	c.want(c.o.Filter(c.now, notB, nil), "drop b not-authorized, drop b not-authorized")
	c.ack(Puback, 1, "done#1, c@3")
	c.ack(Puback, 3, "done#3, d@5")
	c.size(0, 1)
}

func TestFilterLeavesWhatTheClientCounts(t *testing.T) {
	c := online(t, 2)
	c.offer(deliver("a", 1), "a@1")
	b := c.offer(deliver("b", 1), "b@2")
	c.refuse(b[0], "")
	c.offer(deliver("c", 1), "")
	c.offer(deliver("d", 1), "")
	onlyC := func(m *message.Message) bool { return m.Topic == "c" }
	c.want(c.o.Filter(c.now, onlyC, nil), "drop d not-authorized, drop b not-authorized")
	c.unblock("c@3")
	c.size(0, 2)
	c.ack(Puback, 1, "done#1")
	c.o.Suspend()
	c.want(c.o.Filter(c.now, func(*message.Message) bool { return false }, nil), "drop c not-authorized")
	c.size(0, 0)
}

func TestFilterGoesOnWithWhatIsAllowed(t *testing.T) {
	c := online(t, 2)
	for i, name := range []string{"a", "b", "c", "d"} {
		c.offer(deliver(name, 1), []string{"a@1", "b@2", "", ""}[i])
	}
	c.o.Suspend()
	c.resume(1, "a@1!")
	c.ack(Puback, 1, "done#1, b@2!")
	c.o.Suspend()
	c.offer(deliver("e", 1), "")
	notB := func(m *message.Message) bool { return m.Topic != "b" }
	c.want(c.o.Filter(c.now, notB, nil), "drop b not-authorized")
	c.resume(2, "c@3, d@4")
}

func TestIdentifierInUseIsPassedOver(t *testing.T) {
	c := online(t, 2)
	c.offer(deliver("old", 1), "old@1")
	for i := range 65534 {
		id := i + 2
		c.offer(deliver("x", 1), fmt.Sprintf("x@%d", id))
		c.ack(Puback, uint16(id), fmt.Sprintf("done#%d", id))
	}
	c.offer(deliver("a", 1), "a@2")
	c.ack(Puback, 2, "done#65537")
	c.ack(Puback, 1, "done#1")
	c.size(0, 0)
}

func TestIdentifierIsNeverUsedTwiceAtATime(t *testing.T) {
	c := online(t, 1)
	first := c.o.Reserve()
	for range 65534 {
		c.o.Reserve()
	}
	again := c.o.Reserve() // the first was not in flight yet
	c.want(c.o.Offer(c.now, first, deliver("a", 2), nil), "a@1")
	c.want(c.o.Offer(c.now, again, deliver("b", 2), nil), "")
	c.o.Suspend()
	c.resume(9, "a@1!")
	c.ack(Pubrec, 1, "rel@1")
	c.ack(Pubcomp, 1, "done#1, b@1")
}

func TestReserveEndsWhenEveryIdentifierIsInUse(t *testing.T) {
	c := online(t, 65535)
	for range 65535 {
		c.o.Offer(c.now, c.o.Reserve(), deliver("x", 1), nil)
	}
	c.size(0, 65535)
	c.offer(deliver("y", 1), "")
	c.size(1, 65535)
}

func TestRestoredMayHaveBeenSent(t *testing.T) {
	c := newClient(t, Limits{})
	var items []Item
	for i, d := range []message.Delivery{
		expiring("a", 2, time.Second),
		expiring("b", 1, time.Second),
		expiring("c", 2, time.Second),
		deliver("d", 1),
	} {
		d.Dup = i != 2
		items = append(items, Item{Seq: uint64(i + 1), Delivery: d})
	}
	c.restore(items...)
	c.now = c.now.Add(time.Second)
	c.resume(9, "a@1!, drop b expired, drop c expired, d@4!")
}
