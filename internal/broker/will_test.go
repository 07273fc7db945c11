package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
)

// withWill adds the will "will=<payload>" to options.
func withWill(o SessionOptions, payload string, delay time.Duration) SessionOptions {
	o.Will = &Will{Message: view("will="+payload, 1), Delay: delay}
	return o
}

// watcher subscribes to the topic of wills.
func watcher(t *testing.T, b *Broker) *client {
	t.Helper()
	c := attach(t, b, options("watcher"))
	c.subscribe(Subscription{Filter: "will", QoS: 1, RetainAsPublished: true})
	return c
}

// [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3]
func TestWillIsPublishedUnlessTheClientSaysGoodbye(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		w := watcher(t, b)
		for _, o := range []SessionOptions{options("c"), durable("c")} {
			attach(t, b, withWill(o, "1", 0)).leave()
			attach(t, b, o).lose() // the will is not that of the connection before
			w.want()
			c := attach(t, b, withWill(o, "2", 0))
			c.lose()
			w.want("will=2 q1")
			c.lose()
			w.want()
			w.ackAll()
		}
		count(t, b, 2, 1)
	})
}

func TestWillIsRetained(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		o := withWill(options("c"), "1", 0)
		o.Will.Message.Retain = true
		attach(t, b, o).lose()
		watcher(t, b).want("will=1 q1 retain")
		wantRecords(t, b.cfg.Store, "retained will")
	})
}

// [MQTT-3.1.3-9]
func TestWillDelay(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		w := watcher(t, b)
		attach(t, b, withWill(durable("c"), "1", time.Minute)).lose()
		time.Sleep(59 * time.Second)
		w.want()
		wantRecords(t, b.cfg.Store, "session c", "will c")
		time.Sleep(2 * time.Second)
		w.want("will=1 q1")
		wantRecords(t, b.cfg.Store, "session c")
		time.Sleep(2 * time.Hour)
		w.want()
		count(t, b, 1, 1)
	})
}

func TestWillIsCancelledWhenTheClientReturnsInTime(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		w := watcher(t, b)
		attach(t, b, withWill(durable("c"), "1", time.Minute)).lose()
		time.Sleep(59 * time.Second)
		c := attach(t, b, durable("c"))
		wantRecords(t, b.cfg.Store, "session c")
		wantTimers(t, b, 0)
		time.Sleep(time.Hour)
		c.lose()
		time.Sleep(59 * time.Minute)
		w.want()
	})
}

// The end of the session is the latest time for its will.
func TestWillComesWithTheEndOfTheSession(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		w := watcher(t, b)
		attach(t, b, withWill(options("c"), "no expiry", time.Hour)).lose()
		w.want("will=no expiry q1")
		w.ackAll()

		o := withWill(durable("c"), "expired", time.Hour)
		o.Expiry = time.Minute
		attach(t, b, o).lose()
		time.Sleep(59 * time.Second)
		w.want()
		time.Sleep(2 * time.Second)
		w.want("will=expired q1")
		w.ackAll()

		attach(t, b, withWill(durable("c"), "wiped", time.Hour)).lose()
		o = durable("c")
		o.CleanStart = true
		c := attach(t, b, o)
		w.want("will=wiped q1")
		w.ackAll()
		c.leave()

		c = attach(t, b, withWill(durable("c"), "with will", time.Hour))
		c.l.Detach(Farewell{Abnormal: true, HasExpiry: true}) // DISCONNECT 0x04 with expiry 0
		w.want("will=with will q1")
		w.ackAll()
		count(t, b, 1, 1)
		wantRecords(t, b.cfg.Store)
	})
}

// MQTT 5.0 §3.1.4 on takeover
func TestWillOfATakenOverConnection(t *testing.T) {
	for _, tt := range []struct {
		name  string
		delay time.Duration
		clean bool
		fires bool
	}{
		{"no delay", 0, false, true},
		{"no delay, clean start", 0, true, true},
		{"delay", time.Minute, false, false},
		{"delay, clean start", time.Minute, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, b *Broker) {
				w := watcher(t, b)
				first := attach(t, b, withWill(durable("c"), "first", tt.delay))
				o := withWill(durable("c"), "second", 0)
				o.CleanStart = tt.clean
				second := attach(t, b, o)
				first.lose()
				var want []string
				if tt.fires {
					want = []string{"will=first q1"}
				}
				w.want(want...)
				time.Sleep(2 * time.Minute)
				w.want()
				w.ackAll()
				second.lose()
				w.want("will=second q1")
			})
		})
	}
}

