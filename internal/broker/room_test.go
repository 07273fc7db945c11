package broker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
)

func wantDrops(t *testing.T, b *Broker, why session.Drop, want uint64) {
	t.Helper()
	if n := b.stats.Drops[why].Load(); n != want {
		t.Errorf("%d dropped for %v, want %d", n, why, want)
	}
}

// Subscriptions made before the store ran full ask again for what is retained.
func TestReplayGoesOnWhenTheStoreHasRoomAgain(t *testing.T) {
	st := &small{faulty: newFaulty()}
	bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		all := make([]*client, 300)
		o := Subscription{Filter: "+", QoS: 1, RetainHandling: 2}
		for i := range all {
			all[i] = attach(t, b, durable(fmt.Sprint(i)))
			all[i].subscribe(o)
		}
		p.publishRetained("a=1", 1, len(all))
		p.publishRetained("b=1", 0, len(all))
		st.full.Store(true)
		o.RetainHandling = 0
		for _, s := range all {
			s.received()
			s.ackAll()
			s.subscribe(o)
		}
		back, gone := all[0], all[1]
		back.leave()
		gone.l.Detach(Farewell{HasExpiry: true})
		back = attach(t, b, durable("0"))
		all = all[2:]
		time.Sleep(time.Minute)
		for _, s := range append(all, back) {
			if got := s.received(); slices.Contains(got, "a=1 q1 retain") {
				t.Errorf("received %q from a full store", got)
			}
		}
		synctest.Wait()     // it may be firing
		wantTimers(t, b, 1) // that of all of them
		st.full.Store(false)
		time.Sleep(2 * feedPeriod)
		for _, s := range append(all, back) {
			got := s.received()
			if !slices.Contains(got, "a=1 q1 retain") || len(got) > 2 {
				t.Errorf("%s received %q", s.l.ClientID(), got)
			}
			s.ackAll()
		}
		wantTimers(t, b, 0)
		if b.hungry.sessions != nil {
			t.Error("the list was not given back")
		}
	})
}

// A store may have room for a moment only.
func TestReplayWaitsAnewWhenTheStoreIsFullAgain(t *testing.T) {
	st := &small{faulty: newFaulty()}
	bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, durable("s"))
		o := Subscription{Filter: "+", QoS: 1, RetainHandling: 2}
		s.subscribe(o)
		p.publishRetained("a=1", 1, 1)
		s.ackAll()
		s.received()
		st.full.Store(true)
		o.RetainHandling = 0
		s.subscribe(o)
		for range 3 {
			time.Sleep(time.Minute)
			s.want()
			st.full.Store(false)
			st.hook(func([]store.Op) { st.full.Store(true) })
			time.Sleep(2 * feedPeriod)
			st.hook(nil)
			s.want("a=1 q1 retain")
			s.subscribe(o)
			s.ackAll()
		}
	})
}

// A connection whose replay cannot be stored ends, as it does elsewhere.
func TestReplayThatCannotBeStoredEndsTheConnection(t *testing.T) {
	st := &small{faulty: newFaulty()}
	bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
		p, s := attach(t, b, options("p")), attach(t, b, durable("s"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		p.publishRetained("a=1", 1, 1)
		s.ackAll()
		s.received()
		st.full.Store(true)
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		st.fail(errDisk)
		st.full.Store(false)
		time.Sleep(2 * feedPeriod)
		s.want()
		s.wantClosed(ReasonUnavailable)
		st.fail(nil)
	})
}

func TestFullStoreTakesNoWills(t *testing.T) {
	st := &small{faulty: newFaulty()}
	bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
		sub := Subscription{Filter: "will", QoS: 1, RetainAsPublished: true}
		kept, away, ends := attach(t, b, durable("kept")), attach(t, b, durable("away")), attach(t, b, options("ends"))
		for _, c := range []*client{kept, away, ends} {
			c.subscribe(sub)
		}
		away.leave()
		p := attach(t, b, options("p"))
		p.publishRetained("will=alive", 0, 3)
		kept.want("will=alive retain")
		ends.want("will=alive retain")
		o := withWill(durable("c"), "dead", 0)
		o.Will.Message.Retain = true
		c := attach(t, b, o)
		before := slices.DeleteFunc(records(t, st), func(r string) bool { return r == "will c" })
		st.full.Store(true)
		c.lose()
		kept.want("will=dead retain")
		ends.want("will=dead q1 retain")
		wantDrops(t, b, session.DropStoreFull, 1)
		wantRecords(t, st, before...)
		if m, _ := b.retained.Get("will"); string(m.message.Payload) != "dead" {
			t.Errorf("retained %q: a status that is not true", m.message.Payload)
		}
		if m, _ := idle(t, Config{Store: st}).retained.Get("will"); string(m.message.Payload) != "alive" {
			t.Errorf("the store has retained %q", m.message.Payload)
		}
		st.full.Store(false)
		attach(t, b, o).lose()
		kept.want("will=dead q1 retain")
		attach(t, b, durable("away")).want("will=dead q1 retain")
	})
}

