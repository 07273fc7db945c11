package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

// restart brings up another broker on the store of b, as after a crash: nobody
// has said goodbye.
func restart(t *testing.T, b *Broker) *Broker {
	t.Helper()
	return start(t, Config{Store: b.cfg.Store, SysInterval: -1, Queue: b.cfg.Queue})
}

func TestRestartBringsBackSubscriptionsAndQueues(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(
			Subscription{Filter: "a", QoS: 2, ID: 3, RetainAsPublished: true},
			Subscription{Filter: "own", QoS: 1, NoLocal: true},
			Subscription{Filter: "gone"},
		)
		s.unsubscribe("gone")
		s.leave()
		time.Sleep(time.Second)
		for i := range 10 {
			p.publish(fmt.Sprintf("a=%d", i), uint8(i%3), 1)
		}
		p.publishRetained("a=r", 1, 1)
		count(t, b, 2, 2)

		after := restart(t, b)
		count(t, after, 1, 2)
		s = attach(t, after, durable("s"))
		if !s.present {
			t.Error("the session is gone")
		}
		s.want(
			"a=1 q1 ids[3]", "a=2 q2 ids[3]", "a=4 q1 ids[3]", "a=5 q2 ids[3]",
			"a=7 q1 ids[3]", "a=8 q2 ids[3]", "a=r q1 retain ids[3]",
		)
		s.ackAll()
		p = attach(t, after, options("p"))
		p.publishRetained("a=x", 1, 1)
		s.publish("own=1", 1, 0)
		s.want("rel", "rel", "rel", "a=x q1 retain ids[3]")
		wantRecords(t, b.cfg.Store, "session s", "subscription s a", "subscription s own", "queued s x", "retained a")
	})
}

// [MQTT-4.3.3-2] [MQTT-4.4.0-1]
func TestRestartKeepsIdentifiersOfQoS2(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		for i := range 3 {
			p.publish(fmt.Sprintf("a=%d", i), 2, 1)
		}
		before := s.unacked
		if err := s.l.Acked(session.Pubrec, before[1].PacketID); err != nil {
			t.Fatal(err)
		}
		s.commit()
		v := view("in=1", 2)
		v.PacketID = 7
		if _, err := s.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		s.commit()

		after := restart(t, b)
		in := attach(t, after, options("in"))
		in.subscribe(Subscription{Filter: "in"})
		s = attach(t, after, durable("s"))
		s.want("rel", "a=0 q2 dup", "a=2 q2 dup")
		for i, j := range []int{1, 0, 2} {
			if got, want := s.unacked[i].PacketID, before[j].PacketID; got != want {
				t.Errorf("delivery %d has identifier %d, want %d", i, got, want)
			}
		}
		v.Dup = true
		if n, err := s.l.Publish(v); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		s.commit()
		in.want() // it has been passed on before
		if known, err := s.l.Release(7); !known || err != nil {
			t.Errorf("release: %v, %v", known, err)
		}
		s.commit()
		s.ackAll()
		wantRecords(t, b.cfg.Store, "session s", "subscription s a")
		p = attach(t, after, options("p"))
		p.publish("a=3", 2, 1)
		if got := s.unacked[0].PacketID; got != before[2].PacketID+1 {
			t.Errorf("identifiers go on with %d", got)
		}
	})
}

// [MQTT-3.3.1-1]
func TestRestartMarksNothingThatIsNew(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		p.publish("a=0", 1, 1)
		s.want("a=0 q1")
		s.ackAll()
		s.leave()

		after := restart(t, b)
		p = attach(t, after, options("p"))
		p.publish("a=1", 2, 1)
		p.publish("a=2", 1, 1)
		attach(t, after, durable("s")).want("a=1 q2", "a=2 q1")
	})
}

func TestRestartCountsExpiry(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		v := view("a=1", 1)
		v.Retain, v.HasExpiry, v.Expiry = true, true, 100*60
		p.publishView(v, 0)
		waits := attach(t, b, durable("waits"))
		waits.subscribe(Subscription{Filter: "b", QoS: 1})
		attach(t, b, durable("connected"))
		v = view("b=1", 1)
		v.HasExpiry, v.Expiry = true, 45*60
		waits.leave()
		p.publishView(v, 1)
		time.Sleep(50 * time.Minute)

		after := restart(t, b)
		count(t, after, 2, 1)
		time.Sleep(11 * time.Minute)
		count(t, after, 1, 0) // the time without the broker counts
		s := attach(t, after, durable("s"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.want("a=1 q1 retain")
		if left, _ := s.unacked[0].Message.RemainingExpiry(time.Now()); left != 39*60 {
			t.Errorf("%d s left", left)
		}
		s.ackAll()
		time.Sleep(50 * time.Minute) // the restart cut it off
		count(t, after, 1, 1)
		if n, _ := after.Retained(); n != 0 {
			t.Errorf("%d retained", n)
		}
		wantRecords(t, b.cfg.Store, "session s", "subscription s a")
	})
}

