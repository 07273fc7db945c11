package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

func TestSessionPresent(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		for i, step := range []struct {
			expiry  time.Duration
			clean   bool
			present bool
		}{
			{0, false, false},
			{0, false, false}, // the first ended with its connection
			{time.Hour, false, false},
			{time.Hour, false, true},
			{0, false, true},
			{time.Hour, false, false},
			{time.Hour, true, false},
			{time.Hour, false, true},
		} {
			o := options("c")
			o.Expiry, o.CleanStart = step.expiry, step.clean
			c := attach(t, b, o)
			if c.present != step.present {
				t.Errorf("step %d: present %v", i, c.present)
			}
			c.lose()
		}
		count(t, b, 1, 0)
	})
}

// [MQTT-3.1.4-3]
// [MQTT-3.1.2-4]
// [MQTT-3.1.2-23]
func TestSessionExpires(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		time.Sleep(3 * time.Hour) // while there is a connection nothing expires
		s.lose()
		time.Sleep(59 * time.Minute)
		s = attach(t, b, durable("s"))
		if !s.present {
			t.Error("gone before its time")
		}
		s.lose()
		p.publish("a=1", 1, 1)
		time.Sleep(time.Hour + time.Second)
		count(t, b, 1, 0)
		wantRecords(t, b.cfg.Store)
		if b.stats.SessionsExpired.Load() != 1 || b.stats.Drops[session.DropEnded].Load() != 1 {
			t.Errorf("%d expired, %d dropped", b.stats.SessionsExpired.Load(), b.stats.Drops[session.DropEnded].Load())
		}
		if s := attach(t, b, durable("s")); s.present {
			t.Error("present after its time")
		}
	})
}

func TestSessionThatNeverExpires(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		o := durable("s")
		o.Expiry = Seconds(0xFFFFFFFF)
		attach(t, b, o).lose()
		time.Sleep(5 * 365 * 24 * time.Hour)
		if s := attach(t, b, o); !s.present || s.expiry != Never {
			t.Errorf("present %v, expiry %v", s.present, s.expiry)
		}
	})
}

func TestExpiryIsCapped(t *testing.T) {
	bubble(t, Config{MaxExpiry: time.Minute}, func(t *testing.T, b *Broker) {
		s := attach(t, b, durable("s"))
		if s.expiry != time.Minute {
			t.Errorf("granted %v", s.expiry)
		}
		s.l.Detach(Farewell{HasExpiry: true, Expiry: Never})
		time.Sleep(61 * time.Second)
		count(t, b, 0, 0)
	})
}

// [MQTT-3.14.2-2]
func TestFarewellChangesTheExpiry(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s := attach(t, b, durable("s"))
		s.subscribe(Subscription{Filter: "a"})
		s.l.Detach(Farewell{HasExpiry: true, Expiry: 10 * time.Second})
		time.Sleep(9 * time.Second)
		count(t, b, 1, 1)
		time.Sleep(2 * time.Second)
		count(t, b, 0, 0)

		s = attach(t, b, durable("s"))
		s.subscribe(Subscription{Filter: "a"})
		s.l.Detach(Farewell{HasExpiry: true})
		empty(t, b)
		wantRecords(t, b.cfg.Store)
	})
}

func TestOnlyDurableSessionsAreStored(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		applied := 0
		f := newFaulty()
		f.hook(func([]store.Op) { applied++ })
		b.cfg.Store = f
		p, s := attach(t, b, options("p")), attach(t, b, options("s"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		p.publish("a=1", 2, 1)
		s.ackAll()
		p.lose()
		s.lose()
		if applied != 0 {
			t.Errorf("%d batches for sessions that end with their connection", applied)
		}
		empty(t, b)
	})
}

func TestSessionBecomesDurableAndBack(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, durable("s"))
		s.subscribe(Subscription{Filter: "a", QoS: 2}, Subscription{Filter: "b"})
		p.publish("a=1", 2, 1)
		p.publish("a=2", 2, 1)
		s.ack()
		v := view("x=1", 2)
		v.PacketID = 9
		if _, err := s.l.Publish(v); err != nil {
			t.Fatal(err)
		}
		s.commit()
		p.publish("a=3", 1, 1)
		all := []string{"session s", "subscription s a", "subscription s b", "released s", "released s", "queued s 3", "received s 9"}
		wantRecords(t, b.cfg.Store, all...)
		s = attach(t, b, options("s")) // it ends with this connection, and is stored until then
		wantRecords(t, b.cfg.Store, all...)
		p.publish("a=4", 1, 1)
		s.lose()
		count(t, b, 1, 0)
		wantRecords(t, b.cfg.Store)
	})
}