func TestFullStoreTakesNoSys(t *testing.T) {
	st := &small{faulty: newFaulty()}
	bubble(t, Config{Store: st, SysInterval: time.Second}, func(t *testing.T, b *Broker) {
		synctest.Wait() // for the first values
		kept, away := attach(t, b, durable("kept")), attach(t, b, durable("away"))
		sub := Subscription{Filter: "$SYS/broker/uptime", QoS: 1, RetainHandling: 2}
		kept.subscribe(sub)
		away.subscribe(sub)
		away.leave()
		time.Sleep(1500 * time.Millisecond)
		kept.want("$SYS/broker/uptime=1 seconds q1")
		kept.ackAll()
		st.full.Store(true)
		before := records(t, st)
		time.Sleep(time.Second)
		kept.want("$SYS/broker/uptime=2 seconds")
		wantRecords(t, st, before...)
		time.Sleep(time.Second)
		wantDrops(t, b, session.DropStoreFull, 2)
		if got := sys(b, "publish/messages/dropped/store-full"); got == "" {
			t.Error("the drops are not shown")
		}
	})
}

// What an ended session leaves goes at QoS 0 to a member that is connected, and
// is dropped where none is.
func TestFullStoreTakesNothingThatIsRedelivered(t *testing.T) {
	for _, restarted := range []bool{false, true} { // then the queue is in the store alone
		for _, connected := range []bool{false, true} {
			st := &small{faulty: newFaulty()}
			bubble(t, Config{Store: st}, func(t *testing.T, b *Broker) {
				one, p := attach(t, b, durable("one")), attach(t, b, options("p"))
				shared := Subscription{Filter: "$share/g/a", QoS: 2}
				one.subscribe(shared)
				one.leave()
				p.numbered(3, 1)
				if restarted {
					b = restart(t, b)
				}
				two := attach(t, b, durable("two"))
				two.subscribe(shared)
				if !connected {
					two.leave()
				}
				st.full.Store(true)
				attach(t, b, SessionOptions{ClientID: "one", CleanStart: true})
				if connected {
					two.want("a=0", "a=1", "a=2")
					wantDrops(t, b, session.DropStoreFull, 0)
				} else {
					wantDrops(t, b, session.DropStoreFull, 3)
				}
				wantRecords(t, st, "session two", "subscription two $share/g/a")
			})
		}
	}
}

// lazy is a store that forgets every removal of a message from a queue, as a
// crash may make it do.
type lazy struct{ *faulty }

// Apply implements store.Store.
func (s lazy) Apply(ctx context.Context, batch []store.Op) error {
	return s.faulty.Apply(ctx, slices.DeleteFunc(batch, func(op store.Op) bool {
		_, queued := op.Record.(store.Queued)
		return queued && op.Kind == store.Delete
	}))
}

// Wherever a crash comes, a shared message is in the queue of one member.
func TestSharedMessageIsInOneQueueWhenItsMemberEnds(t *testing.T) {
	const n = 2*store.PageMessages + 7
	st := lazy{newFaulty()}
	bubble(t, Config{Store: st, Queue: large}, func(t *testing.T, b *Broker) {
		one, p := attach(t, b, durable("one")), attach(t, b, options("p"))
		one.subscribe(Subscription{Filter: "$share/g/a", QoS: 2})
		one.leave()
		p.numbered(n, 2)
		two := attach(t, b, durable("two"))
		two.subscribe(Subscription{Filter: "$share/g/a", QoS: 2})
		two.leave()
		batches := 0
		st.hookAfter(func([]store.Op) {
			batches++
			queues := map[string]int{}
			for _, member := range []string{"one", "two"} {
				for after := uint64(0); ; {
					page, err := st.Queue(t.Context(), member, after, math.MaxUint64)
					if err != nil {
						t.Fatal(err)
					}
					if len(page) == 0 {
						break
					}
					for _, q := range page {
						queues[string(q.Message.Payload)]++
						after = q.Seq
					}
				}
			}
			for i := range n {
				if q := queues[fmt.Sprint(i)]; q != 1 {
					t.Fatalf("after batch %d message %d is in %d queues", batches, i, q)
				}
			}
		})
		attach(t, b, SessionOptions{ClientID: "one", CleanStart: true})
		st.hookAfter(nil)
		if batches < 4 {
			t.Errorf("%d batches, want pages and the end of the session", batches)
		}
		if got := attach(t, restart(t, b), durable("two")).drain(); len(got) != n {
			t.Errorf("received %d messages, want %d", len(got), n)
		}
	})
}

// The store writes together what comes together: ends do not queue up for it.
func TestSessionsThatExpireTogetherEndTogether(t *testing.T) {
	f := newFaulty()
	bubble(t, Config{Store: f}, func(t *testing.T, b *Broker) {
		const n = 10 * firing
		w := watcher(t, b)
		for i := range n {
			o := withWill(durable(fmt.Sprint(i)), "gone", 30*time.Minute)
			attach(t, b, o).lose()
		}
		w.want()
		f.hook(func([]store.Op) { time.Sleep(time.Second) })
		at := func(after time.Duration) { time.Sleep(after + n*time.Second/firing) }
		at(30 * time.Minute)
		if got := len(w.received()); got != w.l.window.ReceiveMaximum {
			t.Errorf("%d delayed wills came in time, want as many as the window takes", got)
		}
		at(30 * time.Minute)
		count(t, b, 1, 1)
		wantTimers(t, b, 0)
		f.hook(nil)
	})
}

// A server that is to end does not wait for all that is due.
func TestTimersLeaveOffAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fired := 0
	due := make([]*timer, 10)
	for i := range due {
		due[i] = &timer{fire: func(time.Time) {}}
	}
	cancel()
	due[0].fire = func(time.Time) { fired++ }
	fire(ctx, due, time.Now())
	if fired != 0 {
		t.Error("fired after the end")
	}
}
