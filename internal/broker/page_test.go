package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// large is a queue that does not fill up in a test.
var large = session.Limits{MaxQueued: 100_000}

// numbered publishes n messages to topic a.
func (c *client) numbered(n int, qos uint8) {
	c.t.Helper()
	for i := range n {
		c.publish(fmt.Sprintf("a=%d", i), qos, 1)
	}
}

// drain acknowledges everything that comes and returns the payloads of the
// messages in the order of their first delivery.
func (c *client) drain() []string {
	c.t.Helper()
	var all []string
	for {
		got := c.received()
		for _, d := range got {
			if d != "rel" {
				all = append(all, d)
			}
		}
		if c.ack() == 0 && len(got) == 0 {
			return all
		}
	}
}

func wantNumbered(t *testing.T, got []string, n int, flags string) {
	t.Helper()
	if len(got) != n {
		t.Errorf("%d messages, want %d", len(got), n)
	}
	for i, d := range got {
		if want := fmt.Sprintf("a=%d%s", i, flags); d != want {
			t.Fatalf("message %d is %q, want %q", i, d, want)
		}
	}
}

func TestQueueOfManyPages(t *testing.T) {
	const n = 3*store.PageMessages + 7
	for _, qos := range []uint8{1, 2} {
		for _, window := range []int{1, 20, 65535} {
			bubble(t, Config{Queue: large}, func(t *testing.T, b *Broker) {
				o := durable("s")
				o.Window.ReceiveMaximum = window
				s, p := attach(t, b, o), attach(t, b, options("p"))
				s.subscribe(Subscription{Filter: "a", QoS: 2})
				s.leave()
				p.numbered(n, qos)
				if parked, _ := b.lookup("s").out.Parked(); parked != n {
					t.Errorf("%d messages are parked, want %d", parked, n)
				}
				s = attach(t, b, o)
				wantNumbered(t, s.drain(), n, fmt.Sprintf(" q%d", qos))
				wantRecords(t, b.cfg.Store, "session s", "subscription s a")
			})
		}
	}
}

func TestSlowClientIsServedFromTheStore(t *testing.T) {
	const n = 3*store.PageMessages + 7
	bubble(t, Config{Queue: large}, func(t *testing.T, b *Broker) {
		o := durable("s")
		o.Window.ReceiveMaximum = 2
		s, p := attach(t, b, o), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		p.numbered(n, 1)
		if parked, _ := b.lookup("s").out.Parked(); parked != n-2-store.PageMessages {
			t.Errorf("%d messages are parked", parked)
		}
		wantNumbered(t, s.drain(), n, " q1")
	})
}

func TestQueueOfManyPagesComesBackAfterARestart(t *testing.T) {
	const n = 2*store.PageMessages + 7
	bubble(t, Config{Queue: large}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		s.leave()
		p.numbered(n, 2)
		after := restart(t, b)
		o := durable("s")
		o.Window.ReceiveMaximum = 65535
		s = attach(t, after, o)
		if got := s.received(); len(got) != n || got[0] != "a=0 q2" || got[n-1] != fmt.Sprintf("a=%d q2", n-1) {
			t.Fatalf("%d messages after the restart, want %d that have not been sent before", len(got), n)
		}
		after = restart(t, after) // now they have been sent
		s = attach(t, after, durable("s"))
		wantNumbered(t, s.drain(), n, " q2 dup")
		wantRecords(t, b.cfg.Store, "session s", "subscription s a")
	})
}

func TestWithdrawnRightsHoldForWhatIsParked(t *testing.T) {
	r := newRules()
	bubble(t, Config{Queue: large, Authorizer: r}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "+", QoS: 1})
		s.leave()
		p.publish("a=1", 1, 1)
		p.publish("b=1", 1, 1)
		p.publish("a=2", 1, 1)
		r.add(s.l.identity.Name + " receive b")
		s = attach(t, b, durable("s"))
		s.want("a=1 q1", "a=2 q1")
		s.ackAll()
		wantRecords(t, b.cfg.Store, "session s", "subscription s +")
	})
}

func TestParkedMessagesOfASharedSubscriptionGoToOthers(t *testing.T) {
	const n = store.PageMessages + 7
	bubble(t, Config{Queue: large}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "$share/g/a", QoS: 1}, Subscription{Filter: "b", QoS: 1})
		s.leave()
		p.numbered(n, 1)
		p.publish("b=1", 1, 1)
		other := attach(t, b, options("other"))
		other.subscribe(Subscription{Filter: "$share/g/a", QoS: 1})
		attach(t, b, SessionOptions{ClientID: "s", CleanStart: true})
		wantNumbered(t, other.drain(), n, " q1")
	})
}

// A connection without expiry does not cost the session what it has waiting.
func TestLastConnectionGetsWhatIsParked(t *testing.T) {
	const n = store.PageMessages + 7
	bubble(t, Config{Queue: large}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.leave()
		p.numbered(n, 1)
		s = attach(t, b, options("s"))
		wantNumbered(t, s.drain(), n, " q1")
		s.lose()
		wantRecords(t, b.cfg.Store)
	})
}

func TestSessionOfALastConnectionEndsWithTheBroker(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s = attach(t, b, options("s"))
		p.publish("a=1", 1, 1)
		s.want("a=1 q1")
		after := restart(t, b)
		time.Sleep(time.Second)
		count(t, after, 0, 0)
		wantRecords(t, b.cfg.Store)
	})
}

