package broker

import (
	"errors"
	"testing"

	"github.com/iotctl/iotctl/internal/session"
)

func TestAuthorizerIsAskedAboutPublishAndSubscribe(t *testing.T) {
	bubble(t, Config{Authorizer: newRules(" publish a", " subscribe b/#")}, func(t *testing.T, b *Broker) {
		c := attach(t, b, options("c"))
		for _, qos := range []uint8{0, 1, 2} {
			v := view("a=1", qos)
			v.PacketID, v.Retain = 1, true
			if _, err := c.l.Publish(v); !errors.Is(err, ErrNotAuthorized) {
				t.Errorf("publish at QoS %d: %v", qos, err)
			}
		}
		if n, _ := b.Retained(); n != 0 {
			t.Error("a message that was refused is retained")
		}
		grants := c.l.Subscribe([]Subscription{{Filter: "b/#"}, {Filter: "$share/g/b/#"}, {Filter: "b/+"}})
		for i, g := range grants {
			if refused := i < 2; errors.Is(g.Err, ErrNotAuthorized) != refused {
				t.Errorf("subscribe %d: %+v", i, g)
			}
		}
		o := options("w")
		o.Will = &Will{Message: view("a=1", 0)}
		if _, err := attachAs(t, b, "", o); !errors.Is(err, ErrNotAuthorized) {
			t.Errorf("will: %v", err)
		}
		count(t, b, 1, 1)
	})
}

// A right to subscribe to more than one may receive is narrowed per message.
func TestAuthorizerIsAskedAtDelivery(t *testing.T) {
	r := newRules("s receive secret")
	bubble(t, Config{Authorizer: r}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		p.publishRetained("secret=kept", 1, 0)
		p.publishRetained("open=kept", 1, 0)
		s, err := attachAs(t, b, "s", durable("s"))
		if err != nil {
			t.Fatal(err)
		}
		s.subscribe(Subscription{Filter: "#", QoS: 1})
		s.want("open=kept q1 retain")
		for _, qos := range []uint8{0, 1, 2} {
			p.publish("secret=live", qos, 1)
		}
		p.publish("open=live", 0, 1)
		s.want("open=live")
		if n := b.stats.Drops[session.DropNotAllowed].Load(); n != 4 {
			t.Errorf("%d dropped", n)
		}
		s.ackAll()

		// Queued: asked when the client returns.
		s.lose()
		p.publish("open=1", 1, 1)
		p.publish("later=2", 1, 1)
		p.publish("open=3", 1, 1)
		r.add("s receive later")
		s, err = attachAs(t, b, "s", durable("s"))
		if err != nil {
			t.Fatal(err)
		}
		s.want("open=1 q1", "open=3 q1")
		s.ackAll()
		wantRecords(t, b.cfg.Store, "session s", "subscription s #", "retained open", "retained secret")
	})
}

func TestReauthorizeDropsWhatWaits(t *testing.T) {
	r := newRules()
	bubble(t, Config{Authorizer: r}, func(t *testing.T, b *Broker) {
		p := attach(t, b, options("p"))
		p.publishRetained("a/kept=1", 0, 0)
		o := durable("s")
		o.Window.ReceiveMaximum = 1
		s, err := attachAs(t, b, "s", o)
		if err != nil {
			t.Fatal(err)
		}
		s.subscribe(Subscription{Filter: "a/live", QoS: 1})
		for _, payload := range []string{"a/live=1", "a/live=2", "a/live=3"} {
			p.publish(payload, 1, 1)
		}
		s.want("a/live=1 q1")
		s.setFull(true)
		s.subscribe(Subscription{Filter: "a/+"})
		r.add("s receive a/live")
		r.add("s receive a/kept")
		b.Reauthorize()
		s.ack()
		s.setFull(false)
		s.want()
		wantRecords(t, b.cfg.Store, "session s", "subscription s a/+", "subscription s a/live", "retained a/kept")

		b.SetAuthorizer(nil)
		p.publish("a/live=4", 1, 1)
		s.want("a/live=4 q1")
		p.publish("a/live=5", 1, 1)
		b.SetAuthorizer(r) // asks at once
		s.ackAll()
		s.want()
	})
}