func TestShutdownClosesEverybodyAndRefusesMore(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		a, s := attach(t, b, options("a")), attach(t, b, durable("s"))
		b.Shutdown(ReasonShutdown)
		a.wantClosed(ReasonShutdown)
		s.wantClosed(ReasonShutdown)
		if _, err := attachAs(t, b, "", options("x")); !errors.Is(err, ErrEnded) {
			t.Errorf("attach: %v", err)
		}
		a.lose()
		s.lose()
		count(t, b, 1, 0)
	})
}

func TestSessionQuotas(t *testing.T) {
	bubble(t, Config{MaxSessions: 3, MaxSessionsPerOwner: 1, MaxSubscriptions: 2}, func(t *testing.T, b *Broker) {
		a, err := attachAs(t, b, "alice", durable("a"))
		if err != nil {
			t.Fatal(err)
		}
		a.subscribe(Subscription{Filter: "1"}, Subscription{Filter: "2"})
		if g := a.l.Subscribe([]Subscription{{Filter: "3"}, {Filter: "2", QoS: 1}}); !errors.Is(g[0].Err, ErrQuota) || g[1].Err != nil {
			t.Errorf("subscribe: %+v", g)
		}
		a.lose()
		if _, err := attachAs(t, b, "alice", durable("a2")); !errors.Is(err, ErrQuota) {
			t.Errorf("second session left behind: %v", err)
		}
		for _, id := range []string{"a2", "a3"} { // those that leave nothing behind
			if _, err := attachAs(t, b, "alice", options(id)); err != nil {
				t.Error(err)
			}
		}
		if _, err := attachAs(t, b, "bob", options("b")); !errors.Is(err, ErrQuota) {
			t.Errorf("fourth session: %v", err)
		}
		if a, err = attachAs(t, b, "alice", durable("a")); err != nil || !a.present {
			t.Errorf("resuming needs no place: %v", err)
		}
		count(t, b, 3, 2)
	})
}

// Deliveries begin with Start, after the answer to CONNECT.
func TestNothingIsDeliveredBeforeStart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.lose()
		c := &client{t: t, b: b, room: never}
		l, _, err := b.Attach(context.Background(), identity(""), durable("s"), c)
		if err != nil {
			t.Fatal(err)
		}
		c.l = l
		p.publish("a=1", 1, 1)
		l.Writable()
		c.want()
		l.Start()
		c.want("a=1 q1")
	})
}

// The session of a connection without session expiry ends when it is taken
// over. // MQTT 5.0 §3.1.4, §4.1; MQTT 3.1.1 [MQTT-3.1.2-6]
func TestFailedAttachLeavesEverythingAsItWas(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		watch, p := attach(t, b, options("watch")), attach(t, b, options("p"))
		watch.subscribe(Subscription{Filter: "will"})
		o := durable("s")
		o.Will = &Will{Message: view("will=1", 0), Delay: time.Minute}
		s := attach(t, b, o)
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.lose()

		broken := errors.New("disk full")
		f.fail(broken)
		for _, o := range []SessionOptions{durable("s"), options("s"), durable("new")} {
			if _, err := attachAs(t, b, "", o); !errors.Is(err, broken) {
				t.Errorf("attach %s: %v", o.ClientID, err)
			}
		}
		f.fail(nil)
		count(t, b, 3, 2)
		if n := b.stats.Connected.Load(); n != 2 {
			t.Errorf("%d connected, want 2", n)
		}
		p.publish("a=1", 1, 1)
		time.Sleep(61 * time.Second)
		watch.want("will=1") // the client has not come back
		if s = attach(t, b, durable("s")); !s.present {
			t.Error("the session is gone")
		}
		s.want("a=1 q1")
		s.lose()
		time.Sleep(61 * time.Minute)
		count(t, b, 2, 1)
	})
}

// Both connections are gone then: the session expires, its will comes.
func TestFailedAttachThatHasTakenASessionOver(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		watch := attach(t, b, options("watch"))
		watch.subscribe(Subscription{Filter: "will"})
		o := durable("s")
		o.Will = &Will{Message: view("will=1", 0), Delay: time.Minute}
		s := attach(t, b, o)

		f.fail(errDisk)
		if _, err := attachAs(t, b, "", durable("s")); !errors.Is(err, errDisk) {
			t.Fatalf("attach: %v", err)
		}
		s.wantClosed(ReasonTakenOver)
		f.fail(nil)
		time.Sleep(61 * time.Second)
		watch.want("will=1")
		time.Sleep(time.Hour)
		count(t, b, 1, 1)
	})
}

