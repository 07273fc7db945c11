package broker

import (
	"context"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/session"
)

// A PUBREL that cannot be stored does not leave, so its connection ends: the
// next one sends it.
func TestAConnectionEndsWhenWhatItIsToBeSentCannotBeStored(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		f := newFaulty()
		b.cfg.Store = f
		c, p := attach(t, b, durable("c")), attach(t, b, options("p"))
		c.subscribe(Subscription{Filter: "a", QoS: 2})
		p.publish("a=0", 2, 1)
		c.want("a=0 q2")
		if err := c.l.Acked(session.Pubrec, 1); err != nil {
			t.Fatal(err)
		}
		c.commit()
		c.want("rel")
		c.lose()

		c = &client{t: t, b: b, room: never}
		l, _, err := b.Attach(context.Background(), auth.Identity{ClientID: "c"}, durable("c"), c)
		if err != nil {
			t.Fatal(err)
		}
		c.l = l
		f.fail(errDisk)
		l.Start()
		c.want()
		c.wantClosed(ReasonUnavailable)
		c.lose()

		f.fail(nil)
		c = attach(t, b, durable("c"))
		c.want("rel")
		c.wantClosed()
	})
}

// A gateway that panics never commits: what it was about to store for others
// does not hold them up.
func TestABatchThatIsNeverCommittedHoldsNobodyUp(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		c, p := attach(t, b, durable("c")), attach(t, b, options("p"))
		c.subscribe(Subscription{Filter: "a", QoS: 1})
		if _, err := p.l.Publish(view("a=0", 1)); err != nil {
			t.Fatal(err)
		}
		p.lose()
		if len(c.l.s.storing) != 0 {
			t.Errorf("%d messages are being stored", len(c.l.s.storing))
		}
		c.want()
	})
}
