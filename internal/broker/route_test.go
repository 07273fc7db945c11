package broker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
)

func TestDeliveryIsTheLowerQoS(t *testing.T) {
	for _, expiry := range []string{"ends", "durable"} {
		for pub := range uint8(3) {
			for sub := range uint8(3) {
				t.Run(fmt.Sprintf("%s/publish=%d/subscribe=%d", expiry, pub, sub), func(t *testing.T) {
					bubble(t, Config{}, func(t *testing.T, b *Broker) {
						o := options("s")
						if expiry == "durable" {
							o = durable("s")
						}
						s, p := attach(t, b, o), attach(t, b, options("p"))
						s.subscribe(Subscription{Filter: "a", QoS: sub})
						p.publish("a=1", pub, 1)
						switch min(pub, sub) {
						case 0:
							s.want("a=1")
						case 1:
							s.want("a=1 q1")
							s.ack()
							s.want()
						case 2:
							s.want("a=1 q2")
							s.ack()
							s.want("rel")
							s.ack()
						}
						if waiting, inflight := s.l.s.out.Len(); waiting+inflight != 0 {
							t.Errorf("%d waiting, %d in flight", waiting, inflight)
						}
					})
				})
			}
		}
	}
}

// [MQTT-3.3.4-2] [MQTT-3.3.4-3]
func TestOverlappingSubscriptionsMakeOneDelivery(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(
			Subscription{Filter: "a/#", QoS: 0, ID: 1},
			Subscription{Filter: "a/+", QoS: 2, ID: 2},
			Subscription{Filter: "a/b", QoS: 1},
			Subscription{Filter: "#", QoS: 1, ID: 1},
			Subscription{Filter: "b", QoS: 1, ID: 7},
		)
		p.publish("a/b=1", 2, 1)
		s.want("a/b=1 q2 ids[1 1 2]")
		p.publish("a/b/c=2", 1, 1)
		s.want("a/b/c=2 q1 ids[1 1]")
		s.unsubscribe("#", "a/#")
		p.publish("a/b=3", 1, 1)
		s.want("a/b=3 q1 ids[2]")
	})
}

// [MQTT-3.8.4-3]
func TestSubscribingAgainReplacesTheSubscription(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2, ID: 1})
		s.subscribe(Subscription{Filter: "a", QoS: 0, ID: 2})
		count(t, b, 2, 1)
		p.publish("a=1", 2, 1)
		s.want("a=1 ids[2]")
		s.unsubscribe("a")
		count(t, b, 2, 0)
		p.publish("a=2", 0, 0)
		s.want()
	})
}

// [MQTT-3.8.3-3]
func TestNoLocal(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		a, other := attach(t, b, options("a")), attach(t, b, options("b"))
		a.subscribe(Subscription{Filter: "x", NoLocal: true})
		a.publish("x=1", 0, 0)
		a.want()
		other.publish("x=2", 0, 1)
		a.want("x=2")
		a.subscribe(Subscription{Filter: "#"})
		a.publish("x=3", 0, 1)
		a.want("x=3")
	})
}

// [MQTT-3.3.1-12] [MQTT-3.3.1-13]
func TestRetainAsPublished(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		plain, keeps, p := attach(t, b, options("s")), attach(t, b, options("k")), attach(t, b, options("p"))
		plain.subscribe(Subscription{Filter: "#"})
		keeps.subscribe(Subscription{Filter: "#", RetainAsPublished: true})
		p.publishRetained("a=1", 0, 2)
		p.publish("a=2", 0, 2)
		plain.want("a=1", "a=2")
		keeps.want("a=1 retain", "a=2")
		plain.subscribe(Subscription{Filter: "a", RetainAsPublished: true, RetainHandling: 2})
		p.publishRetained("a=3", 0, 2)
		plain.want("a=3 retain")
	})
}

// [MQTT-4.7.2-1]
func TestWildcardsDoNotMatchDollarTopics(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "#"}, Subscription{Filter: "+/a"})
		p.publish("$x/a=1", 0, 0)
		s.subscribe(Subscription{Filter: "$x/#"})
		p.publish("$x/a=2", 0, 1)
		s.want("$x/a=2")
	})
}