func TestAttachDuringShutdownIsRefused(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		f.hook(func([]store.Op) { b.Shutdown(ReasonShutdown) })
		o := durable("s")
		c := &client{t: t, b: b, room: never}
		if _, _, err := b.Attach(context.Background(), identity(""), o, c); !errors.Is(err, ErrEnded) {
			t.Errorf("attach: %v", err)
		}
		if n := b.stats.Connected.Load(); n != 0 {
			t.Errorf("%d connected", n)
		}
	})
}

// The timer that ends a session may be late: after a restart, or under load.
func TestExpiredSessionIsNotResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := idle(t, Config{})
		watch := attach(t, b, options("watch"))
		watch.subscribe(Subscription{Filter: "will/#"})
		short := durable("short")
		short.Expiry = time.Minute
		short.Will = &Will{Message: view("will/short=1", 0), Delay: time.Hour}
		attach(t, b, short).lose()
		long := durable("long")
		long.Will = &Will{Message: view("will/long=1", 0), Delay: time.Minute}
		attach(t, b, long).lose()
		time.Sleep(time.Minute)
		if c := attach(t, b, durable("short")); c.present {
			t.Error("an expired session is present")
		}
		watch.want("will/short=1")
		if c := attach(t, b, durable("long")); !c.present {
			t.Error("a session is not present")
		}
		watch.want("will/long=1") // it was due before the client came back
	})
}

// A client that returns while its session ends is stored after the old session
// has been removed.
func TestNewSessionIsNotRemovedWithTheOldOne(t *testing.T) {
	b := idle(t, Config{})
	f := newFaulty()
	b.cfg.Store = f
	for range 200 {
		old := attach(t, b, durable("s"))
		var wg sync.WaitGroup
		f.hook(func(ops []store.Op) {
			if ops[0].Kind == store.Delete {
				f.hook(nil)
				wg.Go(func() { attach(t, b, durable("s")) })
				for range 100 {
					runtime.Gosched()
				}
			}
		})
		old.l.s.life.Lock()
		old.l.s.unlink(old.l, Farewell{})
		old.l.s.end()
		old.l.s.life.Unlock()
		wg.Wait()
		f.hook(nil)
		wantRecords(t, f, "session s")
		if t.Failed() {
			return
		}
	}
}

func TestMessageUnderWayToASessionThatEndsWithItsNextConnection(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		if _, err := p.l.Publish(view("a=1", 1)); err != nil {
			t.Fatal(err)
		}
		s = attach(t, b, options("s"))
		p.commit()
		s.want("a=1 q1")
		wantRecords(t, b.cfg.Store, "session s", "subscription s a", "queued s 1")
		s.lose()
		wantRecords(t, b.cfg.Store)
	})
}

// A session without expiry was never stored: a goodbye can not make it last.
// // [MQTT-3.14.2-2]
func TestFarewellDoesNotRaiseTheExpiryFromZero(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s := attach(t, b, options("s"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.l.Detach(Farewell{HasExpiry: true, Expiry: time.Hour})
		empty(t, b)
		wantRecords(t, b.cfg.Store)
	})
}

func TestSessionQuotaHoldsForClientsThatComeTogether(t *testing.T) {
	b := idle(t, Config{MaxSessions: 10})
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { _, _ = attachAs(t, b, "", options(fmt.Sprint(i))) })
	}
	wg.Wait()
	count(t, b, 10, 0)
}

// A connection that ends in the middle of a batch leaves what it has delivered.
func TestDetachFlushesWhatTheBatchHasDelivered(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p, q := attach(t, b, options("s")), attach(t, b, options("p")), attach(t, b, options("q"))
		s.subscribe(Subscription{Filter: "a"})
		before := s.flushes
		if _, err := p.l.Publish(view("a=1", 0)); err != nil {
			t.Fatal(err)
		}
		p.lose()
		if s.flushes != before+1 {
			t.Errorf("%d flushes", s.flushes-before)
		}
		q.publish("a=2", 0, 1)
		if s.flushes != before+2 {
			t.Errorf("%d flushes", s.flushes-before)
		}
	})
}