// unreadable is a store that answers no pages.
type unreadable struct {
	*faulty
	err atomic.Pointer[error]
}

// Queue implements store.Store.
func (s *unreadable) Queue(ctx context.Context, client string, after, through uint64) ([]store.Queued, error) {
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return s.faulty.Queue(ctx, client, after, through)
}

func TestPageThatCannotBeReadEndsTheConnection(t *testing.T) {
	st := &unreadable{faulty: newFaulty()}
	bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.leave()
		p.publish("a=1", 1, 1)
		err := errors.New("bad block")
		st.err.Store(&err)
		s = attach(t, b, durable("s"))
		s.wantClosed(ReasonUnavailable)
		s.want()
		st.err.Store(nil)
		s = attach(t, b, durable("s"))
		s.want("a=1 q1")
	})
}

// Two publishers store at the same time; the later one is done first.
func TestPageDoesNotBringWhatIsBeingStored(t *testing.T) {
	f := newFaulty()
	bubble(t, Config{Store: f}, func(t *testing.T, b *Broker) {
		s, p, q := attach(t, b, durable("s")), attach(t, b, options("p")), attach(t, b, options("q"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.leave()
		if _, err := p.l.Publish(view("a=1", 1)); err != nil { // not committed
			t.Fatal(err)
		}
		q.publish("a=2", 1, 1)
		s = attach(t, b, durable("s"))
		s.want()
		p.commit()
		s.want("a=1 q1", "a=2 q1")
		s.ackAll()

		if _, err := p.l.Publish(view("a=3", 1)); err != nil {
			t.Fatal(err)
		}
		s.leave()
		q.publish("a=4", 1, 1)
		s = attach(t, b, durable("s"))
		p.lose() // its message will not be stored
		s.want("a=4 q1")
	})
}

// small is a store whose room a test sets.
type small struct {
	*faulty
	full atomic.Bool
}

// Room implements store.Bounded.
func (s *small) Room() store.Room { return store.Room{Full: s.full.Load()} }

func TestFullStoreRefusesWhatItWouldHaveToKeep(t *testing.T) {
	st := &small{faulty: newFaulty()}
	bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
		s, p, c := attach(t, b, durable("s")), attach(t, b, options("p")), attach(t, b, options("c"))
		s.subscribe(Subscription{Filter: "a", QoS: 2}, Subscription{Filter: "r", QoS: 0})
		c.subscribe(Subscription{Filter: "#", QoS: 1})
		p.publish("a=1", 2, 2)
		c.received()
		st.full.Store(true)
		refused := func(v message.View) {
			t.Helper()
			v.PacketID = 7
			if _, err := p.l.Publish(v); !errors.Is(err, ErrFull) || !errors.Is(err, ErrQuota) {
				t.Errorf("publish %s at QoS %d: %v, want ErrFull", v.Topic, v.QoS, err)
			}
			p.commit()
		}
		refused(view("a=2", 1))
		refused(view("a=3", 2))
		retained := view("r=1", 1)
		retained.Retain = true
		refused(retained)
		c.want() // nobody has got a part of it
		s.want("a=1 q2")
		s.ackAll() // goes on
		s.want("rel")
		p.publish("a=4", 0, 2)
		p.publish("b=5", 1, 1)
		p.publishRetained("r=2", 0, 2)
		c.want("a=4", "b=5 q1", "r=2")
		if n, _ := b.Retained(); n != 0 {
			t.Errorf("%d messages are retained", n)
		}
		if g := s.l.Subscribe([]Subscription{{Filter: "new"}}); !errors.Is(g[0].Err, ErrFull) {
			t.Errorf("subscription of a durable session: %v", g[0].Err)
		}
		c.subscribe(Subscription{Filter: "new"})
		o := durable("other")
		if _, _, err := b.Attach(t.Context(), c.l.Identity(), o, &client{t: t}); !errors.Is(err, ErrFull) {
			t.Errorf("a new durable session: %v", err)
		}
		s.want("a=4", "r=2")
		s.leave()
		s = attach(t, b, durable("s"))
		st.full.Store(false)
		p.publish("a=6", 2, 2)
		s.want("a=6 q2")
	})
}

// A message that has been stored when the session of a member ends, and not been
// offered to it yet, goes to another member once.
func TestSharedMessageGoesOnOnceWhenItsMemberEnds(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		one, two, p := attach(t, b, durable("one")), attach(t, b, durable("two")), attach(t, b, options("p"))
		one.subscribe(Subscription{Filter: "$share/g/a", QoS: 2})
		one.leave()
		p.publish("a=0", 2, 1)
		two.subscribe(Subscription{Filter: "$share/g/a", QoS: 2})
		two.leave()
		ended := false
		f.hookAfter(func(ops []store.Op) {
			for _, op := range ops {
				if q, ok := op.Record.(store.Queued); ok && op.Kind == store.Put && q.ClientID == "one" && !ended {
					ended = true
					s := b.lookup("one")
					s.life.Lock()
					s.end()
					s.life.Unlock()
				}
			}
		})
		p.publish("a=1", 2, 1)
		p.publish("a=2", 2, 1)
		if !ended {
			t.Fatal("no message was for the member that ends")
		}
		got := attach(t, b, durable("two")).drain()
		slices.Sort(got)
		if want := []string{"a=0 q2", "a=1 q2", "a=2 q2"}; !slices.Equal(got, want) {
			t.Errorf("received %q, want %q", got, want)
		}
	})
}
