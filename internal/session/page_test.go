package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/message"
)

// pageMessages is how many messages a page of the tests has.
const pageMessages = 2

// restore puts back a stored queue.
func (c *client) restore(items ...Item) {
	bytes := 0
	for _, it := range items {
		bytes += it.Delivery.Message.Size()
	}
	c.stored = items
	c.o.Restore(items[0].Seq, items[len(items)-1].Seq, len(items), bytes)
}

// fetch puts what a page brings in the place of the action that asks for it.
func (c *client) fetch(actions []Action) []Action {
	for i := 0; i < len(actions); i++ {
		if actions[i].Kind != Fetch {
			continue
		}
		more := c.o.Page(c.now, pageOf(c.o, c.stored, 0), nil)
		actions = append(append(actions[:i:i], more...), actions[i+1:]...)
		i--
	}
	return actions
}

// pageOf reads a page as the broker does.
func pageOf(o *Outbound, stored []Item, storing uint64) Page {
	after, through := o.Unread(storing)
	pg := Page{Through: through}
	for _, it := range stored {
		switch {
		case it.Seq <= after || it.Seq > through:
		case len(pg.Items) == pageMessages:
			pg.Through = pg.Items[pageMessages-1].Seq
			return pg
		default:
			pg.Items = append(pg.Items, it)
		}
	}
	return pg
}

// paged is a client whose queue is stored; n messages of it are kept in memory.
func paged(t testing.TB, l Limits, n int) *client {
	c := newClient(t, l)
	c.o.SetTerms(NewTerms(l, Head{Messages: n, Bytes: 1 << 20}))
	return c
}

// put stores and offers a message.
func (c *client) put(d message.Delivery, want string) {
	c.t.Helper()
	seq := c.o.Reserve()
	c.stored = append(c.stored, Item{Seq: seq, Delivery: d})
	c.want(c.o.Offer(c.now, seq, d, nil), want)
}

func TestOfflineQueueTakesNoMemory(t *testing.T) {
	c := paged(t, Limits{MaxQueued: 100}, 10)
	for i := range 50 {
		c.put(deliver(fmt.Sprint(i), 1), "")
	}
	c.size(50, 0)
	if n, _ := c.o.Parked(); n != 50 || c.o.waiting.len() != 0 {
		t.Errorf("%d parked and %d in memory, want all 50 parked", n, c.o.waiting.len())
	}
	c.resume(3, "0@1, 1@2, 2@3")
	for i := range 50 {
		want := fmt.Sprintf("done#%d", i+1)
		if i+3 < 50 {
			want += fmt.Sprintf(", %d@%d", i+3, i+4)
		}
		c.ack(Puback, uint16(i+1), want)
	}
	c.size(0, 0)
}

func TestQueueBehindTheHeadIsParked(t *testing.T) {
	c := paged(t, Limits{}, 2)
	c.resume(1, "")
	for i, want := range []string{"0@1", "", "", "", ""} {
		c.put(deliver(fmt.Sprint(i), 1), want)
	}
	if n, after := c.o.Parked(); n != 2 || after != 3 {
		t.Errorf("%d parked behind %d, want 2 behind 3", n, after)
	}
	for i := range 4 {
		c.ack(Puback, uint16(i+1), fmt.Sprintf("done#%d, %d@%d", i+1, i+1, i+2))
	}
	c.put(deliver("5", 1), "")
	c.ack(Puback, 5, "done#5, 5@6")
}

func TestFullPagedQueueGivesUpTheOldest(t *testing.T) {
	c := paged(t, Limits{MaxQueued: 4}, 10)
	for i, want := range []string{"", "", "", "", "drop 0 queue-full", "drop 1 queue-full", "drop 2 queue-full"} {
		c.put(deliver(fmt.Sprint(i), 1), want)
	}
	c.size(4, 0)
	c.resume(9, "3@4, 4@5, 5@6, 6@7")
	c.size(0, 4)
}

func TestPageEndsBeforeWhatIsBeingStored(t *testing.T) {
	c := paged(t, Limits{}, 10)
	c.put(deliver("a", 1), "")
	late := c.o.Reserve() // another publisher, whose batch takes longer
	c.put(deliver("c", 1), "")
	actions := c.o.Resume(c.now, Window{ReceiveMaximum: 9}, nil)
	if len(actions) != 1 || actions[0].Kind != Fetch {
		t.Fatalf("asks for %+v, want a page", actions)
	}
	b := Item{Seq: late, Delivery: deliver("b", 1)}
	c.stored = []Item{c.stored[0], b, c.stored[1]} // it is in the store, but was not offered
	actions = c.o.Page(c.now, pageOf(c.o, c.stored, late), nil)
	if got := render(actions[:1]); got != "a@1" || len(actions) != 2 || actions[1].Kind != Fetch {
		t.Fatalf("got %q and %d actions", got, len(actions))
	}
	if after, through := c.o.Unread(late); after != through {
		t.Errorf("there is a page from %d through %d, want none", after, through)
	}
	c.o.Unfetched()
	c.want(c.o.Offer(c.now, late, b.Delivery, nil), "b@2, c@3")
	c.size(0, 3)
}

func TestRefusedPartOfAPageIsDropped(t *testing.T) {
	c := paged(t, Limits{}, 10)
	for _, name := range []string{"a", "b", "c"} {
		c.put(deliver(name, 1), "")
	}
	c.stored[1].Refused = true
	c.resume(9, "drop b not-authorized, a@1, c@3")
}

func TestStoreIsRightAboutWhatItHas(t *testing.T) {
	c := newClient(t, Limits{})
	c.o.Restore(5, 9, 3, 300)
	c.stored = []Item{{Seq: 7, Delivery: deliver("a", 1)}}
	c.resume(9, "a@7")
	c.size(0, 1)
	c.offer(deliver("b", 1), "b@10")
}

func TestUnansweredFetchIsAskedForAgain(t *testing.T) {
	c := paged(t, Limits{}, 10)
	c.put(deliver("a", 1), "")
	if got := c.o.Resume(c.now, Window{ReceiveMaximum: 9}, nil); len(got) != 1 || got[0].Kind != Fetch {
		t.Fatalf("asks for %+v, want a page", got)
	}
	c.o.Unfetched()
	c.want(c.o.Continue(nil), "a@1")
	c.want(c.o.Continue(nil), "")
}

// What is being stored ends a page; the queue behind goes on when it has been,
// also when it is given up at once.
func TestMessageThatDoesNotFitDoesNotHoldUpThePage(t *testing.T) {
	c := paged(t, Limits{MaxQueuedBytes: 1000}, 10)
	late := c.o.Reserve()
	c.put(deliver("a", 1), "")
	if got := c.o.Resume(c.now, Window{ReceiveMaximum: 9}, nil); len(got) != 1 || got[0].Kind != Fetch {
		t.Fatalf("asks for %+v, want a page", got)
	}
	c.o.Unfetched() // nothing may be read before late
	large := deliver(strings.Repeat("x", 2000), 1)
	got := c.fetch(c.o.Offer(c.now, late, large, nil))
	if len(got) != 2 || got[0].Kind != Dropped || got[1].Kind != Send || got[1].Seq != late+1 {
		t.Errorf("%d actions, want the message dropped and the next one sent: %+v", len(got), got)
	}
}