func TestWillIsNotPublishedWithoutTheRight(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		r := newRules()
		b.SetAuthorizer(r)
		w := watcher(t, b)
		c := attach(t, b, withWill(options("c"), "1", 0))
		r.add(" publish will")
		c.lose()
		w.want()
		if n := b.stats.Drops[session.DropNotAllowed].Load(); n != 1 {
			t.Errorf("%d dropped", n)
		}
	})
}

// The message expiry interval of a will runs from its publication.
func TestWillExpiresAfterItsPublication(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		o := withWill(durable("c"), "1", time.Minute)
		v := &o.Will.Message
		v.Retain, v.HasExpiry, v.Expiry = true, true, 60
		attach(t, b, o).lose()
		time.Sleep(119 * time.Second)
		w := watcher(t, b)
		w.want("will=1 q1 retain")
		if left, ok := w.unacked[0].Message.RemainingExpiry(time.Now()); !ok || left != 1 {
			t.Errorf("%d s left, %v", left, ok)
		}
		time.Sleep(2 * time.Second)
		if n, _ := b.Retained(); n != 0 {
			t.Errorf("%d retained", n)
		}
	})
}

// A client's own will may reach its own session.
func TestWillIsQueuedForItsOwnSession(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c := attach(t, b, withWill(durable("c"), "1", 0))
		c.subscribe(Subscription{Filter: "will", QoS: 1})
		c.lose()
		attach(t, b, durable("c")).want("will=1 q1")
	})
}

func TestWillSurvivesARestart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s := mem.New()
		b.cfg.Store = s
		expiring := withWill(durable("waiting"), "waiting", 2*time.Minute)
		expiring.Will.Message.HasExpiry, expiring.Will.Message.Expiry = true, 30
		attach(t, b, expiring).lose()
		attach(t, b, withWill(durable("connected"), "connected", 30*time.Second)) // cut off by the restart
		attach(t, b, withWill(durable("at once"), "at once", 0))
		time.Sleep(time.Minute)

		after := idle(t, Config{Store: s, SysInterval: -1})
		w := watcher(t, after)
		run(t, after)
		time.Sleep(time.Second)
		w.want("will=at once q1")
		time.Sleep(28 * time.Second)
		w.want()
		time.Sleep(2 * time.Second)
		w.want("will=connected q1")
		time.Sleep(30 * time.Second)
		w.want("will=waiting q1")
		if m := w.unacked[2].Message; m.Expires.Sub(m.Published) != 30*time.Second {
			t.Errorf("published %v, expires %v", m.Published, m.Expires)
		}
		time.Sleep(2 * time.Hour)
		count(t, after, 1, 1)
	})
}

// Wherever a crash comes, the will is stored or has been published.
func TestWillIsStoredUntilItIsPublished(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Minute, 2 * time.Hour} { // at once, later, with the session
		bubble(t, Config{}, func(t *testing.T, b *Broker) {
			f := newFaulty()
			b.cfg.Store = f
			o := durable("s")
			o.Expiry = Never
			s := attach(t, b, o)
			s.subscribe(Subscription{Filter: "w", QoS: 1})
			s.leave()
			o = durable("dies")
			o.Will = &Will{Message: view("w=gone", 1), Delay: delay}
			dies := attach(t, b, o)
			f.hookAfter(func([]store.Op) {
				all := records(t, f.Store)
				if slices.Contains(all, "will dies") == slices.Contains(all, "queued s gone") {
					t.Errorf("a crash leaves %q", all)
				}
			})
			dies.lose()
			time.Sleep(61 * time.Minute)
			f.hookAfter(nil)
			wantRecords(t, f, "session s", "subscription s w", "queued s gone")
		})
	}
}