func TestReservedTopics(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		for _, topic := range []string{"$SYS", "$SYS/x", "$CONTROL/a", "$share/g/a", "$queue/a", "$exclusive/a", "$delayed/5/a"} {
			if _, err := p.l.Publish(view(topic+"=1", 1)); !errors.Is(err, ErrNotAuthorized) {
				t.Errorf("publish %q: %v", topic, err)
			}
			o := options("w")
			o.Will = &Will{Message: view(topic+"=1", 1)}
			if _, err := attachAs(t, b, "", o); !errors.Is(err, ErrNotAuthorized) {
				t.Errorf("will %q: %v", topic, err)
			}
		}
		for _, topic := range []string{"$SYSTEM/x", "$shared", "$x"} {
			p.publish(topic+"=1", 0, 0)
		}
		count(t, b, 1, 0)
	})
}

func TestInvalidFilters(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c := attach(t, b, options("c"))
		grants := c.l.Subscribe([]Subscription{{Filter: "a/#/b"}, {Filter: "ok", QoS: 1}, {Filter: "$share//x"}, {Filter: ""}})
		var invalid *router.Invalid
		for i, g := range grants {
			if wantErr := i != 1; errors.As(g.Err, &invalid) != wantErr {
				t.Errorf("grant %d: %+v", i, g)
			}
		}
		grants = c.l.Unsubscribe([]string{"a/#/b", "ok", "never"})
		if !errors.As(grants[0].Err, &invalid) || grants[1].Err != nil || !errors.Is(grants[2].Err, ErrNoSubscription) {
			t.Errorf("unsubscribe: %+v", grants)
		}
		count(t, b, 1, 0)
	})
}

// [MQTT-4.3.3-10]
func TestRepeatedQoS2IsRoutedOnce(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, durable("p"))
		s.subscribe(Subscription{Filter: "a"})
		v := view("a=1", 2)
		v.PacketID = 7
		for range 3 {
			if _, err := p.l.Publish(v); err != nil {
				t.Error(err)
			}
			p.commit()
			p.lose()
			p = attach(t, b, durable("p"))
			v.Dup = true
		}
		s.want("a=1")
		for _, want := range []bool{true, false} {
			if known, err := p.l.Release(7); known != want || err != nil {
				t.Errorf("release: %v, %v", known, err)
			}
		}
		if _, err := p.l.Publish(v); err != nil {
			t.Error(err)
		}
		p.commit()
		s.want("a=1")
	})
}

// [MQTT-3.3.4-9]
func TestReceiveMaximumOfTheServer(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		o := options("p")
		o.ReceiveMaximum = 2
		p := attach(t, b, o)
		for id := range uint16(3) {
			v := view("a=1", 2)
			v.PacketID = id + 1
			_, err := p.l.Publish(v)
			if want := id == 2; errors.Is(err, session.ErrReceiveMaximum) != want {
				t.Errorf("message %d: %v", id+1, err)
			}
		}
	})
}

// A client may send as many messages again before it repeats its PUBRELs.
func TestReceiveMaximumBeginsAnewWithTheConnection(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		o := durable("p")
		o.ReceiveMaximum = 2
		for first := range uint16(2) {
			p := attach(t, b, o)
			for id := range uint16(2) {
				v := view("a=1", 2)
				v.PacketID = first*2 + id + 1
				if _, err := p.l.Publish(v); err != nil {
					t.Errorf("message %d: %v", v.PacketID, err)
				}
			}
			p.commit()
			p.lose()
		}
	})
}

func TestSlowClientLosesQoS0AndKeepsTheRest(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 2})
		s.setFull(true)
		p.publish("a=1", 0, 1)
		p.publish("a=2", 1, 1)
		p.publish("a=3", 2, 1)
		p.publish("a=4", 0, 1)
		s.want()
		s.setFull(false)
		s.want("a=2 q1", "a=3 q2")
		if n := b.stats.Drops[session.DropSlow].Load(); n != 2 {
			t.Errorf("%d dropped, want 2", n)
		}
		s.ackAll()
		s.want("rel")
	})
}