func TestRestartDropsQueuedMessagesThatHaveExpired(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		s.leave()
		time.Sleep(time.Second)
		for _, qos := range []uint8{1, 2} {
			v := view("a=1", qos)
			v.HasExpiry, v.Expiry = true, 60
			p.publishView(v, 1)
		}
		p.publish("a=2", 1, 1)
		time.Sleep(time.Minute)
		attach(t, restart(t, b), durable("s")).want("a=2 q1")
	})
}

func TestRestartKeepsOwners(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c, err := attachAs(t, b, "alice", durable("s"))
		if err != nil {
			t.Fatal(err)
		}
		c.leave()
		after := restart(t, b)
		if _, err := attachAs(t, after, "bob", durable("s")); err == nil {
			t.Error("another identity resumed the session")
		}
		if c, err = attachAs(t, after, "alice", durable("s")); err != nil || !c.present {
			t.Errorf("present %v, %v", c.present, err)
		}
		c.l.Detach(Farewell{HasExpiry: true})
		empty(t, after)
	})
}

// What another client publishes may be stored after the session has been wiped,
// and after its place has been taken, by whomever. A crash then leaves no time to
// remove it.
func TestLateMessageOfAWipedSessionIsNobodys(t *testing.T) {
	wipe := func(t *testing.T, b *Broker) {
		o := durable("s")
		o.CleanStart, o.Expiry = true, 0
		attach(t, b, o).leave()
	}
	replace := func(t *testing.T, b *Broker) {
		wipe(t, b)
		c, err := attachAs(t, b, "eve", durable("s"))
		if err != nil {
			t.Fatal(err)
		}
		c.subscribe(Subscription{Filter: "b", QoS: 1})
	}
	for name, c := range map[string]struct {
		before, after func(*testing.T, *Broker) // the message is stored
	}{
		"between the sessions": {wipe, replace},
		"in the next one":      {replace, func(*testing.T, *Broker) {}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, b *Broker) {
				f := newFaulty()
				b.cfg.Store = f
				s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
				s.subscribe(Subscription{Filter: "a", QoS: 1})
				if _, err := p.l.Publish(view("a=secret", 1)); err != nil {
					t.Fatal(err)
				}
				c.before(t, b)
				if err := f.Apply(t.Context(), p.l.batch.ops); err != nil { // and then it crashes
					t.Fatal(err)
				}
				c.after(t, b)
				wantRecords(t, f, "session s", "subscription s b")

				b = start(t, Config{Store: f.Store, SysInterval: -1})
				eve, err := attachAs(t, b, "eve", durable("s"))
				if err != nil {
					t.Fatal(err)
				}
				p = attach(t, b, options("p"))
				p.publish("b=new", 1, 1)
				eve.want("b=new q1") // its place is not below the first
				eve.ack()
				wantRecords(t, f, "session s", "subscription s b")
			})
		})
	}
}

// A session begins behind those before it, even where the clock has been set
// back since they began.
func TestSessionBeginsBehindItsPredecessors(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		first := func() (first uint64) {
			t.Helper()
			if err := b.cfg.Store.Load(t.Context(), func(r store.Record) error {
				if s, ok := r.(store.Session); ok {
					first = s.First
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return first
		}
		future := uint64(time.Now().Add(365*24*time.Hour).UnixMilli()) * 65535
		stored := []store.Op{{Record: store.Session{ClientID: "s", Owner: "ana", Expiry: Never, First: future, Sent: future + 70_000}}}
		if err := b.cfg.Store.Apply(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		b = restart(t, b)
		o := durable("s")
		o.CleanStart = true
		last := future + 70_000
		for range 3 {
			c, err := attachAs(t, b, "ana", o)
			if err != nil {
				t.Fatal(err)
			}
			f := first()
			if f <= last {
				t.Fatalf("it begins at %d, want it behind %d", f, last)
			}
			last = f + 40_000*65535
			c.l.s.out.Skip(last) // it was sent much
		}
	})
}
