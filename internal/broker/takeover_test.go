package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
)

func TestTakeoverResumesADurableSession(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, first := attach(t, b, options("p")), attach(t, b, durable("s"))
		first.subscribe(Subscription{Filter: "a", QoS: 1})
		p.publish("a=1", 1, 1)
		second := attach(t, b, durable("s"))
		if !second.present {
			t.Error("the session is not present")
		}
		first.wantClosed(ReasonTakenOver)
		second.wantClosed()
		first.want("a=1 q1")
		second.want("a=1 q1 dup")
		p.publish("a=2", 1, 1)
		first.want()
		second.want("a=2 q1")
		second.ackAll()

		if err := first.l.Acked(session.Puback, 1); !errors.Is(err, ErrTakenOver) {
			t.Errorf("acked: %v", err)
		}
		if _, err := first.l.Publish(view("a=3", 0)); !errors.Is(err, ErrTakenOver) {
			t.Errorf("publish: %v", err)
		}
		if _, err := first.l.Publish(view("a=3", 2)); !errors.Is(err, ErrTakenOver) {
			t.Errorf("publish: %v", err)
		}
		if _, err := first.l.Release(1); !errors.Is(err, ErrTakenOver) {
			t.Errorf("release: %v", err)
		}
		if g := first.l.Subscribe([]Subscription{{Filter: "b"}}); !errors.Is(g[0].Err, ErrTakenOver) {
			t.Errorf("subscribe: %+v", g)
		}
		if g := first.l.Unsubscribe([]string{"a"}); !errors.Is(g[0].Err, ErrTakenOver) {
			t.Errorf("unsubscribe: %+v", g)
		}
		first.l.Writable()
		first.l.Ready()
		first.l.Start()
		first.commit()
		first.lose()
		first.want()
		if b.stats.Connected.Load() != 2 || b.stats.TakenOver.Load() != 1 {
			t.Errorf("%d connected, %d taken over", b.stats.Connected.Load(), b.stats.TakenOver.Load())
		}
		count(t, b, 2, 1)
	})
}

func TestTakeoverWithCleanStartBeginsAnew(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p, first := attach(t, b, options("p")), attach(t, b, durable("s"))
		first.subscribe(Subscription{Filter: "a", QoS: 1})
		p.publish("a=1", 1, 1)
		o := durable("s")
		o.CleanStart = true
		second := attach(t, b, o)
		if second.present {
			t.Error("the session is present")
		}
		first.wantClosed(ReasonTakenOver)
		second.want()
		p.publish("a=2", 1, 0)
		count(t, b, 2, 0)
		wantRecords(t, b.cfg.Store, "session s")
	})
}

func TestAnotherIdentityNeitherResumesNorWipesNorKicks(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		mine, err := attachAs(t, b, "alice", durable("s"))
		if err != nil {
			t.Fatal(err)
		}
		mine.subscribe(Subscription{Filter: "a", QoS: 1})
		intrude := func() {
			t.Helper()
			for _, owner := range []string{"bob", ""} {
				for _, clean := range []bool{false, true} {
					o := durable("s")
					o.CleanStart = clean
					if _, err := attachAs(t, b, owner, o); !errors.Is(err, ErrNotOwner) {
						t.Errorf("%q, clean start %v: %v", owner, clean, err)
					}
				}
			}
		}
		intrude()
		mine.wantClosed()
		mine.lose()
		intrude()
		p := attach(t, b, options("p"))
		p.publish("a=1", 1, 1)
		mine, err = attachAs(t, b, "alice", durable("s"))
		if err != nil || !mine.present {
			t.Fatalf("present %v, %v", mine.present, err)
		}
		mine.want("a=1 q1")
		if err := mine.l.SetIdentity(identity("bob")); !errors.Is(err, ErrNotOwner) {
			t.Errorf("change of owner: %v", err)
		}
		if err := mine.l.SetIdentity(identity("alice")); err != nil || mine.l.Identity() != identity("alice") {
			t.Errorf("re-authentication: %v, %v", err, mine.l.Identity())
		}
	})
}

func TestTakeoverEndsASessionWithoutExpiry(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		watch := attach(t, b, options("watch"))
		watch.subscribe(Subscription{Filter: "will"})
		o := options("s")
		o.Will = &Will{Message: view("will=1", 0), Delay: time.Minute}
		first := attach(t, b, o)
		first.subscribe(Subscription{Filter: "a", QoS: 1})
		second := attach(t, b, durable("s"))
		if second.present {
			t.Error("the session is present")
		}
		first.wantClosed(ReasonTakenOver)
		watch.want("will=1")
		count(t, b, 2, 1)
		wantRecords(t, b.cfg.Store, "session s")
	})
}