func TestQueueFullKeepsTheNewest(t *testing.T) {
	bubble(t, Config{Queue: session.Limits{MaxQueued: 2}}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, durable("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		s.lose()
		for i := range 4 {
			p.publish(fmt.Sprintf("a=%d", i), 1, 1)
		}
		p.publish("a=x", 0, 1)
		s = attach(t, b, durable("s"))
		s.want("a=2 q1", "a=3 q1")
		if full, offline := b.stats.Drops[session.DropQueueFull].Load(), b.stats.Drops[session.DropOffline].Load(); full != 2 || offline != 1 {
			t.Errorf("dropped %d for space, %d offline", full, offline)
		}
	})
}

func TestFlushOncePerBatch(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a"})
		before := s.flushes
		for range 5 {
			if _, err := p.l.Publish(view("a=1", 0)); err != nil {
				t.Fatal(err)
			}
		}
		p.commit()
		if n := s.flushes - before; n != 1 {
			t.Errorf("%d flushes for a batch of 5", n)
		}
		if len(s.received()) != 5 {
			t.Error("not all were delivered")
		}
	})
}

// [MQTT-4.3.3-9]
func TestRefusedQoS2FreesItsIdentifier(t *testing.T) {
	bubble(t, Config{Authorizer: newRules(" publish secret"), MaxRetainedBytes: 1}, func(t *testing.T, b *Broker) {
		s := newFaulty()
		b.cfg.Store = s
		p := attach(t, b, durable("p"))
		v := view("secret=1", 2)
		v.PacketID = 7
		if _, err := p.l.Publish(v); !errors.Is(err, ErrNotAuthorized) {
			t.Errorf("publish: %v", err)
		}
		v = view("a=1", 2)
		v.PacketID, v.Retain = 8, true
		if _, err := p.l.Publish(v); !errors.Is(err, ErrQuota) {
			t.Errorf("publish: %v", err)
		}
		p.commit()
		for id := range uint16(10) {
			if known, _ := p.l.Release(id); known {
				t.Errorf("identifier %d is still open", id)
			}
		}
		wantRecords(t, s, "session p")
	})
}

func TestRepetitionIsNotReportedAsUnmatched(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, options("s")), attach(t, b, options("p"))
		s.subscribe(Subscription{Filter: "a"})
		v := view("a=1", 2)
		v.PacketID = 7
		for i := range 2 {
			if n, err := p.l.Publish(v); n != 1 || err != nil {
				t.Errorf("attempt %d: %d, %v", i, n, err)
			}
		}
	})
}

// A front end that knows no receive maximum says nothing.
func TestWindowWithoutReceiveMaximum(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s, p := attach(t, b, SessionOptions{ClientID: "s"}), attach(t, b, SessionOptions{ClientID: "p"})
		p.publishRetained("a=0", 1, 0)
		s.subscribe(Subscription{Filter: "a", QoS: 1})
		p.publish("a=1", 1, 1)
		s.want("a=0 q1 retain", "a=1 q1")
	})
}

// A client that makes room while messages are being offered gets them in
// order.
func TestNothingOvertakesARefusedDelivery(t *testing.T) {
	for _, o := range []SessionOptions{options("s"), durable("s")} {
		bubble(t, Config{}, func(t *testing.T, b *Broker) {
			s, p := attach(t, b, o), attach(t, b, options("p"))
			s.subscribe(Subscription{Filter: "a", QoS: 2})
			s.setFull(true)
			for i := range 4 {
				p.publish(fmt.Sprintf("a=%d", i), 2, 1)
			}
			s.mu.Lock()
			s.full, s.room = false, 1 // takes one, refuses one, and has room again at once
			s.mu.Unlock()
			s.l.Writable()
			s.want("a=0 q2")
			s.l.Writable()
			s.want("a=1 q2", "a=2 q2", "a=3 q2")
			s.ack()
			s.want("rel", "rel", "rel", "rel")
		})
	}
}
