package broker

import (
	"errors"
	"testing"

	"github.com/iotctl/iotctl/internal/message"
)

func TestPublishOfAProgramAsksForNobodysRights(t *testing.T) {
	bubble(t, Config{Authorizer: newRules(" publish t", "exproto publish t")}, func(t *testing.T, b *Broker) {
		sub, lasting := attach(t, b, options("sub")), attach(t, b, durable("lasting"))
		sub.subscribe(Subscription{Filter: "t", QoS: 1})
		lasting.subscribe(Subscription{Filter: "t", QoS: 1})
		lasting.lose()
		v := message.View{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, Retain: true}
		if n, err := b.Publish(t.Context(), v, "exproto"); n != 2 || err != nil {
			t.Fatalf("published to %d, %v", n, err)
		}
		sub.want("t=x q1")
		if from := sub.unacked[0].Message.Publisher; from != "exproto" {
			t.Errorf("published by %q", from)
		}
		late := attach(t, b, options("late"))
		late.subscribe(Subscription{Filter: "t"})
		late.want("t=x retain")
		again := attach(t, b, func() SessionOptions { o := durable("lasting"); o.CleanStart = false; return o }())
		again.want("t=x q1")
		for _, c := range []*client{sub, late, again} {
			c.ackAll()
			c.leave()
		}
	})
}

func TestPublishOfAProgramIsRefused(t *testing.T) {
	bubble(t, Config{MaxRetained: 1}, func(t *testing.T, b *Broker) {
		for _, c := range []struct {
			topic  string
			retain bool
			want   error
		}{
			{"$SYS/broker/version", false, ErrNotAuthorized},
			{"first", true, nil},
			{"second", true, ErrQuota},
		} {
			v := message.View{Topic: []byte(c.topic), Payload: []byte("x"), Retain: c.retain}
			if _, err := b.Publish(t.Context(), v, "p"); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.topic, err, c.want)
			}
		}
		b.Shutdown(ReasonShutdown)
		if _, err := b.Publish(t.Context(), message.View{Topic: []byte("t")}, "p"); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: %v", err)
		}
	})
}
